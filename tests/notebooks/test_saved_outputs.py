"""The notebooks as they lie in the repository: with the outputs of their code, and of no machine."""

from __future__ import annotations

import nbformat
import pytest

from explorer.cli import tour
from explorer.data.samples import notebooks_dir
from tests.tools import run_notebooks
from tests.tools.run_notebooks import (
    LIMIT,
    NOTEBOOKS,
    WIDGET,
    code_cells,
    code_hash,
    is_stale,
    problems,
    tidy,
)

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
LESSONS = [path.name for path in sorted(NOTEBOOKS.glob("lesson_[0-9]*.ipynb"))]
SEEN = "**What you should see.**"
HOME, TEMPORARY = "/" + "root", "/" + "tmp"  # put together, so that this file itself shows no such path


def notebook(name: str):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_of_this_code(name):
    stale = is_stale(notebook(name))
    assert not stale, f"The code of {name} has changed: python -m tests.tools.run_notebooks {name}"


@pytest.mark.parametrize("name", NAMES)
def test_no_output_shows_an_error_or_a_path_of_a_machine(name):
    assert problems(notebook(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_was_run_in_its_turn(name):
    counts = [cell["execution_count"] for cell in code_cells(notebook(name))]
    assert counts == [*range(1, len(counts) + 1)]


def test_all_of_them_together_are_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS.rglob("*") if path.is_file()) < LIMIT * 1e6


@pytest.mark.parametrize("name", LESSONS)
def test_a_figure_is_followed_by_what_to_see_in_it(name):
    cells = notebook(name)["cells"]
    for cell, after in zip(cells, cells[1:]):
        kinds = {kind for output in cell.get("outputs", ()) for kind in output.get("data", {})}
        if "image/png" in kinds:
            assert after["cell_type"] == "markdown" and after["source"].startswith(SEEN), cell["id"]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_the_dashboard_with_its_picture(name):
    shown = [output["data"].get("text/html", "") for cell in code_cells(notebook(name))
             for output in cell["outputs"] if "data" in output]
    assert any("vx-saved" in html and "<img" in html for html in shown)


@pytest.mark.parametrize("name", [*LESSONS, "solutions.ipynb"])
def test_code_is_no_wider_than_a_page(name):
    wide = [(cell["id"], line) for cell in code_cells(notebook(name)) for line in cell["source"].splitlines()
            if len(line) > 110]
    assert wide == []


def test_the_tour_brings_all_of_it_along(tmp_path):
    tour.copy_notebooks(notebooks_dir(), tmp_path)
    for path in NOTEBOOKS.glob("*.*"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


# --- what the script does to outputs --------------------------------------------------------------------


def made(*outputs, source: str = "1") -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source, id="a", outputs=list(outputs), execution_count=1)
    return nbformat.v4.new_notebook(cells=[cell])


def shown(**data) -> nbformat.NotebookNode:
    kinds = {kind.replace("_", "/"): value for kind, value in data.items()}
    return nbformat.v4.new_output("display_data", data=kinds)


def printed(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", text=text, name=name)


def test_another_line_of_code_makes_outputs_stale_and_another_word_beside_it_does_not():
    one = made(printed("1"))
    tidy(one)
    assert not is_stale(one)
    one["cells"].insert(0, nbformat.v4.new_markdown_cell("words"))
    assert not is_stale(one)
    one["cells"][1]["source"] = "2"
    assert is_stale(one)
    assert code_hash(made(source="1")) != code_hash(made(source="2"))


def test_ids_and_addresses_are_the_same_each_time():
    first, second = "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "11111111-2222-3333-4444-555555555555"
    one = made(shown(text_html=f"<i id='x-{first}'>{first} {second}</i>"), printed("<Thing at 0x7f01abcd>\n"))
    tidy(one)
    html, text = one["cells"][0]["outputs"]
    assert html["data"]["text/html"] == "<i id='x-1'>1 2</i>"
    assert text["text"] == "<Thing>\n"


def test_a_widget_is_left_out_and_what_was_printed_bit_by_bit_is_one_output():
    widget = nbformat.v4.new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "W"})
    one = made(printed("a"), printed("b"), widget, printed("c"))
    tidy(one)
    assert [output["text"] for output in one["cells"][0]["outputs"]] == ["abc"]


@pytest.mark.parametrize(("output", "problem"), [
    (nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[]), "an error, ValueError"),
    (printed("beware", "stderr"), "stderr"),
    (printed("saved to /home/anna/x.png"), "a path of a machine"),
    (shown(text_plain=f"PosixPath('{HOME}/x')"), "a path of a machine"),
    (shown(text_html="<p>C:\\Users\\anna</p>"), "a path of a machine"),
])
def test_what_a_reader_must_not_see_is_found(output, problem):
    [found] = problems(made(output))
    assert problem in found


def test_a_picture_that_spells_a_path_by_chance_is_none():
    assert problems(made(shown(text_html=f"<img src='data:image/png;base64,AA{HOME}+{TEMPORARY}/9='>"))) == []


def test_a_notebook_that_shows_a_path_is_not_written(tmp_path, capsys):
    path = tmp_path / "n.ipynb"
    nbformat.write(made(source="import os; print(os.getcwd())"), path)
    before = path.read_bytes()
    [problem] = run_notebooks.remake(path)
    assert "n.ipynb: a: a path of a machine" in problem
    assert path.read_bytes() == before
