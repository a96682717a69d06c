"""What a YOLO network is taught: which cells have to find a thing, and what it costs when they don't.

A thing belongs to the anchors of about its shape: no more than four times as wide, as narrow, as high or
as low. Of these anchors' grid not only the cell with the thing's middle has to find it, but also the two
neighbours that the middle is nearest to: three times as much to learn from. All other cells learn to say
that there is nothing.

Three parts: where the box is (1 - CIoU), whether there is anything (binary cross-entropy, and the right
answer is how well the box found covers the thing), and which class (binary cross-entropy). CIoU is from
Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", 2019,
https://arxiv.org/abs/1911.08287. Weights and matching as the descriptions of YOLOv5 publish them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import complete_box_iou_loss

from explorer.models.detection.matching import NOTHING

MOST_UNLIKE = 4.0               # how many times as wide or high as its anchor a thing may be, or as little
BALANCE = (4.0, 1.0, 0.4)       # of objectness: the finest grid has most cells, and the most silent ones
WEIGHTS = {"box": 0.05, "objectness": 1.0, "classification": 0.5}
NEIGHBOURS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))  # (across, down): itself, left, above, right, below


class Duties(NamedTuple):
    """What a grid has to find, M times: `photo`, `anchor`, `row`, `column` [M] say which answer has to;
    `boxes` [M, 4] are middle x, y (from the cell's corner), width and height in cells, `labels` [M].
    """

    photo: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    boxes: Tensor
    labels: Tensor


def duties(
    targets: Sequence[Mapping[str, Tensor]], anchors: Tensor, grid: Sequence[int], stride: int
) -> Duties:
    """Which answers of a grid have to find what.

    targets: `boxes` [N, 4] xyxy in the network's pixels and `labels` [N] of each photo
    anchors: [A, 2] width and height in cells;  grid: (rows, columns);  stride: pixels of a cell
    """
    photo = torch.cat([torch.full_like(truth["labels"], i) for i, truth in enumerate(targets)])
    labels = torch.cat([truth["labels"] for truth in targets])
    corners = torch.cat([truth["boxes"] for truth in targets]) / stride
    size, middle = corners[:, 2:] - corners[:, :2], (corners[:, :2] + corners[:, 2:]) / 2

    times = size[None] / anchors[:, None]  # [A, N, 2]
    alike = torch.maximum(times, 1 / times).amax(dim=-1) < MOST_UNLIKE
    anchor, thing = torch.nonzero(alike, as_tuple=True)  # [P]: pairs
    middle = middle[thing]

    # the neighbours in whose direction the middle lies, where the grid has any
    own = middle.floor()
    part = middle - own
    ends = middle.new_tensor((grid[1], grid[0])) - 1
    before, after = (part < 0.5) & (own > 0), (part > 0.5) & (own < ends)
    asked = torch.stack((torch.ones_like(thing, dtype=torch.bool), *before.T, *after.T))  # [5, P]
    which, pair = torch.nonzero(asked, as_tuple=True)
    cell = own[pair].long() + torch.tensor(NEIGHBOURS, device=own.device)[which]
    cell = torch.minimum(cell.clamp(min=0), ends.long())  # a middle on the frame's very border
    boxes = torch.cat((middle[pair] - cell, size[thing[pair]]), dim=1)
    thing = thing[pair]
    return Duties(photo[thing], anchor[pair], cell[:, 1], cell[:, 0], boxes, labels[thing])


def asked_of(boxes: Tensor, anchors: Tensor, grid: Sequence[int], stride: int) -> Tensor:
    """For each anchor of a grid the number of the box it has to find, or `NOTHING`: [A * rows * columns].

    boxes: [N, 4] xyxy in the network's pixels;  anchors: likewise, anchor by anchor, row by row
    """
    rows, columns = grid
    shapes = (anchors[:, 2:] - anchors[:, :2])[::rows * columns] / stride
    truth = {"boxes": boxes, "labels": torch.arange(len(boxes), device=boxes.device)}
    asked = duties([truth], shapes, grid, stride)
    place = (asked.anchor * rows + asked.row) * columns + asked.column
    nobody = torch.full((len(anchors),), NOTHING, device=boxes.device)
    return nobody.index_put((place,), asked.labels)


def yolo_loss(
    raw: Sequence[Tensor], anchors: Tensor, strides: Sequence[int], targets: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """`box`, `objectness` and `classification`, each one number with the way back, weighted: to be summed.

    raw:     of each grid a map [B, A, H, W, 5 + K];  anchors: [grids, A, 2] in cells
    targets: as of `duties`
    """
    parts = {name: raw[0].new_zeros(()) for name in WEIGHTS}
    for level, shapes, stride, balance in zip(raw, anchors, strides, BALANCE):
        found = duties(targets, shapes, level.shape[2:4], stride)
        there = level.new_zeros(level.shape[:4])
        at = (found.photo, found.anchor, found.row, found.column)
        if len(found.labels):
            answers = level[at]  # [M, 5 + K]
            middle = 2 * answers[:, :2].sigmoid() - 0.5
            wide = (2 * answers[:, 2:4].sigmoid()) ** 2 * shapes[found.anchor].to(answers)
            missed = complete_box_iou_loss(_corners(torch.cat((middle, wide), dim=1)), _corners(found.boxes),
                                           reduction="none")
            parts["box"] = parts["box"] + missed.mean()
            covered = (1 - missed.detach()).clamp(min=0).to(there)
            there = _most(there, at, covered)
            wanted = F.one_hot(found.labels, level.shape[-1] - 5).to(answers)
            classes = F.binary_cross_entropy_with_logits(answers[:, 5:], wanted)
            parts["classification"] = parts["classification"] + classes
        silent = F.binary_cross_entropy_with_logits(level[..., 4], there)
        parts["objectness"] = parts["objectness"] + balance * silent
    return {name: WEIGHTS[name] * value for name, value in parts.items()}


def _corners(boxes: Tensor) -> Tensor:
    """Middle x, y, width, height [M, 4] -> xyxy."""
    return torch.cat((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), dim=1)


def _most(there: Tensor, at: tuple[Tensor, ...], covered: Tensor) -> Tensor:
    """Zeros [B, A, H, W] with `covered` [M] at these places; where several meet, the largest."""
    flat = sum(index * step for index, step in zip(at, there.stride()))
    return there.flatten().scatter_reduce(0, flat, covered, "amax").view_as(there)
