"""A mask beside the one that is known to be right: how much of each class agrees, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.labels import match_names
from explorer.data.places.place_set import IGNORED
from explorer.display.colours import Colour
from explorer.display.words import percent
from explorer.inspection.segment.colours import tinted
from explorer.inspection.segment.pixels import mean_known, pixel_counts, shares_of, totals_of

#: What became of a pixel, as `JudgedMask.where` codes it, and how it is coloured.
OUTCOMES = ("right, background", "right", "missed", "too much", "another class", "does not count")
COLOURS: dict[int, Colour] = {1: (0, 158, 115), 2: (240, 228, 66), 3: (213, 94, 0), 4: (204, 121, 167)}


@dataclass(frozen=True, eq=False)
class JudgedMask:
    """One mask beside the one that is known.

    said, truth: [H, W] of class indices by `labels`; `IGNORED` in the truth where nothing counts
    judged:      indices of the classes that the truth can tell; IoU of others means nothing
    """

    said: np.ndarray
    truth: np.ndarray
    labels: tuple[str, ...]
    judged: tuple[int, ...]

    @cached_property
    def confusion(self) -> np.ndarray:
        """[K, K] pixels: rows what they are, columns what was said."""
        return pixel_counts(self.said, self.truth, len(self.labels))

    @cached_property
    def ious(self) -> dict[int, float]:
        """Index of a class -> intersection over union, 0 to 1; of those that are there or were said."""
        every = shares_of(totals_of(self.confusion))["iou"]
        return {index: float(every[index]) for index in self.judged if not np.isnan(every[index])}

    @property
    def miou(self) -> float | None:
        """The mean over `ious`; None where nothing counts."""
        mean = mean_known(np.array([*self.ious.values()], np.float64))
        return None if np.isnan(mean) else mean

    @property
    def accuracy(self) -> float | None:
        """The share of the pixels that are right."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion) / total) if total else None

    def where(self, index: int | None = None) -> np.ndarray:
        """uint8 [H, W], which of `OUTCOMES` became of each pixel.

        index: for that class alone: what is not it and was not said to be it counts as background
        """
        nothing = self.labels[0] == "background" and index is None
        if index is None:
            blank_truth, blank_said = self.truth == 0, self.said == 0
            if not nothing:
                blank_truth = blank_said = np.zeros(self.said.shape, bool)
            same = self.truth == self.said
        else:
            blank_truth, blank_said = self.truth != index, self.said != index
            same = blank_truth == blank_said
        found = np.full(self.said.shape, 4, np.uint8)
        found[blank_said] = 2
        found[blank_truth] = 3
        found[same] = 1
        found[same & blank_truth] = 0
        found[self.truth == IGNORED] = 5
        return found

    def overlay(self, image: Image.Image, opacity: float = 0.6, *, index: int | None = None) -> Image.Image:
        """The photo with what agrees, what was missed and what is too much tinted; index: of one class."""
        return tinted(image, self.where(index), COLOURS, opacity)

    def __repr__(self) -> str:
        mean = "nothing counts" if self.miou is None else f"mean IoU {percent(self.miou)}"
        return f"JudgedMask({mean}, {len(self.ious)} classes)"


def judge(
    said: np.ndarray, truth: Any, labels: Sequence[str], classes: Sequence[str] | None = None
) -> JudgedMask:
    """A mask [H, W] beside the one that is known, [H, W] of whole numbers; 255 where nothing counts.

    labels:  the names of the network's classes;  classes: of the truth's, where they are others
    Raises ValueError for a mask of another size, and for classes that the network does not know.
    """
    known = np.asarray(truth)
    if known.ndim != 2 or known.dtype.kind not in "iub":
        raise ValueError(f"truth has the shape {list(known.shape)} and holds {known.dtype}: expected "
                         "[height, width] of whole numbers, the class of each pixel.")
    if known.shape != said.shape:
        raise ValueError(f"The true mask has {known.shape[1]} x {known.shape[0]} pixels and the photo "
                         f"{said.shape[1]} x {said.shape[0]}: a mask says for each pixel of the photo what "
                         "it is.")
    count = len(labels)
    places: list[int | None] = [*range(count)] if classes is None else match_names(labels, classes)
    table = np.full(256, -1, np.int64)
    for index, place in enumerate(places[:IGNORED]):
        table[index] = -1 if place is None else place
    table[IGNORED] = IGNORED
    values = np.unique(known)
    strange = [int(value) for value in values if not 0 <= value < 256 or table[value] < 0]
    if strange:
        names = [classes[value] if classes is not None and 0 <= value < len(classes) else f"class {value}"
                 for value in strange[:5]]
        own = ", ".join(labels[:8])
        raise ValueError(f"The true mask has {', '.join(map(repr, names))}, and the network knows {own}"
                         f"{', ...' if count > 8 else ''}.")
    judged = sorted({place for place in places if place is not None})
    return JudgedMask(said, table[known], tuple(labels), tuple(judged))
