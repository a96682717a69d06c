"""Regions of a photo as a person gives them, a box, a point or a mask, as pixels of a network's frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import shown
from explorer.display.words import counted
from explorer.inspection.look.frame import Box

FORMS = ("(left, top, right, bottom) or a point (x, y) in the photo's pixels, or a mask of yes and no of the "
         "photo's height and width")


@dataclass(frozen=True, eq=False)
class Region:
    """pixels: yes or no [h, w] over that part of the network's input which is the photo, at least one yes;
    outline: what is drawn over the photo, a box or point in its pixels, or a mask [H, W];  words: where it is
    """

    pixels: Tensor
    outline: Box | tuple[float, float] | Tensor
    words: str


def in_network(region: Any, size: tuple[int, int], inside: tuple[int, int]) -> Region:
    """A region of a photo of size (width, height), whose picture has `inside` (height, width) in the network.

    A network's pixel belongs to a box or mask that its middle lies in; of one that holds no middle the
    nearest one does. Raises ValueError or TypeError for what is no region of that photo.
    """
    if isinstance(region, Image.Image):
        region = np.array(region.convert("L"))
    if isinstance(region, (np.ndarray, Tensor)) and region.ndim == 2:
        return _mask(torch.as_tensor(region).cpu() != 0, size, inside)
    if isinstance(region, (np.ndarray, Tensor)) and region.ndim == 1:
        region = region.tolist()
    numbers = isinstance(region, Sequence) and not isinstance(region, (str, bytes)) and all(
        isinstance(value, Real) and not isinstance(value, bool) for value in region)
    if not numbers or len(region) not in (2, 4):
        kind = TypeError if not numbers else ValueError
        raise kind(f"region is {shown(region)}: expected {FORMS}.")
    if not all(math.isfinite(value) for value in region):
        raise ValueError(f"region is {shown(region)}: expected finite numbers.")
    return _point(region, size, inside) if len(region) == 2 else _box(region, size, inside)


def _outside(region: Any, size: tuple[int, int]) -> ValueError:
    return ValueError(f"region is {shown(tuple(region))}, which holds nothing of this photo of {size[0]} x "
                      f"{size[1]} pixels: expected {FORMS}.")


def _point(point: Sequence[float], size: tuple[int, int], inside: tuple[int, int]) -> Region:
    x, y = float(point[0]), float(point[1])
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        raise _outside(point, size)
    pixels = torch.zeros(inside, dtype=torch.bool)
    pixels[int(y * inside[0] / size[1]), int(x * inside[1] / size[0])] = True
    return Region(pixels, (x, y), f"at the point ({x:.0f}, {y:.0f})")


def _box(box: Sequence[float], size: tuple[int, int], inside: tuple[int, int]) -> Region:
    left, top, right, bottom = (float(value) for value in box)
    left, right = max(left, 0.0), min(right, float(size[0]))
    top, bottom = max(top, 0.0), min(bottom, float(size[1]))
    if not (left < right and top < bottom):
        raise _outside(box, size)

    def within(low: float, high: float, length: int, of: int) -> Tensor:
        middles = (torch.arange(of, dtype=torch.float64) + 0.5) * length / of  # in the photo's pixels
        chosen = (middles >= low) & (middles < high)
        if not chosen.any():
            chosen[min(int((low + high) / 2 * of / length), of - 1)] = True
        return chosen

    rows, columns = within(top, bottom, size[1], inside[0]), within(left, right, size[0], inside[1])
    words = f"in the box ({left:.0f}, {top:.0f}, {right:.0f}, {bottom:.0f})"
    return Region(rows[:, None] & columns, (left, top, right, bottom), words)


def _mask(mask: Tensor, size: tuple[int, int], inside: tuple[int, int]) -> Region:
    height, width = mask.shape
    if (width, height) != size:
        raise ValueError(f"region is a mask of {width} x {height} pixels, and the photo has {size[0]} x "
                         f"{size[1]}: expected {FORMS}.")
    if not mask.any():
        raise ValueError(f"region is a mask without a pixel in it: expected {FORMS}.")
    rows, columns = (((torch.arange(of) + 0.5) * length / of).long()
                     for of, length in zip(inside, (height, width)))
    pixels = mask[rows][:, columns]
    if not pixels.any():  # all of it lies between the network's pixels
        y, x = torch.nonzero(mask).T
        pixels[(y * inside[0]).div(height, rounding_mode="floor"),
               (x * inside[1]).div(width, rounding_mode="floor")] = True
    return Region(pixels, mask, f"in the mask of {counted(int(mask.sum()), 'pixel')}")


def outline_of(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels of the network, yes or no [h, w], over the photo of size (width, height): [H, W]."""
    rows, columns = (((torch.arange(length) + 0.5) * of / length).long()
                     for of, length in zip(pixels.shape, (size[1], size[0])))
    return pixels[rows][:, columns]


def class_in(indices: Tensor, names: Sequence[str]) -> int:
    """The class of most pixels [N], the background only where there is no other."""
    counts = indices.bincount(minlength=len(names))
    if names[0] == "background" and counts[1:].any():
        counts[0] = 0
    return int(counts.argmax())
