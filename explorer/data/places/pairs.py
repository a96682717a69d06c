"""Data sets of (photo, target), as torchvision's are: boxes in a dict, or a mask beside the photo.

The target of a photo is a dict with `boxes` [N, 4] xyxy and `labels` [N] (and `iscrowd`, `area`,
`masks` [N, H, W]), a list of
COCO annotations (torchvision's CocoDetection), what VOCDetection makes of an XML file, or a mask: a picture
or an array [H, W] of class indices, 255 where nothing counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.errors import ImageError
from explorer.data.folders import DataError, listed
from explorer.data.images import load_image
from explorer.data.places.place_set import Boxes, PlaceSet
from explorer.data.places.shapes import runs_of
from explorer.data.places.tidying import GivenBox, Tidying, four_numbers

VOC_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class PhotosOf:
    """Opens the photo of an index out of a data set of (photo, target)."""

    dataset: Any = field(repr=False)

    def __call__(self, index: int) -> Image.Image:
        return load_image(self.dataset[index][0])


@dataclass(frozen=True, eq=False)
class MasksOf:
    """Opens the mask of an index out of a data set of (photo, mask)."""

    dataset: Any = field(repr=False)

    def __call__(self, index: int) -> np.ndarray:
        mask = as_array(self.dataset[index][1])
        if mask is None or mask.ndim != 2 or mask.dtype.kind not in "uib" or mask.min(initial=0) < 0 \
                or mask.max(initial=0) > 255:
            raise ImageError(f"The mask of photo {index} is no picture [H, W] of class indices from 0 to "
                             f"254, "
                             "and 255 where nothing counts.")
        return mask.astype(np.uint8)


def as_array(value: Any) -> np.ndarray | None:
    """A picture, array or tensor as an array; None for anything else."""
    if isinstance(value, Image.Image):
        return np.asarray(value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        return None
    return value[0] if value.ndim == 3 and value.shape[0] == 1 else value


def is_pairs(data: Any) -> bool:
    """Whether it gives (photo, boxes or mask) by index."""
    if isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__getitem__") \
            or not hasattr(data, "__len__") or not len(data):
        return False
    try:
        first = data[0]
    except (KeyError, IndexError, TypeError):
        return False
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        return False
    target = first[1]
    if isinstance(target, Mapping):
        return "boxes" in target or "annotation" in target
    if isinstance(target, list):
        return all(isinstance(one, Mapping) for one in target)
    found = as_array(target)
    return found is not None and found.ndim == 2


def read_pairs(dataset: Any, *, classes: Sequence[str] = ()) -> PlaceSet:
    """The photos of a data set. classes: their names; () takes those that it has itself.

    Each photo is opened once where the targets are boxes, since such data sets give both together.
    Raises DataError for targets that are neither boxes nor masks.
    """
    if not is_pairs(dataset):
        raise DataError("This is no data set of photos with boxes or masks: expected (photo, "
                        "{'boxes': [N, 4], "
                        "'labels': [N]}) or (photo, mask [H, W]) by index.")
    names = tuple(f"photo {i}" for i in range(len(dataset)))
    known = tuple(classes) or _own_classes(dataset)
    if as_array(dataset[0][1]) is not None:
        masks = MasksOf(dataset)
        if not known:
            found = [masks(i) for i in range(len(dataset))]
            most = max(int(mask[mask < 255].max(initial=0)) for mask in found) + 1
        called = known or ("background", *(f"class {i}" for i in range(1, most)))
        return PlaceSet(called, names, PhotosOf(dataset), None, masks, named=bool(known))
    return _with_boxes(dataset, names, known)


def _with_boxes(dataset: Any, names: tuple[str, ...], known: tuple[str, ...]) -> PlaceSet:
    tidying = Tidying()
    place_of = _coco_places(dataset)
    rows, sizes, words = [], [], {}
    for index, name in enumerate(names):
        photo, target = dataset[index]
        size = load_image(photo).size
        if isinstance(target, Mapping) and "annotation" in target:
            found = _of_voc(target["annotation"], words)
        elif isinstance(target, list):
            found = _of_coco(target, place_of)
        elif isinstance(target, Mapping) and "boxes" in target:
            found = _of_dict(target, size, name)
        else:
            raise DataError(f"The target of {name} has no boxes: expected a dict with 'boxes' [N, 4] and "
                            "'labels' [N].")
        rows.append(found)
        sizes.append(size)
    if words:  # class names, in the order in which they were found: the alphabet's is told to everybody alike
        order = sorted(words, key=lambda word: word)
        moved = {words[word]: place for place, word in enumerate(order)}
        rows = [[replace(one, label=moved[one.label]) for one in row] for row in rows]
        known = tuple(order)
    most = max((one.label for row in rows for one in row), default=-1) + 1
    if known and most > len(known):
        raise DataError(f"The data have the class {most - 1}, and {len(known)} classes have names "
                        f"({listed(known)}), from 0 on.")
    called = known or tuple(f"class {i}" for i in range(most))
    boxes: tuple[Boxes, ...] = tuple(map(tidying.boxes, rows, sizes, names))
    return PlaceSet(called, names, PhotosOf(dataset), boxes, None, (), tuple(sizes), bool(known),
                    tidying.notes)


def _own_classes(dataset: Any) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    coco = getattr(getattr(dataset, "coco", None), "cats", None)
    if isinstance(coco, Mapping):
        return tuple(str(coco[key]["name"]) for key in sorted(coco))
    return ()


def _coco_places(dataset: Any) -> dict[int, int]:
    coco = getattr(getattr(dataset, "coco", None), "cats", None)
    return {key: place for place, key in enumerate(sorted(coco))} if isinstance(coco, Mapping) else {}


def _of_coco(target: list[Mapping[str, Any]], place_of: Mapping[int, int]) -> list[GivenBox]:
    found = []
    for one in target:
        row = four_numbers(one.get("bbox"))
        key = one.get("category_id")
        if row is None or not isinstance(key, int):
            raise DataError("An annotation has no bbox of four numbers, or no category_id: correct it.")
        box = (row[0], row[1], row[0] + row[2], row[1] + row[3])
        found.append(GivenBox(box, place_of.get(key, key), bool(one.get("iscrowd", 0)), one.get("area"),
                              one.get("segmentation")))
    return found


def _of_voc(annotation: Mapping[str, Any], words: dict[str, int]) -> list[GivenBox]:
    objects = annotation.get("object", [])
    found = []
    for one in objects if isinstance(objects, list) else [objects]:
        row = four_numbers([float(one["bndbox"][side]) for side in VOC_SIDES])
        if row is None:
            raise DataError("An object's bndbox is not four numbers: correct it.")
        box = (row[0] - 1, row[1] - 1, row[2], row[3])
        label = words.setdefault(str(one["name"]), len(words))
        found.append(GivenBox(box, label, str(one.get("difficult", "0")) == "1"))
    return found


def _of_dict(target: Mapping[str, Any], size: tuple[int, int], name: str) -> list[GivenBox]:
    given = target["boxes"]
    way = str(getattr(getattr(given, "format", None), "name", "XYXY"))
    boxes, labels = _numbers(given), _numbers(target.get("labels", [])).reshape(-1)
    if boxes.size % 4:
        raise DataError(f"The boxes of {name} have the shape {list(boxes.shape)}: expected [N, 4], left, "
                        "top, right, bottom in pixels.")
    boxes = boxes.reshape(-1, 4)
    crowd = _numbers(target.get("iscrowd", np.zeros(len(boxes)))).reshape(-1)
    areas = _numbers(target.get("area", np.zeros(len(boxes)))).reshape(-1)
    if not len(boxes) == len(labels) == len(crowd) == len(areas):
        raise DataError(f"The target of {name} has {len(boxes)} boxes and {len(labels)} labels: expected a "
                        f"label "
                        "a box.")
    if not np.isfinite(boxes).all() or (labels < 0).any() or (labels != labels.round()).any():
        raise DataError(f"The target of {name} has boxes or labels that are no numbers: expected finite "
                        f"boxes and "
                        "whole labels from 0.")
    if way == "XYWH":
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    elif way == "CXCYWH":
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    elif way != "XYXY":
        raise DataError(f"The boxes of {name} are {way}: give them as XYXY, left, top, right, bottom.")
    rows = zip(boxes.tolist(), labels.tolist(), crowd.tolist(), areas.tolist(),
               _shapes(target, len(boxes), size, name))
    return [GivenBox(box, int(label), bool(hidden), float(area), shape)
            for box, label, hidden, area, shape in rows]


def _shapes(target: Mapping[str, Any], count: int, size: tuple[int, int], name: str) -> list[Any]:
    """The run lengths of each thing, where the target has `masks` [N, H, W]."""
    if "masks" not in target:
        return [None] * count
    given = target["masks"]
    masks = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if masks.shape != (count, size[1], size[0]):
        raise DataError(f"The target of {name} has {count} boxes and masks {list(masks.shape)}: expected a "
                        f"mask a box, [{count}, {size[1]}, {size[0]}].")
    return [runs_of(mask > 0) for mask in masks]


def _numbers(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise DataError("Boxes and labels are expected as tensors, arrays or lists of numbers.") from None
