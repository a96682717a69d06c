"""Basic mode without a browser: when a page gets it, what it shows, and that it asks the same session."""

from __future__ import annotations

import datetime
import re
import threading

import ipywidgets as W
import pytest
from ipywidgets.widgets import widget as registry

import explorer
from explorer.widgets.lessons import LESSONS
from explorer.widgets.panels.basic import noticing
from explorer.widgets.parts.base import ExplorerPart
from tests.html import parse

PHOTOS = explorer.sample_photos()


@pytest.fixture
def dash():
    dash = explorer.Dashboard(basic=True)
    dash.wait(), dash.basic.wait()
    yield dash
    dash.close()


@pytest.fixture(scope="module")
def net():
    return explorer.create_model("resnet10t", num_classes=3)


class Clock:
    """Timers that fire when the test says so."""

    def __init__(self, monkeypatch):
        self.waiting: list = []
        clock = self

        class Timer:
            def __init__(self, seconds, call):
                self.call = call

            def start(self):
                clock.waiting.append(self)

            def cancel(self):
                clock.waiting = [one for one in clock.waiting if one is not self]

        monkeypatch.setattr(noticing.threading, "Timer", Timer)

    def tick(self) -> None:
        waiting, self.waiting = self.waiting, []
        for timer in waiting:
            timer.call()


def answer(views) -> None:
    """What a page does that knows ipywidgets: the link's own code, as a message."""
    views.question.set_state({"height": views.question.width})


@pytest.fixture
def watched(monkeypatch):
    """(Noticing, its clock, what it has told)"""
    said: list = []
    view = ExplorerPart()
    views = noticing.Noticing(view, threading.RLock(), lambda: said.append(views.missing))
    yield views, Clock(monkeypatch), said
    views.close(), view.close()


def test_a_page_that_answers_without_views_is_noticed(watched):
    views, clock, said = watched
    answer(views)
    assert said == []
    clock.tick()
    assert said == []  # the page is asked whether it is still there
    answer(views)
    assert said == [True]


def test_without_a_page_nothing_is_said_and_no_timer_runs(watched):
    views, clock, said = watched
    assert clock.waiting == [] and said == []


def test_a_page_whose_views_load_is_left_alone(watched):
    views, clock, said = watched
    answer(views)
    views.view._receive(None, {"kind": "ready"}, [])
    assert clock.waiting == []
    answer(views)
    assert said == []


def test_a_page_that_has_gone_is_not_judged_and_a_new_one_gets_its_time(watched, monkeypatch):
    views, clock, said = watched
    answer(views)
    clock.tick()
    now = noticing.time.monotonic() + 3600
    monkeypatch.setattr(noticing.time, "monotonic", lambda: now)
    answer(views)  # an hour later: by a page that was opened just now
    assert said == [] and len(clock.waiting) == 1
    clock.tick()
    answer(views)
    assert said == [True]


def test_a_page_that_always_answers_slowly_is_believed_in_the_end(watched, monkeypatch):
    views, clock, said = watched
    hours = iter(range(3600, 10**6, 3600))
    monkeypatch.setattr(noticing.time, "monotonic", lambda: next(hours))
    for _ in range(noticing.ROUNDS):
        answer(views)
        assert said == []
        clock.tick()
    answer(views)
    assert said == [True]


def test_views_that_come_late_take_it_back(watched):
    views, clock, said = watched
    answer(views), clock.tick(), answer(views)
    views.view._receive(None, {"kind": "ready"}, [])
    assert said == [True, False]


def test_trying_again_gives_the_page_its_time_once_more(watched):
    views, clock, said = watched
    answer(views), clock.tick(), answer(views)
    views.again()
    assert said == [True, False]
    answer(views)
    assert said == [True, False] and len(clock.waiting) == 1
    clock.tick(), answer(views)
    assert said == [True, False, True]


def test_a_closed_one_says_nothing(watched):
    views, clock, said = watched
    answer(views)
    views.close()
    assert clock.waiting == []
    clock.tick()
    assert said == []


