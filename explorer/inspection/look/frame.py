"""From the network's frame back to the photo's: the crop and the resize undone.

A network sees a square cut out of a resized photo. A heat map over that square is stretched over the part of
the photo that the square was, and is zero elsewhere: there the network saw nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from explorer.data.transforms import crop_box

Box = tuple[float, float, float, float]  # left, top, right, bottom in the photo's pixels


def to_photo_frame(
    values: np.ndarray, image_size: tuple[int, int], config: Mapping[str, Any],
    covers: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Values over the network's input, float [h, w] of any size, as float32 [H, W] over the whole photo.

    image_size: (width, height) of the photo;  config: keyword arguments of `explorer.data.create_transform`
    covers: how much of the input's height and width the values are of, from its top left corner (`covered`)
    Between the values it is interpolated linearly; where they are finer than the photo's pixels they are
    averaged.
    """
    return laid_over(values, image_size, covered_box(crop_box(image_size, config), covers))


def laid_over(values: np.ndarray, image_size: tuple[int, int], box: Box) -> np.ndarray:
    """Values [h, w] stretched over a box in the photo's pixels, which may reach outside of it: float32
    [H, W] over the whole photo, 0 outside of the box. As `to_photo_frame`.
    """
    width, height = image_size
    left, top, right, bottom = box
    down = _stretch(values.shape[0], height, top, bottom)
    across = _stretch(values.shape[1], width, left, right)
    factors = [torch.from_numpy(np.ascontiguousarray(one, np.float32)) for one in (down, values, across)]
    # By torch: numpy's own threads would wait for those that torch has just used, 15 ms and more.
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return (factors[0] @ factors[1] @ factors[2].T).numpy()


def seen_box(image_size: tuple[int, int], config: Mapping[str, Any]) -> Box:
    """The part of the photo that the network saw, (left, top, right, bottom) in its pixels, never outside."""
    width, height = image_size
    left, top, right, bottom = crop_box(image_size, config)
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def covered(grid: Sequence[int], photo: Sequence[int], strides: Iterable[int]) -> tuple[float, float]:
    """The shares of a network's input, in height and width, that a map of so many rows and columns is of.

    grid: (rows, columns);  photo: (height, width) of the input;  strides: those that the map may have, in
    input pixels
    480 pixels hold 34 patches of 14, and the last 4 pixels are in none: 476 of 480. Layers that fill up the
    border instead leave nothing out.
    """
    for stride in strides:
        if tuple(side // stride for side in photo) == tuple(grid):
            return grid[0] * stride / photo[0], grid[1] * stride / photo[1]
    return 1.0, 1.0


def covered_box(box: Box, covers: tuple[float, float]) -> Box:
    """Of a box, the part that the covered shares of its height and width make, from its top left corner."""
    left, top, right, bottom = box
    return left, top, left + (right - left) * covers[1], top + (bottom - top) * covers[0]


def _stretch(count: int, length: int, start: float, end: float) -> np.ndarray:
    """A matrix [length, count] that lays `count` values side by side over the pixels `start` to `end`.

    A row says of which values a pixel is mixed; it is zero for a pixel whose middle lies outside.
    """
    middles = np.arange(length) + 0.5
    shrink = count / (end - start)  # values for one pixel
    at = (middles - start) * shrink - 0.5  # in steps of values: 0 is the middle of the first
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(count)) / max(shrink, 1.0), 0, None)
    sums = weights.sum(axis=1, keepdims=True)
    # Outside of the first and last value's middles there is one neighbour only, so its share becomes 1.
    weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    weights[(middles < start) | (middles > end)] = 0
    return weights.astype(np.float32)
