"""What several networks for boxes, or several for masks, found in the same photos, side by side.

    result = compare(["retinanet_resnet50_fpn", "efficientdet_d0"], "street.jpg")    # a BoxComparison
    result.agreement                       # [M, M], from 0 (nothing in common) to 1
    result.at(score_threshold=0.6)         # other thresholds, without a pass
    result.figure("pictures").savefig("boxes.png")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from explorer.arguments import checked, number
from explorer.display.colours import Colour
from explorer.display.html import RichRepr
from explorer.display.words import counted
from explorer.inspection.compare.facts import (
    AVERAGE_PRECISION,
    BOX_COLUMNS,
    MASK_COLUMNS,
    MEAN_IOU,
    Axis,
    Column,
)
from explorer.inspection.compare.overlaps import (
    BoxAgreement,
    MaskAgreement,
    Regions,
    boxes_by_class,
    joined,
    masks_by_class,
    mean_of_masks,
    of_all_boxes,
)
from explorer.inspection.compare.place_page import place_html
from explorer.inspection.compare.places import Pair, PlaceAnswers
from explorer.inspection.detect.result import Detections
from explorer.inspection.segment.result import Segmentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(eq=False, repr=False, kw_only=True)
class PlaceComparison(PlaceAnswers, RichRepr):
    """What `BoxComparison` and `MaskComparison` share: the `PlaceAnswers`, with charts and a page."""

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
    _between: dict[tuple[int, int, int], Mapping[str, BoxAgreement]] = field(default_factory=dict, repr=False)

    kind: ClassVar[str] = "boxes"
    columns: ClassVar[tuple[Column, ...]] = BOX_COLUMNS
    accuracies: ClassVar[dict[str, Axis]] = AVERAGE_PRECISION

    def answer(self, model: str | int, photo: str | int = 0) -> str:
        return self.found[self.model_index(model)][self.photo_index(photo)].in_words

    def picture(self, model: str | int, photo: str | int = 0) -> Image.Image:
        return self.found[self.model_index(model)][self._kept(photo)].overlay()

    def between(
        self, model: str | int, other: str | int, photo: str | int | None = None
    ) -> Mapping[str, BoxAgreement]:
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
    def at(
        self, *, score_threshold: float | None = None, iou_threshold: float | None = None
    ) -> BoxComparison:
        """The same passes with other thresholds, as `Detections.at`; no network runs."""
        found = tuple(tuple(one.at(score_threshold=score_threshold, iou_threshold=iou_threshold)
                            for one in row) for row in self.found)
        rows = [replace(row, found=sum(map(len, each))) for row, each in zip(self.rows, found)]
        return replace(self, found=found, rows=rows, _between={})

    @property
    def agreement_sentence(self) -> str:
        return (f"Boxes with a score above {self.score_threshold:.0%}, over "
                f"{counted(len(self.photos), 'photo')}: two boxes are a pair where they are of the same "
                "class and their IoU is at least 0.5. Agreement is the share of boxes that are in a pair, "
                "times the mean IoU of the pairs. Two that agree may both be wrong.")


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

    def between(
        self, model: str | int, other: str | int, photo: str | int | None = None
    ) -> Mapping[str, MaskAgreement]:
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
