"""How far two answers are the same: boxes matched one to one, masks pixel by pixel; classes joined by name.

Both measures are symmetric, and neither of the two answers is taken for the truth.

Of boxes it is the panoptic quality of one answer judged by the other: the sum of the matched boxes' IoU over
half of the number of boxes in both. It is 1 where the boxes are the same, and falls with each that has no
partner and with each pair that lies less well. A. Kirillov et al., "Panoptic Segmentation", CVPR 2019,
https://arxiv.org/abs/1801.00868, section 4.1. Of masks it is the mean of the classes' IoU, as of a
prediction judged by a truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

LEAST = 0.5  # IoU of two boxes that may be the same thing


@dataclass(frozen=True)
class BoxAgreement:
    """How far two detectors' boxes agree, of one class or of all, in one photo or in many.

    boxes: how many boxes the two have together;  pairs: how many of them are matched, two and two
    overlap_sum: of the pairs' IoU
    """

    boxes: int = 0
    pairs: int = 0
    overlap_sum: float = 0.0

    def __add__(self, other: BoxAgreement) -> BoxAgreement:
        return BoxAgreement(self.boxes + other.boxes, self.pairs + other.pairs,
                            self.overlap_sum + other.overlap_sum)

    @property
    def value(self) -> float:
        """`matched` times `overlap`, 0 to 1; NaN without any box."""
        return 2 * self.overlap_sum / self.boxes if self.boxes else nan

    @property
    def matched(self) -> float:
        """The share of the boxes that have a partner, 0 to 1; NaN without any box."""
        return 2 * self.pairs / self.boxes if self.boxes else nan

    @property
    def overlap(self) -> float:
        """The mean IoU of the pairs, from 0.5 to 1; NaN without any."""
        return self.overlap_sum / self.pairs if self.pairs else nan


@dataclass(frozen=True)
class MaskAgreement:
    """How far two masks agree on one class, in one photo or in many. shared, covered: pixels of that class in
    both, and in either.
    """

    shared: int = 0
    covered: int = 0

    def __add__(self, other: MaskAgreement) -> MaskAgreement:
        return MaskAgreement(self.shared + other.shared, self.covered + other.covered)

    @property
    def value(self) -> float:
        """Intersection over union, 0 to 1; NaN where neither has that class anywhere."""
        return self.shared / self.covered if self.covered else nan


ByClass = Mapping[str, BoxAgreement] | Mapping[str, MaskAgreement]
Of = TypeVar("Of", BoxAgreement, MaskAgreement)


def match_boxes(one: Tensor, other: Tensor, *, least: float = LEAST) -> list[tuple[int, int, float]]:
    """Boxes [N, 4] and [M, 4] xyxy of one class -> (place in one, place in other, IoU) of each pair.

    Each box is in one pair at most, no pair has an IoU below `least`, and of all such matchings it is one
    with the largest sum: so it is the same from both sides.
    """
    if not len(one) or not len(other):
        return []
    overlaps = box_iou(one.double(), other.double())
    overlaps = torch.where(overlaps >= least, overlaps, 0.0).nan_to_num().numpy()
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return [(int(row), int(column), float(overlaps[row, column])) for row, column in zip(rows, columns)
            if overlaps[row, column] > 0]


def boxes_by_class(
    one: Tensor, keys: Sequence[str], other: Tensor, other_keys: Sequence[str]
) -> dict[str, BoxAgreement]:
    """Boxes [N, 4] with the key of each one's class, and another's -> how far they agree, class by class.

    Boxes without area, of which no part can be shared, do not count.
    """
    found, places = {}, [_places_of_classes(*each) for each in ((one, keys), (other, other_keys))]
    for key in dict.fromkeys((*places[0], *places[1])):
        mine, theirs = (each.get(key, []) for each in places)
        pairs = match_boxes(one[mine], other[theirs])
        found[key] = BoxAgreement(len(mine) + len(theirs), len(pairs), sum(overlap for *_, overlap in pairs))
    return found


def _places_of_classes(boxes: Tensor, keys: Sequence[str]) -> dict[str, list[int]]:
    """Key -> the places of the boxes of that class."""
    large = (boxes[:, 2:] > boxes[:, :2]).all(dim=1).tolist()
    places: dict[str, list[int]] = {}
    for place, (key, counts) in enumerate(zip(keys, large)):
        if counts:
            places.setdefault(key, []).append(place)
    return places


@dataclass(frozen=True)
class Regions:
    """A mask with the names of its classes. mask: indices [H, W];  keys: of all classes, by index."""

    mask: np.ndarray
    keys: Sequence[str]
    areas: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counts = np.bincount(self.mask.ravel(), minlength=len(self.keys))
        areas = {key: int(count) for key, count in zip(self.keys, counts) if count}
        object.__setattr__(self, "areas", areas)


def masks_by_class(one: Regions, other: Regions) -> dict[str, MaskAgreement]:
    """How far two masks of one photo agree on each class that either has."""
    number = {key: place for place, key in enumerate(dict.fromkeys((*one.keys, *other.keys)))}
    first, second = (np.array([number[key] for key in each.keys])[each.mask] for each in (one, other))
    both = np.bincount(first[first == second], minlength=len(number))
    found = {}
    for key in dict.fromkeys((*one.areas, *other.areas)):
        shared = int(both[number[key]])
        found[key] = MaskAgreement(shared, one.areas.get(key, 0) + other.areas.get(key, 0) - shared)
    return found


def joined(parts: Iterable[Mapping[str, Of]]) -> dict[str, Of]:
    """Several photos' agreements as one."""
    found: dict[str, Of] = {}
    for part in parts:
        for key, value in part.items():
            found[key] = found[key] + value if key in found else value
    return found


def of_all_boxes(parts: Mapping[str, BoxAgreement]) -> BoxAgreement:
    return sum(parts.values(), BoxAgreement())


def mean_of_masks(parts: Mapping[str, MaskAgreement]) -> float:
    """The mean IoU of the classes; NaN without any."""
    return float(np.mean([part.value for part in parts.values()])) if parts else nan
