"""Tensors to pixels: feature maps as one picture, with numpy and Pillow alone.

    mosaic(maps, colormap="magma").save("layer1.png")     # maps [C, H, W]: one small picture a channel

A matplotlib figure with an axis for every channel takes seconds; this takes milliseconds, because all
channels are quantised and laid out in one array operation each.
"""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SORTS = ("channel", "strength")
SCALES = ("own", "shared")

LEVELS = 254                 # codes 0..253 are values, from the lowest to the highest
GAP_CODE = 254               # between the channels
NOT_FINITE = 255             # NaN or infinite
GAP_COLOUR = (128, 128, 128)          # seen on white and on black pages alike
NOT_FINITE_COLOUR = (255, 0, 255)     # in none of the colour maps

# 17 colours of each of matplotlib's maps with straight lines between them: nowhere more than 8 of 255 away
# from it, and the same colours as the mosaic in the dashboard.
_ANCHORS = {
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
               "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
    "magma": "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 "
             "d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
    "grey": "000000 ffffff",
    "coolwarm": "3b4cc0 4e68d8 6282ea 779af7 8db0fe a3c2fe b9d0f9 ccd9ed dddcdc "
                "ecd3c5 f5c4ac f7b093 f4987a eb7d62 dd5f4b ca3b37 b40426",
}
COLORMAPS = tuple(_ANCHORS)


@cache
def colormap(name: str) -> np.ndarray:
    """The colours from low to high: uint8 [256, 3]. Raises ValueError for an unknown name."""
    colours = _ANCHORS[_known("colormap", name, COLORMAPS)].split()
    anchors = np.array([list(bytes.fromhex(colour)) for colour in colours])
    at = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), at, anchors[:, i]) for i in range(3)]
    table = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    table.flags.writeable = False  # it is shared by all callers
    return table


def strength(maps: Any) -> np.ndarray:
    """Mean absolute activation of each channel over its finite values: maps [C, H, W] -> float64 [C]."""
    maps = as_maps(maps)
    strengths = np.abs(maps).mean(axis=(1, 2), dtype=np.float64)
    if not np.isfinite(strengths).all():
        finite = np.isfinite(maps)
        sums = np.where(finite, np.abs(maps), 0).sum(axis=(1, 2), dtype=np.float64)
        strengths = sums / np.maximum(finite.sum(axis=(1, 2)), 1)
    return strengths


def strongest(maps: Any, count: int | None) -> np.ndarray:
    """The numbers of the `count` strongest channels, in channel order; None: all."""
    maps = as_maps(maps)
    if count is not None and count < 1:
        raise ValueError(f"Asked to show {count} channels: give 1 or more, or None for all {len(maps)}.")
    if count is None or count >= len(maps):
        return np.arange(len(maps))
    return np.sort(np.argsort(-strength(maps), kind="stable")[:count])


def normalise(maps: Any, scale: str = "own", *, centred: bool = False) -> np.ndarray:
    """Values to codes, uint8 [C, H, W]: 0 is the lowest value, 253 the highest, 255 is NaN or infinite.

    scale:   "own": each channel from its own lowest to its own highest value; "shared": all from the
             lowest to the highest of all. A map of one value has no range of its own and is "shared".
    centred: zero is in the middle, and the range reaches equally far to both sides (for "coolwarm").
    A channel that is the same everywhere gets the lowest code (the middle one if centred and zero).
    """
    _known("scale", scale, SCALES)
    maps = as_maps(maps)
    lo, hi = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))  # [C]
    finite = None
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        finite = np.isfinite(maps)
        lo = np.where(finite, maps, np.inf).min(axis=(1, 2))
        hi = np.where(finite, maps, -np.inf).max(axis=(1, 2))
        empty = lo > hi  # channels without any finite value
        lo[empty] = hi[empty] = 0 if empty.all() else lo[~empty].min()
        maps = np.where(finite, maps, lo[:, None, None])
    if scale == "shared" or maps.shape[1] * maps.shape[2] == 1:
        lo, hi = np.full_like(lo, lo.min()), np.full_like(hi, hi.max())
    if centred:
        hi = np.maximum(np.abs(lo), np.abs(hi))
        lo = -hi
    with np.errstate(over="ignore"):
        span = hi - lo
    if not np.isfinite(span).all():  # -3e38..3e38: twice the largest float32
        maps, lo, hi = maps / 2, lo / 2, hi / 2
        span = hi - lo
    flat = span < 1e-35  # 1 / span would overflow
    factor = np.where(flat, 0, (LEVELS - 1) / np.where(flat, 1, span)).astype(np.float32)
    codes = maps - lo[:, None, None]
    codes *= factor[:, None, None]
    codes += 0.5  # the cast below cuts off: together they round
    codes = codes.astype(np.uint8)
    if centred and flat.any():
        codes[flat] = LEVELS // 2
    if finite is not None:
        codes[~finite] = NOT_FINITE
    return codes


