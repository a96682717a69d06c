"""From a photo to the tensor a network sees: timm's names and meaning, equal to timm's to the last bit.

    config = resolve_data_config({}, model=model)         # what these weights were trained to expect
    transform = create_transform(**config)                # PIL image -> [C, H, W] float32
    preprocessing_steps(photo, config)                    # the same, step by step, to show
    crop_box(photo.size, config)                          # which part of the photo the network sees

Preprocessing is part of the weights: with another mean, crop or interpolation the same network is several
points worse, and nothing complains. So all four functions read the same config, and the last
three use the same two steps (`Resize`, `CenterCrop`), which say in plain numbers what they will do to a
photo of a given size.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from PIL import Image

from .bands import BandsToTensor, EachBand, check_photo
from .images import ImageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEFAULT_CROP_PCT = 0.875

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
CROP_MODES = ("center", "squash", "border")

# A photo 100000 pixels wide and 2 high would grow to gigabytes on its way to a crop of 224 x 224.
_MAX_RESIZED_PIXELS = 100_000_000

_logger = logging.getLogger(__name__)


# --- The config -----------------------------------------------------------------------------------


def resolve_data_config(
    args: Mapping[str, Any] | None = None,
    pretrained_cfg: Any = None,
    model: Any = None,
    use_test_size: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Return the preprocessing a model expects: keyword arguments for `create_transform`.

    Each value comes from the first place that has it: `args` (what the caller insists on; also `img_size`,
    `in_chans` or `chans`), `pretrained_cfg` (a mapping or dataclass; by default the model's own), ImageNet's
    values. use_test_size: prefer the config's `test_input_size` and `test_crop_pct`, where published results
    were measured. verbose: log the result.

    Returns input_size (C, H, W), interpolation, mean, std, crop_pct, crop_mode. Equal to timm's, except where
    a model takes another number of channels than its config says: then input_size, mean and std follow the
    model (timm's transform fails there). Raises ValueError if there is nothing to go by or if the numbers
    contradict each other.
    """
    if args is None and pretrained_cfg is None and model is None:
        raise ValueError("resolve_data_config needs at least one of args, pretrained_cfg and model.")
    args = {key: value for key, value in (args or {}).items() if value is not None}
    facts = _as_mapping(pretrained_cfg if pretrained_cfg else getattr(model, "pretrained_cfg", None))
    if use_test_size:
        tested = {key: facts.get(f"test_{key}") for key in ("input_size", "crop_pct")}
        facts = {**facts, **{key: value for key, value in tested.items() if value}}

    def first(key: str, default: Any) -> Any:
        return args.get(key) or facts.get(key) or default

    channels = args.get("in_chans") or args.get("chans") or getattr(model, "in_chans", None)
    if "input_size" in args:
        input_size = tuple(args["input_size"])
        if len(input_size) != 3:
            raise ValueError(f"input_size is {input_size}: expected (channels, height, width).")
    elif "img_size" in args:
        input_size = (channels or 3, *_height_width(args["img_size"]))
    else:
        input_size = tuple(facts.get("input_size") or (3, 224, 224))
        if channels:
            input_size = (channels, *input_size[1:])

    config = {
        "input_size": input_size,
        "interpolation": first("interpolation", "bicubic"),
        "mean": _per_channel("mean", args, facts.get("mean") or IMAGENET_MEAN, input_size[0]),
        "std": _per_channel("std", args, facts.get("std") or IMAGENET_STD, input_size[0]),
        "crop_pct": first("crop_pct", DEFAULT_CROP_PCT),
        "crop_mode": first("crop_mode", "center"),
    }
    if verbose:
        _logger.info("Preprocessing: %s", ", ".join(f"{key} {value}" for key, value in config.items()))
    return config


def resolve_model_data_config(model: Any, use_test_size: bool = False) -> dict[str, Any]:
    """The preprocessing a model expects: `resolve_data_config({}, model=model)`, under timm's other name for it."""
    return resolve_data_config({}, model=model, use_test_size=use_test_size)


