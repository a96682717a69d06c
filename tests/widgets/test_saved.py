"""What of a dashboard can be kept: the page of its present state, and the picture in a saved notebook."""

from __future__ import annotations

import threading

import pytest

import explorer
from explorer.widgets.panels import saved
from tests.html import parse

PHOTOS = explorer.sample_photos()
NAMES = ["<i>one</i>", "two", "three"]


@pytest.fixture
def dash():
    model = explorer.create_model("resnet10t", num_classes=3)
    dash = explorer.Dashboard(model, images=PHOTOS[:2], labels=NAMES)
    dash.wait()
    yield dash
    dash.close()


@pytest.fixture
def page(monkeypatch):
    """A notebook's page: what is displayed there, newest last."""
    shown = []

    def display(bundle, **options):
        shown.append((bundle, options))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(saved, "in_a_notebook", lambda: True)
    monkeypatch.setattr(saved, "REST", 0.01)
    return shown


def test_a_page_holds_what_the_tabs_show(dash, tmp_path):
    first = dash.snapshot().data
    assert "Feature maps of stem" in first and "Grad-CAM" not in first  # a tab that was never looked at
    dash.tabs.selected_index = dash.tabs.titles.index("Explain")
    assert dash.explain.wait(60)
    dash.stages.stage.value = "layer2"
    page = dash.export_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Feature maps of layer2" in page and "Feature maps of stem" not in page
    heat = dash.explain.heat_map
    assert heat.caption() and heat.heading() in page
    assert "explorer.explain(" in page          # the lines that give it again
    assert "<i>one</i>" not in page and "<script" not in page


def test_a_figure_that_can_not_be_drawn_is_said(dash, monkeypatch):
    def broken():
        raise RuntimeError("<b>no ink</b>")

    monkeypatch.setattr(dash.stages, "figure", broken)
    page = dash.snapshot().data
    assert "Feature maps: " in page and "no ink" in page and "<b>no ink</b>" not in page


def test_a_cell_shows_the_widget_and_below_it_the_picture(dash, page):
    dash._ipython_display_()
    (widget, _), (picture, options) = page
    assert "application/vnd.jupyter.widget-view+json" in widget
    html = parse(picture["text/html"])
    assert "vx-saved" in picture["text/html"] and options["display_id"]
    assert saved.DEAD in html.text and "resnet10t" in html.text and "<i>one</i>" in html.text
    assert len(html.find_all("figure")) == 6 and len(picture["text/html"]) < 120_000


def test_the_picture_follows_once_the_dashboard_rests(dash, page, monkeypatch):
    dash._ipython_display_()
    sent = threading.Event()
    monkeypatch.setattr(saved, "send_again", lambda *given: (page.append(given), sent.set()))
    dash.session.image = PHOTOS[1]
    dash.wait()
    assert sent.wait(20)
    bundle, display_id = page[-1]
    assert display_id == page[1][1]["display_id"] and bundle["text/html"] != page[1][0]["text/html"]
    dash.saved.renew()                      # nothing has changed: nothing is sent
    assert len(page) == 3


def test_two_models_are_two_rows_and_a_closed_dashboard_sends_nothing(dash, page):
    dash.session.beside = explorer.create_model("lenet5").eval()
    dash.wait()
    dash._ipython_display_()
    figures = parse(page[1][0]["text/html"]).find_all("figure")
    assert len(figures) == 6 + 1 + len(dash.second.session.look.stages)
    dash.close()
    dash.saved.later()
    dash.saved.renew()
    assert len(page) == 2


def test_a_terminal_gets_no_picture(dash, page, monkeypatch):
    monkeypatch.setattr(saved, "in_a_notebook", lambda: False)
    dash._ipython_display_()
    dash.saved.later()
    assert len(page) == 1


def test_a_dashboard_without_a_look_says_what_was_here():
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=[])
    html = parse(saved.saved_html(dash.session))
    assert saved.EMPTY in html.text and not html.find_all("figure")
    dash.close()
