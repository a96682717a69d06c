"""The bar of a heat map's colours, and the frame around what a network saw."""

from __future__ import annotations

import numpy as np
from PIL import Image

from explorer.display.draw import colormap
from explorer.display.legend import bar_html, framed, is_whole, with_bar
from tests.html import parse

PHOTO = Image.new("RGB", (300, 200), (10, 20, 30))


def test_a_bar_goes_below_and_holds_all_colours_from_low_to_high():
    sheet = with_bar(PHOTO, name="viridis", low="0 %", high="100 %")
    assert sheet.width == 300 and 200 < sheet.height < 240
    assert np.array_equal(np.asarray(sheet)[:200], np.asarray(PHOTO))
    below = np.asarray(sheet)[200:]
    table = colormap("viridis")
    line = below[below.shape[0] // 2]
    first = np.flatnonzero((line == table[0]).all(1))
    last = np.flatnonzero((line == table[255]).all(1))
    assert len(first) and len(last) and first[0] < last[-1]
    black = (below < 90).all(2).any(0)          # the words stand at both ends
    assert black[:first[0] - 2].any() and black[last[-1] + 3:].any()


def test_a_narrow_picture_gets_words_without_a_bar():
    assert with_bar(Image.new("RGB", (20, 20))).width == 20


def test_a_frame_is_drawn_around_a_part_and_not_around_all():
    assert is_whole((0, 0.5, 299.5, 200), PHOTO.size) and not is_whole((50, 0, 250, 200), PHOTO.size)
    assert np.array_equal(np.asarray(framed(PHOTO, (0, 0, 300, 200))), np.asarray(PHOTO))
    pixels = np.asarray(framed(PHOTO, (50, 0, 250, 200)))
    assert (pixels[100, 50] == 255).all() and (pixels[100, 249] == 255).all()
    assert (pixels[100, 49] == 0).all() and (pixels[100, 150] == (10, 20, 30)).all()


def test_a_bar_for_a_page_is_escaped():
    bar = parse(bar_html("magma", "<b>0</b>", "most"))
    assert bar.text == "<b>0</b>most" and not bar.find_all("b")