def _as_mapping(facts: Any) -> Mapping[str, Any]:
    if facts is None:
        return {}
    if is_dataclass(facts):
        return asdict(facts)
    if isinstance(facts, Mapping):
        return facts
    raise ValueError(f"pretrained_cfg is a {type(facts).__name__}: expected a mapping or a dataclass.")


def _per_channel(
    name: str, args: Mapping[str, Any], published: Sequence[float], channels: int
) -> tuple[float, ...]:
    """A mean or std with one value a channel."""
    if name in args:
        values = tuple(args[name])
        if len(values) not in (1, channels):
            raise ValueError(f"{name} has {len(values)} values: expected 1 or, a channel each, {channels}.")
        return values * channels if len(values) == 1 else values
    if len(published) == channels:
        return tuple(published)
    return (sum(published) / len(published),) * channels  # a grey or many-channel twin of an RGB model


def _height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """224, (224, 320) or (3, 224, 320) -> (height, width)."""
    height_width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    if len(height_width) != 2 or min(height_width) < 1:
        raise ValueError(f"The size is {size}: expected 224, (height, width) or (channels, height, width).")
    return height_width


# --- The two steps of evaluation ------------------------------------------------------------------


class Resize:
    """Scale a photo so that it fits `size` (height, width) in one of four ways.

    fit: "short"    the short side becomes size[0]; the long side follows, rounded down (torchvision's rule)
         "cover"    the photo covers `size`, aspect ratio kept
         "contain"  the photo fits inside `size`, aspect ratio kept
         "exact"    becomes exactly `size`, aspect ratio not kept
    """

    def __init__(self, size: tuple[int, int], *, fit: str, interpolation: str):
        self.size, self.fit, self.interpolation = size, fit, interpolation

    def output_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) -> (width, height)."""
        width, height = image_size
        target_height, target_width = self.size
        if self.fit == "exact":
            return target_width, target_height
        if self.fit == "short":
            side = target_height
            if width <= height:
                return side, int(side * height / width)
            return int(side * width / height), side
        # How many photo pixels go into one. Divided in this order, halves round as they do in timm.
        shrink_x, shrink_y = width / target_width, height / target_height
        shrink = min(shrink_x, shrink_y) if self.fit == "cover" else max(shrink_x, shrink_y)
        return max(1, round(width / shrink)), max(1, round(height / shrink))

    def __call__(self, image: Image.Image) -> Image.Image:
        size = self.output_size(check_photo(image).size)
        if size[0] * size[1] > _MAX_RESIZED_PIXELS:
            raise ImageError(
                f"A photo of {image.width} x {image.height} pixels is too long and thin to be resized "
                f"(to {size[0]} x {size[1]}): cut out the part you mean first."
            )
        return image.resize(size, INTERPOLATIONS[self.interpolation])

    def __repr__(self) -> str:
        size = self.size[0] if self.fit == "short" else self.size
        return f"Resize({size}, fit={self.fit!r}, interpolation={self.interpolation!r})"


class CenterCrop:
    """Cut `size` (height, width) from the middle; `fill` (R, G, B) surrounds a photo that is smaller."""

    def __init__(self, size: tuple[int, int], *, fill: tuple[int, ...] = (0, 0, 0)):
        self.size, self.fill = size, fill

    def box(self, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels; reaches outside a photo that is smaller than the crop."""
        (width, height), (crop_height, crop_width) = image_size, self.size
        left, top = _middle(width, crop_width), _middle(height, crop_height)
        return left, top, left + crop_width, top + crop_height

    def __call__(self, image: Image.Image) -> Image.Image:
        left, top, right, bottom = self.box(image.size)
        if left >= 0 and top >= 0 and right <= image.width and bottom <= image.height:
            return image.crop((left, top, right, bottom))
        fill = self.fill if image.mode == "RGB" else self.fill[0]
        canvas = Image.new(image.mode, (right - left, bottom - top), fill)
        canvas.paste(image, (-left, -top))
        return canvas

    def __repr__(self) -> str:
        return f"CenterCrop({self.size}" + (f", fill={self.fill})" if any(self.fill) else ")")


