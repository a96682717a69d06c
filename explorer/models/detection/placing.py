"""How a photo gets into the frame that a network sees, and how boxes get out of it again.

    placed, place = fit_short_side(photo, 800, 1333)     # [C, h, w], and where in it the photo lies
    place.into(boxes)                                    # the photo's pixels -> the network's
    place.out_of(boxes)                                  # the network's -> the photo's
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Placement(NamedTuple):
    """Where a photo lies in what the network sees.

    photo:  its own (height, width) in pixels
    inside: (height, width) of its picture in the network's frame, in the network's pixels
    scale:  how many of the network's pixels one of the photo's is, (down, across)
    corner: (top, left) of its picture in the network's frame; elsewhere than 0 in a letterbox
    """

    photo: tuple[int, int]
    inside: tuple[int, int]
    scale: tuple[float, float]
    corner: tuple[int, int] = (0, 0)

    def fits(self, frame: Sequence[int]) -> bool:
        """Whether a frame of (height, width) holds the photo's picture."""
        return self.inside[0] <= frame[0] and self.inside[1] <= frame[1]

    def into(self, boxes: Tensor) -> Tensor:
        """Boxes [N, 4] xyxy in the photo's pixels -> in the network's."""
        return boxes * self._four(boxes, *self.scale) + self._four(boxes, *self.corner)

    def out_of(self, boxes: Tensor) -> Tensor:
        """Boxes [N, 4] xyxy in the network's pixels -> in the photo's, never outside of it."""
        return clip(self.unbounded(boxes), self.photo)

    def unbounded(self, boxes: Tensor) -> Tensor:
        """Boxes [N, 4] xyxy in the network's pixels -> in the photo's, also where they lie outside of it."""
        return (boxes - self._four(boxes, *self.corner)) / self._four(boxes, *self.scale)

    @staticmethod
    def _four(like: Tensor, down: float, across: float) -> Tensor:
        return like.new_tensor((across, down, across, down))


def clip(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes [N, 4] xyxy cut off at the border of a picture of (height, width) pixels."""
    height, width = size
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack((left.clamp(0, width), top.clamp(0, height), right.clamp(0, width),
                        bottom.clamp(0, height)), dim=-1)


def resize(photo: Tensor, size: Sequence[int]) -> Tensor:
    """A photo [C, H, W] at (height, width) pixels, bilinear, as the reference detectors do: without averaging
    where it shrinks.
    """
    if tuple(photo.shape[-2:]) == tuple(size):
        return photo
    return F.interpolate(photo[None], size=tuple(size), mode="bilinear", align_corners=False)[0]


def fit_short_side(photo: Tensor, short: int, longest: int) -> tuple[Tensor, Placement]:
    """The photo [C, H, W] with a short side of `short` pixels, its long one of `longest` at most."""
    height, width = photo.shape[-2:]
    scale = min(short / min(height, width), longest / max(height, width))
    inside = max(1, math.floor(height * scale)), max(1, math.floor(width * scale))
    place = Placement((height, width), inside, (inside[0] / height, inside[1] / width))
    return resize(photo, inside), place


def fit_top_left(photo: Tensor, canvas: Sequence[int], colour: Sequence[float]) -> tuple[Tensor, Placement]:
    """The photo [C, H, W], as large as a canvas of (height, width) takes it, at the canvas's top left corner.

    It keeps its proportions, and where it shrinks pixels are averaged.

    colour: of the rest, a number a channel
    """
    height, width = photo.shape[-2:]
    scale = min(canvas[0] / height, canvas[1] / width)
    inside = max(1, int(height * scale)), max(1, int(width * scale))
    single = photo.to(torch.promote_types(photo.dtype, torch.float32))[None]  # torch averages no halves
    resized = F.interpolate(single, size=inside, mode="bilinear", align_corners=False, antialias=True)[0]
    placed = photo.new_tensor(colour)[:, None, None].repeat(1, *canvas)
    placed[:, :inside[0], :inside[1]] = resized
    return placed, Placement((height, width), inside, (scale, scale))


def in_frame(
    photo: Tensor, before: Sequence[int], frame: Sequence[int], grey: float
) -> tuple[Tensor, Placement]:
    """A photo [C, h, w] in the middle of a grey frame of (height, width); before: its size in pixels when it
    was taken.
    """
    inside = tuple(photo.shape[-2:])
    top, left = ((whole - side) // 2 for whole, side in zip(frame, inside))
    framed = photo.new_full((photo.shape[0], *frame), grey)
    framed[:, top:top + inside[0], left:left + inside[1]] = photo
    scale = inside[0] / before[0], inside[1] / before[1]
    return framed, Placement(tuple(before), inside, scale, (top, left))


def fit_inside(photo: Tensor, size: Sequence[int]) -> tuple[Tensor, Placement]:
    """The photo [C, H, W] as large as it can be within (height, width) pixels."""
    height, width = photo.shape[-2:]
    scale = min(size[0] / height, size[1] / width)
    inside = (min(size[0], max(1, round(height * scale))), min(size[1], max(1, round(width * scale))))
    place = Placement((height, width), inside, (inside[0] / height, inside[1] / width))
    return resize(photo, inside), place


def in_one_batch(
    photos: Sequence[Tensor], multiple: int, size: tuple[int, int] | None = None
) -> Tensor:
    """Photos [C, h, w] of several sizes -> [B, C, H, W], zeros at the right and below, where they end.

    H and W are those of the largest, made up to a multiple of `multiple`, or those of `size`.
    """
    if size is None:
        height, width = (max(photo.shape[side] for photo in photos) for side in (-2, -1))
        size = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
    batch = photos[0].new_zeros(len(photos), photos[0].shape[0], *size)
    for place, photo in zip(batch, photos):
        place[:, :photo.shape[-2], :photo.shape[-1]] = photo
    return batch
