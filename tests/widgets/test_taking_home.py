"""The button "Live page" of a panel: what the page's reader gets, and what is said where there is none."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

import explorer
from explorer.files import DiskError
from explorer.inspection.live import page
from explorer.widgets.panels.predictions import PredictionsPanel
from explorer.widgets.panels.runs.panel import RunsPanel
from explorer.widgets.panels.taking_home import Home
from explorer.widgets.panels.teach.panel import TeachPanel

from .test_parts_base import from_browser


@pytest.fixture
def pages(monkeypatch):
    """The models that a page was written of; instead of a page, their class's name."""
    written = []

    def write(model, path, **options):
        written.append(model)
        Path(path).write_text(type(model).__name__)
        return Path(path)

    monkeypatch.setattr(page, "live_page", write)
    return written


def opened(session):
    """A session with a small network on the screen."""
    session.model = explorer.create_model("lenet5", num_classes=3)
    session.wait()
    return session


def asked(panel, what="page"):
    """What the bar sends to the page once the reader has pressed a button of it."""
    sent = []
    panel.tools.send = lambda content, buffers=None: sent.append((content, buffers))
    from_browser(panel.tools, {"kind": "ask", "what": what})
    assert panel.wait(60)
    return sent


def test_predictions_gives_a_copy_of_the_model_on_the_screen_as_a_file(session, pages):
    panel = PredictionsPanel(opened(session))
    [(content, found)] = asked(panel)
    assert found, content
    assert (content["name"], bytes(found[0])) == ("lenet5.html", b"LeNet5")
    assert pages[0] is not session.model and type(pages[0]) is type(session.model)


def test_without_a_model_a_sentence_says_what_to_do(session, pages):
    [(content, data)] = asked(PredictionsPanel(session))
    assert content["text"].endswith("choose a model and a photo first.") and data is None and pages == []


def test_runs_takes_the_run_of_the_row_and_else_the_newest(session, pages):
    nets = {name: nn.Sequential(nn.Flatten()) for name in ("first", "second")}
    panel = RunsPanel(session)
    panel.build()
    panel.shown = [SimpleNamespace(name=name, model=net, folder=None) for name, net in nets.items()]
    assert isinstance(panel.to_take_home(), Home) and panel.to_take_home().name == "second"
    sent = []
    panel.tools.send = lambda content, buffers=None: sent.append(content)
    panel._act("page", 0)
    assert sent == [{"kind": "unfold", "what": "page"}] and panel.to_take_home().name == "first"
    panel.shown = []
    assert panel.to_take_home() == "There is no run yet: start one under Train."


def test_a_network_that_is_gone_is_a_sentence(session, pages):
    panel = RunsPanel(session)
    panel.build()
    panel.shown = [SimpleNamespace(name="gone", folder=None)]
    [(content, _)] = asked(panel)
    assert content["text"].startswith("The network of gone is not kept any more")


@pytest.mark.parametrize("error", [ValueError("It can't leave."), ModuleNotFoundError("pip install it."),
                                   DiskError(Path("page.html"), OSError(28, "No space left"))])
def test_what_goes_wrong_is_a_sentence(session, monkeypatch, error, caplog):
    def fail(model, path, **options):
        raise error

    monkeypatch.setattr(page, "live_page", fail)
    panel = PredictionsPanel(opened(session))
    with caplog.at_level(logging.ERROR):
        [(content, data)] = asked(panel)
    assert data is None and str(error) in content["text"] and "Traceback" not in content["text"]


def test_the_page_may_ask_only_where_it_is_offered(session, pages):
    panel = PredictionsPanel(opened(session))
    panel.tools.offers = ["code"]
    assert asked(panel) == [] and pages == []


def test_teach_takes_what_has_learnt_there(session, pages):
    panel = TeachPanel(session)
    panel.build()
    assert panel.to_take_home().startswith("Nothing has learnt your classes yet: collect photos")
    panel.lesson.run = SimpleNamespace(name="my run 1", model=nn.Sequential(nn.Flatten()), folder=None,
                                       best={"epoch": 0})
    assert panel.to_take_home().name == "my-run-1"
    panel.close()
