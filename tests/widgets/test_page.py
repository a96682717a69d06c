"""The reader of HTML that other tests ask."""

from __future__ import annotations

from tests.widgets.page import Page


def test_it_tells_text_from_markup():
    page = Page('<div role="alert" class="a b">no &lt;b&gt;luck<br>at <i>all</i></div><img src="x">')
    assert page.text == "no <b>luck at all"
    assert [one.tag for one in page.elements] == ["div", "br", "i", "img"]
    assert page.says("no <b>luck", role="alert") and not page.says("luck", role="status")
    assert page.all("div", name="b")[0].text == page.text and not page.all("b") and len(page.all("img")) == 1
