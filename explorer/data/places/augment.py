"""Augmentation of photos with boxes or masks: what is where in a photo moves along with it.

    vary = Augmented("light")
    photo, boxes = vary(photo, boxes)     # `Boxes`, cut off where the photo now ends
    photo, mask = vary(photo, mask)       # uint8 [H, W], 255 where nothing of the photo came to lie
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from explorer.data.places.place_set import IGNORED, Boxes, Size
from explorer.data.places.shapes import runs_of, shape_mask

#: What each name does to a photo with boxes or masks; the names are those that photos with classes have.
PLACE_AUGMENTATIONS: dict[str, str] = {
    "none": "as the photo will be seen later",
    "light": "a part of 70 to 100 % of the photo, mirrored or not",
    "standard": "a part of 35 to 100 %, mirrored or not, brightness, contrast and colours a little different",
    "strong": "a part of 25 to 100 %, mirrored or not, colours quite different, now and then grey or blurred",
    "cifar": "shifted by up to an eighth, mirrored or not",
}
#: Of a box that is seen by less than this, nobody would say what it is: it counts neither way, as a crowd.
LEAST_SEEN = 0.1
LEAST_SIDE = 1.0  # pixels: what is thinner after a crop is gone
GREY = (124, 116, 104)  # of ImageNet's mean, where a shifted photo leaves room
_SHIFT = 256  # classes in a mask lie above all that a transform may fill with: see `_coded`

Augment = str | Callable[..., Any]


class RandomPart(v2.Transform):
    """A part of the photo, cut out: between two shares of its area, as wide to its height as the photo, up to
    a third more or less.
    """

    def __init__(self, least: float, most: float = 1.0):
        super().__init__()
        self.shares = least, most

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.functional.get_size(flat_inputs[0])
        share = torch.empty(1).uniform_(*self.shares).item()
        stretch = torch.empty(1).uniform_(-1, 1).mul(np.log(4 / 3) / 2).exp().item()
        high = min(height, max(1, round(height * (share**0.5) / stretch)))
        wide = min(width, max(1, round(width * (share**0.5) * stretch)))
        top = int(torch.randint(0, height - high + 1, ()))
        left = int(torch.randint(0, width - wide + 1, ()))
        return {"top": top, "left": left, "height": high, "width": wide}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            size = params["height"], params["width"]
            return shifted(inpt, -params["left"], -params["top"], size)
        return v2.functional.crop(inpt, **params)


class RandomShift(v2.Transform):
    """The photo shifted by up to a share of its sides; room that it leaves is grey, and in a mask ignored."""

    def __init__(self, most: float):
        super().__init__()
        self.most = most

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.functional.get_size(flat_inputs[0])
        down, across = torch.empty(2).uniform_(-self.most, self.most).tolist()
        return {"translate": [round(across * width), round(down * height)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            return shifted(inpt, *params["translate"], inpt.canvas_size)
        fill = 0 if isinstance(inpt, tv_tensors.Mask) else GREY
        return v2.functional.affine(inpt, angle=0.0, scale=1.0, shear=[0.0, 0.0], fill=fill, **params)


def shifted(boxes: Any, right: float, down: float, size: tuple[int, int]) -> Any:
    """Boxes [N, 4] xyxy moved within a photo of (height, width), and not cut off at its edge, so that how
    much of each is seen can still be told.
    """
    moved = boxes.as_subclass(Tensor) + torch.tensor([right, down] * 2, dtype=boxes.dtype)
    return tv_tensors.wrap(moved, like=boxes, canvas_size=size)


def steps_of(augment: str) -> list[v2.Transform]:
    """torchvision's transforms that a name stands for. Raises ValueError for an unknown one."""
    mirror = v2.RandomHorizontalFlip()
    if augment == "none":
        return []
    if augment == "light":
        return [RandomPart(0.7), mirror]
    if augment == "standard":
        return [RandomPart(0.35), mirror, v2.ColorJitter(0.3, 0.3, 0.3)]
    if augment == "strong":
        return [RandomPart(0.25), mirror, v2.ColorJitter(0.5, 0.5, 0.5, 0.05), v2.RandomGrayscale(0.1),
                v2.RandomApply([v2.GaussianBlur(5, (0.1, 2.0))], p=0.2)]
    if augment == "cifar":
        return [RandomShift(1 / 8), mirror]
    raise ValueError(f"Unknown augmentation {augment!r}. Known: {', '.join(PLACE_AUGMENTATIONS)}, or a "
                     "transform of torchvision.transforms.v2.")


