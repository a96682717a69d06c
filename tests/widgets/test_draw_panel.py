"""The Draw tab: what is offered, drawn and said, stopped and gone on with, kept, and written as code."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.drawing import asking
from explorer.widgets.panels.draw.fields import CHANNEL, FOOLING, PHOTO, STYLE
from tests.html import parse
from tests.inspection.test_drawing import small


@pytest.fixture
def dash():
    dash = explorer.Dashboard(small(), images=explorer.sample_photos()[:3])
    dash.wait()
    dash.tabs.selected_index = dash.tabs.titles.index("Draw")
    dash.draw.fields.steps.value = 12
    yield dash
    dash.close()


@pytest.fixture
def panel(dash):
    return dash.draw


def said(widget) -> str:
    return parse(widget.value).text


def drawn(panel):
    """Press Start, and wait for the end."""
    panel.start.click()
    assert panel.wait(60)
    assert panel.drawn is not None, said(panel.message)
    return panel.drawn


def ran(code: str, dash):
    """What the code behind "Show code" gives last."""
    *lines, last = code.splitlines()
    names = {"dash": dash}
    exec("\n".join(lines), names)
    return eval(last, names)


def test_a_class_is_drawn_with_curve_answers_code_and_figure(dash, panel):
    assert panel.code() == "" and panel.figure() is None and panel.fields.size.label == "usual"
    assert "12 steps at 32 × 32 pixels: about" in said(panel.cost)
    likeliest = dash.session.look.predictions[0].label
    assert panel.fields.target.placeholder.startswith(likeliest)
    assert "random weights" in said(panel.about)
    found = drawn(panel)
    assert found.words == f"the class {likeliest!r}" and len(panel.curve.points("score")) == 12
    assert panel.view.drawings[0].alt == f"Drawn: {likeliest}" and "sure of it" in said(panel.facts)
    again = ran(panel.code(), dash)
    assert torch.equal(again.pixels, found.pixels)
    assert "12 steps at 32 × 32 pixels, seed 0" in panel.caption() and panel.figure().axes
    assert panel.exported("png")[:4] == b"\x89PNG"
    assert "<img" in panel.page_html()  # in a snapshot, too, though it is the first


def test_a_class_by_name_and_a_wrong_one_is_a_sentence(panel):
    panel.fields.target.value = "class 2"
    assert drawn(panel).words == "the class 'class 2'"
    panel.fields.target.value = "no such class"
    panel.start.click()
    assert "None of the 3 classes" in said(panel.message) and not panel.work.wanted


def test_the_stage_and_the_channel_in_front_are_the_ones_to_draw(dash, panel):
    fields = panel.fields
    dash.session.stage = "3"
    assert fields.stage.value == "3" and fields.channel.max == 11
    dash.stages.mosaic.selected = 5
    assert (fields.channel.value, fields.what.value) == (5, CHANNEL)
    found = drawn(panel)
    assert found.words == "channel 5 of 3" and found.probability is None
    assert 'stage="3"' in panel.code() and torch.equal(ran(panel.code(), dash).pixels, found.pixels)


def test_it_stops_and_goes_on_to_the_same_picture(dash, panel, monkeypatch):
    whole = explorer.visualize(dash.session.model, target=0, steps=12)
    panel.fields.target.value = "class 0"
    reached = threading.Event()

    def slowly(*given, should_stop, on_value, **options):
        def hear(value):
            on_value(value)
            if len(panel.curve.points("score")) == 4:
                panel.stop.click()
            reached.set()
        return asking_visualize(*given, should_stop=should_stop, on_value=hear, **options)

    asking_visualize = asking.visualize
    monkeypatch.setattr(asking, "visualize", slowly)
    half = drawn(panel)
    assert reached.is_set() and half.stopped and half.steps == 4 and not panel.more.disabled
    assert "Stopped after 4 steps of 12." in said(panel.facts)
    assert "# on the screen it was stopped" in panel.code()
    monkeypatch.setattr(asking, "visualize", asking_visualize)
    panel.more.click()
    assert panel.wait(60) and torch.equal(panel.drawn.pixels, whole.pixels)
    assert [x for x, _ in panel.curve.points("score")] == list(range(1, 13))
    panel.more.click()  # and on, past its end
    assert panel.wait(60) and panel.drawn.steps == 24 and "steps=24, after=drawn" in panel.code()
    assert torch.equal(ran(panel.code(), dash).pixels, panel.drawn.pixels)


def test_a_photo_that_fools_shows_before_now_and_the_difference(dash, panel):
    panel.fields.method.value, panel.fields.begin.value = FOOLING, PHOTO
    assert panel.fields.steps.value == 40
    panel.fields.target.value = "class 1"
    found = drawn(panel)
    assert [one.key for one in panel.view.drawings] == ["before", "now", "difference"]
    assert "times amplified" in panel.view.drawings[2].text
    assert "→" in said(panel.facts) and "answer" in said(panel.facts)
    assert torch.equal(ran(panel.code(), dash).pixels, found.pixels)


def test_the_photo_in_the_style_of_another(dash, panel):
    panel.fields.method.value = STYLE
    assert "VGG-19" in said(panel.about) and panel.fields.style.value != dash.session.image_name
    panel.fields.steps.value = 8
    panel.fields.size.value = 96
    found = drawn(panel)
    assert found.score < found.history[0] and panel.curve.names == ("loss",)
    assert torch.equal(ran(panel.code(), dash).pixels, found.pixels)
    panel.fields.textures.value = ()
    panel.start.click()
    assert "at least one stage" in said(panel.message)


def test_those_before_stay_beside_each_other(dash, panel):
    drawn(panel)
    panel.fields.seed.value = 1
    drawn(panel)
    (old,) = panel.before.row.drawings
    assert old.actions == ("Make it the photo", "Save", "Remove") and panel.before.title.layout.display == ""
    panel.before.row._receive(None, {"kind": "act", "key": old.key, "action": "Make it the photo"}, [])
    dash.wait()
    assert dash.session.image_name.startswith("Drawn: ") and dash.session.image.size == (32, 32)
    panel.before.row._receive(None, {"kind": "act", "key": old.key, "action": "Remove"}, [])
    assert not panel.before.row.drawings and panel.before.title.layout.display == "none"


def test_strange_messages_change_nothing_and_a_picture_is_saved(panel, monkeypatch):
    drawn(panel)
    saved = []
    monkeypatch.setattr(panel.view, "save", lambda *given: saved.append(given))
    for message in ({"kind": "act"}, {"kind": "act", "key": "now", "action": "Explode"}, {"kind": 7}, 3,
                    {"kind": "act", "key": ["now"], "action": {}}):
        panel.view._receive(None, message, [])
    assert not saved
    panel.view._receive(None, {"kind": "act", "key": "now", "action": "Save"}, [])
    ((name, mime, data),) = saved
    assert name.endswith(".png") and mime == "image/png" and data[:4] == b"\x89PNG"


def test_another_model_ends_what_was_drawn_and_lets_the_first_go(dash, panel):
    drawn(panel)
    dash.session.model = small(classes=2)
    dash.wait()
    assert panel.more.disabled and panel.wanted.model is None and panel.fields.target.options[-1] == "class 1"
    found = drawn(panel)
    assert found.model_name and len(panel.before.row.drawings) == 1


def test_what_gives_no_numbers_or_no_memory_is_a_sentence(dash, panel, monkeypatch):
    dash.session.model.module[0].weight.data[0] = float("nan")
    panel.start.click()
    assert panel.wait(60) and "is no number" in said(panel.message) and not panel.start.disabled

    def scarce(*given, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(asking, "visualize", scarce)
    panel.start.click()
    assert panel.wait(60) and "choose a smaller size" in said(panel.message) and not panel.start.disabled


def test_networks_for_boxes_numbers_and_without_classifier_offer_what_they_have(dash, panel):
    model = explorer.create_model("lraspp", backbone="mobilenetv3_small_050", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 32, 32), labels=("background", "cat"))
    dash.session.model = model
    dash.wait()
    assert [value for _, value in panel.fields.what.options] == [CHANNEL]
    assert "finds masks and says no class" in said(panel.about)
    panel.fields.size.value = 96
    panel.fields.steps.value = 2
    assert drawn(panel).words.startswith("channel ")
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    dash.session.model = explorer.wrap(own, input_size=(3, 32, 32), outputs="numbers")
    dash.wait()
    assert panel.fields.what.options[0][0] == "a number" and drawn(panel).probability is None


def test_a_second_model_has_a_panel_of_its_own_beside_the_first(dash):
    dash.session.beside = small(classes=2)
    dash.wait()
    pair = dash.tabs.children[dash.tabs.titles.index("Draw")]
    first, second = pair.panels
    assert first is dash.draw and second.session is dash.second.session
    second.fields.steps.value = 3
    found = drawn(second)
    assert torch.equal(ran(second.code(), dash).pixels, found.pixels)


def test_another_model_ends_what_goes_on_and_no_button_is_left_for_it(dash, panel, monkeypatch):
    drawn(panel)
    asked, held = threading.Event(), threading.Event()

    def waits(*given, should_stop, **options):
        asked.set()
        held.wait(30)
        return asking_visualize(*given, should_stop=should_stop, **options)

    asking_visualize = asking.visualize
    monkeypatch.setattr(asking, "visualize", waits)
    panel.more.click()
    assert asked.wait(30)
    dash.session.model = small(classes=2)
    dash.wait()
    assert panel.more.disabled and not panel.start.disabled and panel.code() == ""
    assert "is given up" in said(panel.message)
    held.set()
    assert panel.wait(60) and panel.more.disabled


def test_a_drawing_that_ends_while_another_tab_is_in_front_says_nothing_of_the_other_model(dash, panel,
                                                                                          monkeypatch):
    asked, held = threading.Event(), threading.Event()

    def waits(*given, **options):
        asked.set()
        held.wait(30)
        return asking_visualize(*given, **options)

    asking_visualize = asking.visualize
    monkeypatch.setattr(asking, "visualize", waits)
    panel.fields.size.value = 96
    panel.start.click()
    assert asked.wait(30)
    dash.tabs.selected_index = 0
    model = small(classes=2)
    model.fixed_image_size = True
    dash.session.model = model
    dash.wait()
    held.set()
    assert panel.wait(60) and panel.drawn is not None and said(panel.message) == ""
    assert "96 × 96" in panel.caption()
    dash.tabs.selected_index = dash.tabs.titles.index("Draw")
    assert panel.more.disabled and "32 × 32" in said(panel.cost)


def test_another_model_of_fewer_classes_comes_while_the_tab_is_in_front(dash):
    """For a moment the look is that of the model before: its likeliest class is none of three."""
    from explorer.inspection.look.model import outputs_of
    from explorer.widgets.panels.draw.asking import asked_class

    few = explorer.create_model("resnet10t", num_classes=3)
    many = explorer.look(explorer.create_model("resnet10t", num_classes=50).eval(), dash.session.image)

    class Coming:
        asked_class, look = "", many

    assert asked_class(Coming(), "", outputs_of(few)) == 0
    assert asked_class(Coming(), "", many.outputs) == many.predictions[0].index
