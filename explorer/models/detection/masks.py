"""Instance masks: a small square of probabilities for each box, laid over the photo.

He et al., "Mask R-CNN", 2017, https://arxiv.org/abs/1703.06870.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def over_photo(masks: Tensor, boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Masks [N, h, w] of boxes [N, 4] xyxy in a photo's pixels -> [N, H, W], 0 outside of each box.

    size: (H, W) of the photo. Between the values it is interpolated linearly.
    """
    if not len(masks):
        return masks.new_zeros((0, *size))
    return torch.stack([one_over_photo(mask, box, size) for mask, box in zip(masks, boxes)])


def one_over_photo(mask: Tensor, box: Tensor, size: Sequence[int]) -> Tensor:
    """A mask [h, w] of one box [4] -> [H, W]. A border of zeros, one value wide, lets it fade out."""
    grown = F.pad(mask, (1, 1, 1, 1))
    middle = (box[:2] + box[2:]) * 0.5
    half = (box[2:] - box[:2]) * 0.5 * (grown.shape[-1] / mask.shape[-1])
    left, top = (middle - half).long().tolist()
    right, bottom = ((middle + half).long() + 1).tolist()
    spread = F.interpolate(grown[None, None], size=(max(bottom - top, 1), max(right - left, 1)),
                           mode="bilinear", align_corners=False)[0, 0]
    height, width = size
    rows = slice(max(top, 0), min(top + spread.shape[0], height))
    columns = slice(max(left, 0), min(left + spread.shape[1], width))
    photo = mask.new_zeros((height, width))
    if rows.stop > rows.start and columns.stop > columns.start:
        photo[rows, columns] = spread[rows.start - top:rows.stop - top,
                                      columns.start - left:columns.stop - left]
    return photo
