"""The documentation site: built strictly, complete, without another server; how docstrings become pages."""

from __future__ import annotations

import re
import sys

import pytest

import explorer
from tests.tools import build_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as it is published. Sphinx fails on each warning: a dead link, an unreadable docstring."""
    folder = tmp_path_factory.mktemp("site")
    assert build_site.build(folder) == 0
    return folder


@pytest.fixture(scope="module")
def restructured():
    sys.path.insert(0, str(build_site.SITE))
    try:
        from docstrings import restructured
        yield restructured
    finally:
        sys.path.remove(str(build_site.SITE))


def test_every_public_name_has_its_place_and_its_words(site):
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    described = re.findall(r'id="explorer\.(\w+)">.*?</dt>\s*<dd><p>(.)', pages, re.S)
    assert {name for name, _ in described} >= set(explorer.__all__)


def test_every_page_of_the_course_and_every_command_is_there(site):
    for path in (build_site.ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{path.stem}.html").is_file()
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f'<section id="{name}">' in commands for name in build_site.command_names())


def test_figures_of_the_saved_outputs_are_shown(site):
    page = (site / "notebooks" / "lesson_03_feature_maps.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img [^>]*src="(\.\./_images/[^"]+)"', page)
    assert len(pictures) > 3 and all((site / "notebooks" / picture).is_file() for picture in pictures)


def test_no_page_asks_another_server_for_anything(site):
    asked = re.compile(r'<(?:script|img|link|iframe)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]*"')
    found = {path.name: asked.findall(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert {name: links for name, links in found.items() if links} == {}
    styles = [path.read_text(encoding="utf-8", errors="replace") for path in site.rglob("*.css")]
    elsewhere = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
    assert styles and not any(elsewhere.search(style) for style in styles)


@pytest.mark.parametrize(("written", "made"), [
    ("One sentence.\ngoes on", "One sentence. goes on"),
    ("model:  a name\n        or a model\nrows: 3;  columns: 4",
     "``model``\n    a name or a model\n\n``rows``\n    3\n\n``columns``\n    4"),
    ("a, b:  two", "``a, b``\n    two"),
    ("    call(it)\n    twice()", ".. code-block:: python\n\n    call(it)\n    twice()"),
    ("`look` and `x`s of *k* and k_", ":py:obj:`look <explorer.look>` and ``x``\\ s of \\*k\\* and k\\_"),
    ("A tick ` alone", "A tick \\` alone"),
    ("Raises ValueError: no", "Raises ValueError: no"),
])
def test_docstrings_become_lists_code_and_links(restructured, written, made):
    lines = restructured(written.split("\n"), {"look": "explorer.look"}.get)
    assert "\n".join(lines).strip() == made
