"""Folders of masks: `images/` and `masks/`, a picture a photo that says for each pixel what it is.

A mask holds indices (a grey or a palette picture; 255 counts neither way), two values (0 and anything else),
the numbers of single things (16 bits, or a folder called `instances`: then all of them are one class), or
colours. Which, is found from all masks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from explorer.data.errors import ImageError
from explorer.data.folder_words import ENDINGS
from explorer.data.folders import DataError, Remains, below, listed, printable, read_folder
from explorer.data.photo_sets import FromFiles
from explorer.data.picture_files import MAX_PIXELS, open_path
from explorer.data.places.place_set import IGNORED, PlaceSet
from explorer.data.places.yolo import small_text
from explorer.data.reading import in_order

MOST_CLASSES = 255
MOST_VALUES = 70_000  # different values of all masks together
VOC_BORDER = 0xE0E0C0  # in VOC's coloured masks: what counts neither way
NAME_FILES = ("classes.txt", "labels.txt", "names.txt")


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """Opens the mask of an index from its file.

    values:  the numbers that stand in the masks, ascending;  indices: the class of each
    colours: whether the numbers are colours, red * 65536 + green * 256 + blue
    """

    files: tuple[Path, ...] = field(repr=False)
    values: np.ndarray
    indices: np.ndarray
    colours: bool = False

    def __call__(self, index: int) -> np.ndarray:
        found = mask_values(self.files[index])
        if found.colours and not self.colours:
            raise ImageError(f"'{self.files[index].name}' holds colours, and the other masks do not: save it "
                             f"as "
                             "they are.")
        # grey among colours is one of them
        pixels = found.pixels * 0x010101 if self.colours and not found.colours else found.pixels
        places = np.searchsorted(self.values, pixels).clip(max=len(self.values) - 1)
        if (self.values[places] != pixels).any():
            raise ImageError(f"'{self.files[index].name}' holds a value that is none of the classes': "
                             f"correct the "
                             "mask, or name the class in classes.txt.")
        return self.indices[places].astype(np.uint8)


#: how masks are read, the classes, whether somebody named them, notes
Meaning = tuple[MaskFiles, tuple[str, ...], bool, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class MaskValues:
    """pixels: int64 [H, W];  colours: whether they are colours, as one number each."""

    pixels: np.ndarray
    colours: bool


def mask_values(file: Path) -> MaskValues:
    """The numbers in a mask, of a palette picture its indices. Raises ImageError."""
    picture = open_path(str(file), MAX_PIXELS)
    if picture.mode in ("LA", "La"):
        picture = picture.convert("L")
    if picture.mode in ("1", "L", "P") or picture.mode.startswith("I"):
        return MaskValues(np.asarray(picture).astype(np.int64), False)
    if picture.mode == "F":
        raise ImageError(f"'{file.name}' holds fractions: a mask holds whole numbers or colours.")
    bands = np.asarray(picture.convert("RGB")).astype(np.int64)
    if (bands == bands[..., :1]).all():
        return MaskValues(bands[..., 0], False)
    return MaskValues(bands @ np.array([65536, 256, 1]), True)


def read_masks(images: Path, masks: Path, *, start: Path, names: Sequence[str] = (),
               like: PlaceSet | None = None) -> PlaceSet:
    """The photos of a folder with the masks that are called as they are ("a.jpg": "a.png" or "a_mask.png").

    start: the folder that names are told from;  names: of the classes, by index
    like:  read as those masks are: the part that is learnt from
    Raises DataError where no photo has a mask, or they are no masks.
    """
    tree, passed = read_folder(images)
    remains = Remains()
    found = _by_name(masks)
    pairs = []
    for path in map(Path, tree.files()):
        key = path.relative_to(images).with_suffix("").as_posix()
        if key in found:
            pairs.append((path, found[key]))
        else:
            remains.add("a photo without a mask", printable(below(str(start), str(path))), photos=True)
    if not pairs:
        raise DataError(f"No photo in '{printable(str(images))}' has a mask that is called as it is in "
                        f"'{printable(str(masks))}'.")
    files, of_masks = zip(*pairs)
    if like is not None and isinstance(like.open_mask, MaskFiles):
        known = like.open_mask
        classes, named, notes = like.classes, like.named, ()
    else:
        known, classes, named, notes = _meaning(of_masks, names, masks.name.lower().startswith("instance"))
    called = tuple(printable(below(str(start), str(path))) for path in files)
    return PlaceSet(classes, called, FromFiles(files), None,
                    MaskFiles(of_masks, known.values, known.indices, known.colours), files, (), named,
                    (*map(str, (*passed.all(), *remains.all())), *notes))


def _by_name(masks: Path) -> dict[str, Path]:
    """The masks by the name of their photo, without its ending."""
    tree, _ = read_folder(masks)
    found: dict[str, Path] = {}
    for path in map(Path, tree.files()):
        key = path.relative_to(masks).with_suffix("").as_posix()
        found[key] = path
        for ending in ENDINGS:
            if key.endswith(ending):
                found.setdefault(key[:-len(ending)], path)
    return found


def _meaning(files: Sequence[Path], names: Sequence[str], things: bool) -> Meaning:
    """What all masks together mean."""
    values, colours, unread = _all_values(files)
    if not values:
        raise DataError(f"None of the {len(files)} masks can be opened. The first: {unread[0]}")
    seen = np.array(sorted(values), np.int64)
    if colours:
        return _by_colour(seen, names)
    two = len(seen) <= 2 and seen[0] == 0 and seen[-1] > 1 and len(names) < 3
    if two or things or seen[-1] > IGNORED:
        if len(names) > 2:
            raise DataError(f"The masks hold numbers up to {seen[-1]}, and there are {len(names)} class "
                            f"names: "
                            "give masks of class indices.")
        notes = () if two else ("The masks hold a number for each single thing: all of them are taken as one "
                                "class.",)
        classes = tuple(names) if len(names) == 2 else ("background", *(names or ("foreground",)))[:2]
        return MaskFiles((), seen, np.minimum(seen, 1)), classes, bool(names), notes
    most = int(seen[seen < IGNORED].max(initial=0)) + 1
    if names and most > len(names):
        raise DataError(f"The masks hold the class {most - 1}, and {len(names)} classes have names "
                        f"({listed(names)}), from 0 on: name them all.")
    classes = tuple(names) or ("background", *(f"class {i}" for i in range(1, most)))
    every = np.arange(256)
    allowed = every[(every < len(classes)) | (every == IGNORED)]
    return MaskFiles((), allowed, allowed), classes, bool(names), ()


def _by_colour(seen: np.ndarray, names: Sequence[str]) -> Meaning:
    if set(seen.tolist()) <= {*VOC_COLOURS.tolist(), VOC_BORDER} and len(names) in (0, 21):
        values = np.append(VOC_COLOURS, VOC_BORDER)
        indices = np.append(np.arange(len(VOC_COLOURS)), IGNORED)
        order = values.argsort()
        classes = tuple(names) or ("background", *(f"class {i}" for i in range(1, 21)))
        return (MaskFiles((), values[order], indices[order], True), classes, bool(names),
                ("The colours of the masks are Pascal VOC's: they are read in its order.",))
    if len(seen) > MOST_CLASSES:
        raise DataError(f"The masks hold {len(seen):,} colours: give masks saved as PNG, with one colour a "
                        f"class "
                        "(JPEG blurs them).")
    if names and len(names) != len(seen):
        raise DataError(f"The masks hold {len(seen)} colours, and {len(names)} classes have names: name as "
                        f"many.")
    said = [f"#{value:06x}" for value in seen.tolist()]
    classes = tuple(names) or tuple(f"class {i}" if i or seen[0] else "background" for i in range(len(seen)))
    note = f"Each colour is a class, in the order of their numbers: {listed(said)}."
    return MaskFiles((), seen, np.arange(len(seen)), True), classes, bool(names), (note,)


def _all_values(files: Sequence[Path]) -> tuple[set[int], bool, list[str]]:
    """(all numbers, whether they are colours, the sentences of masks that can't be opened)."""
    values: set[int] = set()
    unread: list[str] = []
    colours = False

    def look(file: Path) -> tuple[np.ndarray, bool] | str:  # in a thread
        try:
            found = mask_values(file)
        except ImageError as error:
            return str(error)
        return np.unique(found.pixels), found.colours

    greys: set[int] = set()
    for found in in_order(look, files, ahead=8):
        if isinstance(found, str):
            unread.append(found)
            continue
        colours |= found[1]
        (values if found[1] else greys).update(found[0].tolist())
        if len(values) + len(greys) > MOST_VALUES:
            raise DataError(f"The masks hold more than {MOST_VALUES:,} different values: give masks saved as "
                            "PNG, with one value or colour a class (JPEG blurs them).")
    # a mask of one thing's grey alone, among coloured ones
    return values | ({grey * 0x010101 for grey in greys} if colours else greys), colours, unread


def class_names_beside(folder: Path, masks: Path) -> tuple[str, ...]:
    """Class names that a text file beside the masks lists, one a line, in the order of their indices."""
    for home in (masks, masks.parent, folder):
        for name in NAME_FILES:
            if (file := home / name).is_file():
                return tuple(line.strip() for line in small_text(file).splitlines() if line.strip())
    return ()


def _voc_colours() -> np.ndarray:
    """VOC's 21 colours: the bits of an index, dealt out to red, green and blue from the highest on."""
    found = []
    for index in range(21):
        bands, rest = [0, 0, 0], index
        for place in range(7, -1, -1):
            for band in range(3):
                bands[band] |= (rest >> band & 1) << place
            rest >>= 3
        found.append(bands[0] << 16 | bands[1] << 8 | bands[2])
    return np.array(found)


VOC_COLOURS = _voc_colours()