def test_a_dashboard_whose_views_are_missing_says_so_and_shows_basic_mode(net):
    dash = explorer.Dashboard(net, images=[PHOTOS[0], PHOTOS[8]])
    dash.wait()
    assert dash.basic is None and dash.children == dash.whole
    dash.noticing.say()
    message = parse(dash.message.value)
    assert message.find_all(role="alert") and message.says("pip install anywidget")
    assert dash.message in dash.children and dash.basic in dash.children
    assert not set(dash.whole[1:]) & set(dash.children)
    dash.basic.back.click()
    assert dash.children == dash.whole and dash.message.value == ""
    dash.noticing.say()
    dash.images.gallery._receive(None, {"kind": "ready"}, [])
    assert dash.children == dash.whole and dash.message.value == ""
    dash.noticing.say()  # they are there: whoever says otherwise errs
    assert dash.children == dash.whole
    dash.close()


def test_who_asked_for_basic_mode_keeps_it_where_the_views_load(dash):
    dash.images.gallery._receive(None, {"kind": "ready"}, [])
    assert dash.basic in dash.children and dash.basic.back.description == "Whole dashboard"
    assert dash.message.value == "" and "Basic mode" in dash.basic.said.value
    dash.basic.back.click()
    assert dash.children == dash.whole
    dash.show_basic()
    assert dash.basic in dash.children


def test_behind_the_whole_dashboard_basic_mode_rests_and_catches_up_when_it_is_shown_again(dash):
    view, before = dash.basic.view, dash.basic.view.answer.value
    dash.show_basic(False)
    dash.session.open_image(dict(dash.session.gallery)["Espresso"], "Espresso")
    dash.session.beside = "tf_efficientnet_lite1"
    dash.wait(), dash.basic.wait()
    assert view.answer.value == before and "Espresso" not in dash.basic.second.answer.value
    dash.show_basic()
    for one in (view, dash.basic.second):
        assert "The photo: Espresso" in one.answer.value
    assert dash.basic.photo.value == "Espresso"


