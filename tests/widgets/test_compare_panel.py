"""The panel that compares: which models and photos,
what runs when, what is shown, said, saved and written as code.
"""

from __future__ import annotations

import csv
import importlib
import io
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.compare.comparison import Comparison
from explorer.widgets.panels.compare import panel as module
from explorer.widgets.panels.compare.guide import GUIDE
from explorer.widgets.panels.compare.views import VIEWS
from explorer.widgets.panels.compare.words import default_names, table_rows, weights_sentence
from explorer.widgets.parts.downloads import Downloads
from tests.html import parse
from tests.inspection.test_compare import answered

from .test_parts_base import from_browser, record_messages

core = importlib.import_module("explorer.inspection.compare.comparing")
TWO = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")


@pytest.fixture(scope="module")
def dash():
    """One dashboard with two models compared on two bundled photos; tests put back what they change."""
    photos = explorer.sample_photos()[:3]
    dash = explorer.Dashboard(TWO[0], images=photos)
    dash.wait()
    dash.session.compare = TWO
    dash.tabs.selected_index = dash.tabs.children.index(dash.compare)
    panel = dash.compare
    panel.choice.source.value, panel.choice.several.value = "gallery", (0, 1)
    panel.compare.click()
    assert panel.wait()
    yield dash
    dash.close()


@pytest.fixture
def panel(dash):
    panel = dash.compare
    yield panel
    panel.views.view.value, panel.views.photo.value, panel.views.target.value = "predictions", 0, ""
    panel.choice.source.value, panel.choice.several.value = "gallery", (0, 1)
    panel.choice.own.value = False
    dash.session.compare = TWO
    assert panel.wait()


def text_of(html: str) -> str:
    return parse(html).text


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def tiny():
    torch.manual_seed(0)
    return explorer.wrap(Tiny(), input_size=(3, 32, 32), labels=("a", "b", "c"))


# --- which models, which photos -------------------------------------------------------------------------


def test_nothing_is_built_and_no_model_runs_before_the_tab_is_opened():
    dash = explorer.Dashboard(tiny())
    dash.wait()
    assert dash.compare.compare is None and dash.compare.code() == "" and dash.compare.figure() is None
    dash.close()


def test_without_ticks_the_models_whose_weights_are_installed_are_offered(panel, dash):
    dash.session.compare = ()
    lite = tuple(f"tf_efficientnet_lite{number}" for number in range(3))
    assert panel.choice.names == default_names() == lite
    assert "No model is ticked" in panel.choice.about_models.value and not panel.compare.disabled
    assert weights_sentence(default_names()) == ""


def test_the_ticks_of_the_picker_are_the_models_and_the_other_way_round(panel, dash):
    assert [chip.description for chip in panel.choice.chips.children] == list(TWO)
    panel.choice.add.value = "resnet18"
    assert dash.session.compare == (*TWO, "resnet18") and panel.choice.add.value == ""
    assert [name for name, *_ in rows_of(dash.picker.comparison)] == [*TWO, "resnet18"]
    panel.choice.chips.children[0].click()
    assert dash.session.compare == (TWO[1], "resnet18")


def rows_of(part):
    import json

    return json.loads(part._table)["rows"]


def test_weights_that_are_not_here_are_said_in_one_sentence(panel, dash):
    dash.session.compare = (*TWO, "resnet18")
    assert "The weights of resnet18 are not on this computer" in panel.choice.about_models.value


def test_a_wrong_name_is_a_sentence_and_changes_nothing(panel, dash):
    panel.choice.add.value = "resnet5O"
    assert "Did you mean" in text_of(panel.message.value) and dash.session.compare == TWO


def test_one_model_is_not_enough(panel, dash):
    dash.session.compare = TWO[:1]
    assert panel.compare.disabled and "one model more" in panel.compare.tooltip


def test_a_photo_has_to_be_chosen(panel):
    panel.choice.several.value = ()
    assert panel.compare.disabled and panel.measure.disabled
    panel.choice.source.value = "folder"
    assert panel.compare.disabled and "Choose a photo" in panel.compare.tooltip


