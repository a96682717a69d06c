"""What an evaluation of boxes or masks is made of: a class's figures, a photo's, and how boxes are paired."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explorer.arguments import shown
from explorer.data.places.place_set import Boxes
from explorer.inspection.detect.pairing import pairs_of


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """What a detector found in a photo: boxes [N, 4] xyxy in its pixels, scores [N], labels [N] by the data's
    classes; shapes: the mask in each box as COCO's run-length code, None for a detector of boxes alone.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    shapes: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> FoundBoxes:
        return self.take(self.scores >= score)

    def take(self, keep: np.ndarray) -> FoundBoxes:
        """Those for which `keep`, bool [N], says yes."""
        shapes = None if self.shapes is None else tuple(
            shape for shape, kept in zip(self.shapes, keep) if kept)
        return FoundBoxes(self.boxes[keep], self.scores[keep], self.labels[keep], shapes)


@dataclass(frozen=True)
class BoxFigures:
    """One class. ap: average precision, the mean over IoU 0.50 to 0.95; ap50, ap75: at that IoU alone;
    recall: of its boxes that are found with 100 boxes a photo, the mean over the same IoU; all 0..1, NaN for
    a class without a box. small, medium, large: its ap for boxes below 32 x 32, below 96 x 96, above.
    boxes: how many there are, those that do not count left out. mask_ap: as ap, of the masks in the boxes;
    NaN for boxes alone
    """

    ap: float
    ap50: float
    ap75: float
    recall: float
    small: float
    medium: float
    large: float
    boxes: int
    mask_ap: float = math.nan


@dataclass(frozen=True)
class PhotoOfBoxes:
    """One photo above the score of the confusion matrix. right: boxes of the right class; confused: of
    another; missed: things without a box; invented: boxes without a thing; f1: 2 right / (boxes + things), 1
    where there is nothing, and nothing was found.
    """

    index: int
    name: str
    file: str
    right: int
    confused: int
    missed: int
    invented: int

    @property
    def f1(self) -> float:
        both = 2 * (self.right + self.confused) + self.missed + self.invented
        return 2 * self.right / both if both else 1.0


@dataclass(frozen=True)
class MaskFigures:
    """One class. iou: pixels that are it and were said to be / pixels that are it or were said to be; dice:
    2 iou / (1 + iou); precision, recall: by pixels; all 0..1, NaN where there is nothing to divide by.
    pixels: that are it
    """

    iou: float
    dice: float
    precision: float
    recall: float
    pixels: int


@dataclass(frozen=True)
class PhotoOfMasks:
    """One photo. iou: the mean over the classes that are in it or were said to be; accuracy: the share of its
    pixels that are right; NaN where none counts.
    """

    index: int
    name: str
    file: str
    iou: float
    accuracy: float


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision at 101 recalls 0, 0.01, ..., 1, as COCO draws it; area: the average precision at that IoU."""

    recall: np.ndarray = field(repr=False)
    precision: np.ndarray = field(repr=False)
    iou: float
    area: float


def photo_index(row: Any, count: int) -> int:
    """The place of a photo, by itself or by its row. Raises ValueError for one that there is not."""
    index = row.index if isinstance(row, PhotoOfBoxes | PhotoOfMasks) else row
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        raise ValueError(f"row is {shown(row)}: expected one of `rows` or `worst`, or a number from 0 to "
                         f"{count - 1}.")
    return index


def paired(found: FoundBoxes, truth: Boxes) -> list[tuple[int | None, int | None]]:
    """(label of the thing, label of the box) of each pair; None for a thing without box, a box without thing.

    As `pairs_of` pairs them.
    """
    return [(None if thing is None else int(truth.labels[thing]),
             None if box is None else int(found.labels[box]))
            for thing, box in pairs_of(found.boxes, found.scores, found.labels, truth)]
