"""The exercises of the course: what is open is told open, what is wrong is told wrong; nothing raises."""

from __future__ import annotations

import math
import re
import sys

import nbformat
import pytest
import torch

from tests.notebooks import students_1_to_8 as first
from tests.notebooks import students_9_to_14 as later
from tests.tools.run_notebooks import NOTEBOOKS, code_cells

SOLUTIONS = "solutions.ipynb"


@pytest.fixture(scope="module")
def exercises():
    """The module beside the notebooks, as a notebook imports it."""
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        import exercises
        yield exercises
    finally:
        sys.path.remove(str(NOTEBOOKS))


def numbers() -> list[str]:
    """Of all exercises, as they stand in the lessons: "**1.1** ..."."""
    return [number for path in sorted(NOTEBOOKS.glob("lesson_[0-9]*.ipynb"))
            for cell in nbformat.read(path, as_version=4)["cells"] if cell["cell_type"] == "markdown"
            for number in re.findall(r"^\*\*(\d+\.\d+)\*\* ", cell["source"], re.M)]


def test_there_is_a_check_for_every_exercise(exercises):
    assert numbers() == [*exercises.EXERCISES]
    assert len(set(numbers())) == len(numbers())


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("lesson_[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_a_lesson_ends_in_two_or_three_exercises_that_say_not_yet(path, exercises):
    said = [output["data"]["text/plain"] for cell in code_cells(nbformat.read(path, as_version=4))
            if "check(" in cell["source"] for output in cell["outputs"]]
    number = int(re.match(r"lesson_(\d+)", path.stem)[1])
    assert 2 <= len(said) <= 3
    assert said == [repr(exercises.check(f"{number}.{i + 1}")) for i in range(len(said))]


def test_the_solutions_are_told_right(exercises):
    """As saved; nbval runs them, and compares."""
    cells = code_cells(nbformat.read(NOTEBOOKS / SOLUTIONS, as_version=4))
    checked = [cell for cell in cells if "check(" in cell["source"]]
    said = [cell["outputs"][-1]["data"]["text/plain"] for cell in checked]
    assert said == [f"Exercise {number}: right." for number in exercises.EXERCISES]
    assert all(cell["source"].startswith("# NBVAL_CHECK_OUTPUT\n") for cell in checked)


def forgetful(*given):
    """What a student has before the first line is written."""


STRANGE = [
    0, -1, 3.7, math.nan, math.inf, True, "", "abc", [], [1, 2], {}, object(), len, forgetful, lambda: 1,
    torch.zeros(2), torch.tensor(5.0), b"1", (1, 2, 3, 4), ["a", "b"], lambda *given: "no",
    lambda *given: 1 / 0,
]


def test_no_strange_answer_is_right_or_raises(exercises):
    for number in exercises.EXERCISES:
        for answer in STRANGE:
            said = exercises.check(number, answer)
            assert not said, (number, answer)
            assert said.words, (number, answer)


@pytest.mark.parametrize("answer", [..., None, forgetful, lambda *given: ...])
def test_what_is_not_answered_is_told_so(exercises, answer):
    functions = ("1.2", "2.2", "3.3", "4.1", "4.3", "5.2", "5.3", "6.2", "6.3", "7.1", "7.2", "8.1", "8.2",
                 "9.2", "9.3", "10.2", "10.3", "11.2", "11.3", "12.1", "12.2", "13.1", "13.2", "14.2", "14.3")
    for number in functions if callable(answer) else exercises.EXERCISES:
        assert exercises.check(number, answer).said == "not answered yet"


def test_a_function_without_return_is_told_so_and_one_with_three_dots_is_open(exercises):
    for number in ("1.2", "7.1", "13.2", "14.3"):
        assert exercises.check(number, forgetful).words.endswith("gives nothing back: is there a `return`?")
        assert exercises.check(number, lambda *given: ...).words == exercises.DOTS


NONE = [("9.9", 1, "no such exercise"), (1, 1, "no such exercise")]


@pytest.mark.parametrize(("number", "answer", "words"), [*first.WRONG, *later.WRONG, *NONE])
def test_a_wrong_answer_is_told_why(exercises, number, answer, words):
    said = exercises.check(number, answer)
    assert said.said == "not right yet" and re.search(words, said.words), said


@pytest.mark.parametrize(("number", "answer"), [*first.RIGHT, *later.RIGHT])
def test_a_right_answer_may_be_written_in_more_than_one_way(exercises, number, answer):
    assert exercises.check(number, answer)


def test_a_number_behind_the_point_may_be_rounded_either_way(exercises):
    from checking import Number, number_hash

    asked = Number(number_hash("x", 0.8950, 2), digits=2)
    said = {value: asked.judge("x", value)[0] for value in (0.9, 0.895, 0.8949, 0.88, 0.91)}
    assert said == {0.9: True, 0.895: True, 0.8949: True, 0.88: False, 0.91: False}


def test_what_is_said_escapes_what_it_repeats(exercises):
    html = exercises.check("<b>", 1)._repr_html_()
    assert "<b>Exercise &lt;b&gt;" in html
