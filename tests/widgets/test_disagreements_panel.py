"""The grid of photos and models: when it runs by itself, what it offers else, what it shows, a click."""

from __future__ import annotations

import importlib
import json
import math

import numpy as np
import pytest
from PIL import Image

import explorer
from explorer.inspection.compare.comparing import compare as real_compare
from explorer.inspection.compare.facts import Disagreement
from explorer.widgets.panels.compare import grid as module
from explorer.widgets.panels.compare.grid_rows import grid_row
from explorer.widgets.panels.compare.pace import Pace
from explorer.widgets.parts.answer_grid import AnswerGrid, GridCell, GridRow
from explorer.widgets.parts.photo_ticks import PhotoTicks
from tests.html import parse

from .test_compare_panel import TWO, text_of, tiny
from .test_parts_base import from_browser

core = importlib.import_module("explorer.inspection.compare.comparing")


def opened(images, compare=TWO, model=TWO[0]):
    """A dashboard whose tab Compare is in front."""
    dash = explorer.Dashboard(model, images=images)
    dash.wait()
    dash.session.compare = compare
    dash.tabs.selected_index = dash.tabs.children.index(dash.compare)
    return dash


@pytest.fixture(scope="module")
def dash():
    """Two models and three bundled photos, with the grid that came by itself."""
    shown = [one for one in explorer.sample_photos() if one.title in ("Beagle", "School bus", "Pizza")]
    dash = opened(shown)
    assert dash.compare.wait()
    yield dash
    dash.close()


def test_it_runs_by_itself_where_that_is_quick(dash):
    panel = dash.compare.apart
    assert panel.shown is not None and panel.go.layout.display == "none"
    assert panel.grid.rows[0].photo == "Beagle"
    assert dash.compare.shown is None  # nothing else ran


def test_each_photo_has_its_answers_signs_and_bits(dash):
    panel = dash.compare.apart
    row = panel.grid.rows[0]
    [first, second] = row.cells
    assert (first.answer, first.right) == ("Walker hound", False)
    assert (second.answer, second.right) == ("beagle", True) and "%" in second.sure
    assert row.truth == "shows English foxhound, basset or beagle"
    expected = panel.shown.result.disagreements()
    assert [one.apart for one in panel.grid.rows] == [f"{one.bits:.2f}" for one in expected]
    assert row.share == pytest.approx(expected[0].bits)  # of 1 bit at most
    assert "Jensen-Shannon divergence" in text_of(panel.says.value)
    assert "known: 3 of 3" in text_of(panel.says.value)


def test_a_click_makes_a_photo_that_of_all_panels(dash):
    panel = dash.compare.apart
    titles = [row.photo for row in panel.grid.rows]
    from_browser(panel.grid, {"kind": "pick", "index": 2})
    dash.wait()
    assert dash.session.image_name == titles[2] and panel.grid.selected == 2
    dash.session.image = np.zeros((40, 40, 3), np.uint8)
    dash.wait()
    assert panel.grid.selected == -1
    for strange in ({"kind": "pick", "index": 9}, {"kind": "pick", "index": "0"}, {"kind": "pick"}):
        from_browser(panel.grid, strange)
    assert panel.shown is not None and dash.session.image_name != titles[0]


def test_the_code_gives_the_same_numbers(dash):
    panel, scope = dash.compare.apart, {"dash": dash}
    exec(panel.code(), scope)
    again = scope["result"].disagreements()
    assert [row.bits for row in again] == pytest.approx([row.bits for row in panel.shown.found], rel=1e-4)
    assert 'figure("disagreements")' in panel.code()
    assert panel.exported("png").startswith(b"\x89PNG") and TWO[1] in panel.caption()


def test_models_that_are_open_are_not_opened_again(dash):
    models = dash.compare._opened()
    assert {*models} == {*TWO} and models[TWO[1]] is dash.compare.apart.shown.result.models[1]


