"""Boxes, names and masks drawn over a photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer.display.colours import Colour, colour_of


def draw_boxes(
    photo: Image.Image, boxes: np.ndarray, captions: Sequence[str], indices: Sequence[int | Colour], *,
    masks: np.ndarray | None = None,
) -> Image.Image:
    """A copy of an RGB photo with boxes [N, 4] xyxy in its pixels, the best on top, each with its caption, if
    it has one.

    indices: of the classes, for the colours, or colours themselves;  masks: [N, H, W], yes or no
    """
    colours = [colour_of(each) if isinstance(each, int) else each for each in indices]
    picture = photo.copy() if masks is None else _with_masks(photo, masks, colours)
    pen = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 400))  # a large photo is shown small: lines grow with it
    font = ImageFont.load_default(size=max(10, 7 * unit + 4))
    for box, caption, colour in reversed([*zip(boxes.tolist(), captions, colours)]):
        left, top, right, bottom = box
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=unit + 1)
        if not caption:
            continue
        x0, y0, x1, y1 = pen.textbbox((0, 0), caption, font=font)
        wide, high = x1 - x0 + 4 * unit, y1 - y0 + 3 * unit
        x = min(max(0.0, left), max(0, picture.width - wide))
        y = top - high if top >= high else top  # inside, where there is no room above
        pen.rectangle((x, y, x + wide, y + high), fill=colour)
        ink = "black" if sum(colour) > 380 else "white"
        pen.text((x + 2 * unit - x0, y + unit - y0), caption, fill=ink, font=font)
    return picture


def draw_dashed(
    photo: Image.Image, boxes: np.ndarray, colours: Sequence[Colour], *, fine: bool = False
) -> Image.Image:
    """A copy of an RGB photo with dashed boxes [N, 4] xyxy in its pixels; they may reach beyond it.

    fine: as hairlines, for many
    """
    picture = photo.copy()
    pen = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 400))
    for (left, top, right, bottom), colour in zip(boxes.tolist(), colours):
        for start, end, across in ((left, right, True), (top, bottom, False)):
            for at in np.arange(max(start, -1.0), min(end, max(picture.size)), 9 * unit):
                stop = min(at + 5 * unit, end)
                for edge in (top, bottom) if across else (left, right):
                    line = (at, edge, stop, edge) if across else (edge, at, edge, stop)
                    pen.line(line, fill=colour, width=unit if fine else unit + 1)
    return picture


def _with_masks(photo: Image.Image, masks: np.ndarray, colours: Sequence[Colour]) -> Image.Image:
    pixels = np.array(photo)
    for mask, colour in zip(masks, colours):
        tinted = pixels[mask] * 0.5 + 0.5 * np.array(colour)
        pixels[mask] = tinted.astype(np.uint8)
    return Image.fromarray(pixels)
