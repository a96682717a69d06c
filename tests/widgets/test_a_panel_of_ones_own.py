"""What a new panel takes: a class in a file of its own and a row of a table; and what it costs in threads."""

from __future__ import annotations

import inspect
import threading

import ipywidgets as W
import pytest
from PIL import ImageStat

import explorer
from explorer.widgets import dashboard
from explorer.widgets.jobs import MOST
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import Work
from explorer.widgets.snippets import photo_lines

PHOTOS = explorer.sample_photos()


class BrightnessPanel(Panel):
    name = "Brightness"
    draw_on = ("image",)
    rests = True
    guide = "<p>How bright the photo is, as a mean over its pixels.</p>"

    def make(self):
        self.work, self.share = self.line(Work, long=False), W.HTML()
        self.fill([self.work.progress, self.work.message, self.share])

    def draw(self):
        if self.session.image is not None:
            self.work.start(lambda job, image=self.session.image: brightness(image), self.show,
                            doing="looking at pixels")

    def show(self, share):
        self.share.value = f"{share:.1%}"

    def code(self):
        lines = photo_lines(self.session)
        if not lines:
            return ""
        return "\n".join(["import explorer", *lines, "brightness(explorer.load_image(photo))"])


def brightness(image):
    if image.width < 8:
        raise ValueError("A photo has at least 8 pixels in a row.")
    return ImageStat.Stat(image.convert("L")).mean[0] / 255


@pytest.fixture
def dash(monkeypatch):
    monkeypatch.setattr(dashboard, "TABS", (*dashboard.TABS, ("Brightness", BrightnessPanel)))
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=PHOTOS[:2])
    dash.wait()
    yield dash
    dash.close()


def test_a_panel_is_a_class_and_a_row(dash):
    """Counted: its lines with imports and blank ones, and what else had to be touched."""
    panel = dash.brightness
    assert dash.tabs.titles[-1] == "Brightness" and panel is dash.tabs.children[-1] and not panel.built
    dash.tabs.selected_index = len(dash.tabs.children) - 1
    assert panel.wait(30) and panel.share.value == f"{brightness(dash.session.image):.1%}"
    assert panel.work.progress.value == "" and set(panel.tools.offers) == {"code", "guide"}
    scope = {"brightness": brightness}
    *lines, last = panel.code().splitlines()
    exec("\n".join(lines), scope)
    assert f"{eval(last, scope):.1%}" == panel.share.value
    assert len(inspect.getsource(BrightnessPanel).splitlines()) < 30


def test_it_rests_out_of_sight_follows_the_photo_and_says_what_goes_wrong(dash):
    panel = dash.brightness
    dash.tabs.selected_index = len(dash.tabs.children) - 1
    assert panel.wait(30)
    before = panel.share.value
    dash.tabs.selected_index = 0
    dash.load(PHOTOS[1])
    dash.wait()
    assert panel.wait(30) and panel.share.value == before
    dash.tabs.selected_index = len(dash.tabs.children) - 1
    assert panel.wait(30) and panel.share.value != before
    dash.load(dash.session.image.resize((4, 40)))
    dash.wait()
    assert panel.wait(30)
    said = panel.work.message.value
    assert "at least 8 pixels" in said and 'role="alert"' in said


def test_a_dashboard_whose_tabs_were_all_seen_has_three_threads_and_a_closed_one_none(monkeypatch):
    before = set(threading.enumerate())
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=PHOTOS[:2])
    dash.wait()
    most = 0
    for index, panel in enumerate(dash.tabs.children):
        dash.tabs.selected_index = index
        for _ in range(3 if panel is dash.explain else 1):
            assert panel.wait(60)
            most = max(most, len(set(threading.enumerate()) - before))
            if panel is dash.explain:
                panel.switch.index = (panel.switch.index + 1) % 3
    assert 0 < most <= MOST == 3
    working = set(threading.enumerate()) - before
    dash.close()
    for thread in working:
        thread.join(5)
    assert set(threading.enumerate()) <= before