def test_where_it_takes_longer_a_button_says_how_long(dash):
    panel = dash.compare.apart
    before = panel._pace
    panel._pace = Pace(1e-8, 0.1)  # 6 s for a pass of lite1
    try:
        dash.session.compare = (*TWO, "tf_efficientnet_lite2")
        assert panel.wait() and panel.go.layout.display == ""
        assert panel.grid.rows[0].cells[1].answer == "beagle"
        assert panel.go.description == "Show 3 photos to 3 models"
        said = text_of(panel.says.value)
        assert "About 56 s on this computer" in said and f"Shown: {', '.join(TWO)}." in said
        dash.session.compare = (*TWO, "resnet18")
        assert "The weights of resnet18 are not on this computer" in text_of(panel.says.value)
        dash.session.compare = TWO
        assert panel.go.layout.display == "none" and "2 models" in panel.says.value
    finally:
        panel._pace = before


def test_as_many_photos_as_fit_come_by_themselves_and_a_button_shows_all(monkeypatch):
    monkeypatch.setattr(module, "timed", lambda *_: (Pace(0.0, 0.2), None))  # 0.4 s a photo
    dash = opened(explorer.sample_photos()[:9])
    panel = dash.compare.apart
    assert panel.wait() and panel.shown.wish.count == 7 == len(panel.grid.rows)
    assert panel.go.description == "Show 9 photos to 2 models" and panel.go.layout.display == ""
    said = text_of(panel.says.value)
    assert "About 4 s on this computer" in said and "The first 7 of 9 photos." in said
    dash.session.open_image(explorer.sample_photos()[8])
    dash.wait()
    assert panel.wait() and panel.shown.wish.count == 7
    panel.go.click()
    assert panel.wait() and len(panel.grid.rows) == 9 and panel.go.layout.display == "none"
    assert "The first" not in panel.says.value
    dash.close()


def test_another_model_changes_the_grid_where_that_is_quick(dash):
    dash.session.compare = (TWO[1], TWO[0])
    panel = dash.compare.apart
    assert panel.wait() and panel.shown.result.names == (TWO[1], TWO[0])
    dash.session.compare = TWO
    assert panel.wait() and panel.shown.result.names == TWO


def test_what_failed_is_said_and_not_begun_again(dash, monkeypatch):
    calls = []

    def fails(*_given, **_told):
        calls.append(1)
        raise ZeroDivisionError("no")

    panel = dash.compare.apart
    monkeypatch.setattr(core, "compare", fails)
    dash.session.compare = (TWO[1], TWO[0])
    assert panel.wait() and calls == [1]
    assert "ZeroDivisionError" in text_of(panel.work.message.value) and panel.go.layout.display == ""
    dash.session.open_image(explorer.sample_photos()[4])
    dash.wait()
    assert calls == [1]
    monkeypatch.setattr(core, "compare", real_compare)
    panel.go.click()
    assert panel.wait() and panel.shown.result.names == (TWO[1], TWO[0]) and panel.work.message.value == ""
    dash.session.compare = TWO
    assert panel.wait()


def test_a_model_of_other_classes_has_a_column_and_no_bits():
    dash = opened([Image.new("RGB", (40, 36), "red"), Image.new("RGB", (40, 36), "blue")], TWO[:1], tiny())
    panel = dash.compare.apart
    assert "Tick one model more" in text_of(panel.says.value)
    dash.compare.choice.own.value = True
    assert panel.wait()
    if panel.shown is None:  # a slow computer
        panel.go.click()
        assert panel.wait()
    assert panel.shown.result.names == (TWO[0], "Tiny")
    assert panel.grid.rows[0].apart == "100.0 %" and "no bits" in text_of(panel.says.value)
    assert all(cell.right is None for row in panel.grid.rows for cell in row.cells)
    dash.close()
    assert panel.shown is None


