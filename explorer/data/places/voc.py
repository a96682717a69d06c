"""Pascal VOC's XML files: one a photo, an <object> a box (Everingham et al. 2010).

Their pixels count from 1, and right and bottom are the last pixels inside: a box of the whole photo is
1, 1, width, height. Here it is 0, 0, width, height. An object that is `difficult` counts neither way, as in
VOC's own evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from explorer.data.errors import ImageError
from explorer.data.folders import DataError, printable, read_folder
from explorer.data.photo_sets import FromFiles
from explorer.data.places.place_set import PlaceSet
from explorer.data.places.tidying import GivenBox, Tidying, four_numbers, picture_size
from explorer.data.places.yolo import small_text
from explorer.display.words import natural_key

MOST_BYTES = 2 * 1024**2  # of one XML file
SIDES = ("xmin", "ymin", "xmax", "ymax")
# What an annotation never has, and what attacks by XML need: a type of document, entities.
_DECLARED = re.compile(r"<!\s*(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)


@dataclass(frozen=True)
class VocObject:
    """One <object>: its class's name, its box from 0 on, whether it is difficult."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False


def read_xml(file: Path) -> ElementTree.Element:
    """The root of an XML file. Raises DataError for one that declares anything, is too large or is none."""
    text = small_text(file, MOST_BYTES)
    if _DECLARED.search(text):
        raise DataError(f"'{printable(file.name)}' declares a type of document or entities, which no "
                        f"annotation "
                        "needs: it is not read.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise DataError(f"'{printable(file.name)}' is broken XML ({error}): export it again.") from None


def voc_objects(root: ElementTree.Element) -> tuple[list[VocObject], int]:
    """(the objects, how many others have no name or no box)."""
    found, bad = [], 0
    for one in root.iter("object"):
        name = (one.findtext("name") or "").strip()
        try:
            row = four_numbers([float(one.findtext(f"bndbox/{side}") or "") for side in SIDES])
        except ValueError:
            row = None
        if not name or row is None:
            bad += 1
            continue
        box = (row[0] - 1, row[1] - 1, row[2], row[3])
        found.append(VocObject(printable(name)[:200], box, (one.findtext("difficult") or "").strip() == "1"))
    return found, bad


def read_voc(folder: Path, annotations: Path, photos: Path, *, stems: Sequence[str] | None = None,
             classes: Sequence[str] | None = None) -> PlaceSet:
    """The photos of a folder with the boxes of the XML files that are called as they are.

    stems:   of these photos alone, in this order, as ImageSets/Main/*.txt lists them; None: all
    classes: in this order; None: all that occur, in the order of the alphabet
    Whatever path an XML file names, it is not followed. Raises DataError where no photo has one.
    """
    tree, _ = read_folder(photos)
    files = {Path(path).stem: Path(path) for path in tree.files()}
    found = {file.stem: file for file in sorted(annotations.glob("*.xml"))}
    wanted = sorted(found, key=natural_key) if stems is None else stems
    tidying = Tidying()
    rows = []
    for stem in wanted:
        shown = printable(stem)[:200]
        if stem not in found or stem not in files:
            tidying.remains.add("a photo without XML file, or one without photo", shown, photos=True)
            continue
        try:
            objects, bad = voc_objects(read_xml(found[stem]))
            size = picture_size(files[stem])
        except (DataError, ImageError) as error:
            tidying.remains.add(str(error).rstrip("."), shown, photos=True)
            continue
        for _ in range(bad):
            tidying.remains.add("an object without a name or four numbers", shown)
        rows.append((files[stem], size, objects))
    if not rows:
        raise DataError(f"None of the {len(wanted)} XML files in '{printable(str(annotations))}' can be used "
                        f"with a photo of '{printable(str(photos))}' that is called as it is.")
    names = tuple(classes) if classes is not None else \
        tuple(sorted({one.name for _, _, objects in rows for one in objects}))
    place_of = {name: index for index, name in enumerate(names)}
    shown = [printable(file.relative_to(folder).as_posix()) for file, _, _ in rows]
    boxes = []
    for name, (_, size, objects) in zip(shown, rows):
        known = []
        for one in objects:
            if one.name in place_of:
                known.append(GivenBox(one.box, place_of[one.name], one.difficult))
            else:
                tidying.remains.add("of a class that is not among the others'", f"{one.name} in {name}")
        boxes.append(tidying.boxes(known, size, name))
    paths = tuple(file for file, _, _ in rows)
    return PlaceSet(names, tuple(shown), FromFiles(paths), tuple(boxes), None, paths,
                    tuple(size for _, size, _ in rows), True, tidying.notes)
