"""A colour for every class: always the same one, and told apart by colour-blind people too.

The first seven are those of Okabe and Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/;
then come Tol's muted ones, https://personal.sron.nl/~pault/, and then all of them again, darker and lighter.
"""

from __future__ import annotations

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
MUTED = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499")
BASE = tuple(tuple(int(code[i:i + 2], 16) for i in (1, 3, 5)) for code in OKABE_ITO + MUTED)
SHADES = (0.0, -0.35, 0.35, -0.6, 0.6)  # towards black, towards white

# Curves and groups of points in figures: the dashboard's own on white, --vx-c0 to --vx-c7 of its tokens.css.
# Blue is the first model's, orange the second's; they differ in lightness too.
CURVES = ("#0b6bcb", "#c2410c", "#0f7b4f", "#8e24aa", "#8a6100", "#00727f", "#b0174f", "#4a4a4a")

Colour = tuple[int, int, int]  # red, green, blue in 0..255


def colour_of(index: int) -> Colour:
    """The colour of the thing with that number, from 0."""
    turn, place = divmod(index, len(BASE))
    shade = SHADES[turn % len(SHADES)]
    towards = 255 if shade > 0 else 0
    red, green, blue = (round(value + (towards - value) * abs(shade)) for value in BASE[place])
    return red, green, blue


def hex_of(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
