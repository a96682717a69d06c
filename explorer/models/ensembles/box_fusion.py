"""Weighted box fusion: the boxes that several detectors found around one thing become one box.

Suppression (NMS) keeps the best box of a heap and throws the others away. Fusion keeps them all: where they
overlap, the fused box is their mean, each weighted by its score, and its score is the mean of theirs, lowered
where fewer boxes than members stand behind it. So a thing that every member sees a little off is found where
it is, and one that a single member sees counts for less.

Source: Solovyev, Wang and Gabruseva, Weighted boxes fusion (Image and Vision Computing 107, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

#: Overlap (intersection over union) from which on two boxes are around one thing, as the paper's authors
#: found it best.
SAME_THING = 0.55


def fuse_boxes(
    boxes: Sequence[Tensor], scores: Sequence[Tensor], labels: Sequence[Tensor], weights: Tensor,
    *, iou_threshold: float = SAME_THING,
) -> tuple[Tensor, Tensor, Tensor]:
    """(boxes [N, 4], scores [N] descending, labels [N]) of what M detectors found in one photo.

    boxes, scores, labels: of each detector: [n, 4] xyxy in the photo's pixels, [n] in 0..1, [n]
    weights: how much each detector counts, [M], or [M, K] with one a class
    Boxes without area are left out.
    """
    every = np.concatenate([one.double().cpu().numpy().reshape(-1, 4) for one in boxes])
    kind = np.concatenate([one.cpu().numpy() for one in labels]).astype(np.int64)
    plain = np.concatenate([one.double().cpu().numpy() for one in scores])
    member = np.repeat(np.arange(len(boxes)), [len(one) for one in scores])
    share = weights.double().cpu().numpy()
    own = share[member] if share.ndim == 1 else share[member, kind]
    counted = plain * own
    area = (every[:, 2:] - every[:, :2]).clip(0).prod(1)
    found: list[tuple[np.ndarray, float, int]] = []
    for label in np.unique(kind):
        rows = np.flatnonzero((kind == label) & (area > 0) & (counted > 0))
        rows = rows[np.argsort(-counted[rows], kind="stable")]
        total = float((share if share.ndim == 1 else share[:, label]).sum())
        for box, score, count in _heaps(every[rows], counted[rows], iou_threshold):
            found.append((box, score * min(count, len(boxes)) / total, int(label)))
    found.sort(key=lambda one: -one[1])
    like = boxes[0]
    return (like.new_tensor(np.array([box for box, _, _ in found]).reshape(-1, 4)),
            like.new_tensor([score for _, score, _ in found]),
            torch.tensor([label for _, _, label in found], dtype=torch.int64, device=like.device))


def _heaps(
    boxes: np.ndarray, scores: np.ndarray, iou_threshold: float
) -> list[tuple[np.ndarray, float, int]]:
    """(the fused box, the mean score, how many boxes) of each heap of one class's boxes, best first.

    A box joins the heap whose fused box, as it is by then, it overlaps most, if by more than the threshold.
    """
    sums = np.zeros((len(boxes), 4))  # of the heaps' boxes, each times its score
    fused = np.zeros((len(boxes), 4))
    total, count = np.zeros(len(boxes)), np.zeros(len(boxes), np.int64)
    heaps = 0
    for box, score in zip(boxes, scores):
        overlap = _overlap(fused[:heaps], box)
        at = int(overlap.argmax()) if heaps else -1
        if at < 0 or overlap[at] <= iou_threshold:
            at, heaps = heaps, heaps + 1
        sums[at] += score * box
        total[at] += score
        count[at] += 1
        fused[at] = sums[at] / total[at]
    return [(fused[i], float(total[i] / count[i]), int(count[i])) for i in range(heaps)]


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of each box [n, 4] with one, [n]."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)
