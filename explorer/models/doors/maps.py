"""How a map lies in memory: rows and columns before or behind the channels, or as a row of tokens."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor


class Layout(NamedTuple):
    """How a stage's output lies in memory: "NCHW", "NHWC", or "NLC": tokens, `prefix` before the `grid`."""

    order: str
    grid: tuple[int, int] = (1, 1)
    prefix: int = 0


def map_layout(shape: tuple[int, ...], photo: tuple[int, int]) -> str:
    """"NCHW" or "NHWC" for the shape of a map without its batch, "" for what is no map of several places.

    photo: (height, width) of the run. Rows and columns are the two numbers that are to each other as those.
    """
    if len(shape) != 3:
        return ""
    for order, (rows, columns) in (("NCHW", shape[1:]), ("NHWC", shape[:2])):
        if max(rows, columns) > 1 and has_form(rows, columns, photo):
            return order
    return ""


def has_form(rows: int, columns: int, photo: tuple[int, int]) -> bool:
    """Whether a grid is as high to wide as the photo: exactly for a square one, else to within a row."""
    if photo[0] == photo[1] or not rows or not columns:
        return rows == columns > 0
    down, across = photo[0] / rows, photo[1] / columns
    return abs(down - across) * min(rows, columns) <= max(down, across)


def sides_of(shape: tuple[int, ...], photo: tuple[int, int]) -> tuple[int, ...]:
    """Rows and columns of a map of that shape, its batch left out."""
    return shape[1:] if map_layout(shape, photo) == "NCHW" else shape[:2]


def to_map(output: Tensor, layout: Layout) -> Tensor | None:
    """A copy of a stage's output as a map [B, C, H, W], of tokens the last ones. None for what is no map."""
    if output.ndim != (3 if layout.order == "NLC" else 4):
        return None
    if layout.order == "NHWC":
        output = output.permute(0, 3, 1, 2)
    elif layout.order == "NLC":
        patches, grid = output.shape[1] - layout.prefix, layout.grid
        if patches != grid[0] * grid[1]:  # a photo of another size: of tokens alone only a square is known
            grid = (math.isqrt(max(0, patches)),) * 2
        if patches < 1 or grid[0] * grid[1] != patches:
            return None
        output = output[:, layout.prefix:].transpose(1, 2).unflatten(2, grid)
    return output.clone()  # the next layer may work in place
