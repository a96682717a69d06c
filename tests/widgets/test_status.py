"""The line below the dashboard's title."""

from __future__ import annotations

import explorer
from explorer.inspection.look import faster
from explorer.widgets.session import Session
from explorer.widgets.status import status_html
from tests.html import parse


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
