"""The Ensemble tab: who takes part, what a slider changes at once, what it says, opens and writes as code."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import ipywidgets as W
import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.features import folders
from explorer.training.evaluation import asking_members
from explorer.widgets.dashboard import TABS
from explorer.widgets.panels.ensemble.shown import against_best
from tests.html import parse
from tests.training.tiny_net import tiny

HOW = {"epochs": 1, "augment": "none", "batch_size": 8, "threads": 1, "device": "cpu", "train": "all",
       "input_size": (3, 32, 32)}


@pytest.fixture(scope="module")
def learnt():
    """Two runs that know the five flowers, whose photos they share."""
    return [explorer.finetune(tiny(seed, classes=5), "flowers5_nano", name=name, **HOW).wait(60)
            for seed, name in enumerate(("one", "<b>two</b>"))]


@pytest.fixture
def dash(learnt, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dash = explorer.Dashboard(tiny(2, classes=5), images=explorer.sample_photos()[:2])
    dash.wait()
    for run in learnt:
        dash.session.run = run
    dash.tabs.selected_index = dash.tabs.children.index(dash.ensemble)
    assert dash.ensemble.wait()
    yield dash
    dash.close()


@pytest.fixture
def panel(dash):
    """Both runs were asked about the photos that they did not learn from."""
    dash.ensemble.ask.click()
    assert dash.ensemble.wait()
    assert dash.ensemble.shown is not None, text_of(dash.ensemble.message)
    return dash.ensemble


def text_of(widget: W.HTML) -> str:
    return parse(widget.value).text


def ticks(panel) -> dict[str, bool]:
    return {box.description: box.value for box in panel.choice.boxes.children}


def tick(panel, *names: str) -> None:
    for box in panel.choice.boxes.children:
        box.value = box.description in names


# --- members and photos -----------------------------------------------------------------------------------


def test_the_tab_is_there_and_nothing_is_built_before_it_is_looked_at(learnt):
    assert "Ensemble" in [title for title, _ in TABS]
    dash = explorer.Dashboard(tiny())
    dash.wait()
    assert not dash.ensemble.built and dash.ensemble.code() == "" and dash.ensemble.figure() is None
    dash.close()


def test_models_on_this_computer_runs_and_the_open_model_are_offered(dash):
    panel = dash.ensemble
    assert list(ticks(panel)) == ["tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2",
                                  "one", "<b>two</b>", "Sequential (on the screen)"]
    # runs know the same classes, so they are ticked first, with the photos that they did not learn from
    assert [name for name, yes in ticks(panel).items() if yes] == ["one", "<b>two</b>"]
    assert panel.choice.source.value == "own" and not panel.ask.disabled
    tick(panel, "one")
    assert panel.ask.disabled and "two members" in panel.ask.tooltip
    dash.session.compare = ["tf_efficientnet_lite0"]
    assert ticks(panel)["one"] and not ticks(panel)["tf_efficientnet_lite0"]  # the reader's own ticks stay


def test_a_model_is_added_by_name_and_a_wrong_one_is_a_sentence(dash):
    panel = dash.ensemble
    panel.choice.add.value = "resnet18"
    assert ticks(panel)["resnet18"] and "resnet18 are not on this computer" in text_of(panel.choice.about)
    for wrong, said in (("resnet5O", "Did you mean"), ("retinanet_lite0", "detection")):
        panel.choice.add.value = wrong
        assert said in text_of(panel.message) and wrong not in ticks(panel)


def test_members_of_other_classes_are_named_in_one_sentence(dash):
    panel = dash.ensemble
    tick(panel, "tf_efficientnet_lite0", "one", "<b>two</b>")
    panel.ask.click()
    assert panel.wait()
    said = text_of(panel.message)
    assert "tf_efficientnet_lite0 tells 1,000 (tench" in said and panel.shown is None
    assert "one and <b>two</b> tell 5 (daisy, dandelion, roses" in said and "<b>" not in panel.message.value
    tick(panel, "one", "<b>two</b>")
    assert not panel.message.value  # it was of other members


def test_a_member_that_fails_is_named_and_the_others_go_on(dash, monkeypatch):
    panel, real = dash.ensemble, folders.run_folder

    def broken(model, *given, **options):
        if model is dash.session.model:
            raise RuntimeError("the wire <i>came</i> loose")
        return real(model, *given, **options)

    monkeypatch.setattr(asking_members, "run_folder", broken)
    dash.session.model.config = dash.session.model.config.with_(
        labels=("daisy", "dandelion", "roses", "sunflowers", "tulips"))
    panel.choice.add.value = "resnet18"  # its weights are not here
    tick(panel, "resnet18", "one", "<b>two</b>", "Sequential (on the screen)")
    panel.choice.source.value = "flowers5_nano"
    monkeypatch.setattr(asking_members, "_check_same_classes", lambda models: None)
    panel.ask.click()
    assert panel.wait()
    notes = panel.views.notes.value
    assert panel.shown.names == ("one", "<b>two</b>") and "came" in notes and "<i>" not in notes
    assert "resnet18" in notes and "Sequential (on the screen)" in notes


def test_where_fewer_than_two_are_left_the_reasons_are_said(dash, monkeypatch):
    panel = dash.ensemble

    def full(*_given, **_options):
        raise MemoryError

    monkeypatch.setattr(asking_members, "run_folder", full)
    panel.ask.click()
    assert panel.wait()
    said = text_of(panel.message)
    assert "An ensemble takes two members" in said and "one:" in said and "memory" in said
    assert panel.shown is None and not panel.ask.disabled and panel.stop.disabled


def test_photos_that_the_members_do_not_know_are_a_sentence(dash):
    panel = dash.ensemble
    for source, said in (("bundled", "knows 5 classes"), ("a folder", "Type the path")):
        panel.choice.source.value = source
        panel.ask.click()
        assert panel.wait()
        assert said in text_of(panel.message) and panel.shown is None


def test_stop_before_two_have_answered_says_so_and_what_was_there_stays(panel, monkeypatch, tmp_path):
    before, real, begun = panel.shown, folders.run_folder, threading.Event()

    def slow(*given, should_stop, **options):
        begun.set()
        while not should_stop():
            time.sleep(0.01)
        return real(*given, should_stop=should_stop, **{**options, "cache_dir": tmp_path / "other"})

    monkeypatch.setattr(asking_members, "run_folder", slow)
    panel.ask.click()
    assert begun.wait(10) and panel.ask.disabled
    panel.ask.click()  # twice at once: nothing more
    panel.views.sliders[0].value = 0.3  # and the sliders go on meanwhile
    assert panel.now.weights.values == (0.3, 1.0)
    panel.stop.click()
    assert panel.wait() and panel.shown is before and not panel.ask.disabled
    assert "Stopped before two members had seen all photos" in text_of(panel.message)


# --- sliders ----------------------------------------------------------------------------------------------


def test_a_slider_moves_everything_and_no_network_runs(dash, panel):
    views, before = panel.views, panel.now
    passes = []
    hooks = [next(part for part in model.modules() if isinstance(part, nn.Conv2d)).register_forward_pre_hook(
        lambda *_: passes.append(1)) for model in panel.members.values()]
    seen = views.members.value, views.bars.value, views.figures.value, panel.code(), panel.caption()
    views.sliders[0].value = 0.1
    assert panel.wait()
    assert panel.now is not before and panel.now.weights.values == (0.1, 1.0)
    assert all(old != new for old, new in zip(seen, (
        views.members.value, views.bars.value, views.figures.value, panel.code(), panel.caption())))
    views.sliders[0].value = 0.0  # the second alone
    tried, weighing = panel.now.tried, panel.shown.asked.weighing
    assert tried.accuracy == weighing.scores[1] and tried.agreement[1] == 1
    alone = explorer.look(panel.members["<b>two</b>"], dash.session.image).logits
    assert passes == [1]
    torch.testing.assert_close(panel.now.raw, alone.log_softmax(-1), atol=1e-4, rtol=1e-4)
    for hook in hooks:
        hook.remove()
    views.equal.click()
    assert panel.now.weights.values == (1.0, 1.0)
    for slider in views.sliders[:2]:
        slider.value = 0.0
    assert "All weights are 0" in text_of(views.zero) and views.open.disabled
    assert panel.now.weights.values == (0.0, 1.0)  # what is shown is of the weights before
    views.equal.click()
    assert not views.zero.value and not views.open.disabled


def test_another_photo_while_all_weights_are_0_is_told_by_the_weights_before(dash, panel):
    for value, slider in zip((0.25, 0.0), panel.views.sliders):
        slider.value = value
    panel.views.sliders[0].value = 0.0
    before = panel.views.bars.value
    dash.session.open_image(explorer.sample_photos()[1])
    dash.wait()
    assert panel.wait() and panel.screen.image is dash.session.image
    alone = explorer.look(panel.members["one"], dash.session.image).logits
    torch.testing.assert_close(panel.now.raw, alone.log_softmax(-1), atol=1e-4, rtol=1e-4)
    assert panel.now.weights.values == (0.25, 0.0) and panel.views.bars.value != before
    assert "All weights are 0" in text_of(panel.views.zero)


def test_what_is_shown_is_what_evaluate_and_differ_say(panel):
    panel.views.sliders[1].value = 0.4
    assert panel.wait()
    panel.views.combine.value = "logits"
    assert panel.wait()
    team = explorer.Ensemble(panel.members, combine="logits", weights=[1, 0.4])
    data = panel.session.runs[0].data
    judged, tried = explorer.evaluate(team, data), panel.now.tried
    assert judged.top1 == pytest.approx(tried.accuracy) and judged.loss == pytest.approx(tried.loss, rel=1e-4)
    weighing = panel.shown.asked.weighing
    best = list(panel.members.values())[weighing.best]
    ours, theirs = against_best(weighing, tried), explorer.differ(explorer.evaluate(best, data), judged)
    assert (ours.first, ours.second, ours.difference, ours.test) == (
        theirs.first, theirs.second, theirs.difference, theirs.test)
    assert (ours.both, ours.neither) == (theirs.both, theirs.neither)
    assert len(tried.fixed) == len(theirs.only_second) and len(tried.broken) == len(theirs.only_first)
    said = text_of(panel.views.verdict)
    assert f"{100 * ours.second.value:.1f} %" in said and ours.sentence in said


def test_fixed_and_broken_photos_are_shown_and_a_click_opens_one(dash, panel):
    tried = panel.now.tried
    for weight in (0.1, 0.3, 0.5, 0.7):  # until the ensemble errs otherwise than its best member
        if tried.fixed or tried.broken:
            break
        panel.views.sliders[0].value = weight
        tried = panel.now.tried
    assert panel.wait()
    name = "fixed" if tried.fixed else "broken"
    numbers, part = getattr(tried, name), panel.views.photos[name]
    assert numbers, "these two runs never err otherwise: choose other seeds"
    assert len(part.answers) == min(len(numbers), 12) and panel.views.numbers[name][0] == numbers[0]
    assert part.answers[0].right is (name == "fixed")
    part._on_message("pick", {"index": 0}, [])
    assert panel.wait()
    dash.wait()
    assert panel.wait()
    assert dash.session.image_name == panel.shown.asked.weighing.answers.photos[numbers[0]]
    assert panel.screen.image is dash.session.image
    panel.choice.source.value = "none"
    panel.ask.click()
    assert panel.wait() and panel.shown.asked.weighing is None
    part._on_message("pick", {"index": 0}, [])  # of answers that are gone
    assert panel.wait() and not panel.message.value


def test_fitted_weights_set_the_sliders_and_are_called_flattering(panel):
    views = panel.views
    views.fit.click()
    assert panel.wait()
    weights = [slider.value for slider in views.sliders[:2]]
    assert sum(weights) == pytest.approx(1, abs=0.011) and panel.now.weights.values == tuple(weights)
    equal = panel.shown.asked.weighing.weigh(None, "mean")
    assert panel.now.tried.loss <= equal.loss + 1e-4
    assert "a little too good" in text_of(views.fitted) and "judged by the other" in text_of(views.fitted)
    views.sliders[0].value = 0.77
    assert not views.fitted.value
    views.combine.value = "vote"
    assert views.fit.disabled and "no slope" in views.fit.tooltip


# --- to keep ----------------------------------------------------------------------------------------------


def test_the_ensemble_opens_in_all_panels_and_the_lines_give_it_again(dash, panel):
    panel.views.sliders[1].value = 0.5
    code = panel.code()
    assert "weights=[1.0, 0.5]" in code and '{"one": dash.session.runs[0].model, "<b>two</b>"' in code
    panel._asked("code")  # as the button in the panel's bar does
    assert panel._code_sent == code
    space = {"dash": dash}
    exec(code, space)
    panel.views.open.click()
    dash.wait()
    assert panel.wait()
    team = dash.session.model
    assert team.names == ("one", "<b>two</b>") and team.weights.tolist() == pytest.approx([2 / 3, 1 / 3])
    again = explorer.look(space["team"], dash.session.image)
    torch.testing.assert_close(dash.session.look.logits, again.logits)
    torch.testing.assert_close(dash.session.look.logits.log_softmax(-1), panel.now.raw, atol=1e-4, rtol=1e-4)
    assert space["result"].top1 == pytest.approx(panel.now.tried.accuracy)
    assert "is an ensemble itself" in text_of(panel.choice.about) and panel.code() == code
    assert dash.explain.wait() and panel.exported()[:4] == b"\x89PNG" and "Ensemble of 2" in panel.heading()


def test_without_photos_the_sliders_move_the_answer_to_the_photo_alone(dash):
    panel = dash.ensemble
    panel.choice.source.value = "none"
    panel.ask.click()
    assert panel.wait()
    assert panel.now.tried is None and panel.now.raw is not None and panel.views.fit.disabled
    before = panel.views.bars.value
    panel.views.sliders[0].value = 0.2
    assert panel.views.bars.value != before and "evaluate" not in panel.code()
    assert panel.figure() is not None and "no photos but" in panel.caption()
    assert all(box.layout.display == "none" for box in panel.views.judged)


@pytest.mark.parametrize("outputs, said", [("numbers", "averages numbers"), ("several", "class by class")])
def test_a_model_that_answers_otherwise_gets_a_sentence(outputs, said):
    body = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    model = explorer.wrap(nn.Sequential(*body), input_size=(3, 32, 32), outputs=outputs)
    dash = explorer.Dashboard(model, images=explorer.sample_photos()[:1])
    dash.wait()
    dash.ensemble.build()
    assert said in text_of(dash.ensemble.choice.about)
    assert not any("on the screen" in name for name in ticks(dash.ensemble))
    dash.close()


def test_runs_that_answer_otherwise_are_named_and_not_ticked(dash, learnt):
    fused = explorer.fuse_features([run.model for run in learnt], num_classes=5)
    several = explorer.wrap(tiny(3, classes=5).module, input_size=(3, 32, 32), outputs="several")
    others = [SimpleNamespace(name=name, model=model, recipe=learnt[0].recipe, state="finished")
              for name, model in (("fused", fused), ("many", several), ("more", several))]
    dash.session._publish(runs=(*dash.session.runs, *others))
    panel = dash.ensemble
    assert panel.wait() and [name for name, yes in ticks(panel).items() if yes] == ["one", "<b>two</b>"]
    said = text_of(panel.choice.about)
    assert "fused, taught here, has several bodies under one head" in said
    assert "many (and 1 other run), taught here, tells several classes at once" in said
    dash.session.open_model(fused)
    dash.wait()
    assert panel.wait() and "on the screen, has several bodies under one head" in text_of(panel.choice.about)


def test_a_run_that_learnt_from_the_photos_is_named(dash, learnt):
    panel, run = dash.ensemble, learnt[0]
    panel.choice.source.value, panel.choice.part.value = "flowers5_nano", "all"
    panel.ask.click()
    assert panel.wait()
    count = len(run.data.train)
    assert f"one has learnt from {count} of these photos" in text_of(panel.views.notes)
    assert "split=" in panel.code()
