"""What a detector found in photos whose boxes are known, and the figures that follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Unpack

import numpy as np

from explorer.arguments import checked, number, word
from explorer.data.places.place_set import Boxes
from explorer.training.evaluation.coco_tables import SIZES, Averages, averages
from explorer.training.evaluation.figures import WORST, ClassFigures
from explorer.training.evaluation.place_evaluation import PlaceEvaluation, Told
from explorer.training.evaluation.place_figures import (
    BoxFigures,
    FoundBoxes,
    PhotoOfBoxes,
    PrecisionRecall,
    paired,
)

SCORE = 0.3  # from which a box counts in the confusion matrix and for the worst photos: what `detect` shows
BACKGROUND = "background"  # what a box without a thing, and a thing without a box, are held against
AT_50, AT_75 = slice(0, 1), slice(5, 6)  # places of these IoU in COCO's table


class BoxAnswers(PlaceEvaluation):
    """What `DetectionEvaluation` says of its arguments and figures, without what it shows and writes."""

    def __init__(self, classes: Sequence[str], found: Sequence[FoundBoxes], truth: Sequence[Boxes], *,
                 score: float = SCORE, **told: Unpack[Told]):
        if len(found) != len(truth):
            raise ValueError(f"There are answers for {len(found)} photos and boxes of {len(truth)}: give one "
                             f"a "
                             "photo of each.")
        super().__init__(classes, len(found), **told)
        self.found, self.truth, self.score = tuple(found), tuple(truth), score

    # --- average precision --------------------------------------------------------------------------------

    @cached_property
    def averages(self) -> Averages:
        """COCO's tables for the data's classes."""
        return averages(self.found, self.truth, len(self.classes))

    @cached_property
    def mask_averages(self) -> Averages | None:
        """The same of the masks in the boxes; None unless all that was found and is there has one."""
        if not self.found or any(one.shapes is None for one in self.found):
            return None
        if any(one.shapes is None and len(one) for one in self.truth):
            return None
        return averages(self.found, self.truth, len(self.classes), masks=True)

    @property
    def map(self) -> float | None:
        return _or_none(self.averages.at())

    @property
    def ap50(self) -> float | None:
        return _or_none(self.averages.at(AT_50))

    @property
    def ap75(self) -> float | None:
        return _or_none(self.averages.at(AT_75))

    @property
    def mask_map(self) -> float | None:
        return None if self.mask_averages is None else _or_none(self.mask_averages.at())

    @property
    def mask_ap50(self) -> float | None:
        return None if self.mask_averages is None else _or_none(self.mask_averages.at(AT_50))

    @property
    def mask_ap75(self) -> float | None:
        return None if self.mask_averages is None else _or_none(self.mask_averages.at(AT_75))

    @property
    def per_size(self) -> dict[str, float | None]:
        """The mean AP of small boxes (below 32 x 32 pixels), medium (below 96 x 96) and large ones."""
        return {name: _or_none(self.averages.at(size=place)) for name, place in SIZES.items()}

    @cached_property
    def per_class(self) -> dict[str, BoxFigures]:
        counts = np.zeros(len(self.classes), np.int64)
        for one in self.truth:
            np.add.at(counts, one.labels[~one.crowd], 1)
        figures = {}
        for k, name in enumerate(self.classes):
            table, masks = self.averages, self.mask_averages
            sizes = {size: table.at(classes=[k], size=place) for size, place in SIZES.items()}
            figures[name] = BoxFigures(
                table.at(classes=[k]), table.at(AT_50, [k]), table.at(AT_75, [k]), table.recall_of(k),
                boxes=int(counts[k]), **sizes,
                mask_ap=math.nan if masks is None else masks.at(classes=[k]))
        return figures

    @checked(label=word, iou=number(0.5, 0.95))
    def curve(self, label: str, iou: float | None = 0.5) -> PrecisionRecall:
        """Precision against recall of one class. iou: 0.50, 0.55, ..., 0.95.

        Raises ValueError for a class that there is not, or has no box, and for another IoU.
        """
        iou = 0.5 if iou is None else iou
        place = round((iou - 0.5) / 0.05)
        if label not in self.classes:
            known = ", ".join(self.classes[:10])
            raise ValueError(f"There is no class {label[:60]!r}: the classes are {known}.")
        if not 0 <= place < 10 or abs(0.5 + 0.05 * place - iou) > 1e-9:
            raise ValueError(f"iou is {iou!r}: expected 0.5, 0.55 and so on to 0.95.")
        precision = self.averages.precision[place, :, self.classes.index(label), 0]
        if (precision < 0).all():
            raise ValueError(f"{label!r} has no curve: no photo has a box of it.")
        return PrecisionRecall(np.linspace(0, 1, 101), precision, iou, float(precision.mean()))

    # --- above a score ------------------------------------------------------------------------------------

    @cached_property
    def _pairs(self) -> list[list[tuple[int | None, int | None]]]:
        return [paired(one.above(self.score), truth) for one, truth in zip(self.found, self.truth)]

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of the rows and columns of `confusion`: the classes, and "background" for nothing."""
        return (*self.classes, BACKGROUND if BACKGROUND not in self.classes else "nothing")

    @cached_property
    def confusion(self) -> np.ndarray:
        """[K + 1, K + 1] counts of boxes from `score` on: rows what things are, columns what the box on them
        says; the last row are boxes on background, the last column things without a box.
        """
        last = len(self.classes)
        matrix = np.zeros((last + 1, last + 1), np.int64)
        for pairs in self._pairs:
            for true, said in pairs:
                matrix[last if true is None else true, last if said is None else said] += 1
        return matrix

    @property
    def precision(self) -> float | None:
        """Of the boxes from `score` on, how many are right; None where there are none."""
        return _or_none(self._counted.precision)

    @property
    def recall(self) -> float | None:
        """Of the things, how many have a right box from `score` on; None where there are none."""
        return _or_none(self._counted.recall)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both, 2 right / (boxes + things); None where there are neither."""
        return _or_none(self._counted.f1)

    @property
    def _counted(self) -> ClassFigures:
        inside = self.confusion[:-1, :-1]
        return _counted(np.trace(inside), self.confusion[:, :-1].sum(), self.confusion[:-1].sum())

    @property
    def above_score(self) -> dict[str, ClassFigures]:
        """Precision, recall and F1 of each class's boxes from `score` on, and how many things there are."""
        said, there = self.confusion.sum(0), self.confusion.sum(1)
        return {name: _counted(self.confusion[k, k], said[k], there[k])
                for k, name in enumerate(self.classes)}

    @cached_property
    def rows(self) -> tuple[PhotoOfBoxes, ...]:
        """Every photo, in their order."""
        return tuple(self._row(index, pairs) for index, pairs in enumerate(self._pairs))

    def _row(self, index: int, pairs: list[tuple[int | None, int | None]]) -> PhotoOfBoxes:
        both = [(true, said) for true, said in pairs if true is not None and said is not None]
        right = sum(true == said for true, said in both)
        return PhotoOfBoxes(
            index, self.names[index], self.file_of(index), right, len(both) - right,
            sum(said is None for _, said in pairs), sum(true is None for true, _ in pairs))

    @property
    def worst(self) -> tuple[PhotoOfBoxes, ...]:
        """The photos with the lowest F1, of equal ones those with more errors; 20 at most."""
        errors = lambda row: row.confused + row.missed + row.invented
        return tuple(sorted(self.rows, key=lambda row: (row.f1, -errors(row), row.index))[:WORST])

    @checked(true=word, predicted=word)
    def photos(self, true: str | None = None, predicted: str | None = None) -> list[PhotoOfBoxes]:
        """The photos of a cell of the confusion matrix, those with the lowest F1 first.

        true, predicted: one of `cells`; None: any. Raises ValueError for another name.
        """
        last = len(self.classes)
        at = {name: place for place, name in enumerate(self.cells)}
        for name in (true, predicted):
            if name is not None and name not in at:
                known = ", ".join([*self.cells[:10], *self.cells[-1:]])
                raise ValueError(f"There is no class {name[:60]!r}: the classes are {known}.")
        wanted = [None if name is None else at[name] for name in (true, predicted)]
        kept = [row for row, pairs in zip(self.rows, self._pairs)
                if any(all(place is None or place == (last if one is None else one)
                           for place, one in zip(wanted, pair)) for pair in pairs)]
        return sorted(kept, key=lambda row: (row.f1, row.index))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _counted(right: int, said: int, there: int) -> ClassFigures:
    def share(part: int, whole: int) -> float:
        return float(part / whole) if whole else math.nan

    return ClassFigures(share(right, said), share(right, there), share(2 * right, said + there), int(there))
