"""What several networks for boxes, or several for masks, found in the same photos, side by side.

    result = compare(["retinanet_resnet50_fpn", "efficientdet_d0"], "street.jpg")    # a BoxComparison
    result.agreement                       # [M, M], from 0 (nothing in common) to 1
    result.at(score_threshold=0.6)         # other thresholds, without a pass
    result.figure("pictures").savefig("boxes.png")
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from explorer.arguments import checked, number
from explorer.data.tables import safe_cell
from explorer.display.colours import Colour
from explorer.display.html import RichRepr
from explorer.display.words import counted
from explorer.inspection.compare.compared import Compared
from explorer.inspection.compare.facts import (
    AVERAGE_PRECISION,
    BOX_COLUMNS,
    MASK_COLUMNS,
    MEAN_IOU,
    Axis,
    Column,
)
from explorer.inspection.compare.joining import distinct
from explorer.inspection.compare.overlaps import (
    ByClass,
    MaskAgreement,
    Regions,
    boxes_by_class,
    joined,
    masks_by_class,
    mean_of_masks,
    of_all_boxes,
)
from explorer.inspection.compare.place_page import place_html
from explorer.inspection.detect.result import Detections
from explorer.inspection.segment.result import Segmentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
class PlaceComparison(Compared, RichRepr):
    """What `BoxComparison` and `MaskComparison` share; more fields in `Compared`.

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
            raise ValueError(f"The pictures of the first {counted(self.pictured, 'photo')} are kept, and this "
                             f"is number {j + 1}: compare fewer photos, or this one alone.")
        return j

    def photos_csv(self) -> str:
        """A line a photo: how far the models agree, and what each found."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["photo", "agreement", *map(safe_cell, self.names)])
        for row in self.disagreements():
            writer.writerow(map(safe_cell, [row.photo, row.value, *row.answers]))
        return file.getvalue()

    def figure(self, kind: str = "pictures", **options: Any) -> Figure:
        """One side of the comparison as a matplotlib Figure to keep: `.savefig("it.png")` or "it.svg".

        kind: "pictures" (photo), "agreement", "classes", "scatter" (x, y as in `points`)
        """
        from explorer.inspection.compare.place_charts import KINDS

        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: expected one of {', '.join(KINDS)}.")
        return KINDS[kind](self, **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.names)}; {counted(len(self.photos), 'photo')})"

    def _repr_html_(self) -> str:
        """Table, what was found in the first photo, agreement as plain HTML: no script, right in light and
        dark.
        """
        return place_html(self)


@dataclass(eq=False, repr=False, kw_only=True)
class BoxComparison(PlaceComparison):
    """What `compare` found of several detectors. found: [model][photo]; more fields in `PlaceComparison`."""

    found: tuple[tuple[Detections, ...], ...]
    _between: dict[tuple[int, int, int], Mapping[str, Any]] = field(default_factory=dict, repr=False)

    kind: ClassVar[str] = "boxes"
    columns: ClassVar[tuple[Column, ...]] = BOX_COLUMNS
    accuracies: ClassVar[dict[str, Axis]] = AVERAGE_PRECISION

    def answer(self, model: str | int, photo: str | int = 0) -> str:
        return self.found[self.model_index(model)][self.photo_index(photo)].in_words

    def picture(self, model: str | int, photo: str | int = 0) -> Image.Image:
        return self.found[self.model_index(model)][self._kept(photo)].overlay()

    def between(self, model: str | int, other: str | int, photo: str | int | None = None) -> ByClass:
        i, j = self.model_index(model), self.model_index(other)
        if photo is None:
            return joined(self.between(i, j, one) for one in range(len(self.photos)))
        place = (min(i, j), max(i, j), self.photo_index(photo))
        if place not in self._between:
            one, two = (self.found[each][place[2]] for each in place[:2])
            keys = ([self.keys[each][index] for index in self.found[each][place[2]].indices.tolist()]
                    for each in place[:2])
            first, second = keys
            self._between[place] = boxes_by_class(one.boxes, first, two.boxes, second)
        return self._between[place]

    def _value(self, parts: Any) -> float:
        return of_all_boxes(parts).value

    @cached_property
    def matched(self) -> np.ndarray:
        """The share of two models' boxes that have a partner in the other's, of the same class and with an
        IoU of at least 0.5: float64 [M, M], 0 to 1.
        """
        return self._table(lambda i, j: of_all_boxes(self.between(i, j)).matched)

    @cached_property
    def overlap(self) -> np.ndarray:
        """The mean IoU of two models' matched boxes: float64 [M, M], 0.5 to 1; NaN without any."""
        return self._table(lambda i, j: of_all_boxes(self.between(i, j)).overlap)

    @property
    def score_threshold(self) -> float:
        """Only boxes with a better score are compared."""
        return self.found[0][0].score_threshold

    @checked(score_threshold=number(0, 1), iou_threshold=number(0, 1))
    def at(self, *, score_threshold: float | None = None, iou_threshold: float | None = None) -> BoxComparison:
        """The same passes with other thresholds, as `Detections.at`; no network runs."""
        found = tuple(tuple(one.at(score_threshold=score_threshold, iou_threshold=iou_threshold)
                            for one in row) for row in self.found)
        rows = [replace(row, found=sum(map(len, each))) for row, each in zip(self.rows, found)]
        return replace(self, found=found, rows=rows, _between={})

    @property
    def agreement_sentence(self) -> str:
        return (f"Boxes with a score above {self.score_threshold:.0%}, over "
                f"{counted(len(self.photos), 'photo')}: two boxes are a pair where they are of the same class "
                "and their IoU is at least 0.5. Agreement is the share of boxes that are in a pair, times "
                "the mean IoU of the pairs. Two that agree may both be wrong.")


