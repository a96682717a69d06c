"""What a module gave for a photo, as maps [C, H, W] to be drawn, and the small pictures in graphs' boxes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.inspection.graph.nodes import INPUT, OUTPUT, Node
from explorer.models.doors.maps import map_layout

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.inspection.look.result import Look
    from explorer.widgets.jobs import Job

Sides = tuple[int, int]  # (height, width) of what the network reads
SIDE = 36               # pixels of a small picture
MOST = 200              # small pictures at once, about 1.5 kB each
PREFIXES = 0, 1, 2, 4, 5  # tokens that stand for no place: of the class, of distillation, registers


@dataclass(frozen=True)
class Drawable:
    """Numbers as maps. maps: float32 [C, H, W];  words: what they are and what a picture of them shows"""

    maps: np.ndarray
    words: str = ""


def grid_of(tokens: int) -> tuple[int, int] | None:
    """(side of a square of places, tokens in front of them) of a row of tokens; None: it is no square."""
    for prefix in PREFIXES:
        side = math.isqrt(max(0, tokens - prefix))
        if side > 2 and side * side == tokens - prefix:
            return side, prefix
    return None


def drawable(given: Tensor, *, places: bool = True) -> Drawable:
    """What `look(at=...)` keeps of a module, as maps: of tokens those that stand for places.

    places: whether the rows and columns of [C, H, W] are those of the photo
    """
    numbers = given.float().numpy()
    if numbers.ndim == 3:
        count, high, wide = numbers.shape
        words = (f"{count} sheets of {high} × {wide} numbers, a picture each: "
                 "their rows and columns are no places of the photo.")
        return Drawable(numbers, "" if places else words)
    if numbers.ndim == 2:
        tokens, width = numbers.shape
        if (grid := grid_of(tokens)) is not None:
            side, prefix = grid
            rest = f", without the {prefix} in front" if prefix else ""
            return Drawable(numbers[prefix:].T.reshape(width, side, side),
                            f"{tokens} tokens{rest}, as {side} × {side} places: a picture for each of their "
                            f"{width} numbers.")
        words = f"{tokens} rows of {width} numbers, in one picture: they are no places of the photo."
        return Drawable(numbers[None], words)
    if numbers.ndim > 3:
        first = numbers.reshape(-1, *numbers.shape[-2:])
        shape, sheet = (" × ".join(map(str, one)) for one in (numbers.shape, first.shape[1:]))
        words = f"Numbers of shape {shape}: a picture for each of the {len(first)} sheets of {sheet}."
        return Drawable(first, words)
    values = numbers.reshape(-1, 1, 1)
    return Drawable(values, "A vector: one value each, no places of the photo.")


def gives_maps(photo: Sides, node: Node) -> bool:
    """Whether a small picture in a node's box shows something: of maps, tokens with places, and the photo."""
    shape = node.shape
    if node.path == INPUT:
        return True
    if node.operation or node.path == OUTPUT or not isinstance(shape, tuple) or shape[:1] != (1,):
        return False
    if len(shape) == 4:
        return map_layout(shape[1:], photo) != ""
    return len(shape) == 3 and grid_of(shape[1]) is not None


def has_places(photo: Sides, node: Node | None) -> bool:
    """Whether the rows and columns of what a node gives are those of the photo; so is what is not known."""
    shape = None if node is None else node.shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[2:] == (1, 1):
        return True
    return map_layout(shape[1:], photo) != ""


def small_maps(model: Any, photo: Any, nodes: Sequence[Node], job: Job) -> dict[str, bytes]:
    """A PNG of the strongest channel of what each of these nodes gives, {path: bytes}. One pass."""
    from explorer.inspection.look.looking import look

    nodes = nodes[:MOST]
    modules = [node.path for node in nodes if node.path != INPUT]
    seen = look(model, photo, at=modules)
    found = {}
    for node in nodes:
        if job.ended():
            break
        given = seen.modules.get(node.path)
        picture = _input(seen) if given is None else _strongest(given)
        if picture is not None:
            found[node.path] = picture
    return found


def _input(seen: Look) -> bytes:
    from PIL import Image

    return _png(seen.seen.convert("RGB").resize((2 * SIDE, 2 * SIDE), Image.Resampling.BILINEAR))


def _strongest(given: Tensor) -> bytes | None:
    from explorer.display import draw

    maps = drawable(given).maps
    if not maps.size:
        return None
    return _png(draw.palette_mosaic(maps, limit=1, cell=SIDE, gap=0))


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
