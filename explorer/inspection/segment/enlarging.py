"""Scores of a network at the size of the photo, a band of rows at a time.

A photo of 4,000 x 3,000 pixels and 21 classes would be a gigabyte of scores; its mask is 12 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_SCORES = 4_000_000  # in memory at a time: 16 MB


def bands(scores: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, Tensor]]:
    """(rows of the photo, their scores [K, rows, W]) from the top; bilinear, as `F.interpolate` has it.

    scores: float32 [K, h, w];  size: (height, width) of the photo in pixels
    """
    count, height, _ = scores.shape
    high, wide = size
    # where each row of the photo lies among the network's rows
    place = ((torch.arange(high) + 0.5) * (height / high) - 0.5).clamp(0, height - 1)
    above = place.floor().long()
    below = (above + 1).clamp(max=height - 1)
    share = (place - above)[None, :, None]
    step = max(1, MOST_SCORES // max(1, count * wide))
    for start in range(0, high, step):
        rows = slice(start, min(start + step, high))
        upper = scores[:, above[rows]]
        between = upper + (scores[:, below[rows]] - upper) * share[:, rows]
        yield rows, F.interpolate(between[None], size=(between.shape[1], wide), mode="bilinear",
                                  align_corners=False)[0]


def mask_of(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """The best class of each pixel, [H, W]: uint8, or int64 where there are more than 256 classes."""
    mask = torch.zeros(size, dtype=torch.uint8 if len(scores) <= 256 else torch.int64)
    for rows, found in bands(scores, size):
        # class by class: an argmax over the first dimension takes six times as long
        best, winner = found[0].clone(), mask[rows]
        for index, each in enumerate(found[1:], start=1):
            winner.masked_fill_(each > best, index)
            torch.maximum(best, each, out=best)
    return mask


def probability_of(scores: Tensor, size: tuple[int, int], index: int) -> Tensor:
    """The probability of one class, float32 [H, W], 0 to 1."""
    probability = torch.empty(size)
    for rows, found in bands(scores, size):
        probability[rows] = found.softmax(0)[index]
    return probability