def test_a_model_that_was_built_here_is_compared_with_named_ones():
    dash = explorer.Dashboard(tiny(), images=[Image.new("RGB", (40, 36), "red")])
    dash.wait()
    panel = dash.compare
    panel.build()
    dash.session.compare = TWO[:1]
    assert panel.choice.own.layout.visibility == "visible" and panel.compare.disabled
    panel.choice.own.value = True
    panel.compare.click()
    assert panel.wait()
    assert panel.shown.result.names == (TWO[0], "Tiny") and panel.shown.result.models[1] is dash.session.model
    assert "know different classes" in text_of(panel.about.value)
    scope = {"dash": dash}
    exec(panel.code(), scope)
    again, shown = (one.probabilities("Tiny") for one in (scope["result"], panel.shown.result))
    np.testing.assert_allclose(again, shown, rtol=1e-5)
    panel._open("Tiny")
    dash.wait()
    assert dash.session.model is panel.shown.result.models[1]
    dash.close()


def test_a_folder_is_judged_and_its_heat_maps_are_refused_in_a_sentence(dash, panel, tmp_path, monkeypatch):
    monkeypatch.setattr(core, "FEW", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = panel.shown
    for name, photo in (("tabby", 1), ("beagle", 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        content = explorer.sample_photos()[photo].path.read_bytes()
        (tmp_path / "photos" / name / "one.jpg").write_bytes(content)
    panel.choice.source.value, panel.choice.folder.value = "folder", str(tmp_path / "photos")
    panel.compare.click()
    assert panel.wait()
    result = panel.shown.result
    assert len(result.photos) == 2 and [row.judged for row in result.rows] == [2, 2] and result.looks == ()
    assert "Right here" in text_of(panel.about.value)
    for view in ("cams", "maps"):
        panel.views.view.value = view
        assert "compare fewer photos" in text_of(panel.views.picture.value)
    scope = {}
    code = panel.code().replace("result.maps", "# result.maps").replace("result.figure", "# result.figure")
    exec(code, scope)
    assert scope["result"].rows == result.rows
    panel.shown = before
    panel.views.offer(panel.shown.result)


# --- what runs when -------------------------------------------------------------------------------------


def test_another_photo_runs_no_model_and_is_said(panel, dash, monkeypatch):
    panel.choice.source.value = "screen"
    panel.compare.click()
    assert panel.wait() and panel.stale.value == ""
    first = dash.session.image_name
    monkeypatch.setattr(core, "look", lambda *_: pytest.fail("a model ran"))
    dash.session.open_image(explorer.sample_photos()[2])
    dash.wait()
    said = text_of(panel.stale.value)
    assert f"This is the photo {first}" in said
    assert f"is {dash.session.image_name} now. Press Compare." in said
    assert panel.shown.result.photos == (first,)


def test_models_that_are_open_already_are_not_opened_again(panel, dash, monkeypatch):
    opened = panel.shown.result.models
    opening = sys.modules["explorer.inspection.look.model"]
    monkeypatch.setattr(opening, "create_model", lambda *_, **__: pytest.fail("opened again"))
    panel.compare.click()
    assert panel.wait() and panel.shown.result.models == opened


def test_measuring_times_what_is_shown_without_showing_the_photos_again(panel, monkeypatch):
    result = panel.shown.result
    monkeypatch.setattr(core, "compare", lambda *_, **__: pytest.fail("compared again"))
    few = {"warm_up": 0, "repeats": 2, "many": 2}
    monkeypatch.setattr(Comparison.measure, "__kwdefaults__", {**Comparison.measure.__kwdefaults__, **few})
    panel.measure.click()
    assert panel.wait() and panel.shown.result is result
    assert all(row.latency and row.throughput for row in result.rows)
    assert panel.views.view.value == "scatter" and panel.views.x.value == "latency"
    assert len(panel.views.scatter) == 2
    assert "2 models taking turns" in text_of(panel.about.value) and panel.progress.value == ""
    panel.views.view.value = "table"
    assert "quartiles" in panel.views.table._table and "result.measure()" in panel.code()


def test_stopping_ends_the_measuring_and_keeps_what_was_timed(panel):
    begun = threading.Event()
    shown = panel.shown.result.measure

    def measure(*, on_progress, should_stop):
        begun.set()
        while not should_stop():
            on_progress(1, 1000, "timing passes over 1 photo")
        return shown(warm_up=0, repeats=1, should_stop=should_stop)

    panel.shown.result.measure = measure
    panel.measure.click()
    assert begun.wait(10) and panel.compare.disabled and not panel.stop.disabled
    panel.stop.click()
    assert panel.wait(20) and panel.stop.disabled and not panel.compare.disabled
    assert "Stopped" in text_of(panel.message.value)
    del panel.shown.result.measure
    panel.message.value = ""


def test_what_fails_is_a_sentence_and_what_was_shown_stays(panel, monkeypatch):
    before = panel.shown
    monkeypatch.setattr(core, "compare", lambda *_, **__: 1 / 0)
    panel.compare.click()
    assert panel.wait() and panel.shown is before and not panel.compare.disabled
    assert parse(panel.message.value).says("That did not work (ZeroDivisionError", role="alert")
    panel.message.value = ""


def test_weights_that_cannot_be_had_leave_the_others(panel, dash):
    dash.session.compare = (*TWO, "resnet18")
    panel.compare.click()
    assert panel.wait() and panel.shown.result.names == TWO
    assert "resnet18: The weights of" in text_of(panel.about.value)


# --- what is shown --------------------------------------------------------------------------------------


def test_predictions_follow_photo_and_number(panel):
    panel.views.photo.value, panel.views.topk.value = 1, 3
    expected = panel.shown.result.predictions(1, topk=3)
    said = text_of(panel.views.picture.value)
    assert all(row.label in said for row in expected)
    assert len(parse(panel.views.picture.value).find_all(role="group")) == len(expected)
    panel.views.topk.value = 5


def test_heat_maps_come_for_the_class_asked_for(panel):
    panel.views.view.value = "cams"
    panel.views.target.value = "tiger cat"
    assert panel.wait()
    drawn = parse(panel.views.picture.value)
    assert len(drawn.find_all("img")) == 2 and "lite1: tiger cat" in panel.views.picture.value
    panel.views.target.value = "no such class"
    assert panel.wait() and panel.views.picture.value.count("has no class &#x27;no such class&#x27;") == 2


def test_feature_maps_are_at_one_stride(panel):
    panel.views.view.value = "maps"
    strides = [value for _, value in panel.views.stride.options]
    assert strides == list(panel.shown.result.strides)
    panel.views.stride.value = 8
    [first, second] = panel.shown.result.maps(8, 0)
    said = text_of(panel.views.picture.value)
    assert f"{first[0]}: the 16 strongest of {first[1].shape[0]} channels" in said
    assert f"{TWO[1]}, {second[0]}" in said


def test_agreement_and_table_show_the_numbers(panel):
    panel.views.view.value = "agreement"
    assert f"{100 * panel.shown.result.agreement[0, 1]:.0f} %" in text_of(panel.views.picture.value)
    panel.views.view.value = "table"
    columns, rows = table_rows(panel.shown.result)
    titles = [title for title, _ in columns]
    assert rows[0][titles.index("parameters, M")] == pytest.approx(4.652008)
    assert "lite1" in panel.views.table._table
    assert rows[1][titles.index("top-1 published")] == pytest.approx(0.766, abs=1e-3)


def test_whether_the_best_really_is_better_is_said_where_accuracy_is_shown(panel):
    before, random = panel.shown, np.random.default_rng(0)
    result = answered([random.random(60) < share for share in (0.6, 0.95)], ("<b>a</b>", "b"))
    result.models = before.result.models
    with panel.session.lock:
        panel._show(replace(before, result=result))
    for view, accuracy in (("table", "measured"), ("scatter", "measured"), ("scatter", "published")):
        panel.views.view.value, panel.views.y.value = view, accuracy
        said = text_of(panel.views.below.value)
        assert (result.standing[0] in said) == (accuracy == "measured"), (view, accuracy)
        assert "<b>a</b>" not in panel.views.below.value
    with panel.session.lock:
        panel._show(before)


def test_a_point_and_a_row_open_their_model(panel, dash):
    panel.views.view.value = "scatter"
    names = panel.views.placed
    scatter = panel.views.scatter
    picked = {"kind": "pick", "index": names.index(TWO[1]), "generation": scatter._generation}
    from_browser(scatter, picked)
    dash.wait()
    assert dash.session.model_source == TWO[1]
    panel.views.view.value = "table"
    from_browser(panel.views.table, {"kind": "pick", "index": 0})
    dash.wait()
    assert dash.session.model_source == TWO[0]
    assert f"All panels show {TWO[0]} now" in text_of(panel.message.value)


def test_names_of_photos_and_classes_are_escaped(panel, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    result = core.compare({evil: tiny(), "b": tiny()}, {evil: Image.new("RGB", (40, 36))}, measure=False)
    before = panel.shown
    panel.shown = module.Shown(result, before.asked, (), evil)
    panel.views.offer(panel.shown.result)
    for _, view in VIEWS:
        panel.views.view.value = view
        panel._show_view()
        assert panel.wait()
        views = panel.views
        for part in (views.picture, views.below, panel.about, panel.stale):
            assert evil not in part.value
    panel.shown = before
    panel.views.offer(panel.shown.result)


# --- to keep --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [view for _, view in VIEWS])
def test_the_code_gives_what_is_shown_again(panel, dash, view):
    panel.views.view.value = view
    panel.views.photo.value = 1
    if view == "cams":
        panel.views.target.value = "tabby"
    assert panel.wait()
    lines = panel.code().splitlines()
    assert lines[0] == "import explorer"
    assert any(line.startswith("result = explorer.compare(") for line in lines)
    scope = {"dash": dash}
    exec("\n".join(line if "measure()" not in line else "" for line in lines), scope)
    again, shown = scope["result"], panel.shown.result
    np.testing.assert_array_equal(again.agreement, shown.agreement)
    for i in range(2):
        np.testing.assert_allclose(again.probabilities(i, 1), shown.probabilities(i, 1), rtol=1e-5)


def test_the_page_gets_the_code_when_it_asks(panel, monkeypatch):
    sent = []
    monkeypatch.setattr(panel.tools, "send", lambda content, buffers=None: sent.append(content))
    from_browser(panel.tools, {"kind": "ask", "what": "code"})
    assert sent[-1]["text"] == panel.code() != ""
    panel.views.view.value = "agreement"
    assert sent[-1]["text"].endswith('result.figure("agreement")')  # it follows what is shown
    from_browser(panel.tools, {"kind": "ask", "what": "shut"})


@pytest.mark.parametrize("view", [view for _, view in VIEWS])
def test_every_view_is_a_figure_with_its_settings(panel, view):
    panel.views.view.value = view
    assert panel.wait()
    assert panel.exported("png").startswith(b"\x89PNG")
    svg = panel.exported("svg").decode()
    assert "<svg" in svg and all(name in svg for name in TWO)
    assert "2 photos of the gallery" in panel.caption() and TWO[1] in panel.caption()


def test_the_answers_and_the_table_are_saved_from_the_browser(monkeypatch, panel):
    sent = []
    monkeypatch.setattr(panel.files, "send", lambda content, buffers=None: sent.append((content, buffers)))
    for offer in panel.files.offers:
        from_browser(panel.files, {"kind": "ask", "offer": offer})
        assert panel.wait()
    panel.views.view.value = "table"
    from_browser(panel.files, {"kind": "ask", "offer": "Table as CSV"})
    assert panel.wait()
    (answers, [first]), (table, [second]), (models, [third]) = sent
    assert models["name"] == "comparison-table.csv"
    assert third.decode() == panel.shown.result.to_csv() and len(panel.files.offers) == 2
    rows = list(csv.DictReader(io.StringIO(first.decode())))
    expected = [panel.shown.result.answer(0, j) for j in (0, 1)]
    assert answers["name"] == "comparison-answers.csv" and [row[TWO[0]] for row in rows] == expected
    assert table["mime"] == "text/markdown" and second.decode() == panel.shown.result.to_markdown()


def test_a_file_that_nobody_offers_is_not_written(monkeypatch):
    log = record_messages(monkeypatch)
    part = Downloads(offers=["CSV"])
    asked = []
    part.on_ask(asked.append)
    for offer in ("CSV", "passwords", None, 3):
        from_browser(part, {"kind": "ask", "offer": offer})
    assert asked == ["CSV"]
    part.answer("a.csv", "text/csv", b"1")
    assert log[-1][1]["content"]["name"] == "a.csv" and [bytes(b) for b in log[-1][2]] == [b"1"]
    part.close()
    count = len(log)
    part.answer("a.csv", "text/csv", b"1")
    assert len(log) == count


def test_the_guide_says_what_is_not_proved_and_where_to_read_on():
    assert "What it does not prove" in GUIDE and GUIDE.count("https://arxiv.org/") >= 3
