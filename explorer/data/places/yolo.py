"""YOLO's text files: `images/` and `labels/`, a line a box: class, centre x and y, width, height, 0 to 1."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from explorer.data.errors import ImageError
from explorer.data.folders import DataError, Remains, below, printable, read_folder
from explorer.data.photo_sets import FromFiles
from explorer.data.places.place_set import PlaceSet
from explorer.data.places.tidying import GivenBox, Tidying, picture_size
from explorer.display.words import counted

MOST_BYTES = 4 * 1024**2  # of one text file
MOST_CLASSES = 10_000


def small_text(file: Path, most: int = MOST_BYTES) -> str:
    """What a text file holds. Raises DataError for one that is too large, or no text."""
    try:
        if file.stat().st_size > most:
            raise DataError(f"'{printable(file.name)}' has more than {most >> 20} MB: no such file is that "
                            "large.")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{printable(file.name)}' could not be read as text ({type(error).__name__}): save "
                        f"it "
                        "as UTF-8.") from None


def yolo_classes(folder: Path) -> tuple[str, ...]:
    """The class names that a folder's data.yaml, another YAML file or classes.txt gives; () without any."""
    found = (*folder.glob("*.yaml"), *folder.glob("*.yml"))
    files = sorted(found, key=lambda file: (file.stem != "data", file))
    for file in files:
        if names := _names_of(_yaml(file), file):
            return names
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return tuple(line.strip() for line in small_text(file).splitlines() if line.strip())
    return ()


def _yaml(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(small_text(file))  # plain values alone, no objects
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{printable(file.name)}' could not be read as YAML: correct it, or give the class "
                        "names in a classes.txt, one a line.") from None


def _names_of(content: Any, file: Path) -> tuple[str, ...]:
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if len(names) > MOST_CLASSES or sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"The names in '{printable(file.name)}' have other numbers than 0 to "
                            f"{len(names) - 1}: number them so.")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or len(names) > MOST_CLASSES:
        return ()
    return tuple(printable(str(name))[:200] for name in names if isinstance(name, (str, int, float)))


def read_yolo(images: Path, labels: Path, classes: tuple[str, ...]) -> PlaceSet:
    """The photos of a folder with the boxes of the text files that are called as they are.

    classes: () where nobody says: then they are "class 0", "class 1", ...
    A photo without a text file has no boxes. Raises DataError where there is no photo.
    """
    tree, passed = read_folder(images)
    tidying = Tidying(Remains())
    names, files, sizes, rows, bare = [], [], [], [], []
    for path in map(Path, tree.files()):
        name = printable(below(str(images), str(path)))
        try:
            size = picture_size(path)
        except ImageError:
            tidying.remains.add("can't be opened as a picture", name, photos=True)
            continue
        text = labels.joinpath(*path.relative_to(images).parts).with_suffix(".txt")
        if not text.is_file():
            bare.append(name)
        lines = small_text(text).splitlines() if text.is_file() else []
        names.append(name)
        files.append(path)
        sizes.append(size)
        rows.append(_boxes_of(lines, size, len(classes), tidying.remains, name))
    if not files:
        raise DataError(f"'{printable(str(images))}' holds no photo that can be opened.")
    most = max((one.label for row in rows for one in row), default=-1) + 1
    called = classes or tuple(f"class {i}" for i in range(most))
    boxes = tuple(tidying.boxes(row, size, name) for row, size, name in zip(rows, sizes, names))
    more = (f"{counted(len(bare), 'photo')} without a text file: taken as photos without any "
            f"box.",) if bare else ()
    return PlaceSet(called, tuple(names), FromFiles(tuple(files)), boxes, None, tuple(files), tuple(sizes),
                    bool(classes), (*map(str, passed.all()), *tidying.notes, *more))


def _boxes_of(lines: list[str], size: tuple[int, int], count: int, remains: Remains,
              name: str) -> list[GivenBox]:
    """The boxes of a photo's lines; of an outline (class, x, y, x, y, ...) the box around it."""
    wide, high = size
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        called = f"line {number} of {name}"
        try:
            label, *values = map(float, line.split())
        except ValueError:
            remains.add("a line that is no row of numbers", called)
            continue
        outline = len(values) >= 6 and len(values) % 2 == 0
        if not (len(values) == 4 or outline) or not all(map(math.isfinite, (label, *values))) \
                or max(map(abs, values)) > 1e4:
            remains.add("a line that is no class with four numbers, nor an outline", called)
            continue
        if label != int(label) or not 0 <= label < (count or MOST_CLASSES):
            remains.add("of a class that has no name", called)
            continue
        if outline:
            x, y = values[::2], values[1::2]
            box = (min(x) * wide, min(y) * high, max(x) * wide, max(y) * high)
        else:
            x, y, w, h = values
            box = ((x - w / 2) * wide, (y - h / 2) * high, (x + w / 2) * wide, (y + h / 2) * high)
        found.append(GivenBox(box, int(label)))
    return found
