"""What travels between a photo with layers and the page: colours and bytes there, places and boxes back."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_SIDE = 640  # pixels of what travels; boxes are in the photo's own pixels all the same

# --- what a browser sent --------------------------------------------------------------------------------


def checked_box(box: Any, size: tuple[int, int]) -> tuple[int, ...] | None:
    """What a browser sent as a box within `size` (width, height): () for none, None for what is no box."""
    if box in ([], ()):
        return ()
    if not isinstance(box, list) or len(box) != 4:
        return None
    if any(isinstance(edge, bool) or not isinstance(edge, (int, float)) or edge != edge for edge in box):
        return None
    width, height = size
    left, top, right, bottom = (max(-1e6, min(1e6, edge)) for edge in box)
    left, right = max(0, round(left)), min(width, round(right))
    top, bottom = max(0, round(top)), min(height, round(bottom))
    return (left, top, right, bottom) if right > left and bottom > top else None


def checked_place(place: Any, grid: tuple[int, int]) -> tuple[int, ...] | None:
    """What a browser sent as (row, column) of a patch: () for none, None for what is no place of the grid."""
    if place in ([], ()):
        return ()
    found = _whole_numbers(place)
    if found is None or len(found) != 2:
        return None
    row, column = found
    return (row, column) if row < grid[0] and column < grid[1] else None


def checked_chosen(chosen: Any, count: int, most: int) -> tuple[int, ...] | None:
    """What a browser sent as the chosen ones of `count` boxes: () for none, None for what can't be chosen."""
    found = _whole_numbers(chosen)
    if found is None or len(found) > most or len(set(found)) < len(found):
        return None
    return found if all(one < count for one in found) else None


def _whole_numbers(given: Any) -> tuple[int, ...] | None:
    if not isinstance(given, list):
        return None
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) or not 0 <= n < 1e6 for n in given):
        return None
    return tuple(map(int, given)) if all(n == int(n) for n in given) else None


# --- colours and bytes ----------------------------------------------------------------------------------


def palette(count: int) -> list[str]:
    """Colours as '#rrggbb' that can be told apart over a photo; always the same at the same place."""
    found = []
    for index in range(count):
        hue = (0.09 + index * 0.61803398875) % 1  # the golden ratio: no two of a few neighbours are near
        saturation, value = ((0.9, 1.0), (0.55, 1.0), (0.95, 0.72))[index // 7 % 3]
        if 0.58 < hue < 0.82:
            saturation *= 0.72              # full blue and violet are too dark for a line
        parts = colorsys.hsv_to_rgb(hue, saturation, value)
        found.append("#" + "".join(f"{round(255 * part):02x}" for part in parts))
    return found


def checked_colours(colours: Sequence[str]) -> list[str]:
    for colour in colours:
        if not isinstance(colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}|", colour):
            raise ValueError(f"The colour {colour!r} is none: expected '#rrggbb', such as '#ff8800', "
                             "or '' for no colour.")
    return list(colours)


def one_byte_each(values: np.ndarray, low: float, high: float) -> bytes:
    """One byte a value, 0 at `low` and 255 at `high`."""
    codes = (values - low) * (255 / (high - low) if high > low else 0)
    return np.clip(codes + 0.5, 0, 255).astype(np.uint8).tobytes()


def means(values: np.ndarray) -> np.ndarray:
    """A heat map no finer than it is shown: means of square blocks."""
    step = -(-max(values.shape) // MAX_SIDE)
    if step == 1:
        return values
    down, across = (min(step, side) for side in values.shape)
    rows, columns = values.shape[0] // down, values.shape[1] // across
    return values[:rows * down, :columns * across].reshape(rows, down, columns, across).mean((1, 3))


def every(codes: np.ndarray) -> np.ndarray:
    """A map that has no means, no finer than it is shown: one place in the middle of each square block."""
    step = -(-max(codes.shape) // MAX_SIDE)
    down, across = ((side - 1) % step // 2 for side in codes.shape)
    return codes[down::step, across::step]
