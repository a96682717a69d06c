"""What a network for masks made of photos whose masks are known, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Unpack

import numpy as np

from explorer.inspection.segment.pixels import mean_known, shares_of, totals_of
from explorer.training.evaluation.figures import WORST
from explorer.training.evaluation.place_evaluation import PlaceEvaluation, Told
from explorer.training.evaluation.place_figures import MaskFigures, PhotoOfMasks, photo_index


class MaskAnswers(PlaceEvaluation):
    """What `MaskEvaluation` says of its arguments and figures, without what it shows and writes."""

    def __init__(self, classes: Sequence[str], confusion: np.ndarray, totals: np.ndarray, *,
                 judged: Sequence[int] | None = None, masks: Mapping[int, np.ndarray] | None = None,
                 **told: Unpack[Told]):
        size = len(classes)
        if confusion.shape != (size, size) or totals.shape[1:] != (3, size):
            raise ValueError(f"confusion has shape {list(confusion.shape)} and totals {list(totals.shape)}: "
                             f"expected [{size}, {size}] and [photos, 3, {size}].")
        super().__init__(classes, len(totals), **told)
        self.confusion, self.totals = confusion, totals
        self.judged = tuple(range(size)) if judged is None else tuple(sorted(judged))
        self.masks = dict(masks or {})

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
        return self._by_class(self._shares, self.confusion.sum(1))

    def per_class_of(self, row: PhotoOfMasks | int) -> dict[str, MaskFigures]:
        """The same in one photo, by itself (one of `rows` or `worst`) or by its number; the IoU is NaN of a
        class that is not in it and was not said to be. Raises ValueError for a photo that there is not.
        """
        totals = self.totals[photo_index(row, len(self))]
        return self._by_class(shares_of(totals), totals[1])

    def _by_class(self, shares: Mapping[str, np.ndarray], pixels: np.ndarray) -> dict[str, MaskFigures]:
        return {self.classes[k]: MaskFigures(**{key: float(each[k]) for key, each in shares.items()},
                                             pixels=int(pixels[k]))
                for k in self.judged}

    @cached_property
    def rows(self) -> tuple[PhotoOfMasks, ...]:
        """Every photo, in their order."""
        ious = shares_of(self.totals)["iou"]
        found = []
        for index, (totals, row) in enumerate(zip(self.totals, ious)):
            right, pixels = totals[0].sum(), totals[1].sum()
            accuracy = float(right / pixels) if pixels else float("nan")
            found.append(PhotoOfMasks(index, self.names[index], self.file_of(index),
                                      mean_known(row[list(self.judged)]), accuracy))
        return tuple(found)

    @property
    def worst(self) -> tuple[PhotoOfMasks, ...]:
        """The photos with the lowest mean IoU, 20 at most."""
        known = [row for row in self.rows if not np.isnan(row.iou)]
        return tuple(sorted(known, key=lambda row: (row.iou, row.index))[:WORST])

    def worst_of(self, label: str) -> list[PhotoOfMasks]:
        """Of `worst` the photos that have a class, or in which something was taken for it, its lowest IoU
        first. Raises KeyError for a class that the data does not have.
        """
        ious = shares_of(self.totals)["iou"][:, {self.classes[k]: k for k in self.judged}[label]]
        known = [row for row in self.worst if not np.isnan(ious[row.index])]
        return sorted(known, key=lambda row: (ious[row.index], row.index))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