class Augmented:
    """(photo, its boxes or its mask) -> both, varied together. The photo has no fixed size afterwards: the
    network prepares it as any other.

    augment:  a name in `PLACE_AUGMENTATIONS`, or a transform of torchvision.transforms.v2
    outlines: move the outlines of things with boxes along too, as run lengths; otherwise they are left out,
              which is quicker

    Randomness comes from torch's global generator alone, so that a seed decides it.
    """

    def __init__(self, augment: Augment = "light", *, outlines: bool = False):
        """Raises ValueError for an unknown name, TypeError for what can't be called."""
        self.augment, self.outlines = augment, outlines
        if isinstance(augment, str):
            self.steps: tuple[Callable[..., Any], ...] = tuple(steps_of(augment))
        elif callable(augment):
            self.steps = (augment,)
        else:
            raise TypeError(f"augment is a {type(augment).__name__}: give one of "
                            f"{', '.join(PLACE_AUGMENTATIONS)}, or a transform of torchvision.transforms.v2.")

    def __call__(self, photo: Image.Image, places: Boxes | np.ndarray) -> tuple[Image.Image, Any]:
        """(RGB photo, `Boxes` or uint8 [H, W]) varied. Raises ValueError where a transform of somebody's own
        gives something else than a photo and what lies in it.
        """
        if not self.steps:
            return photo, places
        if isinstance(places, Boxes):
            return self._with_boxes(photo, places)
        photo, found = self._moved(photo, {"mask": _coded(places)})
        return photo, _decoded(found["mask"])

    def _with_boxes(self, photo: Image.Image, places: Boxes) -> tuple[Image.Image, Boxes]:
        size = photo.height, photo.width
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(places.boxes).reshape(-1, 4), format="XYXY", canvas_size=size)
        before = _area(places.boxes)
        given = {"boxes": boxes, "rows": torch.arange(len(places))}
        if self.outlines and places.shapes is not None:
            given["outlines"] = outlines_of(places.shapes, photo.size)
        photo, found = self._moved(photo, given)
        rows = found["rows"].numpy()  # a transform that leaves boxes out leaves out their rows
        moved = found["boxes"].numpy().astype(np.float64).reshape(-1, 4)
        if len(rows) != len(moved):
            raise ValueError(f"The transform made {len(moved)} boxes of {len(rows)}: it has to leave out a "
                             "box's row with it, as v2.SanitizeBoundingBoxes(labels_getter=...) does.")
        whole = _area(moved)
        cut = moved.clip(0, [photo.width, photo.height] * 2)
        stays = (cut[:, 2] - cut[:, 0] >= LEAST_SIDE) & (cut[:, 3] - cut[:, 1] >= LEAST_SIDE)
        shapes = None
        if "outlines" in found and places.shapes is not None:
            masks = found["outlines"].numpy().astype(bool)[stays]
            shapes = tuple(None if places.shapes[row] is None else runs_of(mask)
                           for row, mask in zip(rows[stays], masks))
        rows, cut, whole = rows[stays], cut[stays], whole[stays]
        seen = _area(cut) / whole
        scaled = _area(cut) / before[rows].clip(min=1e-9)
        return photo, replace(places, boxes=cut, labels=places.labels[rows],
                              crowd=places.crowd[rows] | (seen < LEAST_SEEN),
                              areas=places.areas[rows] * scaled, shapes=shapes)

    def _moved(self, photo: Image.Image, given: dict[str, Tensor]) -> tuple[Image.Image, dict[str, Tensor]]:
        """The photo and what lies in it after all steps, which draw once for both."""
        for step in self.steps:
            try:
                answer = step(photo, given)
                photo, given = answer
            except TypeError as error:
                raise ValueError(f"The augmentation {self.augment!r} could not take a photo with "
                                 f"{'boxes' if 'boxes' in given else 'a mask'} ({error}): give a transform "
                                 "of torchvision.transforms.v2, which moves them along.") from error
        if isinstance(photo, Tensor):
            if photo.is_floating_point() and not 0 <= float(photo.min()) <= float(photo.max()) <= 1:
                raise ValueError(f"The augmentation {self.augment!r} gives a photo with values outside 0 to "
                                 "1: leave normalising to the network.")
            photo = v2.functional.to_pil_image(photo)
        return photo, given


def outlines_of(shapes: Sequence[Any], size: Size) -> tv_tensors.Mask:
    """uint8 [N, H, W], 1 inside, of things in a photo of that (width, height); of one without outline 0."""
    filled = np.zeros((len(shapes), size[1], size[0]), np.uint8)
    for place, shape in zip(filled, shapes):
        if shape is not None and (mask := shape_mask(shape, size)) is not None:
            place[mask] = 1
    return tv_tensors.Mask(torch.from_numpy(filled))


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _coded(mask: np.ndarray) -> tv_tensors.Mask:
    """Classes from 256 on, and what does not count below: so whatever a transform fills does not count."""
    wide = mask.astype(np.int32)
    return tv_tensors.Mask(torch.from_numpy(np.where(wide == IGNORED, IGNORED, wide + _SHIFT)))


def _decoded(mask: Tensor) -> np.ndarray:
    found = mask.numpy()
    return np.where(found < _SHIFT, IGNORED, found - _SHIFT).astype(np.uint8)
