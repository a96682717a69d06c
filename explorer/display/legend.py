"""What a heat map needs beside it to be read: a bar of its colours, and a frame around what was seen.

    with_bar(framed(photo, box), low="no effect", high="most")     # pixels, for a file
    bar_html("magma", "no effect", "most")                        # for a page
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.display.draw import colormap

if TYPE_CHECKING:
    from PIL import Image

LEAST, MOST = "no effect", "most"  # what the ends of a heat map in 0..1 mean
_STOPS = 9  # colours of a bar in a page; between them it is mixed


def is_whole(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a box (left, top, right, bottom) is all of a picture (width, height), but for a pixel."""
    left, top, right, bottom = box
    return left <= 1 and top <= 1 and right >= size[0] - 1 and bottom >= size[1] - 1


def framed(picture: Image.Image, box: Sequence[float]) -> Image.Image:
    """The picture, RGB, with a fine line around the part that a network saw; as it is where that is all."""
    from PIL import ImageDraw

    picture = picture.convert("RGB")
    if is_whole(box, picture.size):
        return picture
    width = max(1, round(max(picture.size) / 500))
    left, top, right, bottom = (round(edge) for edge in box)
    pen = ImageDraw.Draw(picture)
    for shift, colour in ((width, "black"), (0, "white")):
        corners = (max(left - shift, 0), max(top - shift, 0),
                   min(right + shift, picture.width) - 1, min(bottom + shift, picture.height) - 1)
        pen.rectangle(corners, outline=colour, width=width)
    return picture


def with_bar(picture: Image.Image, *, name: str = "magma", low: str = LEAST, high: str = MOST) -> Image.Image:
    """The picture, RGB, with a bar of the colours of a map below it and what its two ends mean."""
    from PIL import Image, ImageDraw

    side = max(11, round(picture.width / 50))
    font, gap = text_font(side), max(3, side // 3)
    sheet = Image.new("RGB", (picture.width, picture.height + side + 2 * gap), "white")
    sheet.paste(picture.convert("RGB"), (0, 0))
    pen, y = ImageDraw.Draw(sheet), picture.height + gap
    start, end = (round(font.getlength(text)) + 2 * gap for text in (low, high))
    pen.text((gap, y), low, font=font, fill="black")
    pen.text((picture.width - end + gap, y), high, font=font, fill="black")
    length = picture.width - start - end
    if length > 8:
        colours = colormap(name)[np.linspace(0, 255, length).round().astype(int)]
        strip = Image.fromarray(np.repeat(colours[None], side, axis=0))
        sheet.paste(strip, (start, y))
    return sheet


def bar_html(name: str = "magma", low: str = LEAST, high: str = MOST) -> str:
    """The same for a page: no script, no picture."""
    colours = colormap(name)[np.linspace(0, 255, _STOPS).round().astype(int)]
    stops = ",".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours)
    style = f"flex:1;height:.7em;border-radius:2px;background:linear-gradient(90deg,{stops})"
    bar = f"<span style='{style}'></span>"
    return ("<div style='display:flex;gap:6px;align-items:center;max-width:320px;font-size:.85em'>"
            f"<span>{escape(low)}</span>{bar}<span>{escape(high)}</span></div>")


def text_font(size: int) -> Any:
    """matplotlib's DejaVu Sans: it has more alphabets than the font inside Pillow. size: in pixels"""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
