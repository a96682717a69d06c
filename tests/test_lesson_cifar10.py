"""The lesson on training and testing. nbval runs it without CIFAR-10, as most people will; here is a copy."""

from __future__ import annotations

import json

import matplotlib

from explorer.cli import tour
from explorer.data.samples import notebooks_dir
from tests import tiny_cifar10

LESSON = "lesson_06_cifar10.ipynb"


def cells(kind: str) -> list[dict]:
    notebook = json.loads((notebooks_dir() / LESSON).read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_runs_on_a_copy_of_cifar10_and_says_so(tmp_path, monkeypatch, capsys):
    tiny_cifar10.write(tmp_path / "data", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(notebooks_dir())  # for the exercises
    matplotlib.use("agg")
    names: dict = {}
    for cell in cells("code"):
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    out = capsys.readouterr().out
    assert "This lesson uses CIFAR-10: 50 of its 50 photos to learn from, 10 of its 10 to judge by." in out
    assert "flowers5" not in out and "airplane" in out
    assert len(names["run"].history) == 5 and len(names["result"]) == tiny_cifar10.JUDGED
    assert set(names["chart"].names) == {"learning", "judged"}
    names["dash"].close()


def test_the_tour_brings_it_along(tmp_path):
    tour.copy_notebooks(notebooks_dir(), tmp_path)
    assert (tmp_path / LESSON).read_bytes() == (notebooks_dir() / LESSON).read_bytes()
