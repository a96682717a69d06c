"""Boxes of a network beside those that are known to be there: right, wrong, missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.data.labels import match_names
from explorer.data.places.place_set import Boxes
from explorer.inspection.detect.pairing import overlaps, pairs_of

RIGHT, CONFUSED, WRONG, NEITHER = "right", "another class", "wrong", "on a crowd"


@dataclass(frozen=True, eq=False)
class JudgedBoxes:
    """N boxes beside M that are known.

    truth:    the known ones, their labels by the network's classes
    verdicts: of each box: "right" (a known box of its class, an IoU of 0.5 or more), "another class",
              "wrong" (nothing known is there), "on a crowd" (it counts neither way)
    things:   of each box the number of the known one it found, -1 for none
    ious:     of each box, with that one; 0 for none
    missed:   numbers of the known ones that no box has found
    """

    truth: Boxes
    verdicts: tuple[str, ...]
    things: tuple[int, ...]
    ious: tuple[float, ...]
    missed: tuple[int, ...]

    def count(self, verdict: str) -> int:
        """How many boxes are "right", "another class" or "wrong"."""
        return self.verdicts.count(verdict)

    @property
    def precision(self) -> float | None:
        """The share of the boxes that are right; None where there are none."""
        boxes = len(self.verdicts) - self.count(NEITHER)
        return self.count(RIGHT) / boxes if boxes else None

    @property
    def recall(self) -> float | None:
        """The share of the known things that are found; None where there are none."""
        things = int((~self.truth.crowd).sum())
        return self.count(RIGHT) / things if things else None

    def __repr__(self) -> str:
        wrong = self.count(WRONG) + self.count(CONFUSED)
        return f"JudgedBoxes({self.count(RIGHT)} right, {wrong} wrong, {len(self.missed)} missed)"


def judge(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, truth: Boxes) -> JudgedBoxes:
    """Boxes [N, 4] xyxy in the photo's pixels, with scores [N] and labels [N] by the truth's classes."""
    verdicts, things, missed = [NEITHER] * len(labels), [-1] * len(labels), []
    for thing, box in pairs_of(boxes, scores, labels, truth):
        if box is None:
            missed.append(thing)
        elif thing is None:
            verdicts[box] = WRONG
        else:
            verdicts[box] = RIGHT if truth.labels[thing] == labels[box] else CONFUSED
            things[box] = thing
    # of another class: that thing is missed too, as COCO counts it
    missed += [things[box] for box, verdict in enumerate(verdicts) if verdict == CONFUSED]
    share = overlaps(boxes, truth.boxes)
    ious = [float(share[box, thing]) if thing >= 0 else 0.0 for box, thing in enumerate(things)]
    return JudgedBoxes(truth, tuple(verdicts), tuple(things), tuple(ious), tuple(sorted(missed)))


def as_truth(truth: Any, names: Sequence[str], classes: Sequence[str] | None = None) -> Boxes:
    """What somebody gave as the known boxes, with labels by the network's class names.

    Classes that the network does not know are left where they are not in the photo. Raises ValueError.
    """
    if not isinstance(truth, Boxes):
        truth = _boxes_of(truth)
    if classes is None:
        places: list[int | None] = [*range(len(names))]
        classes = names
    else:
        places = match_names(names, classes)
    label = lambda index: classes[index] if 0 <= index < len(classes) else f"label {index}"
    known = [places[index] if 0 <= index < len(places) else None for index in truth.labels.tolist()]
    strange = [label(index) for index, place in zip(truth.labels.tolist(), known) if place is None]
    if strange:
        some = ", ".join(repr(name) for name in dict.fromkeys(strange))
        raise ValueError(f"The network does not know {some[:200]}: it finds {', '.join(names[:8])}"
                         f"{', ...' if len(names) > 8 else ''}.")
    return Boxes(truth.boxes, np.array(known, np.int64), truth.crowd, truth.areas)


def _boxes_of(truth: Any) -> Boxes:
    try:
        boxes, labels = (np.asarray(part) for part in truth)
        boxes, labels = boxes.reshape(-1, 4).astype(np.float64), labels.reshape(-1).astype(np.int64)
    except (TypeError, ValueError):
        raise ValueError("truth are the Boxes of a PlaceSet, or (boxes [M, 4], labels [M]): left, top, right "
                         "and bottom in the photo's pixels, and indices of classes.") from None
    if len(boxes) != len(labels) or not np.isfinite(boxes).all():
        raise ValueError(f"truth has {len(boxes)} boxes and {len(labels)} labels: give a finite box and a "
                         "label of each.")
    sides = boxes[:, 2:] - boxes[:, :2]
    return Boxes(boxes, labels, np.zeros(len(labels), bool), sides.prod(axis=1))
