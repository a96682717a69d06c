"""A notebook in another language: cell by cell its original, the very same code, and all words translated."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests import conftest
from tests.tools.run_notebooks import NOTEBOOKS, TRANSLATED, code_cells, tidy, translated

PAIRS = sorted(TRANSLATED.items())
CHINESE = re.compile("[\u4e00-\u9fff]")
#: What a translation keeps as it stands: code, the number of headings, figures, and where links lead to.
KEPT = {"code": r"`[^`]+`", "headings": r"^#+ ", "numbers": r"\d[\d,.]*\d|\d", "links": r"\]\((.+?)\)",
        "points of a list": r"^\* ", "pictures": r"!\["}


def read(name: str):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.mark.parametrize(("name", "original"), PAIRS)
def test_it_has_the_cells_of_its_original_and_the_very_same_code(name, original):
    ours, theirs = read(name)["cells"], read(original)["cells"]
    assert [(cell["id"], cell["cell_type"]) for cell in ours] == \
        [(cell["id"], cell["cell_type"]) for cell in theirs]
    same = code_cells(read(name)) == code_cells(read(original))
    assert same, f"python -m tests.tools.run_notebooks {name}"


@pytest.mark.parametrize(("name", "original"), PAIRS)
def test_all_words_are_translated_and_nothing_else(name, original):
    for ours, theirs in zip(read(name)["cells"], read(original)["cells"]):
        if ours["cell_type"] == "code":
            continue
        text, source = ours["source"], theirs["source"]
        assert len(CHINESE.findall(text)) > len(source) / 10, ours["id"]
        for what, kept in KEPT.items():
            # each of the two tours links to the other
            found = [sorted(set(re.findall(kept, one.replace(name, original), re.M))
                            if what in ("code", "numbers", "links") else re.findall(kept, one, re.M))
                     for one in (text, source)]
            assert found[0] == found[1], (ours["id"], what)


def test_no_other_notebook_is_left_out_by_nbval():
    assert [f"notebooks/{name}::" for name in TRANSLATED] == [conftest.THE_SAME_CODE]


def test_outputs_are_taken_over_only_where_the_code_is_the_same(tmp_path):
    def made(path, source: str, words: str, *outputs):
        cells = [nbformat.v4.new_markdown_cell(words, id="a"),
                 nbformat.v4.new_code_cell(source, id="b", outputs=list(outputs))]
        notebook = nbformat.v4.new_notebook(cells=cells)
        if outputs:
            tidy(notebook)
        nbformat.write(notebook, path)
        return path

    said = nbformat.v4.new_output("stream", text="1\n")
    original = made(tmp_path / "a.ipynb", "print(1)", "One", said)
    same, other = made(tmp_path / "b.ipynb", "print(1)", "一"), made(tmp_path / "c.ipynb", "print(2)", "一")
    assert translated(same, original) == []
    [words, code] = nbformat.read(same, as_version=4)["cells"]
    assert words["source"] == "一" and code["outputs"] == [said]
    before = other.read_bytes()
    assert "are not those of a.ipynb" in translated(other, original)[0] and other.read_bytes() == before
    assert "stale" in translated(same, made(original, "print(3)", "One"))[0]
    assert code_cells(nbformat.read(same, as_version=4)) == [code]