@dataclass(eq=False, repr=False, kw_only=True)
class MaskComparison(PlaceComparison):
    """What `compare` found of several networks for masks; more fields in `PlaceComparison`.

    found:   [model][photo], of the photos whose pictures are kept
    answers: [photo][model], in words
    shared:  of each photo, (two models' places) -> key of a class -> how far they agree on it
    """

    found: tuple[tuple[Segmentation, ...], ...]
    answers: tuple[tuple[str, ...], ...]
    shared: tuple[Mapping[Pair, Mapping[str, MaskAgreement]], ...]

    kind: ClassVar[str] = "masks"
    columns: ClassVar[tuple[Column, ...]] = MASK_COLUMNS
    accuracies: ClassVar[dict[str, Axis]] = MEAN_IOU

    def answer(self, model: str | int, photo: str | int = 0) -> str:
        return self.answers[self.photo_index(photo)][self.model_index(model)]

    def picture(self, model: str | int, photo: str | int = 0) -> Image.Image:
        return self.found[self.model_index(model)][self._kept(photo)].overlay()

    def legend(self, photo: str | int = 0) -> list[tuple[str, Colour]]:
        j, told = self._kept(photo), {}
        for row in self.found:
            told |= {(row[j].labels[index], colour): None for index, colour in row[j].colours.items()}
        return [*told]

    def between(self, model: str | int, other: str | int, photo: str | int | None = None) -> ByClass:
        i, j = sorted((self.model_index(model), self.model_index(other)))
        photos = range(len(self.photos)) if photo is None else [self.photo_index(photo)]
        return joined(self.shared[one][i, j] for one in photos)

    def _value(self, parts: Any) -> float:
        return mean_of_masks(parts)

    @property
    def agreement_sentence(self) -> str:
        return (f"The mean IoU of two models' masks over {counted(len(self.photos), 'photo')}: of each class "
                "that either found, by its name, the pixels that both give it over those that either does. "
                "Two that agree may both be wrong.")


def shared_of(regions: list[Regions]) -> dict[Pair, Mapping[str, MaskAgreement]]:
    """How far the masks of one photo agree, for each two of them and each with itself."""
    return {(i, j): masks_by_class(regions[i], regions[j])
            for i in range(len(regions)) for j in range(i, len(regions))}
