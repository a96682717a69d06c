"""COCO's JSON: images, annotations, categories (Lin et al. 2014, https://arxiv.org/abs/1405.0312).

    places = read_coco(Path("instances_val2017.json"), "detection")      # a PlaceSet with boxes
    places = read_coco(Path("instances_val2017.json"), "segmentation")   # the same things painted as masks

Nothing in such a file is trusted: a photo is sought below the file's own folder alone, and whatever can't be
meant is left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from explorer.data.errors import ImageError
from explorer.data.folders import DataError, is_picture, printable
from explorer.data.photo_sets import FromFiles
from explorer.data.picture_files import MAX_PIXELS
from explorer.data.places.place_set import IGNORED, Boxes, PlaceSet, Size
from explorer.data.places.shapes import shape_box, shape_mask
from explorer.data.places.tidying import GivenBox, Tidying, four_numbers, picture_size

MOST_BYTES = 800 * 1024**2  # COCO's own largest file has 450 MB
MOST_CLASSES = 10_000
LONGEST = 200  # letters of a class's name
MISSING = "there is no such file"
MOST_MASK_CLASSES = 255  # with the background; one byte a pixel, and 255 means that nothing counts


@dataclass(frozen=True)
class _Photo:
    file: Path
    name: str
    size: Size | None


@dataclass(frozen=True, eq=False)
class PaintedMasks:
    """Paints the things of a photo into a mask: crowds, then the largest first, so that what lies upon it
    stays seen.

    things: of each photo (shape, class or `IGNORED`), in the order in which they are painted
    """

    things: tuple[tuple[tuple[Any, int], ...], ...] = field(repr=False)
    sizes: tuple[Size, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)

    def __call__(self, index: int) -> np.ndarray:
        width, height = self.sizes[index]
        mask = np.zeros((height, width), np.uint8)
        for shape, value in self.things[index]:
            painted = shape_mask(shape, self.sizes[index])
            if painted is None:
                raise ImageError(f"'{self.names[index]}' has a thing whose outline is no polygon and no run "
                                 "lengths of its size: correct the annotation.")
            mask[painted] = value
        return mask


def read_json(file: Path) -> Any:
    """What a JSON file holds. Raises DataError for one that is too large, or is none."""
    shown = printable(file.name)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"'{shown}' has {file.stat().st_size / 1024**2:,.0f} MB, more than the "
                            f"{MOST_BYTES >> 20} MB that are read: split it by photos.")
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{shown}' could not be read as JSON ({type(error).__name__}): export it again.") \
            from None


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), list)
                                             for key in ("images", "annotations", "categories"))


def read_coco(file: Path, task: str, *, content: Any = None) -> PlaceSet:
    """The photos of a COCO file, with boxes (task "detection") or masks ("segmentation").

    content: what the file holds, where it has been read already
    Raises DataError for what is no such file, or where none of its photos is there.
    """
    content = read_json(file) if content is None else content
    if not is_coco(content):
        raise DataError(f"'{printable(file.name)}' is no file of COCO's: expected a JSON object with lists "
                        f"of "
                        "images, annotations and categories.")
    tidying = Tidying()
    classes, place_of = _classes(content["categories"], file)
    photos = _photos(content["images"], file, tidying)
    if not photos:
        reasons = [one for one in tidying.remains.all() if one.why != MISSING]
        raise DataError(f"None of the {len(content['images'])} photos that '{printable(file.name)}' names "
                        f"lies "
                        f"beside it, or in a folder 'images' there: put them there."
                        f"{' ' + str(reasons[0]) if reasons else ''}")
    things = _by_photo(content["annotations"], photos, place_of, tidying)
    if task == "segmentation":
        return _with_masks(classes, photos, things, tidying)
    boxes: list[Boxes] = []
    for key, photo in photos.items():
        given = (replace(one, shape=shape) for one, shape in things[key])
        boxes.append(tidying.boxes(given, photo.size, photo.name))
    return _place_set(classes, list(photos.values()), tidying.notes, boxes=tuple(boxes))


def _place_set(classes: tuple[str, ...], photos: list[_Photo], notes: tuple[str, ...],
               **more: Any) -> PlaceSet:
    files = tuple(photo.file for photo in photos)
    return PlaceSet(classes, tuple(photo.name for photo in photos), FromFiles(files), files=files,
                    sizes=tuple(photo.size for photo in photos), notes=notes, **more)


def _with_masks(classes: tuple[str, ...], photos: Mapping[Any, _Photo], things: Mapping[Any, list],
                tidying: Tidying) -> PlaceSet:
    background = classes and classes[0].casefold() == "background"
    shift = 0 if background else 1
    named = classes if background else ("background", *classes)
    if len(named) > MOST_MASK_CLASSES:
        raise DataError(f"There are {len(named)} classes, and a mask holds {MOST_MASK_CLASSES}: leave some "
                        f"out.")
    kept, shapes = [], []
    for key, photo in photos.items():
        if photo.size is None or photo.size[0] * photo.size[1] > MAX_PIXELS:
            tidying.remains.add("no usable width and height in the file", photo.name, photos=True)
            continue
        kept.append(photo)
        order = sorted(things[key], key=lambda thing: (not thing[0].crowd, -_area_of(thing[0])))
        shapes.append(tuple((shape, IGNORED if one.crowd else one.label + shift) for one, shape in order))
    painted = PaintedMasks(tuple(shapes), tuple(photo.size for photo in kept),
                           tuple(photo.name for photo in kept))
    return _place_set(named, kept, tidying.notes, open_mask=painted)


def _area_of(one: GivenBox) -> float:
    left, top, right, bottom = one.box
    return (right - left) * (bottom - top) if one.area is None else one.area


def _classes(categories: list[Any], file: Path) -> tuple[tuple[str, ...], dict[int, int]]:
    """(the names in the order of their ids, id -> index)."""
    rows = [(whole_of(one.get("id")), one.get("name")) for one in categories if isinstance(one, dict)]
    good = [(key, printable(name)[:LONGEST]) for key, name in rows
            if isinstance(key, int) and not isinstance(key, bool) and isinstance(name, str) and name.strip()]
    if not good or len(good) < len(categories) or len({key for key, _ in good}) < len(good) \
            or len(good) > MOST_CLASSES:
        raise DataError(f"The categories of '{printable(file.name)}' can't be told apart: expected 1 to "
                        f"{MOST_CLASSES:,}, each with an id of its own, a whole number, and a name.")
    places: dict[str, int] = {}
    return tuple(dict.fromkeys(name for _, name in sorted(good))), {
        key: places.setdefault(name, len(places)) for key, name in sorted(good)}  # of one name, one class


def whole_of(number: Any) -> Any:
    """An id as it is meant: tables write whole numbers as 3.0."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _photos(images: list[Any], file: Path, tidying: Tidying) -> dict[Any, _Photo]:
    """id -> the photo, of those that are there."""
    folders = _folders(file)
    found: dict[Any, _Photo] = {}
    for position, image in enumerate(images, 1):
        key = whole_of(image.get("id")) if isinstance(image, dict) else None
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(key, (int, str)) or not isinstance(name, str):
            tidying.remains.add("an entry without id or file_name", f"image {position} of the file")
            continue
        parts = safe_parts(name)
        shown = printable(name)[:200]
        if parts is None:
            tidying.remains.add("a file_name that leads out of the folder, or is no "
                                "picture's", shown, photos=True)
            continue
        if key in found:
            tidying.remains.add("an id that another photo has", shown, photos=True)
            continue
        path = next((path for folder in folders if (path := folder.joinpath(*parts)).is_file()), None)
        if path is None:
            tidying.remains.add(MISSING, shown, photos=True)
            continue
        try:
            found[key] = _Photo(path, shown, _size_of(image) or picture_size(path))
        except ImageError:
            tidying.remains.add("can't be opened as a picture", shown, photos=True)
    return found


