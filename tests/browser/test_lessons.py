"""Lessons of the course in a real page, as a student goes through them: all cells, then an exercise."""

from __future__ import annotations

import json
import shutil

import pytest

from explorer.data.samples import notebooks_dir

# (lesson, exercise) -> what a student writes first, the word that this gets, and what is right
TRIES = {
    ("lesson_05_transfer_learning", "5.1"): (
        "answer = 25_557_032 + 2_048 * 20 + 20",
        "The old head is gone: its numbers no longer count.",
        "answer = 25_557_032 - (2_048 * 1_000 + 1_000) + 2_048 * 20 + 20"),
    ("lesson_08_why_did_it_say_that", "8.1"): (
        """def share_inside(heat, box):
    left, top, right, bottom = box
    return heat[left:right, top:bottom].sum() / heat.sum()""",
        "A row of a tensor is what lies at one height.",
        """def share_inside(heat, box):
    left, top, right, bottom = box
    whole = heat.sum()
    return heat[top:bottom, left:right].sum() / whole if whole else 0"""),
}


@pytest.mark.parametrize("lesson, exercise", TRIES)
def test_a_student_runs_a_lesson_and_finds_the_answer_at_the_second_try(one_lab, expect, lesson, exercise):
    folder, asked = notebooks_dir(), f'check("{exercise}", '
    for file in folder.glob("*.py"):
        shutil.copy(file, one_lab.root)
    cells = json.loads((folder / f"{lesson}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    index = next(number for number, source in enumerate(sources) if asked in source)
    begins, check = sources[index].partition("\n\n")[0], sources[index].splitlines()[-1]
    assert begins == "from exercises import check"
    first, words, second = TRIES[lesson, exercise]

    one_lab.open(folder / f"{lesson}.ipynb")
    one_lab.run_all()
    said = one_lab.go_to(index).locator(".jp-Cell-outputArea")
    expect(said).to_contain_text(f"Exercise {exercise}: not answered yet.")
    one_lab.rewrite(index, f"{begins}\n\n{first}\n{check}")
    expect(said).to_contain_text(f"Exercise {exercise}: not right yet.")
    expect(said).to_contain_text(words)
    one_lab.rewrite(index, f"{begins}\n\n{second}\n{check}")
    expect(said).to_contain_text(f"Exercise {exercise}: right.")
    assert one_lab.page.js_errors == []
