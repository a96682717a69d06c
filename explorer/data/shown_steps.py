"""What is done to a photo before a model sees it, step by step, for a person to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from explorer.data.bands import BandsToTensor, EachBand
from explorer.data.resizing import CenterCrop, Resize
from explorer.data.transforms import create_transform


@dataclass(frozen=True)
class Step:
    """One step of preprocessing, ready to be shown.

    name: a word or two; sentence: what happens, for a person
    shape: (height, width, channels) of a picture, (channels, height, width) of a tensor
    value_range: the smallest and the largest value after the step
    image: the picture after this step, None once it is a tensor
    """

    name: str
    sentence: str
    shape: tuple[int, int, int]
    value_range: tuple[float, float]
    image: Image.Image | None = None

    def __repr__(self) -> str:
        shape, (low, high) = " x ".join(map(str, self.shape)), self.value_range
        return f"Step({self.name!r}: {self.sentence}; {shape}, {low:.3g} to {high:.3g})"


def preprocessing_steps(image: Image.Image, config: Mapping[str, Any]) -> list[Step]:
    """Run the evaluation transform of `config` on a photo, and say what each step did.

    After the photo itself come the steps of `create_transform(**config)`, in its order.
    """
    steps = [_picture_step("photo", "the photo as it came", image)]
    value: Any = image
    for transform in create_transform(**config).transforms:
        name, sentence = _in_words(transform, value)
        value = transform(value)
        if isinstance(value, Image.Image):
            steps.append(_picture_step(name, sentence, value))
        else:
            steps.append(Step(name, sentence, tuple(value.shape), (float(value.min()), float(value.max()))))
    return steps


def network_view(image: Image.Image, config: Mapping[str, Any]) -> Image.Image:
    """The picture that the network really sees: after resize and crop, before normalisation."""
    return [step.image for step in preprocessing_steps(image, config) if step.image is not None][-1]


def _picture_step(name: str, sentence: str, image: Image.Image) -> Step:
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    value_range = (float(min(low for low, _ in bands)), float(max(high for _, high in bands)))
    return Step(name, sentence, (image.height, image.width, len(image.getbands())), value_range, image)


def _in_words(transform: Any, before: Any) -> tuple[str, str]:
    """Name and sentence for one step of the evaluation transform. `before`: what it is given."""
    transform = transform.step if isinstance(transform, EachBand) else transform
    if isinstance(transform, BandsToTensor):
        return "tensor", f"all {transform.channels} bands, channels first"
    if isinstance(transform, Resize):
        width, height = transform.output_size(before.size)
        how = {
            "short": f"resize the short side to {transform.size[0]}",
            "cover": f"resize to {width} x {height}, large enough for the crop",
            "contain": f"resize to {width} x {height}, the whole photo",
            "exact": f"squash to {width} x {height}",
        }[transform.fit]
        return "resize", f"{how}, {transform.interpolation}"
    if isinstance(transform, CenterCrop):
        height, width = transform.size
        if before.width < width or before.height < height:
            return "crop", f"put the middle on a canvas of {width} x {height}, with a border"
        return "crop", f"cut {width} x {height} from the middle"
    kind = type(transform).__name__
    if kind == "Grayscale":
        return "grey", "make one grey channel of the three colours"
    if kind == "ToTensor":
        return "tensor", "divide by 255: from 0..255 to 0..1, channels first"
    if kind == "Normalize":
        mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (transform.mean, transform.std))
        return "normalise", f"subtract the mean ({mean}), divide by the standard deviation ({std})"
    return kind, "take the pixels as they are, channels first"  # PILToTensor, for normalize=False
