"""What a page may send by mistake or on purpose: no view raises, and none takes over what can't be."""

from __future__ import annotations

import csv
import inspect
import io
import itertools
import math
import re
from pathlib import Path

import pytest
from PIL import Image

from explorer.data.tables import safe_cell
from explorer.widgets.parts.answer_grid import AnswerGrid, GridCell, GridRow
from explorer.widgets.parts.answers import Answer as OneAnswer
from explorer.widgets.parts.answers import Answers
from explorer.widgets.parts.base import ExplorerPart
from explorer.widgets.parts.class_shelf import ShelfView
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.drawings import Drawing, Drawings
from explorer.widgets.parts.evaluation_card import csv_text
from explorer.widgets.parts.flow import Flow, Stop
from explorer.widgets.parts.judged_photos import Answer, JudgedPhotos
from explorer.widgets.parts.model_chart import ModelChart
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.parts.photo_ticks import PhotoTicks
from explorer.widgets.parts.scatter import Scatter
from explorer.widgets.parts.sort_table import SortTable

from .test_parts_base import PARTS, from_browser

STRANGE = [None, True, -1, 1.5, 10**400, -10**400, math.nan, math.inf, "x", "__class__", [], {}, [[]],
           [10**400, 0], [math.nan, 0], [math.inf] * 4, [0, 1, 2, 3], [True, False], ["a", {}], {"a": []},
           [None, None], ["x" * 10_000]]


def filled(Part: type[ExplorerPart]) -> ExplorerPart:
    """A view of two or three things, where it shows any."""
    part = Part()
    if Part in FILLED:
        FILLED[Part](part)
    return part


def fill_overlay(part: PhotoOverlay) -> None:
    part.draws, part.choices = True, 2
    part.show(Image.new("RGB", (40, 30)), grid=(2, 3))
    part.boxes([[0, 0, 9, 9], [5, 5, 30, 20], [1, 1, 2, 2]])
    part.mask([[0, 1], [1, 1]], names=["sky", "sea"])


def fill_grid(part: AnswerGrid) -> None:
    rows = [GridRow(photo, "a", "0.1", 0.1, (GridCell("a"),)) for photo in "ab"]
    part.show([("one", "red")], rows, [b"jpeg"] * 2)


def fill_shelf(part: ShelfView) -> None:
    part.classes = [{"name": "x", "count": 1}]
    part.show({"x": [(1, 1)]}, {1: b"jpeg"})


FILLED = {
    AnswerGrid: fill_grid,
    Answers: lambda part: part.show([OneAnswer("a", "60 %", 0.6), OneAnswer("b", "40 %", 0.4)]),
    ConfusionMatrix: lambda part: part.show(["a", "b"], [[1, 2], [3, 4]]),
    Drawings: lambda part: part.show([Drawing("x", actions=("x", "Save")), Drawing("y")], [b"jpeg"] * 2),
    Flow: lambda part: part.show([Stop("x", "64 channels", (64, 8, 8), 4, (0, 1), (b"png", b"png"))]),
    JudgedPhotos: lambda part: part.show([(b"jpeg", Answer("a", "b", "50 %", False))] * 2),
    ModelChart: lambda part: part.load([("x", 10, 100, 70.0, 224), ("y", 20, None, 80.0, 224)]),
    PhotoOverlay: fill_overlay,
    PhotoTicks: lambda part: part.show(["a", "b"], [0]),
    Scatter: lambda part: part.show([0, 1], [1, 0], labels="ab", group_names=["one"]),
    ShelfView: fill_shelf,
    SortTable: lambda part: part.show([("class", "text"), ("photos", "count")], [["a", 1], ["b", 2]]),
}


@pytest.mark.parametrize("Part", PARTS)
def test_no_message_raises_or_breaks_a_promise(sent, Part):
    part = filled(Part)
    source = Path(inspect.getfile(Part)).read_text(encoding="utf-8")
    keys = {*re.findall(r'content(?:\.get\(|\[)"(\w+)"', source)} - {"kind"}
    kinds = {*re.findall(r'"(\w+)"', source), "ready", "choose", "no such kind"}
    for kind, value in itertools.product(sorted(kinds), STRANGE):
        said = {"kind": kind, **dict.fromkeys(keys, value), "key": value, "value": value, "generation": 1}
        from_browser(part, said)
    for key, value in itertools.product([*part.trait_names(), "_callbacks", "close"], STRANGE):
        from_browser(part, {"kind": "choose", "key": key, "value": value})
    for message in STRANGE:
        from_browser(part, message)
    if hasattr(part, "alpha"):
        assert 0 <= part.alpha <= 1
    if Part in (AnswerGrid, Scatter, JudgedPhotos):
        assert part.selected < 2
    if Part is PhotoTicks:
        assert set(part.value) <= {0, 1}
    if Part is PhotoOverlay:
        if part.box != ():
            left, top, right, bottom = part.box
            assert 0 <= left < right <= 40 and 0 <= top < bottom <= 30
        assert part.place == () or (part.place[0] < 2 and part.place[1] < 3)
        assert len(part.chosen) <= 2 and set(part.chosen) <= {0, 1, 2} and part.isolated in (-1, 0, 1)
    part.close()


@pytest.mark.parametrize("Part, kind, listen, keys, heard", [
    (AnswerGrid, "pick", "on_pick", ("index",), []),
    (Answers, "pick", "on_pick", ("index",), []),
    (Drawings, "act", "on_act", ("key", "action"), [("x", "x")]),
    (Flow, "open", "on_open", ("name",), [("x",)]),
    (ModelChart, "pick", "on_pick", ("name",), [("x",)]),
])
def test_a_press_on_what_is_not_shown_is_not_heard(sent, Part, kind, listen, keys, heard):
    part, calls = filled(Part), []
    getattr(part, listen)(lambda *given: calls.append(given))
    for value in STRANGE:
        from_browser(part, {"kind": kind, **dict.fromkeys(keys, value)})
    assert calls == heard
    part.close()


def test_every_text_of_a_view_is_written_as_text():
    """HTML is the guide alone, which explorer itself has written."""
    scripts = Path(inspect.getfile(ExplorerPart)).parent.glob("*.js")
    markup = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    found = {(file.name, line.strip()) for file in scripts
             for line in file.read_text(encoding="utf-8").splitlines() if markup.search(line)}
    assert found == {("panel_tools.js", "text.innerHTML = html;")}


# --- CSV ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['=HYPERLINK("http://evil")', "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_work_out_gets_an_apostrophe(text):
    table = csv_text([("class", "text"), ("=photos", "count")], [[text, -3], ["rose", -0.5]])
    rows = list(csv.reader(io.StringIO(table, newline="")))
    assert rows[1:] == [["'" + text.replace("\r", "\n"), "-3"], ["rose", "-0.5"]]
    assert safe_cell("rose-hip = 1") == "rose-hip = 1" and safe_cell(-1) == -1 and safe_cell(None) is None


def test_runs_with_such_names_are_written_so():
    from explorer.training.loop.recipe import Recipe
    from explorer.training.run.past import PastRun
    from explorer.widgets.panels.runs.table import csv_text

    row = next(csv.DictReader(io.StringIO(csv_text([PastRun("=1+1", Path("."), Recipe(), data_name="@x")]))))
    assert (row["run"], row["data"], row["seed"]) == ("'=1+1", "'@x", "0")
