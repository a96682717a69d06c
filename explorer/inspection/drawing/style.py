"""Style transfer: a picture with the maps of one photo, and with the Gram matrices of another.

A stage's Gram matrix says which of its channels go together, at no matter what place: the texture, without
what stands where. Each term here is a relative error, as maps of different networks and stages differ by
powers of ten; Gatys divides by the size of the maps, which fits VGG.
Source: Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR,
section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from explorer.data.bands import BandImage, check_bands, check_photo
from explorer.data.images import load_image
from explorer.inspection.look.model import model_name
from explorer.inspection.look.pixels import as_pixels
from explorer.models.contract import VisionModel
from explorer.models.surgery.inside import stages_in_words
from explorer.models.watching import walk

TINY = 1e-12           # of a map that is zero everywhere
TEXTURE, SCENE = 16, 8  # the coarsest strides of the usual stages for the style, and for the content


def gram(maps: Tensor) -> Tensor:
    """Maps [1, C, H, W] -> [C, C]: the mean over all places of each channel times each other."""
    rows = maps[0].flatten(1)  # [C, H * W]
    return rows @ rows.T / rows.shape[1]


def total_variation(picture: Tensor) -> Tensor:
    """The mean squared step from a pixel of [1, C, H, W] to its right and to its lower neighbour, added."""
    across, down = picture.diff(dim=-1), picture.diff(dim=-2)
    return across.square().mean() + down.square().mean()


def relative(found: Tensor, wanted: Tensor) -> Tensor:
    """The squared error as a share of the square of what is wanted."""
    return (found - wanted).square().sum() / wanted.square().sum().clamp_min(TINY)


@dataclass(frozen=True)
class StyleWish:
    """A picture like one photo in a stage, and like another in the Gram matrices of some.

    content, style: the photos as inputs of a pass [1, C, H, W], of one size
    stage:  whose maps are the content;  stages: whose Gram matrices are the style
    weight: of the style's mean error, that of the content is 1;  smooth: of the total variation of the input
    """

    model: VisionModel
    content: Tensor
    style: Tensor
    stage: str
    stages: tuple[str, ...]
    weight: float
    smooth: float
    falls = True
    measure = "the loss"
    called = "The loss of the style transfer"

    @property
    def words(self) -> str:
        return f"the content of {self.stage}, the style of {', '.join(self.stages)}"

    @cached_property
    def wanted(self) -> tuple[Tensor, dict[str, Tensor]]:
        """(the content's maps, {stage: the style's Gram matrix})."""
        with torch.no_grad():
            maps = maps_of(self.model, self.content, [self.stage])[self.stage]
            grams = {name: gram(found) for name, found in
                     maps_of(self.model, self.style, self.stages).items()}
        return maps, grams

    def value(self, inputs: Tensor) -> Tensor:
        """The loss: the content's error, the style's mean error by its weight, the variation by its own."""
        content, style, variation = self.parts(inputs)
        return content + self.weight * style + self.smooth * variation

    def parts(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(the content's error, the mean error of the Gram matrices, total variation), without weights."""
        scene, grams = self.wanted
        found = maps_of(self.model, inputs, {self.stage, *self.stages})
        errors = torch.stack([relative(gram(found[name]), wanted) for name, wanted in grams.items()])
        return relative(found[self.stage], scene), errors.mean(), total_variation(inputs.float())


def maps_of(model: VisionModel, inputs: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """{stage: its maps [1, C, H, W], float32}: no further than the last of them.

    They are copies, as the next layer may work in place on what a stage gives.
    """
    wanted, found = {*names}, {}

    def keep(stage: Any, maps: Tensor) -> None:
        if stage.name in wanted:
            found[stage.name] = maps.float().clone()

    last = max(number for number, stage in enumerate(model.stage_table) if stage.name in wanted)
    walk(model, inputs, first=last + 1, after=keep)
    return found


def usual_stages(model: VisionModel) -> tuple[str, tuple[str, ...]]:
    """(the stage for the content, those for the style): maps with many places, of which a texture has many.

    Where all stages are coarse, as in a plain transformer, the first half of them. Raises ValueError for a
    model without stages.
    """
    table = model.stage_table
    if not table:
        raise ValueError(f"{model_name(model)} has no stages: style transfer compares their maps.")
    fine = [stage.name for stage in table if stage.reduction <= TEXTURE]
    if len(fine) in (0, len(table)):
        fine = [stage.name for stage in table[:(len(table) + 1) // 2]]
    scene = [stage.name for stage in table if stage.reduction <= SCENE and stage.name in fine]
    return (scene or fine[(len(fine) - 1) // 2:])[-1 if scene else 0], tuple(fine)


def chosen_stages(model: VisionModel, stage: Any, stages: Any) -> tuple[str, tuple[str, ...]]:
    """What a reader chose, checked, else the usual ones. Raises ValueError or TypeError."""
    scene, fine = usual_stages(model)
    if stages is not None:
        if isinstance(stages, str) or not isinstance(stages, Sequence) \
                or not all(isinstance(one, str) for one in stages) or not len(stages):
            raise TypeError("style_stages is a list of the names of stages, at least one, such as "
                            f"{list(fine)!r}.")
        fine = tuple(dict.fromkeys(stages))
    names = [one.name for one in model.stage_table]
    for argument, name in (("stage", stage), *(("style_stages", one) for one in fine)):
        if name is not None and name not in names:
            raise ValueError(f"{argument}: {model_name(model)} has no stage {str(name)[:80]!r}. "
                             f"{stages_in_words(names)}")
    return stage or scene, fine


def opened(source: Any, model: VisionModel, argument: str) -> Image.Image:
    """A photo in as many channels as the model reads: grey, RGB, or bands in 0..1. Raises ValueError where it
    can't be had so.
    """
    if source is None:
        raise ValueError(f"{argument} is None: style transfer takes two pictures, photo= and style=.")
    picture = load_image(source, channels=model.in_chans)
    if model.in_chans in (1, 3):
        return check_photo(picture).convert("L" if model.in_chans == 1 else "RGB")
    picture = check_bands(picture, model.in_chans)
    low, high = float(picture.values.min()), float(picture.values.max())
    if low < 0 or high > 1:
        raise ValueError(f"{argument} has bands of {low:.4g} to {high:.4g}, and pictures are drawn in 0 to "
                         "1: bring them to that range.")
    return picture


def fitted(picture: Image.Image, sides: tuple[int, int]) -> Tensor:
    """The picture scaled, and what sticks out cut off: [C, H, W] in 0..1 of these (height, width)."""
    def fit(one: Image.Image) -> Image.Image:
        return ImageOps.fit(one, sides[::-1], Image.Resampling.BICUBIC)

    if isinstance(picture, BandImage):
        return torch.from_numpy(picture.each(fit).values).clamp(0, 1)
    return as_pixels(fit(picture))


def sides_like(picture: Image.Image, side: int, multiple: int) -> tuple[int, int]:
    """(height, width) in the form of a picture, the longer side about `side`, in multiples."""
    longer = max(picture.size)
    width, height = (max(1, round(side * one / longer / multiple)) * multiple for one in picture.size)
    return height, width


def size_note(model: VisionModel) -> tuple[str, ...]:
    """What to expect of a network other than VGG."""
    if model_name(model).startswith("vgg"):
        return ()
    return ("Gatys drew with VGG-19, whose maps are wide and not normalised. Other networks take over "
            "colours well and large textures less evenly; vgg19 with its weights is slower.",)
