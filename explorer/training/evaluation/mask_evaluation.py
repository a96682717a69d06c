"""`MaskEvaluation`: what a network for masks made of photos whose masks are known, to look at and to keep.

    result.miou, result.dice, result.accuracy, result.per_class["nucleus"].iou
    result.confusion                        # [K, K] pixels
    result.worst[0], result.overlay(result.worst[0])

All figures follow from counts of pixels, which are exact. One can also be made of somebody else's counts.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from explorer.arguments import checked
from explorer.data.places.place_set import IGNORED, PlaceSet
from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr
from explorer.files import given_path, write_text
from explorer.training.evaluation.figures import WORST, Throughput, plain
from explorer.training.evaluation.place_figures import MaskFigures, PhotoOfMasks, photo_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pixel_counts(said: np.ndarray, truth: np.ndarray, classes: int, *, ignored: int = IGNORED) -> np.ndarray:
    """int64 [K, K]: pixels by true class (row) and by what was said (column), the `ignored` ones left out.

    said, truth: class indices [H, W], of `said` all below K
    """
    counted = truth != ignored
    cells = truth[counted].astype(np.int64) * classes + said[counted]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def totals_of(matrix: np.ndarray) -> np.ndarray:
    """[3, K] of a confusion matrix [K, K]: each class's pixels that are right, that are it, that were said.
    """
    return np.stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)])


def shares_of(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Of `totals_of` [..., 3, K] the figures of each class [..., K], NaN where nothing is divided by."""
    right, true, said = np.moveaxis(totals.astype(np.float64), -2, 0)

    def divided(above: np.ndarray, under: np.ndarray) -> np.ndarray:
        return np.divide(above, under, out=np.full(above.shape, np.nan), where=under > 0)

    return {"iou": divided(right, true + said - right), "dice": divided(2 * right, true + said),
            "precision": divided(right, said), "recall": divided(right, true)}


