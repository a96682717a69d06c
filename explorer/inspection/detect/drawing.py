"""Boxes, names and masks drawn over a photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer.display.colours import colour_of


def draw_boxes(
    photo: Image.Image, boxes: np.ndarray, captions: Sequence[str], indices: Sequence[int], *,
    masks: np.ndarray | None = None,
) -> Image.Image:
    """A copy of an RGB photo with boxes [N, 4] xyxy in its pixels, the best on top, each with its caption, if
    it has one.

    indices: of the classes, for the colours;  masks: [N, H, W], yes or no
    """
    picture = photo.copy() if masks is None else _with_masks(photo, masks, indices)
    pen = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 400))  # a large photo is shown small: lines grow with it
    font = ImageFont.load_default(size=max(10, 7 * unit + 4))
    for box, caption, index in reversed([*zip(boxes.tolist(), captions, indices)]):
        left, top, right, bottom = box
        colour = colour_of(index)
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


def _with_masks(photo: Image.Image, masks: np.ndarray, indices: Sequence[int]) -> Image.Image:
    pixels = np.array(photo)
    for mask, index in zip(masks, indices):
        tinted = pixels[mask] * 0.5 + 0.5 * np.array(colour_of(index))
        pixels[mask] = tinted.astype(np.uint8)
    return Image.fromarray(pixels)
