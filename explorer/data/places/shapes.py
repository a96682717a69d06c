"""The outline of a thing as COCO writes it, polygons or run lengths, as a mask of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from explorer.data.places.place_set import Shape, Size

MOST_POINTS = 200_000  # of one thing
MOST_ROUNDS = 500      # that its outline may go, each as long as the photo's edge


def shape_mask(shape: Any, size: Size) -> np.ndarray | None:
    """bool [H, W] of a COCO `segmentation` in a photo of that (width, height); None for one that is none.

    shape: polygons [x, y, x, y, ...], or run lengths {"size": [H, W], "counts": list or text}; what
           `kept_shape` made of it is one too
    """
    if isinstance(shape, dict):
        return _of_runs(shape, size)
    if not isinstance(shape, list | tuple) or not shape:
        return None
    polygons = [points for polygon in shape if (points := _near(polygon, size)) is not None]
    if len(polygons) < len(shape):
        return None
    from pycocotools import mask as coco  # whose pixels COCO's own figures count

    width, height = size
    return coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)


def _near(polygon: Any, size: Size) -> list[float] | None:
    """The points of a polygon, none of them further from a photo of that (width, height) than its own size;
    None for what is none, or goes round the photo hundreds of times: its way is walked in steps of a fifth of
    a pixel.
    """
    points = _points(polygon)
    if points is None:
        return None
    sides = np.array(size, np.float64)
    places = np.clip(np.array(points).reshape(-1, 2), -sides, 2 * sides)
    way = np.abs(places - np.roll(places, 1, axis=0)).sum()
    return places.ravel().tolist() if way <= MOST_ROUNDS * 2 * sides.sum() else None


def kept_shape(shape: Any, size: Size) -> Shape | None:
    """A COCO `segmentation` made sure of, and small: arrays for lists; None for one that is none."""
    if isinstance(shape, dict):
        counts = _counts(shape, size)
        return None if counts is None else {"size": shape["size"], "counts": shape["counts"]}
    if not isinstance(shape, list) or not shape:
        return None
    rows = [row for polygon in shape if (row := _points(polygon)) is not None]
    return tuple(np.array(row) for row in rows) if len(rows) == len(shape) else None


def runs_of(mask: np.ndarray) -> dict[str, Any]:
    """The run lengths of a mask, bool [H, W]: column by column, the first of what is outside."""
    flat = mask.T.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    counts = np.diff(ends, prepend=0).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": list(mask.shape), "counts": counts}


def shape_box(shape: Any) -> tuple[float, float, float, float] | None:
    """The box around polygons; None where there are none."""
    if not isinstance(shape, list) or not shape:
        return None
    rows = [row for polygon in shape if (row := _points(polygon)) is not None]
    if len(rows) < len(shape):
        return None
    x = [value for row in rows for value in row[::2]]
    y = [value for row in rows for value in row[1::2]]
    return min(x), min(y), max(x), max(y)


def _points(polygon: Any) -> list[float] | None:
    if isinstance(polygon, np.ndarray):
        return polygon.tolist()
    if not isinstance(polygon, list) or not 6 <= len(polygon) <= MOST_POINTS or len(polygon) % 2:
        return None
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in polygon):
        return None
    if not all(abs(n) < 1e6 and math.isfinite(n) for n in polygon):
        return None
    return [float(n) for n in polygon]


def _of_runs(shape: dict[str, Any], size: Size) -> np.ndarray | None:
    counts = _counts(shape, size)
    if counts is None:
        return None
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size).T  # column by column


def _counts(shape: dict[str, Any], size: Size) -> list[int] | None:
    """The run lengths of a mask of that (width, height); None for what are none."""
    width, height = size
    counts = shape.get("counts")
    if shape.get("size") != [height, width]:
        return None
    if isinstance(counts, str):
        counts = _unpacked(counts)
    if not isinstance(counts, list) or len(counts) > width * height + 2:
        return None
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= width * height for n in counts):
        return None
    return counts if sum(counts) == width * height else None


def _unpacked(text: str) -> list[int] | None:
    """Run lengths out of COCO's packed text: five bits a character from "0" on, a sixth says that more come;
    from the fourth on each is the difference to the one before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # negative: the upper bits are all set
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts
