"""What of a dashboard can be kept: the page of its present state, and the picture in a saved notebook."""

from __future__ import annotations

import threading

import pytest

import explorer
from explorer.widgets.dashboard import panels_in
from explorer.widgets.panels import saved
from explorer.widgets.session import CLOSED
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


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_whatever_kind_of_error_a_drawing_ends_in_it_is_said(dash, monkeypatch, kind):
    def broken():
        raise kind("NaN has no place on an axis")

    monkeypatch.setattr(dash.stages, "figure", broken)
    assert "NaN has no place on an axis" in dash.snapshot().data


def test_a_page_holds_what_stands_inside_a_panel_too(dash):
    dash.tabs.selected_index = dash.tabs.titles.index("Modules")
    assert dash.modules.wait(60)
    shown = panels_in(dash.tabs)
    assert dash.modules.graph in shown and dash.modules.given in shown and len(shown) == len(set(shown))
    headings = [found.text for found in parse(dash.snapshot().data).find_all("h3")]
    assert headings.count("Graph: resnet10t") == headings.count("Modules: resnet10t") == 1


def test_lines_and_figure_in_a_page_are_of_one_moment(dash, monkeypatch):
    seen = []

    def held():
        """Whether another thread could publish something now."""
        free = []
        thread = threading.Thread(target=lambda: free.append(dash.session.lock.acquire(blocking=False)))
        thread.start()
        thread.join()
        return not free[0]

    figure = dash.stages._to_export()
    monkeypatch.setattr(dash.stages, "_to_export", lambda: (*figure, seen.append(held()))[:4])
    assert dash.stages.page_html() and seen == [True]


def test_a_network_that_finds_nothing_says_so():
    """It is not taken for a model without a classifier."""
    model = explorer.create_model("retinanet_lite0", pretrained=True).eval()
    look = explorer.look(model, explorer.sample_photos("bccd")[0])
    look.detections = look.detections.at(score_threshold=1.0)
    assert len(look.detections) == 0
    page = parse(look._repr_html_()).text
    assert "Nothing above that score" in page and "no classifier" not in page
    picture = saved._row("cells", look, model, "a photo")
    assert "<div>nothing</div>" in picture


def test_a_picture_that_can_not_be_drawn_leaves_the_dashboard_in_the_cell(dash, page, monkeypatch, caplog):
    monkeypatch.setattr(saved, "stops_of", lambda *given: 1 / 0)
    dash._ipython_display_()
    (widget, _), (picture, _) = page
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert parse(picture["text/html"]).text.endswith(saved.EMPTY)
    assert "could not be drawn" in caplog.text


def test_a_closed_dashboard_is_a_sentence_in_a_cell_and_its_picture_stays(dash, page):
    dash._ipython_display_()
    dash.close()
    dash._ipython_display_()
    assert len(page) == 3 and page[2][0] == {"text/plain": CLOSED}


def test_a_notebook_that_is_run_to_its_end_has_the_picture_once_it_has_waited(page, monkeypatch):
    monkeypatch.setattr(saved, "REST", 600)
    sent = []
    monkeypatch.setattr(saved, "send_again", lambda bundle, display_id: sent.append(bundle["text/html"]))
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=[])
    dash._ipython_display_()
    dash.wait()
    assert sent == []  # there is no photo yet
    for photo in PHOTOS[:2]:  # the first alone: later ones follow when it rests
        dash.load(photo)
        dash.wait()
    assert len(sent) == 1 and "<img" in sent[0]
    dash.close()
