"""Hide a region of a photo and look again.

    mask_region("tf_efficientnet_lite0", "cat.jpg", (80, 40, 200, 160))     # does it still see the cat?

An experiment, where a heat map is only a claim: what a network needs is what it can't do without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image, ImageFilter

from explorer.arguments import checked
from explorer.data.transforms import crop_box
from explorer.display.draw import mean_colour, outlined
from explorer.inspection.experiments.before import look_before
from explorer.inspection.experiments.changes import Change, changes_of, in_short, result_html, small_html
from explorer.inspection.look.answers import Prediction, answer_of
from explorer.inspection.look.looking import look as look_at
from explorer.inspection.look.model import as_model
from explorer.inspection.look.result import Look
from explorer.models.contract import VisionModel

FILLS = ("blur", "grey", "mean")
GREY = (128, 128, 128)


@dataclass(frozen=True, eq=False, repr=False)
class MaskedLook:
    """A photo as it is and with one region masked.

    before, after: the two Looks;  box: the region (left, top, right, bottom), whole pixels of the photo
    fill:  what the region was filled with
    notes: what a reader must know, e.g. that the network never saw the region
    """

    before: Look
    after: Look
    box: tuple[int, int, int, int]
    fill: str
    notes: tuple[str, ...] = ()

    @property
    def picture(self) -> Image.Image:
        """The masked photo, in the photo's own size."""
        return self.after.image

    @cached_property
    def answers(self) -> tuple[Prediction, Prediction]:
        """What was said before and is said now; where several classes may hold, of the likeliest."""
        before, after = self.before, self.after
        first = answer_of(before.logits, before.outputs)
        return first, answer_of(after.logits, after.outputs, first.index)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The likeliest classes of both Looks, those from before first: what became of each probability."""
        return changes_of(self.before.logits, self.after.logits, self.before.outputs,
                        [p.index for p in (*self.before.predictions, *self.after.predictions)])

    def __repr__(self) -> str:
        changed = in_short(self.changes)
        return f"MaskedLook({self.before.model_name!r}, box {self.box}, {self.fill!r}, {changed})"

    def _repr_html_(self) -> str:
        pictures = (small_html(outlined(self.before.image, self.box), "The photo; the frame is the region")
                    + small_html(self.after.image, f"Looked at again: {self.fill}"))
        return result_html(self.before.model_name, pictures, self.changes, (*self.before.notes, *self.notes))


@checked
def mask_region(
    model: VisionModel | str,
    image: Any,
    box: Sequence[float],
    *,
    fill: str = "blur",
    look: Look | None = None,
) -> MaskedLook:
    """Hide one region of a photo and look again.

    box:  (left, top, right, bottom) in the photo's own pixels; what lies outside of the photo is cut off
    fill: "blur" (a Gaussian of a sixth of the region's longer side: little that is new, so the kindest),
          "grey" (mid grey), or "mean" (the mean colour of the photo)
    look: the Look of this model at this photo, where there is one: saves a pass

    A patch of one colour is itself something that the network never saw in training, and may change the
    answer for that reason alone: compare two fills, and a region of the same size elsewhere. Raises
    ValueError for a box that is no rectangle within the photo, an unknown fill or another photo's Look.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2, where
    it is a grey square.
    """
    if fill not in FILLS:
        *others, last = map(repr, FILLS)
        raise ValueError(f"Unknown fill {fill!r}: expected {', '.join(others)} or {last}.")
    model = as_model(model)
    before = look_before(model, image, look)
    region = _within(box, before.image.size)
    masked = masked_photo(before.image, region, fill)
    after = look_at(model, masked, topk=max(1, len(before.predictions)))
    notes = ()
    if not _overlap(region, crop_box(before.image.size, before.config)):
        notes = ("The network never sees this region: it lies in the margin that is cut off beforehand.",)
    return MaskedLook(before, after, region, fill, notes)


def masked_photo(photo: Image.Image, box: tuple[int, int, int, int], fill: str) -> Image.Image:
    """A copy of an RGB photo with the region filled; `box` lies inside it. Fills as in `mask_region`."""
    masked = photo.copy()
    left, top, right, bottom = box
    if fill == "blur":
        radius = max(right - left, bottom - top) / 6
        margin = math.ceil(3 * radius)  # further away a Gaussian is nearly zero: why blur the whole photo
        around = (max(0, left - margin), max(0, top - margin),
                  min(photo.width, right + margin), min(photo.height, bottom + margin))
        blurred = photo.crop(around).filter(ImageFilter.GaussianBlur(radius))
        x, y = left - around[0], top - around[1]
        masked.paste(blurred.crop((x, y, x + right - left, y + bottom - top)), (left, top))
    else:
        masked.paste(GREY if fill == "grey" else mean_colour(photo), box)
    return masked


def _within(box: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels of a photo (width, height) that a box covers; at least one."""
    try:
        left, top, right, bottom = (float(value) for value in box)
    except (TypeError, ValueError):
        left = top = right = bottom = math.nan
    if not all(map(math.isfinite, (left, top, right, bottom))) or left >= right or top >= bottom:
        raise ValueError(f"The box is {box!r}: expected (left, top, right, bottom) in the photo's pixels, "
                         "with left < right and top < bottom.")
    width, height = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise ValueError(f"The box {box!r} lies outside of the photo, which is {width} x {height} pixels.")
    left, top = min(max(0, round(left)), width - 1), min(max(0, round(top)), height - 1)
    return left, top, max(left + 1, min(width, round(right))), max(top + 1, min(height, round(bottom)))


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