def _size_of(image: Mapping[str, Any]) -> Size | None:
    wide, high = image.get("width"), image.get("height")
    if not isinstance(wide, int) or not isinstance(high, int):
        return None
    return (wide, high) if 0 < wide < 10**6 and 0 < high < 10**6 else None


def safe_parts(name: str) -> tuple[str, ...] | None:
    """The parts of a picture's relative path; None for one that leads elsewhere, or is no picture's."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or not place.parts or "\0" in name or len(name) > 1000:
        return None
    if ".." in place.parts or ":" in place.parts[0] or place.parts[0].startswith("~"):
        return None
    return place.parts if is_picture(place.name) else None


def _folders(file: Path) -> list[Path]:
    """Where the photos of such a file may lie: beside it, or as COCO unpacks them."""
    split = file.stem.split("_")[-1]  # instances_val2017
    homes = [file.parent] if file.parent.name != "annotations" else [file.parent.parent, file.parent]
    return [home / below for home in homes for below in ("", "images", split, f"images/{split}", "data")]


def _by_photo(annotations: list[Any], photos: Mapping[Any, _Photo], place_of: Mapping[int, int],
              tidying: Tidying) -> dict[Any, list[tuple[GivenBox, Any]]]:
    """The things of each photo: a box and a shape each."""
    found: dict[Any, list[tuple[GivenBox, Any]]] = {key: [] for key in photos}
    for position, one in enumerate(annotations, 1):
        called = f"annotation {position}"
        if not isinstance(one, dict):
            tidying.remains.add("no annotation of COCO's", called)
            continue
        key, category = whole_of(one.get("image_id")), whole_of(one.get("category_id"))
        if not isinstance(key, (int, str)) or key not in photos:
            tidying.remains.add("of a photo that is not there", called)
            continue
        if not isinstance(category, int) or category not in place_of:
            tidying.remains.add("of a class that the file does not name", f"{called} ({photos[key].name})")
            continue
        shape, row = one.get("segmentation"), four_numbers(one.get("bbox"))
        box = shape_box(shape) if row is None else (row[0], row[1], row[0] + row[2], row[1] + row[3])
        if box is None:
            tidying.remains.add("a box that is not four numbers", f"{called} ({photos[key].name})")
            continue
        area = one.get("area")
        measured = float(area) if isinstance(area, (int, float)) and 0 < area < 1e12 else None
        crowd = one.get("iscrowd", 0) in (1, True)
        found[key].append((GivenBox(box, place_of[category], crowd, measured), shape))
    return found
