"""Candidates: the boxes that a network thinks possible, before the overlapping ones are thrown out.

They are kept, so that another threshold needs no second pass:

    found = model.candidates(raw, size, places)[0]       # some thousand boxes of one photo
    kept = model.select(found, score_threshold=0.3, iou_threshold=0.5, limit=100)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from explorer.models.detection.coding import in_full

FIRST_ASKED = 1024  # boxes that are asked first for overlaps


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible boxes of one photo, M of them: one a pair of place and class, in the network's pixels.

    boxes:   [M, 4] left, top, right, bottom
    scores:  [M], 0 to 1
    labels:  [M], an index into the model's class names
    levels:  [M], on which level of the pyramid it was found, from the finest; -1 where there are none
    anchors: [M], which row of the raw maps it comes from, so that its score can be traced back
    starts:  [M, 4] xyxy, of a network in two stages the proposal that each box was made of; None for others
    masks:   [M, h, w] what is inside each box belongs to the thing, 0 to 1, laid over the box; None for
             detectors that find boxes alone
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    levels: Tensor
    anchors: Tensor
    starts: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: Tensor) -> Candidates:
        """Some of them: by their numbers [N], or by a yes or no for each [M]."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Candidates(**{name: None if value is None else value[index] for name, value in held.items()})

    def on_cpu(self) -> Candidates:
        """The same as plain numbers: float32 on the CPU, without the way back."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Candidates(**{
            name: None if value is None else
            value.detach().to("cpu", torch.float32 if value.is_floating_point() else torch.int64)
            for name, value in held.items()
        })


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Those of several levels, one behind the other."""
    names = [field.name for field in fields(Candidates)]
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    return Candidates(**{name: None if values[0] is None else torch.cat(values)
                         for name, values in columns.items()})


def log_odds(log_score: Tensor) -> Tensor:
    """ln s of scores s -> ln(s / (1 - s)), what a sigmoid would have been given: exact near 0 and 1 too."""
    exact = in_full(log_score)
    return exact - torch.log(-torch.expm1(exact))


def best_pairs(logits: Tensor, score_threshold: float, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of scores [N, K] before the sigmoid, the (place, class) pairs above a threshold, at most `limit`.

    Returns (scores [M] after the sigmoid, descending; places [M]; classes [M]). Only those that are taken go
    through the sigmoid: a photo has millions.
    """
    flat, classes = logits.flatten(), logits.shape[-1]
    least = torch.special.logit(torch.tensor(score_threshold, dtype=torch.float64)).item()
    index = torch.nonzero(flat > least)[:, 0]
    chosen = flat[index]
    if len(chosen) > limit:
        chosen, order = chosen.topk(limit)
    else:
        chosen, order = chosen.sort(descending=True, stable=True)
    index = index[order]
    return chosen.sigmoid(), torch.div(index, classes, rounding_mode="floor"), index % classes


def without_overlaps(
    found: Candidates, *, score_threshold: float, iou_threshold: float, limit: int
) -> Candidates:
    """The best of each heap: of boxes of one class that overlap by more than `iou_threshold` (intersection
    over union) the one with the best score stays. Scores descend; at most `limit` stay.

    This is non-maximum suppression (NMS), class by class. A box is thrown out by better ones alone: the best
    few are asked first, and more only where too few of them stay. Of 50,000 that takes some 10 ms, not
    seconds.
    """
    found = found.take(found.scores > score_threshold)
    several = len(found) > FIRST_ASKED
    if several:
        found = found.take(found.scores.argsort(descending=True, stable=True))
    asked = FIRST_ASKED if several else len(found)
    while True:
        best = found.take(torch.arange(asked, device=found.scores.device)) if several else found
        kept = batched_nms(best.boxes.float(), best.scores.float(), best.labels, iou_threshold)
        if len(kept) >= limit or asked >= len(found):
            return best.take(kept[:limit])
        asked = min(4 * asked, len(found))