def _middle(length: int, crop: int) -> int:
    """Where a centred crop begins. An odd rest: a crop rounds half to even, a border is wider at the end."""
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)


def _evaluation_steps(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float | None,
    crop_mode: str | None,
    mean: Sequence[float],
) -> tuple[Resize, CenterCrop]:
    """The resize and the crop for `size` (height, width), by timm's rules."""
    crop_pct, crop_mode = crop_pct or DEFAULT_CROP_PCT, crop_mode or "center"
    if crop_pct < 0:
        raise ValueError(f"crop_pct is {crop_pct}: expected a share above 0, such as {DEFAULT_CROP_PCT}.")
    if crop_mode not in CROP_MODES:
        raise ValueError(f"Unknown crop_mode {crop_mode!r}: expected one of {', '.join(CROP_MODES)}.")
    _known_interpolation(interpolation)

    scaled = (math.floor(size[0] / crop_pct), math.floor(size[1] / crop_pct))
    if crop_mode == "squash":
        return Resize(scaled, fit="exact", interpolation=interpolation), CenterCrop(size)
    if crop_mode == "border":
        grey = tuple(round(255 * value) for value in mean)  # becomes 0 after normalisation
        return Resize(scaled, fit="contain", interpolation=interpolation), CenterCrop(size, fill=grey)
    fit = "short" if size[0] == size[1] else "cover"
    return Resize(scaled, fit=fit, interpolation=interpolation), CenterCrop(size)


def _known_interpolation(name: str) -> str:
    if name not in INTERPOLATIONS:
        raise ValueError(f"Unknown interpolation {name!r}: expected one of {', '.join(INTERPOLATIONS)}.")
    return name


# --- The whole transform --------------------------------------------------------------------------


