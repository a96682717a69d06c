"""What stands in a notebook: escaped, and built as a table that a screen reader can follow."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from explorer.display import html

EVIL = "<script>alert('x')</script>&"


def parsed(text: str) -> ElementTree.Element:
    """Only well-formed HTML is parsed; `&` and `<` of what came in are text then."""
    closed = re.sub(r"(<img [^>]*)>", r"\1/>", text)  # which HTML leaves open
    return ElementTree.fromstring(f"<div>{closed}</div>")


@pytest.mark.parametrize("text", [
    html.notes_html([EVIL]), html.sentences_html([EVIL]), html.title_html(EVIL), html.row_html(EVIL, [EVIL]),
    html.table_html([EVIL], "", caption=EVIL), html.picture_html(Image.new("RGB", (2, 2)), EVIL)])
def test_what_comes_in_is_text(text):
    tree = parsed(text)
    assert not list(tree.iter("script")) and EVIL in "".join(tree.itertext())


def test_a_table_names_its_columns_and_rows():
    rows = html.row_html("cat", ["tabby", "0.5"], left=1) + html.row_html("dog", ["pug", "0.4"], left=1)
    table = parsed(html.table_html(("class", "kind", "share"), rows, caption="Pets", left=2)).find("table")
    assert table.find("caption").text == "Pets"
    assert [head.text for head in table.iterfind("thead/tr/th[@scope='col']")] == ["class", "kind", "share"]
    assert [head.text for head in table.iterfind("tbody/tr/th[@scope='row']")] == ["cat", "dog"]
    sides = [["left" in cell.get("style") for cell in row] for row in table.iter("tr")]
    assert sides == [[True, True, False]] * 3  # titles stand where their columns do


@pytest.mark.parametrize(("share", "width"), [(0.5, "50%"), (7, "100%"), (-1, "0%"), (float("nan"), "0%")])
def test_a_bar_stays_in_its_cell(share, width):
    style = parsed(html.bar_html(share))[0].get("style")
    assert f"width:{width}" in style.replace(".0%", "%")


def test_a_result_is_shown_as_html_and_as_text():
    class Result(html.RichRepr):
        def __repr__(self):
            return "Result(1)"

        def _repr_html_(self):
            return "<b>1</b>"

    assert Result()._repr_mimebundle_() == {"text/plain": "Result(1)", "text/html": "<b>1</b>"}
