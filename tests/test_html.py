"""HTML in tests is read as a page: texts, attributes and rows, whatever the spelling."""

from __future__ import annotations

import pytest

from tests.html import parse

PAGE = """
<div class='card wide' style='color:red; margin: 0 1px'><h3>Pets &amp; <b>birds</b></h3>
<p class="note">&lt;script&gt; is  text</p><img src="a.png" alt='x "&lt;y&gt;"'><br>
<table><thead><tr><th scope="col">class</th><th>share</th></tr></thead>
<tbody><tr><th>cat</th><td>97 <i>%</i></td></tr></tbody></table>
<svg viewBox="0 0 1 1"><path d="M0 0" aria-hidden="true"/></svg></div>
"""


def test_texts_stand_in_the_order_of_the_page_with_entities_read():
    page = parse(PAGE)
    assert page.texts == ["Pets &", "birds", "<script> is text", "class", "share", "cat", "97", "%"]
    assert page.find("h3").text == "Pets & birds" and page.find("p").text == "<script> is text"
    assert page.text == "Pets & birds <script> is text class share cat 97 %"
    assert parse("a<b>b</b>c<br>d<p>e</p>").text == "abc d e"


def test_elements_are_found_by_tag_class_and_attributes():
    page = parse(PAGE)
    assert page.find(cls="card").classes == ("card", "wide")
    assert page.find("p", "note") is page.find(cls="note")
    assert page.find("img", src="a.png").attributes["alt"] == 'x "<y>"' and not page.find_all("script")
    assert page.find(aria_hidden="true").tag == "path"
    assert page.find("svg").attributes == {"viewbox": "0 0 1 1"}
    assert [child.tag for child in page.find("div")] == ["h3", "p", "img", "br", "table", "svg"]
    assert page.find("div").style == {"color": "red", "margin": "0 1px"}


def test_an_element_that_must_be_the_only_one_fails_by_name_when_it_is_not():
    with pytest.raises(AssertionError, match=r"2 of <th.*class"):
        parse("<table><tr><th>class</th><th>b</th></tr></table>").find("th")
    with pytest.raises(AssertionError, match=r"0 of <\*"):
        parse(PAGE).find(cls="missing")


def test_a_table_is_rows_of_cells():
    assert parse(PAGE).find("table").rows() == [["class", "share"], ["cat", "97 %"]]


def test_what_must_not_be_there_can_be_asked_for():
    page = parse("<p>a<img src=x onerror='alert(1)'></p>")
    assert page.tags == {"p", "img"} and page.attribute_names == {"src", "onerror"}


@pytest.mark.parametrize(("html", "fault"), [
    ("<p><b>a</p></b>", "</p> closes <b>"), ("<p>a", "not closed: ['p']"), ("a</p>", "</p> closes <>"),
    ("<p class=a class=b></p>", "<p> has an attribute twice"),
])
def test_html_that_is_not_well_formed_fails(html, fault):
    with pytest.raises(AssertionError) as caught:
        parse(html)
    assert fault in str(caught.value)


def test_it_says_what_a_reader_meets_and_where():
    page = parse('<div role="alert">no &lt;b&gt;luck<br>at <i>all</i></div><img src="x">')
    assert page.says("no <b>luck at all") and not page.says("<i>")
    assert page.says("luck", role="alert") and not page.says("luck", role="status")