def mosaic(
    maps: Any,
    *,
    columns: int | None = None,
    cell: int | None = None,
    sort: str = "channel",
    scale: str = "own",
    colormap: str = "viridis",
    gap: int = 1,
    limit: int | None = None,
) -> Image.Image:
    """All channels of maps [C, H, W] side by side, as one RGB picture.

    maps:     a numpy array or a tensor of real numbers
    columns:  channels in a row; None: about as many as there are rows
    cell:     how many pixels the longer side of one channel should have; the channel is enlarged or averaged
              by a whole factor, so this is met nearly. None: one pixel a value
    sort:     "channel", or "strength": the highest mean absolute activation first
    scale:    "own" or "shared", see `normalise`
    colormap: "viridis", "magma", "grey", or "coolwarm" (centred on zero)
    gap:      grey pixels between channels
    limit:    show only that many, the strongest
    Values that are not finite are magenta. Raises ValueError for another shape or an unknown word.
    """
    return palette_mosaic(
        maps, columns=columns, cell=cell, sort=sort, scale=scale, colormap=colormap, gap=gap, limit=limit
    ).convert("RGB")


def palette_mosaic(
    maps: Any,
    *,
    columns: int | None = None,
    cell: int | None = None,
    sort: str = "channel",
    scale: str = "own",
    colormap: str = "viridis",
    gap: int = 1,
    limit: int | None = None,
) -> Image.Image:
    """`mosaic` with one byte a pixel and a colour table (Pillow's mode "P"): a smaller PNG, made faster."""
    _known("sort", sort, SORTS)
    table = palette(colormap)
    maps = as_maps(maps)
    if gap < 0 or (columns is not None and columns < 1):
        raise ValueError(f"gap={gap}, columns={columns}: expected a gap from 0 and at least one column.")
    chosen = strongest(maps, limit)
    if len(chosen) < len(maps):
        maps = maps[chosen]
    if sort == "strength":
        maps = maps[np.argsort(-strength(maps), kind="stable")]
    if cell is not None:
        maps = shrunk(maps, cell)
    codes = normalise(maps, scale, centred=colormap == "coolwarm")
    if cell is not None and (zoom := cell // max(codes.shape[1:])) > 1:
        codes = codes.repeat(zoom, axis=1).repeat(zoom, axis=2)
    return _with_palette(_tile(codes, columns, gap), table)


def _tile(codes: np.ndarray, columns: int | None, gap: int) -> np.ndarray:
    """[C, h, w] -> [rows * (h + gap) - gap, columns * (w + gap) - gap]."""
    count, height, width = codes.shape
    columns = min(count, columns or math.ceil(math.sqrt(count * height / width)))
    rows = -(-count // columns)
    if rows * columns > count:
        rest = np.full((rows * columns - count, height, width), GAP_CODE, np.uint8)
        codes = np.concatenate([codes, rest])
    canvas = np.full((rows, height + gap, columns, width + gap), GAP_CODE, np.uint8)
    canvas[:, :height, :, :width] = codes.reshape(rows, columns, height, width).transpose(0, 2, 1, 3)
    canvas = canvas.reshape(rows * (height + gap), columns * (width + gap))
    return canvas[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def shrunk(maps: Any, cell: int) -> np.ndarray:
    """Maps [C, H, W] as means of square blocks, so that no side is longer than `cell`; at the edges blocks
    may be smaller.
    """
    maps = as_maps(maps)
    if cell < 1:
        raise ValueError(f"cell is {cell}: expected the pixels of one channel's side, 1 or more.")
    height, width = maps.shape[1:]
    step = -(-max(height, width) // cell)
    if step == 1:
        return maps
    top, left = np.arange(0, height, step), np.arange(0, width, step)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is a NaN, and drawn as such
        sums = np.add.reduceat(np.add.reduceat(maps, top, axis=1), left, axis=2)
    area = np.diff(np.append(top, height))[:, None] * np.diff(np.append(left, width))
    return sums / area.astype(np.float32)


@cache
def palette(name: str) -> bytes:
    """The colours of `normalise`'s codes 0..255, as RGB bytes."""
    table = np.empty((256, 3), np.uint8)
    table[:LEVELS] = colormap(name)[np.rint(np.linspace(0, 255, LEVELS)).astype(int)]
    table[GAP_CODE], table[NOT_FINITE] = GAP_COLOUR, NOT_FINITE_COLOUR
    return table.tobytes()


def _with_palette(codes: np.ndarray, table: bytes) -> Image.Image:
    from PIL import Image

    picture = Image.frombytes("P", codes.shape[::-1], np.ascontiguousarray(codes).tobytes())
    picture.putpalette(table)
    return picture


def as_maps(maps: Any) -> np.ndarray:
    """Array or tensor [C, H, W] -> float32 array; what is too large for float32 is infinite there.

    Raises ValueError for another shape, nothing in it, or other than real numbers.
    """
    if hasattr(maps, "detach"):  # a tensor, recognised without importing torch
        maps = maps.detach().cpu()
        maps = (maps.float() if maps.is_floating_point() else maps).numpy()
    maps = np.asarray(maps)
    if maps.ndim != 3 or maps.size == 0:
        raise ValueError(f"Expected maps of shape [channels, height, width], got {list(maps.shape)}. "
                         "Take one picture out of a batch with maps[0].")
    if maps.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers, got an array of {maps.dtype}.")
    with np.errstate(over="ignore"):
        return maps.astype(np.float32, copy=False)


def _known(what: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        *others, last = map(repr, words)
        raise ValueError(f"Unknown {what} {word!r}: expected {', '.join(others)} or {last}.")
    return word


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """A copy whose longer side is at most `side` pixels; a small picture stays as it is."""
    small = image.copy()
    small.thumbnail((side, side))
    return small


def heated(photo: Image.Image, values: Any, *, alpha: float = 0.5, name: str = "magma") -> Image.Image:
    """The photo, RGB, with values [H, W] in 0..1 of its own size in colours over it.

    alpha: from 0, the photo alone, to 1, the colours alone;  name: one of `COLORMAPS`
    """
    from PIL import Image

    codes = np.clip(np.nan_to_num(np.asarray(values, np.float32)) * 255 + 0.5, 0, 255).astype(np.uint8)
    colours = Image.fromarray(colormap(name)[codes])
    return Image.blend(photo.convert("RGB"), colours, alpha)


def outlined(photo: Image.Image, box: Sequence[float], *, side: int = 224) -> Image.Image:
    """A small copy of a photo with a frame around `box` (the photo's pixels), seen on dark and on light."""
    from PIL import ImageDraw

    small = thumbnail(photo, side)
    x, y = small.width / photo.width, small.height / photo.height
    left, top = min(box[0] * x, small.width - 1), min(box[1] * y, small.height - 1)
    right, bottom = min(box[2] * x, small.width) - 1, min(box[3] * y, small.height) - 1
    corners = (left, top, max(left, right), max(top, bottom))
    pen = ImageDraw.Draw(small)
    pen.rectangle([corner + shift for corner, shift in zip(corners, (-1, -1, 1, 1))], outline="black")
    pen.rectangle(corners, outline="white")
    return small


def mean_colour(photo: Image.Image) -> tuple[int, ...]:
    """The mean of all pixels, (red, green, blue) in 0..255."""
    from PIL import ImageStat

    return tuple(round(value) for value in ImageStat.Stat(photo).mean)


def png_bytes(image: Image.Image) -> bytes:
    """The picture as the content of a PNG file; quick rather than small.

    Only runs of the same byte are looked for: of feature maps that takes half the time, and is no larger.
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def jpeg_bytes(image: Image.Image) -> bytes:
    """The photo as the content of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def data_uri(image: Image.Image, *, format: str = "PNG") -> str:
    """The picture as an address that an HTML page can hold. format: "PNG", or "JPEG" for photos."""
    content = jpeg_bytes(image) if format == "JPEG" else png_bytes(image)
    return f"data:image/{format.lower()};base64,{base64.b64encode(content).decode('ascii')}"
