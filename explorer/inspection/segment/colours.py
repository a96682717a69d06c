"""The classes of a mask in colours: each its own, and grey for the first, which mostly is the background."""

from __future__ import annotations

import numpy as np
from PIL import Image

from explorer.display import colours
from explorer.display.colours import Colour

FIRST = (119, 119, 119)  # unlike all others; a class 0 that is called "background" is not coloured


def colour_of(index: int) -> Colour:
    """(red, green, blue) in 0..255 of the class with that index."""
    return colours.colour_of(index - 1) if index else FIRST


def tinted(photo: Image.Image, mask: np.ndarray, colours: dict[int, Colour], opacity: float) -> Image.Image:
    """The photo, RGB, with the pixels of each class in `colours` tinted.

    mask: class indices [H, W];  opacity: from 0, the photo alone, to 1, the colours alone
    """
    table = np.zeros((int(mask.max(initial=0)) + 1, 4), np.uint8)
    for index, colour in colours.items():
        if index < len(table):
            table[index] = (*colour, round(255 * opacity))
    return Image.alpha_composite(photo.convert("RGBA"), Image.fromarray(table[mask], "RGBA")).convert("RGB")
