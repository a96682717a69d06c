"""The panel that changes the photo, driven as a browser drives it:
what each block does, and that its lines give the same.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.experiments import adversarial, masking
from explorer.inspection.experiments.flips import find_flip
from explorer.inspection.experiments.robustness_curves import robustness
from explorer.inspection.experiments.spoiling import KINDS, perturb
from explorer.inspection.look.looking import look as look_at
from explorer.widgets.jobs import Job
from explorer.widgets.panels.what_if.block import FILLS
from explorer.widgets.panels.what_if.drawing import class_literal, points
from explorer.widgets.panels.what_if.panel import WhatIfPanel
from explorer.widgets.session import Session
from tests.html import parse
from tests.inspection.small_models import RedNet

from .test_parts_base import from_browser

BOX = (20, 0, 60, 40)


def photo(red: int = 230) -> Image.Image:
    """A red square on blue-grey noise; where it ends is where the answer changes."""
    pixels = np.random.default_rng(0).integers(60, 120, (64, 80, 3), dtype=np.uint8)
    pixels[..., 2] += 120
    pixels[:40, 20:60] = (red, 10, 10)
    return Image.fromarray(pixels)


def tiny(classes: int) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return explorer.wrap(nn.Sequential(*body, nn.Linear(4, classes)), input_size=(3, 24, 24)).eval()


class Dash:
    """What the lines behind "Show code" know of the dashboard."""

    def __init__(self, session):
        self.session = session


@pytest.fixture
def session(sent):
    session = Session()
    model = RedNet().eval()
    model.config = model.config.with_(labels=("<b>blue", "red"))
    show(session, model, photo())
    yield session
    session.close()


@pytest.fixture
def panel(session):
    one = WhatIfPanel(session)
    one.build()
    yield one
    one.close()


def show(session, model=None, image=None) -> None:
    if model is not None:
        session.open_model(model)
    if image is not None:
        session.open_image(image, "square")
    session.wait()


def draw_box(panel, box) -> None:
    from_browser(panel.mask.view, {"kind": "box", "box": list(box)})
    assert panel.wait(30)


def move(panel, slider, value) -> None:
    slider.value = value
    assert panel.wait(30)


def press(panel, button) -> None:
    button.click()
    assert panel.wait(30)


def run(panel) -> dict:
    """The names that the lines behind "Show code" define."""
    names = {"dash": Dash(panel.session)}
    exec(compile(panel.code(), "code", "exec"), names)
    return names


@pytest.fixture
def passes(monkeypatch):
    """Counts every pass of a RedNet."""
    counted = []
    forward = RedNet.forward_stages

    def count(self, x):
        counted.append(len(x))
        return (yield from forward(self, x))

    monkeypatch.setattr(RedNet, "forward_stages", count)
    return counted


# --- when it runs ---------------------------------------------------------------------------------------


def test_nothing_runs_and_nothing_is_offered_until_the_reader_acts(session, passes):
    panel = WhatIfPanel(session)
    assert panel.body is None and panel.wait(5)
    assert passes == [] and panel.code() == "" and panel.figure() is None and panel._photo is session.image
    panel.close()


def test_another_photo_clears_what_was_found_and_runs_nothing_more(panel, passes):
    draw_box(panel, BOX)
    move(panel, panel.fgsm.epsilon, 1 / 255)
    move(panel, panel.robust.strength, 45.0)
    show(panel.session, image=photo(red=200))
    only_the_look = len(passes)
    assert panel.wait(5) and len(passes) == only_the_look
    assert panel.code() == "" and [block.bars.value for block in panel.blocks] == ["", "", ""]
    assert panel.mask.view.box == () and panel.fgsm.epsilon.index == panel.robust.strength.index == 0


def test_out_of_sight_it_lets_go_and_begins_anew_when_seen_again(panel):
    draw_box(panel, BOX)
    panel.seen(False)
    shown = panel.mask.view._photo
    show(panel.session, image=photo(red=200))
    assert panel.mask.view._photo is shown and panel.mask.found is None and panel.code() == ""
    panel.seen(True)
    assert panel.mask.view._photo is not shown and panel.mask.bars.value == ""


def test_another_model_keeps_the_box_and_asks_before_it_looks_again(panel):
    draw_box(panel, BOX)
    show(panel.session, model=tiny(3))
    assert panel.mask.found is None and panel.mask.view.box == BOX and panel.mask.again.layout.display == ""
    press(panel, panel.mask.again)
    assert len(panel.mask.found.before.logits) == 3 and panel.mask.again.layout.display == "none"


def test_a_model_without_a_decision_gets_a_sentence(panel):
    model = tiny(1)
    model.reset_classifier(0)
    show(panel.session, model=model)
    assert "no classifier" in panel.empty.value and panel.body.layout.display == "none"
    show(panel.session, model=tiny(1))  # one score is a yes or no
    assert panel.body.layout.display == ""


def test_without_a_photo_it_asks_for_one(sent):
    session = Session()
    panel = WhatIfPanel(session)
    panel.build()
    assert "Choose a model and a photo" in panel.empty.value and panel.body.layout.display == "none"
    panel.close()
    session.close()


def test_a_model_that_fails_leaves_a_sentence_and_no_traceback(panel, monkeypatch):
    def broken(self, x):
        raise RuntimeError("no <b>luck")
    monkeypatch.setattr(RedNet, "forward_stages", broken)
    draw_box(panel, BOX)
    assert parse(panel.mask.says.value).says("no <b>luck", role="alert")
    assert panel.mask.busy.value == "" and panel.code() == ""


# --- masking --------------------------------------------------------------------------------------------


def test_the_fills_are_those_of_the_core():
    assert tuple(FILLS.values()) == masking.FILLS


def test_a_box_is_masked_in_one_pass_and_bars_show_before_and_now(panel, passes):
    draw_box(panel, BOX)
    assert len(passes) == 1
    expected = masking.mask_region(panel.session.model, panel.session.image, BOX, fill="blur")
    assert panel.mask.found.changes == expected.changes
    bars, said = parse(panel.mask.bars.value), parse(panel.mask.says.value)
    assert bars.says(points(expected.changes[0])) and bars.says("<b>blue")
    assert not any("blue" in one.text for one in (*bars.find_all("b"), *said.find_all("b")))


def test_another_fill_looks_again_at_the_same_box(panel):
    draw_box(panel, BOX)
    move(panel, panel.mask.how, "grey")
    assert panel.mask.found.fill == "grey" and panel.mask.found.box == BOX


def test_of_two_boxes_the_newest_wins(panel, monkeypatch):
    begun, go_on, real = threading.Event(), threading.Event(), masking.mask_region

    def slow(*arguments, **options):
        begun.set()
        assert go_on.wait(10)
        return real(*arguments, **options)
    monkeypatch.setattr(masking, "mask_region", slow)
    shown = []
    monkeypatch.setattr(panel, "showed", lambda block: shown.append(block.found.box))
    from_browser(panel.mask.view, {"kind": "box", "box": [0, 0, 9, 9]})
    assert begun.wait(10)
    from_browser(panel.mask.view, {"kind": "box", "box": [5, 5, 20, 20]})
    go_on.set()
    assert panel.wait(10) and shown == [(5, 5, 20, 20)]


def test_taking_the_box_away_takes_the_result_away(panel):
    draw_box(panel, BOX)
    draw_box(panel, ())
    assert panel.mask.bars.value == "" and panel.code() == "" and panel.figure() is None


def test_the_lines_of_a_masked_region_give_the_same_numbers(panel):
    draw_box(panel, BOX)
    assert run(panel)["masked"].changes == panel.mask.found.changes


# --- fgsm -----------------------------------------------------------------------------------------------


def test_all_strengths_share_one_gradient_and_the_slider_then_runs_nothing(panel, passes):
    move(panel, panel.fgsm.epsilon, 4 / 255)
    assert len(passes) == 1 + len(adversarial.EPSILONS)  # the gradient, and each strength
    move(panel, panel.fgsm.epsilon, 16 / 255)
    assert len(passes) == 1 + len(adversarial.EPSILONS)
    expected = adversarial.fgsm(panel.session.model, panel.session.image, epsilon=16 / 255)
    assert panel.fgsm.found[16 / 255].changes == expected.changes
    assert parse(panel.fgsm.bars.value).says(points(expected.changes[0]))
    assert parse(panel.fgsm.shots.value).says("8 times amplified")


def test_a_push_towards_a_class_is_found_by_a_part_of_its_name(panel):
    panel.fgsm.aim.value = "towards"
    assert panel.fgsm.target.options == ("<b>blue", "red")
    move(panel, panel.fgsm.target, "BLU")
    one = panel.fgsm.found[panel.fgsm.epsilon.value]
    assert one.towards and one.aim.label == "<b>blue" and one.epsilon == 2 / 255
    assert run(panel)["pushed"].changes == one.changes


def test_a_class_that_is_none_gets_the_sentence_of_the_search(panel):
    panel.fgsm.aim.value = "towards"
    move(panel, panel.fgsm.target, "<i>green")
    said = parse(panel.fgsm.says.value)
    assert said.says("None of the 2 classes is called") and not said.find_all("i")
    assert panel.fgsm.found == {} and panel.code() == ""


def test_the_lines_of_a_push_give_the_same_numbers(panel):
    move(panel, panel.fgsm.epsilon, 8 / 255)
    assert run(panel)["pushed"].changes == panel.fgsm.found[8 / 255].changes


def test_a_class_whose_name_is_not_its_own_is_written_as_its_number():
    names = ("crane", "crane", "cat")
    assert class_literal(1, names) == "1" and class_literal(2, names) == '"cat"'


# --- robustness -----------------------------------------------------------------------------------------


def test_a_strength_is_one_pass_and_a_strength_seen_before_none(panel, passes):
    move(panel, panel.robust.strength, 30.0)
    move(panel, panel.robust.strength, 0.0)  # untouched: the look knows
    move(panel, panel.robust.strength, 30.0)
    assert len(passes) == 1
    spoilt = look_at(panel.session.model, perturb(panel.session.image, "rotate", 30.0))
    assert panel.robust.seen["rotate", 30.0].now == spoilt.predictions[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_its_curve(panel, kind):
    panel.robust.kind.value = kind
    press(panel, panel.robust.draw_curve)
    expected = robustness(panel.session.model, panel.session.image, kind)
    assert panel.robust.curves[kind].probabilities == expected.probabilities
    chart = parse(panel.robust.chart.value)
    assert chart.find_all("svg") and not chart.find_all("b")
    assert run(panel)["curve"].probabilities == expected.probabilities


def test_the_flip_is_told_and_the_slider_moves_there(panel):
    panel.robust.kind.value = "brightness"
    press(panel, panel.robust.find)
    flip = find_flip(panel.session.model, panel.session.image, "brightness")
    assert flip.found and flip.sentence.split(":")[0] in panel.robust.flip_says.value
    assert panel.robust.strength.value == flip.first_other.value and not panel.robust.strength.disabled
    assert panel.robust.seen["brightness", flip.first_other.value].now.index == flip.first_other.best.index
    names = run(panel)
    assert names["flip"].sentence == flip.sentence == panel.robust.flips["brightness"].sentence
    assert names["look"].predictions[0] == panel.robust.seen["brightness", flip.first_other.value].now


def test_a_search_for_the_flip_uses_the_curve_that_is_there(panel, passes):
    panel.robust.kind.value = "brightness"
    press(panel, panel.robust.draw_curve)
    before = len(passes)
    press(panel, panel.robust.find)
    flip = panel.robust.flips["brightness"]
    assert flip.curve is panel.robust.curves["brightness"]
    halvings = flip.passes - len(flip.curve.points)
    assert len(passes) - before <= halvings + 1  # and the photo at the flip


def test_stop_keeps_what_was_measured_and_says_so(panel, monkeypatch):
    monkeypatch.setattr(Job, "progress", lambda job, done, total, what: panel.robust.stop.click())
    press(panel, panel.robust.draw_curve)
    assert len(panel.robust.curves["rotate"].points) == 1
    assert parse(panel.robust.flip_says.value).says("stopped after 1 of 12 strengths")
    assert panel.robust.stop.layout.display == "none" and "stopped early" in panel.code()


# --- to keep --------------------------------------------------------------------------------------------


def test_figure_and_caption_are_of_the_block_used_last(panel):
    draw_box(panel, BOX)
    assert "Masked (fill: blur): 40 × 40 pixels from (20, 0)" in panel.caption()
    move(panel, panel.fgsm.epsilon, 2 / 255)
    assert "epsilon 2/255, away from red" in panel.caption() and "shown 64 times amplified" in panel.caption()
    press(panel, panel.robust.find)
    assert panel.robust.flips["rotate"].sentence in panel.caption()
    for block in panel.blocks:
        panel._used = block
        assert panel.exported("svg").startswith(b"<?xml") and panel.exported("png")[:4] == b"\x89PNG"


def test_closing_it_ends_its_thread_and_a_late_result_is_not_shown(panel):
    panel.robust.draw_curve.click()
    panel.close()
    assert panel.wait(10) and panel.look is None and panel.robust.curves == {}
