"""Which anchor has to find which thing, and what it costs when it does not.

An anchor that overlaps a thing by half or more (intersection over union) has to find it, one that overlaps
none by 0.4 has to stay silent, and one in between is asked nothing. A thing that no anchor overlaps by half
goes to the anchors that overlap it most.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

NOTHING, UNCLEAR = -1, -2


def match(boxes: Tensor, anchors: Tensor, *, found: float = 0.5, nothing: float = 0.4) -> Tensor:
    """For each of the anchors [A, 4] the number of the box [N, 4] it has to find, or `NOTHING`, or `UNCLEAR`.

    found, nothing: the overlap from which it has to, and below which it has to stay silent
    """
    if not len(boxes):
        return torch.full((len(anchors),), NOTHING, device=anchors.device)
    overlap = box_iou(boxes, anchors.to(boxes))  # [N, A]
    most, which = overlap.max(dim=0)
    best = overlap.max(dim=1, keepdim=True).values  # of each box; several anchors may share it
    closest = (overlap == best).any(dim=0)
    unsure = torch.where(most < nothing, NOTHING, UNCLEAR)
    return torch.where((most >= found) | closest, which, unsure)
