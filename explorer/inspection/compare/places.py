"""What several networks for boxes, or several for masks, found in the same photos: how far they agree."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from explorer.data.tables import safe_cell
from explorer.display.colours import Colour
from explorer.display.words import counted
from explorer.inspection.compare.compared import Compared
from explorer.inspection.compare.joining import distinct
from explorer.inspection.compare.overlaps import ByClass

Pair = tuple[int, int]  # two models' places, the smaller first


@dataclass(frozen=True)
class ClassAgreement:
    """How far models agree on one class. value: 0 to 1, the mean over the pairs of models of which either
    found it;  pairs: how many those are
    """

    label: str
    value: float
    pairs: int


@dataclass(frozen=True)
class PhotoAgreement:
    """How far models agree on one photo. value: 0 to 1, the mean over the pairs of models, 1 where none found
    anything;  answers: what each found, in words
    """

    photo: str
    value: float
    answers: tuple[str, ...]


@dataclass(eq=False, repr=False, kw_only=True)
class PlaceAnswers(Compared):
    """What several networks for boxes, or for masks, found in the same photos; more fields in `Compared`.

    labels: of each model, its class names by index
    pictured: how many photos, from the first on, are kept with their pictures
    """

    labels: tuple[tuple[str, ...], ...]
    pictured: int

    many_at_once: ClassVar[int] = 0  # their photos are large: eight at once take gigabytes

    # --- what a kind of network says ---

    def answer(self, model: str | int, photo: str | int = 0) -> str:
        """What a model found in a photo, in words."""
        raise NotImplementedError

    def picture(self, model: str | int, photo: str | int = 0) -> Image.Image:
        """What a model found, drawn over the photo. Raises ValueError for a photo that is not kept."""
        raise NotImplementedError

    def legend(self, photo: str | int = 0) -> list[tuple[str, Colour]]:
        """(name, colour) of the classes that any model found in a photo; empty where pictures name them."""
        return []

    def between(self, model: str | int, other: str | int, photo: str | int | None = None) -> ByClass:
        """Key of each class -> how far two models agree on it, in one photo, or in all."""
        raise NotImplementedError

    def _value(self, parts: Any) -> float:
        raise NotImplementedError

    @property
    def agreement_sentence(self) -> str:
        """What the numbers of `agreement` mean."""
        raise NotImplementedError

    # --- what follows from it ---

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """What joins each model's classes with the others': their names; the second of one numbered."""
        return tuple(distinct(labels) for labels in self.labels)

    @cached_property
    def agreement(self) -> np.ndarray:
        """How far each two models agree over all photos: float64 [M, M], 0 to 1, symmetric.

        NaN where neither found anything, and 1 of each with itself, where it found something.
        """
        return self._table(lambda i, j: self._value(self.between(i, j)))

    def _table(self, of_pair: Callable[[int, int], float]) -> np.ndarray:
        table = np.full((len(self), len(self)), math.nan)
        for i in range(len(self)):
            for j in range(i, len(self)):
                table[i, j] = table[j, i] = of_pair(i, j)
        return table

    @property
    def pairs(self) -> list[Pair]:
        return [*combinations(range(len(self)), 2)]

    def classes(self) -> list[ClassAgreement]:
        """How far the models agree on each class that any found, the least first."""
        shown: dict[str, str] = {}
        for keys, labels in zip(self.keys, self.labels):
            for key, label in zip(keys, labels):
                shown.setdefault(key, label)
        found: dict[str, list[float]] = {}
        for i, j in self.pairs:
            for key, part in self.between(i, j).items():
                found.setdefault(key, []).append(part.value)
        rows = [ClassAgreement(shown[key], float(np.mean(values)), len(values))
                for key, values in found.items()]
        return sorted(rows, key=lambda row: row.value)

    def disagreements(self) -> list[PhotoAgreement]:
        """All photos, first those on which the models agree least."""
        rows = []
        for j, photo in enumerate(self.photos):
            values = [self._value(self.between(*pair, photo=j)) for pair in self.pairs]
            value = float(np.mean([1.0 if math.isnan(one) else one for one in values])) if values else 1.0
            rows.append(PhotoAgreement(photo, value, tuple(self.answer(i, j) for i in range(len(self)))))
        return sorted(rows, key=lambda row: row.value)

    def pictures(self, photo: str | int = 0) -> list[Image.Image]:
        """What every model found in a photo, drawn over it."""
        return [self.picture(i, photo) for i in range(len(self))]

    def _kept(self, photo: str | int) -> int:
        j = self.photo_index(photo)
        if j >= self.pictured:
            raise ValueError(f"The pictures of the first {counted(self.pictured, 'photo')} are kept, and "
                             f"this is number {j + 1}: compare fewer photos, or this one alone.")
        return j

    def photos_csv(self) -> str:
        """A line a photo: how far the models agree, and what each found."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["photo", "agreement", *map(safe_cell, self.names)])
        for row in self.disagreements():
            writer.writerow(map(safe_cell, [row.photo, row.value, *row.answers]))
        return file.getvalue()
