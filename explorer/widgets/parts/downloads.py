"""Buttons that save a file: it is made in Python when it is asked for, and the browser saves it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


class Downloads(ExplorerPart, files="downloads"):
    """A button for each of ``offers``;
    ``on_ask`` calls back with the one that is pressed, ``answer`` sends its file.

    ``label`` is what a screen reader calls the row. Nothing travels before a button is pressed.
    """


    offers = t.List(t.Unicode(), help="what the buttons say").tag(sync=True)
    label = t.Unicode("Download", help="what the row of buttons is called").tag(sync=True)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    def on_ask(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(offer)`` for each press, in whichever thread the kernel handles messages in."""
        self._callbacks.append(callback)

    def answer(self, name: str, mime: str, data: bytes) -> None:
        """Let the browser save a file; from any thread, and into the void once this is closed."""
        with self._lock:
            if not self._closed:
                self.send({"kind": "file", "name": name, "mime": mime}, buffers=[data])

    def problem(self, text: str) -> None:
        """Say beside the buttons why there is no file."""
        with self._lock:
            if not self._closed:
                self.send({"kind": "problem", "text": text})

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "ask":
            return super()._on_message(kind, content, buffers)
        if content.get("offer") not in self.offers:
            log.warning("%r: the browser may not ask for %r", self, content.get("offer"))
            return
        for callback in list(self._callbacks):
            callback(content["offer"])

    def _release(self) -> None:
        self._callbacks = []

    def __repr__(self) -> str:
        return f"Downloads({', '.join(self.offers) or 'nothing'})"
