"""A field to search with: its text as it is typed, and Enter, in the order in which they were typed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
LONGEST = 200  # characters of a search


class SearchField(ExplorerPart, files="search_field"):
    """``value`` is the text; ``on_enter(callback)`` calls ``callback(text)`` with what stood there at Enter.

    ipywidgets' own field sends its text when the kernel has time, but Enter at once: what was typed fast
    would be searched for too late. ``down``: a CSS selector of what the arrow down leads to, in the panel.
    """

    _reader_traits = ("value",)

    value = t.Unicode("", help="the text").tag(sync=True)
    label = t.Unicode("Search", help="before the field").tag(sync=True)
    placeholder = t.Unicode("", help="what stands in the empty field").tag(sync=True)
    down = t.Unicode("", help="a CSS selector of what the arrow down leads to").tag(sync=True)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    def on_enter(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(text)`` when the reader presses Enter, in the thread of the message."""
        self._callbacks.append(callback)

    def focus(self) -> None:
        """Put the cursor into it, where a page shows it."""
        with self._lock:
            if not self._closed:
                self.send({"kind": "focus"})

    @t.validate("value")
    def _short(self, proposal):
        if len(proposal["value"]) > LONGEST:
            raise t.TraitError(f"A search has at most {LONGEST} characters, not {len(proposal['value'])}.")
        return proposal["value"]

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "enter":
            return super()._on_message(kind, content, buffers)
        text = content.get("text")
        if not isinstance(text, str) or len(text) > LONGEST:
            log.warning("%r: no text to search for", self)
            return
        self._choose("value", text)
        for callback in list(self._callbacks):
            callback(text)

    def _release(self) -> None:
        self._callbacks.clear()

    def __repr__(self) -> str:
        return f"SearchField({self.value!r})"
