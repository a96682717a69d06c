"""The line below the dashboard's title."""

from __future__ import annotations

import explorer
from explorer.inspection.look import faster
from explorer.widgets.export import caption_of
from explorer.widgets.session import Session
from explorer.widgets.status import status_html
from tests.html import parse


def test_only_a_model_that_was_opened_with_random_weights_is_said_to_have_them():
    """One that somebody built may well have been trained in a cell."""
    session = Session()
    session.open_model(explorer.create_model("lenet5"))
    session.wait()
    for say in (status_html, caption_of):
        assert "weights as given" in say(session) and "random" not in say(session)
    session.open_model("lenet5", pretrained=False)
    session.wait()
    assert "random weights" in status_html(session) and "(random weights)" in caption_of(session)
    session.close()


def test_it_says_how_much_memory_faster_copies_take(monkeypatch):
    session = Session()
    session.open_model(explorer.create_model("lenet5"))
    session.open_image(explorer.sample_photos()[0])
    session.wait()
    monkeypatch.setattr(faster, "copies", lambda: (0, 0))
    assert not parse(status_html(session)).says("faster copies")
    monkeypatch.setattr(faster, "copies", lambda: (2, 36_959_968))
    assert parse(status_html(session)).says("faster copies of 2 models: 37 MB")
    session.close()