def create_transform(
    input_size: int | Sequence[int] = 224,
    is_training: bool = False,
    *,
    no_aug: bool = False,
    interpolation: str = "bilinear",
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    crop_pct: float | None = None,
    crop_mode: str | None = None,
    scale: Sequence[float] | None = None,
    ratio: Sequence[float] | None = None,
    hflip: float = 0.5,
    vflip: float = 0.0,
    color_jitter: float | Sequence[float] | None = 0.4,
    color_jitter_prob: float | None = None,
    grayscale_prob: float = 0.0,
    gaussian_blur_prob: float = 0.0,
    re_prob: float = 0.0,
    normalize: bool = True,
) -> Any:
    """Build the transform from a PIL image to a tensor [C, H, W]: a torchvision `Compose`.

    Of other than 1 or 3 channels it takes a `BandImage` of as many (see `explorer.data.bands`), for evaluation.

    input_size: 224, (height, width) or (channels, height, width). With one channel an RGB photo becomes grey.
    interpolation: nearest, bilinear, bicubic, lanczos, box, hamming; in training also "random" (one of
        bilinear and bicubic, drawn for each photo).
    mean, std: per channel, for pixel values in 0..1. normalize=False: uint8 in 0..255 comes out, as it is.

    Evaluation (is_training=False), equal to timm's to the last bit:
        crop_pct: the crop's side as a share of the resized photo's, by default 0.875; above 1 leaves a
            border.
        crop_mode: "center" (short side, then crop; the default), "squash" (ignore the aspect ratio),
            "border" (the whole photo, padded with the mean colour).

    Training, timm's defaults, from torchvision's own parts (random: equal in distribution):
        scale, ratio: area share and aspect ratio of the random crop, by default (0.08, 1) and (3/4, 4/3).
        hflip, vflip: probability of a flip. color_jitter: strength, or one each for brightness, contrast,
            saturation (and hue). color_jitter_prob, grayscale_prob, gaussian_blur_prob: how often.
        re_prob: probability of erasing a random rectangle. no_aug: resize to `input_size`, nothing random.

    Raises ValueError for values that are not known. Source of the meaning: timm.data.create_transform.
    """
    from torchvision import transforms as T

    size = _height_width(input_size)
    with_channels = not isinstance(input_size, int) and len(input_size) == 3
    channels = input_size[0] if with_channels else len(mean)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise ValueError(f"{name} has {len(values)} values: expected 1 or, a channel each, {channels}.")

    if channels not in (1, 3):
        if is_training and not no_aug or not normalize:
            raise ValueError(f"Training transforms are for photos of 1 or 3 channels, not {channels}: finetune(augment=\"light\") "
                             "knows more.")
        plain = [Resize(size, fit="exact", interpolation=_known_interpolation(interpolation))] if no_aug else \
            _evaluation_steps(size, interpolation, crop_pct, crop_mode, mean)
        return T.Compose([*(EachBand(step, channels) for step in plain), BandsToTensor(channels),
                          T.Normalize(tuple(mean), tuple(std))])
    steps: list[Any] = [T.Grayscale(1)] if channels == 1 else []
    if not is_training:
        steps += _evaluation_steps(size, interpolation, crop_pct, crop_mode, mean)
    elif no_aug:
        steps += [Resize(size, fit="exact", interpolation=_known_interpolation(interpolation))]
    else:
        steps += _random_crop(size, interpolation, scale or (0.08, 1.0), ratio or (3 / 4, 4 / 3))
        steps += [T.RandomHorizontalFlip(hflip)] if hflip else []
        steps += [T.RandomVerticalFlip(vflip)] if vflip else []
        if color_jitter:
            alike = isinstance(color_jitter, (int, float))
            strengths = (color_jitter,) * 3 if alike else tuple(color_jitter)
            if len(strengths) not in (3, 4):
                raise ValueError(f"color_jitter has {len(strengths)} values: expected 1, 3 or 4.")
            jitter = T.ColorJitter(*strengths)
            steps += [jitter if color_jitter_prob is None else T.RandomApply([jitter], p=color_jitter_prob)]
        steps += [T.RandomGrayscale(grayscale_prob)] if grayscale_prob else []
        if gaussian_blur_prob:
            steps += [T.RandomApply([T.GaussianBlur(23, sigma=(0.1, 2.0))], p=gaussian_blur_prob)]

    steps += [T.ToTensor(), T.Normalize(tuple(mean), tuple(std))] if normalize else [T.PILToTensor()]
    if is_training and re_prob:
        steps += [T.RandomErasing(re_prob, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3))]
    return T.Compose(steps)


def _random_crop(
    size: tuple[int, int], interpolation: str, scale: Sequence[float], ratio: Sequence[float]
) -> list[Any]:
    from torchvision import transforms as T

    names = ("bilinear", "bicubic") if interpolation == "random" else (_known_interpolation(interpolation),)
    modes = [T.InterpolationMode(name) for name in names]
    crops = [T.RandomResizedCrop(size, tuple(scale), tuple(ratio), mode) for mode in modes]
    return crops if len(crops) == 1 else [T.RandomChoice(crops)]


# --- Showing it -----------------------------------------------------------------------------------


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


def crop_box(image_size: tuple[int, int], config: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Which part of the photo the network sees: (left, top, right, bottom) in the photo's own pixels.

    image_size: (width, height) of the photo, as PIL's `image.size`.
    A heat map over the network's input, stretched over this box, lies in the photo's frame. Where the
    network sees a border around the photo, the box reaches outside: left or top below 0, right or bottom
    beyond the size.
    """
    resize, crop = _evaluation_steps(
        _height_width(config["input_size"]),
        config.get("interpolation", "bilinear"),
        config.get("crop_pct"),
        config.get("crop_mode"),
        config.get("mean", IMAGENET_MEAN),
    )
    resized = resize.output_size(image_size)
    left, top, right, bottom = crop.box(resized)
    zoom_x, zoom_y = image_size[0] / resized[0], image_size[1] / resized[1]
    return left * zoom_x, top * zoom_y, right * zoom_x, bottom * zoom_y


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
