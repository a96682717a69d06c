"""What stands behind the boxes of a detector: anchors, the levels that they lie on, and the heaps of NMS.

`found` is always a `Detections`, whose methods these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from explorer.arguments import number as plain_number
from explorer.arguments import whole
from explorer.data.places.place_set import Boxes
from explorer.display.words import counted
from explorer.models.detection.candidates import Candidates
from explorer.models.detection.matching import NOTHING


@dataclass(frozen=True, eq=False)
class Anchors:
    """Some anchors, N of them.

    boxes:  [N, 4] xyxy in the photo's pixels; they may reach beyond it
    levels: [N], on which level of the pyramid each lies, from the finest
    things: [N], which of the known boxes it has to find; -1 for none
    """

    boxes: Tensor
    levels: Tensor
    things: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: Tensor) -> Anchors:
        """Some of them: by a yes or no for each [N], or by their numbers."""
        return Anchors(self.boxes[index], self.levels[index], self.things[index])

    def of_level(self, level: int) -> Anchors:
        return self.take(self.levels == level)

    def of_thing(self, thing: int) -> Anchors:
        """Those that have to find that box."""
        return self.take(self.things == thing)


def heap_of(found: Any, number: int) -> Candidates:
    """The candidates that non-maximum suppression threw out for one of the boxes that are shown.

    They are of its class, score less, and overlap it by more than `iou_threshold`; one that overlaps a better
    box as much belongs to that one's heap. Best first, in the network's pixels.
    """
    kept, every = found.chosen, found.candidates
    whole(0)("number", number)
    if number >= len(kept):
        raise ValueError(f"number is {number}, and {counted(len(kept), 'box', 'es')} "
                         f"{'is' if len(kept) == 1 else 'are'} shown: they are counted from 0, the best.")
    own, score = int(kept.labels[number]), kept.scores[number]
    above = every.scores > found.score_threshold
    same = every.take((every.labels == own) & above & (every.scores <= score))
    better = kept.take((kept.labels == own) & (torch.arange(len(kept)) <= number))
    over = box_iou(better.boxes, same.boxes) > found.iou_threshold  # [better ones and itself, M]
    own_row = (same.anchors == kept.anchors[number])
    heap = same.take(over[-1] & ~over[:-1].any(dim=0) & ~own_row)
    return heap.take(heap.scores.argsort(descending=True))


def anchors_of(found: Any, candidates: Candidates) -> Anchors:
    """The anchor of each of the candidates. Raises ValueError of a table, which keeps none."""
    _check(found)
    every = torch.cat(found.levels)
    nothing = torch.full_like(candidates.anchors, NOTHING)
    return Anchors(found.place.unbounded(every[candidates.anchors]), candidates.levels, nothing)


def anchors_at(found: Any, x: float, y: float) -> Anchors:
    """The anchors at the place of each level's map that is nearest to (x, y) in the photo's pixels.

    Raises ValueError of a table, which keeps none, and for a network whose boxes start from proposals.
    """
    _check(found)
    for name, value in (("x", x), ("y", y)):
        plain_number()(name, value)
    if not has_levels(found):
        raise ValueError(f"{found.model_name} has no anchors of its own that its boxes start from: a first "
                         "network proposes places.")
    boxes, levels = [], []
    for level, anchors in enumerate(found.levels):
        placed = found.place.unbounded(anchors)
        middle = (placed[:, :2] + placed[:, 2:]) / 2
        away = (middle - middle.new_tensor((x, y))).square().sum(dim=1)
        nearest = away <= away.min() + 1e-3 * max(1.0, float(away.min()))
        # between two places, of several that are as near, the first
        own = middle[nearest][0]
        nearest &= ((middle - own).abs() < 0.01).all(dim=1)
        boxes.append(placed[nearest])
        levels.append(torch.full((int(nearest.sum()),), level))
    which = torch.cat(levels)
    return Anchors(torch.cat(boxes), which, torch.full_like(which, NOTHING))


def positive_anchors(found: Any, truth: Boxes) -> Anchors:
    """The anchors that a training would ask to find the known boxes, by the family's own rule.

    Crowds are left out. Raises ValueError of a table, and for a network of a foreign library, whose own code
    decides that.
    """
    _check(found)
    counted = (~truth.crowd).nonzero()[0]
    boxes = found.place.into(torch.from_numpy(truth.boxes[counted]).float())
    which = found.kind.matched(boxes, found.levels, found.frame)
    if which is None:
        raise ValueError(f"Which anchors {found.model_name} would be taught to find which thing is decided "
                         "in torchvision's own code; of a retinanet, efficientdet or yolov5 it is shown "
                         "here.")
    every = torch.cat(found.levels)
    finds = (which > NOTHING).nonzero()[:, 0]
    counts = torch.tensor([len(level) for level in found.levels])
    levels = torch.bucketize(finds, counts.cumsum(0), right=True)
    things = torch.from_numpy(counted)[which[finds]] if len(finds) else finds
    return Anchors(found.place.unbounded(every[finds]), levels, things)


def has_levels(found: Any) -> bool:
    """Whether its boxes start from anchors over the whole photo, not from what another network proposes."""
    return len(found.levels) > 1  # proposals are one list


def level_names(found: Any) -> tuple[str, ...]:
    """What each level is called: "P3" where its map has a place every 8 pixels, and so on; of a network with
    more than five, such as SSD, "level 1".
    """
    count = len(found.levels)
    first = log2(max(1, level_steps(found)[0])) if count else 0.0
    if count > 5 or not first.is_integer():
        return tuple(f"level {number}" for number in range(1, count + 1))
    return tuple(f"P{int(first) + level}" for level in range(count))


def level_steps(found: Any) -> tuple[int, ...]:
    """How many of the network's pixels lie between two places of each level's map."""
    return tuple(_step(anchors, found.frame) for anchors in found.levels)


def _step(anchors: Tensor, frame: Sequence[int]) -> int:
    columns = ((anchors[:, 0] + anchors[:, 2]) / 2).mul(8).round().unique()
    if len(columns) < 2:
        return max(frame)
    return round(float((columns[1:] - columns[:-1]).min()) / 8)


def _check(found: Any) -> None:
    if not found.levels and found.image is not None:
        raise ValueError(f"{found.model_name} fuses the boxes of its members, and has no anchors of its own: "
                         "call explorer.detect with one member, model.member(name).")
    if not found.levels:
        raise ValueError("A table keeps the boxes alone: call explorer.detect with this one photo for the "
                         "anchors behind them.")