def test_every_view_of_basic_mode_is_one_of_ipywidgets(dash):
    def inside(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from inside(child)

    shown = list(inside(dash))
    assert len(shown) > 30
    assert {one._view_module for one in shown} == {"@jupyter-widgets/controls"}
    controls = [one for one in shown if isinstance(one, (W.Text, W.Dropdown, W.Button, W.BoundedIntText))]
    assert all(control.description for control in controls)


def test_photo_answers_maps_and_heat_map_are_pictures_and_tables_with_words(dash):
    view = dash.basic.view
    answers = parse(view.answer.value)
    assert [row[0] for row in answers.find("table").rows()[1:]] == [
        one.label for one in dash.session.look.predictions]
    for html in (view.answer.value, view.maps.value, view.heat.value):
        pictures = parse(html).find_all("img")
        assert pictures and all(len(one.attributes["alt"]) > 5 for one in pictures)
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", html) and "<script" not in html
    assert "Grad-CAM" in view.heat.value and "blocks.0" in view.maps.value


def test_the_menus_ask_the_session(dash):
    basic = dash.basic
    assert (basic.photo.value, basic.model.value, basic.beside.value) == (
        "Beagle", "tf_efficientnet_lite0", "none")
    basic.photo.value = "Espresso"
    dash.wait(), basic.wait()
    assert dash.session.look.predictions[0].label == "espresso"
    assert "espresso" in basic.view.answer.value
    basic.view.stage.value = "blocks.6"
    assert dash.session.stage == "blocks.6" and "blocks.6" in basic.view.maps.value
    basic.beside.value = "tf_efficientnet_lite1"
    dash.wait(), basic.wait()
    assert "tf_efficientnet_lite1" in basic.second.answer.value
    basic.beside.value = "none"
    assert dash.second is None and basic.views.children == (basic.view,)
    basic.named.value = "tf_efficientnet_lite2"
    dash.wait()
    assert basic.model.value == "tf_efficientnet_lite2"


def test_what_is_asked_in_a_cell_shows_in_the_menus(dash):
    dash.session.image = PHOTOS[8].path
    dash.wait()
    assert dash.basic.photo.value == PHOTOS[8].path.name


def test_a_wrong_name_is_a_sentence(dash):
    dash.basic.named.value = "resnet5O"
    said = parse(dash.basic.problem.value)
    assert said.find_all(role="alert") and said.says("Did you mean 'resnet50'")
    dash.basic.photo.value = "Espresso"
    assert dash.basic.problem.value == ""


def test_a_photo_of_ones_own_joins_the_others_and_a_broken_one_is_a_sentence(dash):
    def upload(name, data):
        dash.basic.own.value = ({"name": name, "type": "image/jpeg", "size": len(data),
                                 "content": memoryview(data), "last_modified": datetime.datetime.now()},)

    upload("<b>mine</b>.jpg", PHOTOS[21].path.read_bytes())
    dash.wait()
    assert dash.basic.own.value == () and dash.basic.photo.value == "<b>mine</b>.jpg"
    assert "<b>mine" not in dash.basic.view.answer.value
    upload("broken.jpg", b"nothing")
    with pytest.raises(RuntimeError):
        dash.wait()
    assert parse(dash.message.value).find_all(role="alert")
    assert dash.basic.photo.value == "<b>mine</b>.jpg"


def test_a_costly_heat_map_says_so_and_waits_for_a_click_and_can_be_stopped(dash):
    view = dash.basic.view
    view.method.value = "occlusion"
    view.wait()
    assert "227 passes" in view.cost.value and view.heat.value == "" and view.go.layout.display == ""
    view.go.click()
    view.work.button.click()
    view.wait()
    assert view.heat.value == "" or "Occlusion" in view.heat.value
    view.method.value = "rollout"
    assert "no attention layers" in view.work.message.value and view.go.layout.display == "none"


def test_a_run_is_started_watched_and_opened(dash):
    learning = dash.basic.learning
    learning.where.data.value = "flowers5_nano"
    learning.epochs.value = 1
    learning.use.disabled = False  # as with a run from before
    with dash.session.lock:  # its job can't be over yet
        learning.start.click()
        assert learning.start.disabled and learning.use.disabled
    assert learning.wait()
    run = dash.session.run
    run.wait()
    assert "Finished: 1 epoch" in learning.progress.value and not learning.use.disabled
    assert parse(learning.curves.value).find("img").attributes["alt"]
    learning.use.click()
    assert learning.wait()
    dash.wait()
    assert run.name in dash.session.model_name and run.name in dash.basic.model.value


def test_where_no_folder_is_named_training_says_so(dash):
    learning = dash.basic.learning
    learning.where.data.value = "a folder"
    assert learning.where.folder.layout.display == ""
    learning.start.click()
    assert "one folder of photos for each class" in learning.message.value


def test_boxes_and_masks_are_shown_too():
    dash = explorer.Dashboard("retinanet_lite0", images=[PHOTOS[0]], basic=True)
    dash.wait(), dash.basic.wait()
    assert parse(dash.basic.view.answer.value).find_all("img")
    assert dash.basic.view.method.value == "layercam"  # Grad-CAM of a box is often dark all over
    assert dash.basic.learning.where.data.value == "bccd"
    dash.close()


def test_closing_leaves_no_widget(net):
    before = set(registry._instances)
    dash = explorer.Dashboard(models=[net, "tf_efficientnet_lite0"], images=[PHOTOS[0]], basic=True)
    dash.wait(), dash.basic.wait()
    dash.close()
    dash.close()
    assert set(registry._instances) == before


def test_a_closed_dashboard_says_so_and_makes_no_basic_mode(net):
    dash = explorer.Dashboard(net)
    dash.close()
    before = set(registry._instances)
    with pytest.raises(RuntimeError, match="This dashboard is closed"):
        dash.show_basic()
    assert set(registry._instances) == before


def test_a_lesson_that_is_about_controls_that_basic_mode_lacks_says_so(net):
    dash = explorer.Dashboard(net, basic=True)
    said = {}
    for name in LESSONS:
        dash.lesson = name
        said[name] = "wait in the whole dashboard" in dash.note.text.value
    dash.close()
    assert [name for name in said if said[name]] == ["fool it", "spot the shortcut", "where it looks"]


@pytest.mark.parametrize("later", [False, True])
def test_a_lesson_in_basic_mode_sets_its_controls_once_the_whole_dashboard_is_shown(net, later):
    dash = explorer.Dashboard(net, basic=True, lesson=None if later else "fool it")
    try:
        dash.lesson = "fool it"
        dash.wait()
        assert dash.basic in dash.children and dash.note in dash.children
        assert "wait in the whole dashboard" in dash.note.text.value
        dash.show_basic(False)
        assert dash.explain.what_if.fgsm.epsilon.value == 1 / 255
        assert "whole dashboard" not in dash.note.text.value
    finally:
        dash.close()
