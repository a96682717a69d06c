"""Boxes as files have them, made sure of: numbers, inside their photo, with an area."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.errors import ImageError
from explorer.data.folders import LeftOut, Remains, listed
from explorer.data.picture_files import FORMATS, MAX_PIXELS, check_size
from explorer.data.places.place_set import Boxes, Size
from explorer.data.places.shapes import kept_shape
from explorer.display.words import counted

OVER = 1.0  # pixels by which a box may reach over the edge without a word: numbers are rounded
TURNED = (5, 6, 7, 8)  # EXIF orientations in which width and height change places


@dataclass(frozen=True)
class GivenBox:
    """A box as a file has it: left, top, right, bottom in pixels; the index of its class.

    shape: the outline of what is in it, as COCO writes it, or None
    """

    box: Sequence[float]
    label: int
    crowd: bool = False
    area: float | None = None
    shape: Any = None


@dataclass
class Tidying:
    """Collects what was left out, and what was cut off, over all photos of a set."""

    remains: Remains = field(default_factory=Remains)
    cut: list[str] = field(default_factory=list)

    def boxes(self, given: Iterable[GivenBox], size: Size | None, name: str) -> Boxes:
        """The boxes of the photo called `name`, cut off at its edge, without those that can't be meant."""
        rows, areas, shapes = [], [], []
        over = False
        for number, one in enumerate(given, 1):
            left, top, right, bottom = one.box
            whole = (right - left) * (bottom - top)
            why = ""
            if right <= left or bottom <= top:
                why = "a box without any area"
            elif size is not None:
                over |= left < -OVER or top < -OVER or right > size[0] + OVER or bottom > size[1] + OVER
                left, right = max(0.0, left), min(float(size[0]), right)
                top, bottom = max(0.0, top), min(float(size[1]), bottom)
                if right <= left or bottom <= top:
                    why = "a box outside its photo"
            if why:
                self.remains.add(why, f"box {number} of {name}")
                continue
            measured = one.area if one.area is not None and one.area > 0 else None
            share = (right - left) * (bottom - top) / whole
            areas.append(whole * share if measured is None else measured)
            rows.append((left, top, right, bottom, one.label, one.crowd))
            shapes.append(None if size is None else kept_shape(one.shape, size))
        if over:
            self.cut.append(name)
        table = np.array(rows, np.float64).reshape(-1, 6)
        return Boxes(table[:, :4].copy(), table[:, 4].astype(np.int64), table[:, 5] > 0,
                     np.array(areas, np.float64), tuple(shapes) if any(shapes) else None)

    @property
    def notes(self) -> tuple[str, ...]:
        found = [str(one) for one in self.remains.all()]
        if self.cut:
            found.append(f"Boxes reach over the edge in {counted(len(self.cut), 'photo')} "
                         f"({listed(self.cut[:3], len(self.cut))}): they are cut off there.")
        return tuple(found)

    def left_out(self) -> tuple[LeftOut, ...]:
        return self.remains.all()


def four_numbers(value: Any) -> tuple[float, float, float, float] | None:
    """A row of four finite numbers; None for anything else."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value):
        return None
    try:
        row = tuple(float(n) for n in value)
    except OverflowError:  # a whole number of a thousand digits
        return None
    return row if all(math.isfinite(n) and abs(n) < 1e9 for n in row) else None  # type: ignore[return-value]


def picture_size(file: Path) -> Size:
    """(width, height) of a picture as its camera held it, from the file's head. Raises ImageError."""
    Image.init()
    try:
        with Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN]) as picture:
            width, height = picture.size
            check_size((width, height), MAX_PIXELS, f"'{file.name}'")
            turned = picture.getexif().get(0x0112) in TURNED
    except ImageError:
        raise
    except Exception as error:  # a decoder fed with broken data may raise nearly anything
        raise ImageError(f"'{file.name}' could not be read as a picture ({type(error).__name__}).") from error
    return (height, width) if turned else (width, height)
