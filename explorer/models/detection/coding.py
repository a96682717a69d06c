"""Box coding: how a box differs from an anchor, in four numbers that a network can learn.

    dx, dy    the way from the anchor's middle to the box's, as a share of the anchor's width and height
    dw, dh    the logarithm of how much wider and higher the box is

So an anchor of 20 pixels and one of 200 have the same to say. Girshick et al., "Rich feature hierarchies for
accurate object detection", 2013, https://arxiv.org/abs/1311.2524, appendix C.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: No box is more than 1000 / 16 times as wide or as high as its anchor: exp of more would overflow.
LARGEST = math.log(1000 / 16)


def in_full(numbers: Tensor) -> Tensor:
    """Numbers of half precision as float32, for they have no room for pixels; others as they are."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes [N, 4] xyxy and the anchors [N, 4] they belong to -> dx, dy, dw, dh [N, 4]."""
    size, there = anchors[..., 2:] - anchors[..., :2], boxes[..., 2:] - boxes[..., :2]
    middle, wanted = anchors[..., :2] + size / 2, boxes[..., :2] + there / 2
    return torch.cat(((wanted - middle) / size, (there / size).log()), dim=-1)


def decode(deltas: Tensor, anchors: Tensor, largest: float = LARGEST) -> Tensor:
    """dx, dy, dw, dh [..., 4] and the anchors [..., 4] that they are told from -> boxes [..., 4] xyxy.

    largest: dw and dh are cut off there
    """
    size = anchors[..., 2:] - anchors[..., :2]
    middle = anchors[..., :2] + size / 2
    there = deltas[..., 2:].clamp(max=largest).exp() * size
    corner = deltas[..., :2] * size + middle - there / 2
    return torch.cat((corner, corner + there), dim=-1)
