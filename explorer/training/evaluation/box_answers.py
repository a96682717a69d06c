"""What a detector found in photos whose boxes are known, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from explorer.arguments import checked, number, word
from explorer.data.folders import DataError
from explorer.data.places.place_set import Boxes, PlaceSet
from explorer.training.evaluation.figures import WORST, Throughput
from explorer.training.evaluation.place_figures import (
    BoxFigures,
    FoundBoxes,
    PhotoOfBoxes,
    PrecisionRecall,
    paired,
)

SCORE = 0.3  # from which a box counts in the confusion matrix and for the worst photos: what `detect` shows
SIZES = {"small": 1, "medium": 2, "large": 3}  # places in COCO's table; 0 is all


class BoxAnswers:
    """What `DetectionEvaluation` says of its arguments and figures, without what it shows and writes."""

    def __init__(
        self, classes: Sequence[str], found: Sequence[FoundBoxes], truth: Sequence[Boxes], *,
        names: Sequence[str] = (), files: Sequence[Path] = (), score: float = SCORE,
        notes: Sequence[str] = (), broken: Sequence[tuple[str, str]] = (), model_name: str = "model",
        data_name: str = "data", split: str = "all", throughput: Throughput | None = None,
        data: PlaceSet | None = None,
    ):
        if len(found) != len(truth):
            raise ValueError(f"There are answers for {len(found)} photos and boxes of {len(truth)}: give one "
                             f"a "
                             "photo of each.")
        self.classes, self.found, self.truth = tuple(classes), tuple(found), tuple(truth)
        self.names = tuple(names) or tuple(f"photo {i}" for i in range(len(found)))
        self.files, self.score = tuple(files), score
        self.notes, self.broken = tuple(notes), tuple(broken)
        self.model_name, self.data_name, self.split = model_name, data_name, split
        self.throughput, self.data = throughput, data

    def __len__(self) -> int:
        return len(self.found)

    # --- average precision --------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """COCO's tables for the data's K classes: precision [10 IoU, 101 recalls, K, 4 sizes], recall
        [10 IoU, K, 4 sizes]; -1 where a class has no box of that size.
        """
        metric = _metric()
        metric.update([_tensors(one) for one in self.found],
                      [{**_tensors(one), "iscrowd": torch.from_numpy(one.crowd.astype(np.int64)),
                        "area": torch.from_numpy(one.areas)} for one in self.truth])
        precision = -np.ones((10, 101, len(self.classes), 4))
        recall = -np.ones((10, len(self.classes), 4))
        if self.found and any(map(len, (*self.found, *self.truth))):
            told = metric.compute()
            there = told["classes"].reshape(-1).long().numpy()
            precision[:, :, there] = told["precision"].numpy()[..., -1]  # of 1, 10 and 100 boxes a photo
            recall[:, there] = told["recall"].numpy()[..., -1]
        return precision, recall

    def _ap(self, iou: slice = slice(None), classes: Any = slice(None), size: int = 0) -> float:
        table = self._table[0][iou][:, :, classes, size]
        known = table[table > -1]
        return float(known.mean()) if known.size else float("nan")

    @property
    def map(self) -> float | None:
        return _or_none(self._ap())

    @property
    def ap50(self) -> float | None:
        return _or_none(self._ap(slice(0, 1)))

    @property
    def ap75(self) -> float | None:
        return _or_none(self._ap(slice(5, 6)))

    @property
    def per_size(self) -> dict[str, float | None]:
        """The mean AP of small boxes (below 32 x 32 pixels), medium (below 96 x 96) and large ones."""
        return {name: _or_none(self._ap(size=place)) for name, place in SIZES.items()}

    @cached_property
    def per_class(self) -> dict[str, BoxFigures]:
        counts = np.zeros(len(self.classes), np.int64)
        for one in self.truth:
            np.add.at(counts, one.labels[~one.crowd], 1)
        figures = {}
        for k, name in enumerate(self.classes):
            sizes = {size: self._ap(classes=[k], size=place) for size, place in SIZES.items()}
            recall = self._table[1][:, k, 0]
            known = recall[recall > -1]
            figures[name] = BoxFigures(
                self._ap(classes=[k]), self._ap(slice(0, 1), [k]), self._ap(slice(5, 6), [k]),
                float(known.mean()) if known.size else float("nan"), boxes=int(counts[k]), **sizes)
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
        precision = self._table[0][place, :, self.classes.index(label), 0]
        if (precision < 0).all():
            raise ValueError(f"{label!r} has no curve: no photo has a box of it.")
        return PrecisionRecall(np.linspace(0, 1, 101), precision, iou, float(precision.mean()))

    # --- above a score ------------------------------------------------------------------------------------

    @cached_property
    def _pairs(self) -> list[list[tuple[int | None, int | None]]]:
        return [paired(one.above(self.score), truth) for one, truth in zip(self.found, self.truth)]

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

    @cached_property
    def rows(self) -> tuple[PhotoOfBoxes, ...]:
        """Every photo, in their order."""
        return tuple(self._row(index, pairs) for index, pairs in enumerate(self._pairs))

    def _row(self, index: int, pairs: list[tuple[int | None, int | None]]) -> PhotoOfBoxes:
        both = [(true, said) for true, said in pairs if true is not None and said is not None]
        right = sum(true == said for true, said in both)
        return PhotoOfBoxes(
            index, self.names[index], str(self.files[index]) if self.files else "", right, len(both) - right,
            sum(said is None for _, said in pairs), sum(true is None for true, _ in pairs))

    @property
    def worst(self) -> tuple[PhotoOfBoxes, ...]:
        """The photos with the lowest F1, of equal ones those with more errors; 20 at most."""
        errors = lambda row: row.confused + row.missed + row.invented
        return tuple(sorted(self.rows, key=lambda row: (row.f1, -errors(row), row.index))[:WORST])

    def open_photo(self, index: int) -> Image.Image:
        if self.data is None:
            raise ValueError("This evaluation holds no photos: it was made of boxes alone.")
        return self.data.open_one(index)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _tensors(one: FoundBoxes | Boxes) -> dict[str, torch.Tensor]:
    told = {"boxes": torch.from_numpy(one.boxes.astype(np.float64)),
            "labels": torch.from_numpy(one.labels.astype(np.int64))}
    if isinstance(one, FoundBoxes):
        told["scores"] = torch.from_numpy(one.scores.astype(np.float64))
    return told


def check_pycocotools() -> None:
    """Raise DataError, with what to do, where pycocotools can't be imported."""
    try:
        import pycocotools.cocoeval  # noqa: F401  # also the part that is compiled
    except ImportError as error:
        raise DataError("The average precision of boxes is pycocotools', which is not installed here "
                        f"({error}): run `pip install pycocotools`, and start the kernel anew.") from None


def _metric() -> Any:
    check_pycocotools()
    from torchmetrics.detection import MeanAveragePrecision

    # COCO's own thresholds in float64: torchmetrics' are float32, and a recall of 0.7 falls beside its 0.7
    metric = MeanAveragePrecision(
        iou_type="bbox", extended_summary=True, backend="pycocotools",
        iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(), rec_thresholds=np.linspace(0, 1, 101).tolist())
    metric.warn_on_many_detections = False  # a detector gives up to 300; COCO's figures take the surest 100
    return metric