def test_networks_for_boxes_get_a_sentence(dash, monkeypatch):
    panel = dash.compare.apart
    monkeypatch.setattr(type(panel.choice), "task", property(lambda self: "detection"))
    panel.draw()
    assert "Boxes and masks have no probabilities" in text_of(panel.says.value)
    monkeypatch.undo()
    panel.draw()
    assert "Jensen-Shannon" in panel.says.value


def test_the_guide_says_what_is_not_proved():
    said = parse(module.GUIDE).text
    assert "What it does not prove" in said and "log2" in said


# --- the two views --------------------------------------------------------------------------------------


def test_a_grid_refuses_what_does_not_fit():
    grid = AnswerGrid()
    row = GridRow("a", "", "0.1", 0.1, (GridCell("cat"),))
    with pytest.raises(ValueError, match="does not fit 2 models"):
        grid.show([("m", "red"), ("n", "blue")], [row], [b""])
    with pytest.raises(ValueError, match="give one for each"):
        grid.show([("m", "red")], [row], [])
    grid.show([("m", "red")], [row], [b"x"])
    grid.mark(7)
    assert grid.selected == -1 and grid.rows == (row,)
    grid.close()
    grid.close()


def test_ticks_are_numbers_of_photos_and_nothing_else():
    ticks = PhotoTicks()
    ticks.show(["a", "b", "c"], (1,))
    from_browser(ticks, {"kind": "choose", "key": "value", "value": [2, 0, 2]})
    assert list(ticks.value) == [0, 2]
    for wrong in ([3], [-1], ["a"], None, 1):
        from_browser(ticks, {"kind": "choose", "key": "value", "value": wrong})
    from_browser(ticks, {"kind": "choose", "key": "titles", "value": ["x"]})
    assert list(ticks.value) == [0, 2] and ticks.titles == ["a", "b", "c"] and not ticks.pictured
    with pytest.raises(ValueError, match="do not fit 3 photos"):
        ticks.pictures([b"x"])
    ticks.pictures([b"x", b"y", b"z"])
    assert ticks.pictured
    ticks.close()


def test_what_it_takes_follows_from_multiply_adds_photos_and_what_must_be_opened():
    from explorer.models.card import model_card

    pace, [first, second] = Pace(1e-9, 0.01, 1e-8), map(model_card, TWO)
    expected = 10 * (1e-9 * (first.macs + second.macs) + 0.02) + 1e-8 * second.parameters
    assert pace.seconds(TWO, [], 10, TWO[:1]) == pytest.approx(expected)
    assert pace.seconds(TWO, [10**9], 10, TWO) == pytest.approx(expected - 1e-8 * second.parameters + 10.1)
    assert pace.seconds(TWO, [None], 10, TWO) is None
    assert pace.seconds((*TWO, "torchvision/resnet18"), [], 10, TWO) is None


def test_a_row_of_an_answer_that_is_no_number_can_be_read_by_the_page():
    """JSON knows no NaN: with one the page would show nothing at all."""
    broken = Disagreement("a photo", 1.0, math.nan, 0.0, ("cat", "dog"), None, (0.5, math.nan),
                          (None, None))
    row = grid_row(broken, 1.0)
    assert (row.apart, row.share) == ("–", 0.0) and row.cells[1].sure == "not a number"
    grid = AnswerGrid()
    grid.show([("one", "red"), ("two", "blue")], [row, grid_row(broken, 0.0)], [b"", b""])
    assert "NaN" not in grid._grid and json.loads(grid._grid)["rows"][1]["apart"] == "100.0 %"
    grid.close()


def test_of_models_that_give_numbers_the_grid_tells_their_distance():
    near, far = (Disagreement(name, 0.0, 0.0, distance, ("age 3", "age 4")) for name, distance in
                 (("near", 1.0), ("far", 4.0)))
    assert [(row.apart, row.share) for row in (grid_row(near, 0.0, 4.0), grid_row(far, 0.0, 4.0))] == [
        ("1", 0.25), ("4", 1.0)]
