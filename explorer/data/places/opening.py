"""Photos with boxes or masks, by whatever way they are given.

    open_places("coco/", "detection")             # PlaceSplits: to learn from, to judge by
    open_places("instances_val.json", "detection")
    open_places("cells/", "segmentation")         # images/ and masks/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.arguments import checked, number
from explorer.data.collection import existing_folder
from explorer.data.folder_words import MASKS, PHOTOS, role_of
from explorer.data.folders import DataError, find_pictures, listed, printable
from explorer.data.places.coco import is_coco, read_coco, read_json
from explorer.data.places.mask_folders import class_names_beside, read_masks
from explorer.data.places.pairs import is_pairs, read_pairs
from explorer.data.places.place_set import PlaceSet, PlaceSplits, held_out
from explorer.data.places.voc import read_voc
from explorer.data.places.yolo import read_yolo, small_text, yolo_classes
from explorer.data.samples import WITH_PLACES, sample_places
from explorer.files import given_path

#: task -> the folder that holds such data, for a sentence
WANTED = {"detection": "a folder with boxes (as COCO, YOLO or Pascal VOC keep them)",
          "segmentation": "a folder with masks (images/ and masks/, or COCO's outlines)"}
TASKS = (*WANTED,)
Parts = dict[str, PlaceSet]  # by role: "train", "val", "test", or "all"


@checked(val_share=number(0, 1))
def open_places(data: Any, task: str, *, val_share: float = 0.2, seed: int = 0) -> PlaceSplits | PlaceSet:
    """What is where in photos: a set, or two of them where they are, or can be, split.

    data: a folder with COCO's JSON files, YOLO's images/ and labels/, Pascal VOC's Annotations/, or images/
          and masks/; in any of these train/ and val/ as they are usual; a COCO file; a data set of
          (photo, target), see `read_pairs`; a pair or a dict (train, val) of these; a PlaceSet, which stays
          as it is; "bccd" or "nuclei", the few photos that come along (`sample_places`)
    task: "detection" for boxes, "segmentation" for masks (COCO's outlines are painted)
    val_share, seed: which photos of a folder are held out where nobody has split, and how many

    A COCO file, a data set and a PlaceSet are one set each; anything else is PlaceSplits.
    Raises DataError, with what to do, for what holds neither boxes nor masks.
    """
    if task not in TASKS:
        raise DataError(f"task is {task!r}: expected one of {', '.join(TASKS)}.")
    if isinstance(data, (PlaceSet, PlaceSplits)):
        return _of_task(data, task)
    if isinstance(data, Mapping):
        roles = {(role_of(str(key)) or ("", ""))[0]: value for key, value in data.items()}
        if "train" not in roles or not roles.keys() & {"val", "test"}:
            raise DataError("The dict has no 'train' and 'val': give both, or one set alone.")
        data = (roles["train"], roles.get("val", roles.get("test")))
    if isinstance(data, (tuple, list)) and len(data) == 2 and not is_pairs(data):
        train, val = (_one_set(part, task) for part in data)
        return _checked("the data", train, val)
    if isinstance(data, (str, os.PathLike)):
        path = given_path(data, "data")
        if path.is_file() and path.suffix.lower() == ".json":
            return read_coco(path, task)
        if isinstance(data, str) and data in WITH_PLACES and not path.exists():
            return _of_task(sample_places(data), task)
        names = " or ".join(map(repr, WITH_PLACES))
        folder = existing_folder(data, "data", f", a COCO file, or one of the names {names}", WANTED[task])
        return _of_folder(folder, task, val_share, seed)
    return _of_task(read_pairs(data), task)


def _one_set(data: Any, task: str) -> PlaceSet:
    found = open_places(data, task)
    return found.part("all") if isinstance(found, PlaceSplits) else found


def _of_task(data: Any, task: str) -> Any:
    there = (data.train if isinstance(data, PlaceSplits) else data).task
    if there != task:
        wanted, given = ("boxes", "masks") if task == "detection" else ("masks", "boxes")
        raise DataError(f"The data has {given}, and {wanted} are wanted: give photos with {wanted}.")
    return data


def _checked(name: str, train: PlaceSet, val: PlaceSet) -> PlaceSplits:
    if train.classes != val.classes:
        raise DataError(f"The photos to learn from have the classes {listed(train.classes)}, those to judge "
                        f"by "
                        f"{listed(val.classes)}: give both with the same ones, in the same order.")
    return PlaceSplits(name, train, val, tuple(dict.fromkeys((*train.notes, *val.notes))))


# --- folders ------------------------------------------------------------------------------------------------


def _of_folder(folder: Path, task: str, val_share: float, seed: int) -> PlaceSplits:
    name = printable(folder.name or folder.resolve().name)
    readers: tuple[Callable[[Path, str], Parts], ...] = (_coco_parts, _yolo_parts, _voc_parts) \
        if task == "detection" else (_mask_parts, _coco_parts)
    try:
        parts: Parts = next((found for reader in readers if (found := reader(folder, task))), {})
    except OSError as error:  # a folder that may not be read, a disk that went away
        raise DataError(f"'{name}' can't be read: {error.strerror or error}.") from None
    if not parts:
        wanted = ("COCO's JSON files, YOLO's 'images' and 'labels', or Pascal VOC's 'Annotations'"
                  if task == "detection" else "the folders 'images' and 'masks', or COCO's JSON files")
        raise DataError(f"'{name}' holds no {'boxes' if task == 'detection' else 'masks'}: expected "
                        f"{wanted}.")
    if "all" in parts:
        return held_out(name, parts["all"], val_share, seed)
    learnt, judged = parts.get("train"), parts.get("val") or parts.get("test")
    if learnt is None or judged is None:
        return held_out(name, next(iter(parts.values())), val_share, seed)
    if "val" in parts and "test" in parts:
        note = f"{len(parts['test'])} photos are for a test: not learnt from, nor judged by meanwhile."
        learnt = replace(learnt, notes=(*learnt.notes, note))
    return _checked(name, learnt, judged)


def _roles_below(folder: Path) -> dict[str, Path]:
    """The subfolders that are called like splits, by role; of several for one role the first by name."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and (role := role_of(path.name)) is not None:
            found.setdefault(role[0], path)
    return found


def _child(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first subfolder that is called as one of these, whatever its case."""
    there = {path.name.casefold(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return next((there[name.casefold()] for name in names if name.casefold() in there), None)


def _coco_parts(folder: Path, task: str) -> Parts:
    homes = [folder, folder / "annotations", *_roles_below(folder).values()]
    files = [file for home in homes if home.is_dir() for file in sorted(home.glob("*.json"))]
    of_things = [file for file in files if file.stem.startswith("instances")]
    found: dict[str, tuple[Path, Any]] = {}
    for file in of_things or files:
        content = read_json(file)
        if not is_coco(content):
            continue
        role = role_of(file.stem) or (role_of(file.parent.name) if file.parent != folder else None)
        key = role[0] if role else "all"
        if key in found:
            raise DataError(f"'{printable(folder.name)}' has several COCO files, '{printable(file.name)}' "
                            f"and "
                            f"'{printable(found[key][0].name)}': give the one that is meant, or a pair.")
        found[key] = file, content
    if len(found) > 1:
        found.pop("all", None)
    return {role: read_coco(file, task, content=content) for role, (file, content) in found.items()}


def _yolo_parts(folder: Path, task: str) -> Parts:
    pairs = _two_folders(folder, PHOTOS[:1], ("labels",))
    if not any(next(labels.rglob("*.txt"), None) for _, labels in pairs.values()):
        return {}
    classes = yolo_classes(folder)
    found = {role: read_yolo(photos, labels, classes) for role, (photos, labels) in pairs.items()}
    if not classes:  # each part knows those alone that it has
        most = max((one.classes for one in found.values()), key=len)
        found = {role: replace(one, classes=most) for role, one in found.items()}
    return found


def _voc_parts(folder: Path, task: str) -> Parts:
    annotations = _child(folder, ("Annotations", "annotations", "xml", "labels"))
    if annotations is None or next(annotations.glob("*.xml"), None) is None:
        if next(folder.glob("*.xml"), None) is None:
            return {}
        annotations = folder
    photos = _child(folder, PHOTOS) or folder
    whole = read_voc(folder, annotations, photos)
    lists = {role: file for role in ("train", "val", "test")
             if (file := folder / "ImageSets" / "Main" / f"{role}.txt").is_file()}
    if "train" not in lists or len(lists) < 2:
        return {"all": whole}
    return {role: read_voc(folder, annotations, photos, classes=whole.classes,
                           stems=[line.split()[0] for line in small_text(file).splitlines() if line.split()])
            for role, file in lists.items()}


def _mask_parts(folder: Path, task: str) -> Parts:
    pairs = {role: (photos, masks) for role, (photos, masks) in _two_folders(folder, PHOTOS, MASKS).items()
             if find_pictures(masks)[0]}
    found: Parts = {}
    for role in sorted(pairs, key=("train", "all", "val", "test").index):
        photos, masks = pairs[role]
        found[role] = read_masks(photos, masks, start=folder, names=class_names_beside(folder, masks),
                                 like=found.get("train"))
    return found


def _two_folders(folder: Path, first: tuple[str, ...],
                 second: tuple[str, ...]) -> dict[str, tuple[Path, Path]]:
    """role -> (the folder of photos, that of what is known of them): train/images, images/train, images."""
    found = {}
    for role, below in _roles_below(folder).items():
        one, other = _child(below, first), _child(below, second)
        if one and other:
            found[role] = one, other
    one, other = _child(folder, first), _child(folder, second)
    if found or not (one and other):
        return found
    there, known = _roles_below(one), _roles_below(other)
    split = {role: (there[role], known[role]) for role in there if role in known}
    return split or {"all": (one, other)}