def mean_known(values: np.ndarray) -> float:
    """The mean of those that are no NaN; NaN of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


class MaskEvaluation(RichRepr):
    """What a network for masks made of photos whose masks are known. It shows itself in a notebook.

    classes:   the model's, in index order
    confusion: int64 [K, K], pixels of all photos: rows what they are, columns what was said (`pixel_counts`)
    totals:    int64 [N, 3, K], of each photo the pixels of each class that are right, that are it, and that
               were said to be it (`totals_of`)
    judged:    indices of the classes that the data has: the means are over these; None: all
    masks:     index -> what was said of that photo as a mask, of the worst ones alone
    names, files, notes, broken, model_name, data_name, split, throughput, data: as in `Evaluation`

    `miou` is the mean IoU over the classes that occur or were said, `dice` that of their Dice, over all
    photos' pixels together; `accuracy` is the share of pixels that are right. Pixels that are 255 in a true
    mask count nowhere. They are torchmetrics' macro Jaccard index, F1 and micro accuracy. None where no pixel
    counts.
    """

    def __init__(
        self, classes: Sequence[str], confusion: np.ndarray, totals: np.ndarray, *,
        judged: Sequence[int] | None = None,
        masks: Mapping[int, np.ndarray] | None = None, names: Sequence[str] = (), files: Sequence[Path] = (),
        notes: Sequence[str] = (), broken: Sequence[tuple[str, str]] = (), model_name: str = "model",
        data_name: str = "data", split: str = "all", throughput: Throughput | None = None,
        data: PlaceSet | None = None,
    ):
        size = len(classes)
        if confusion.shape != (size, size) or totals.shape[1:] != (3, size):
            raise ValueError(f"confusion has shape {list(confusion.shape)} and totals {list(totals.shape)}: "
                             f"expected [{size}, {size}] and [photos, 3, {size}].")
        self.classes, self.confusion, self.totals = tuple(classes), confusion, totals
        self.judged = tuple(range(size)) if judged is None else tuple(sorted(judged))
        self.masks = dict(masks or {})
        self.names = tuple(names) or tuple(f"photo {i}" for i in range(len(totals)))
        self.files, self.notes, self.broken = tuple(files), tuple(notes), tuple(broken)
        self.model_name, self.data_name, self.split = model_name, data_name, split
        self.throughput, self.data = throughput, data

    def __len__(self) -> int:
        return len(self.totals)

    # --- figures ------------------------------------------------------------------------------------------

    @cached_property
    def _shares(self) -> dict[str, np.ndarray]:
        return shares_of(totals_of(self.confusion))

    @property
    def miou(self) -> float | None:
        return _or_none(mean_known(self._shares["iou"][list(self.judged)]))

    @property
    def dice(self) -> float | None:
        return _or_none(mean_known(self._shares["dice"][list(self.judged)]))

    @property
    def accuracy(self) -> float | None:
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion) / total) if total else None

    @property
    def per_class(self) -> dict[str, MaskFigures]:
        """Of each class that the data has."""
        found, pixels = self._shares, self.confusion.sum(1)
        return {self.classes[k]: MaskFigures(*(float(found[key][k]) for key in ("iou", "dice", "precision",
                                                                                "recall")), int(pixels[k]))
                for k in self.judged}

    @cached_property
    def rows(self) -> tuple[PhotoOfMasks, ...]:
        """Every photo, in their order."""
        ious = shares_of(self.totals)["iou"]
        found = []
        for index, (totals, row) in enumerate(zip(self.totals, ious)):
            right, pixels = totals[0].sum(), totals[1].sum()
            accuracy = float(right / pixels) if pixels else float("nan")
            found.append(PhotoOfMasks(index, self.names[index], str(self.files[index]) if self.files else "",
                                      mean_known(row[list(self.judged)]), accuracy))
        return tuple(found)

    @property
    def worst(self) -> tuple[PhotoOfMasks, ...]:
        """The photos with the lowest mean IoU, 20 at most."""
        known = [row for row in self.rows if not np.isnan(row.iou)]
        return tuple(sorted(known, key=lambda row: (row.iou, row.index))[:WORST])

    def overlay(self, row: PhotoOfMasks | int) -> Image.Image:
        """A photo with the mask that was said in colours, and the outline of the true one in white.

        Raises ValueError for a photo whose mask was not kept (those of `worst` are), or without `data`;
        ImageError where it can't be opened any more.
        """
        from explorer.training.evaluation.mask_report import drawn

        index = photo_index(row, len(self))
        if self.data is None or index not in self.masks:
            raise ValueError(f"The mask of photo {index} was not kept: those of the worst photos are.")
        return drawn(self, index)

    # --- to keep ------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None where not defined."""
        return plain({
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self),
            "classes": list(self.classes), "miou": self.miou, "dice": self.dice, "accuracy": self.accuracy,
            "per_class": {name: asdict(one) for name, one in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "worst": [asdict(row) for row in self.worst],
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken],
            "notes": list(self.notes),
        })

    def to_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1)

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file, iou, accuracy, and the IoU of each class that the data has.

        A name that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        head = ["name", "file", "iou", "accuracy", *(f"iou of {self.classes[k]}" for k in self.judged)]
        writer.writerow(list(map(safe_cell, head)))
        for row, ious in zip(self.rows, shares_of(self.totals)["iou"]):
            values = [row.iou, row.accuracy, *(float(ious[k]) for k in self.judged)]
            cells = ["" if np.isnan(value) else value for value in values]
            writer.writerow([safe_cell(row.name), safe_cell(row.file), *cells])
        write_text(given_path(path), file.getvalue())

    def plot(self) -> Figure:
        """The IoU of each class as bars, the lowest first; 30 at most."""
        from explorer.training.evaluation.mask_report import plot_classes

        return plot_classes(self)

    # --- to look at ---------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from explorer.training.evaluation.mask_report import headline

        return f"MaskEvaluation({self.model_name!r}, {self.data_name!r}, {headline(self)})"

    def __str__(self) -> str:
        from explorer.training.evaluation.mask_report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.mask_report import as_html

        return as_html(self)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
