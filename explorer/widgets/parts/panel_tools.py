"""The small bar on top of a panel: title, "Show code", "Export figure", "Live page", the guide behind (i).

Nothing is sent until a reader asks: the page sends one message, the panel answers with one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
OFFERS = ("code", "figure", "page", "guide")
FORMATS = ("png", "svg", "pdf")


class PanelTools(ExplorerPart, files="panel_tools"):
    """A title and up to four buttons, one for each of ``offers``; what they open folds out below.

    ``on_ask`` calls back with ("code", "figure", "page", "guide", "shut" or the format of a file) for what
    the reader presses; ``answer`` sends what the page then shows or saves.
    """

    title = t.Unicode("", help="the heading; empty where a tab says it").tag(sync=True)
    label = t.Unicode("", help="what the panel is called, for a reader who does not see it").tag(sync=True)
    offers = t.List(t.Enum(OFFERS), help="which buttons there are").tag(sync=True)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    def on_ask(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(what)`` for each wish of the reader,
        in whichever thread the kernel handles messages in.
        """
        self._callbacks.append(callback)

    def answer(self, kind: str, content: dict, data: bytes | None = None) -> None:
        """Send ``content`` (and one file) to the page;
        from any thread, and into the void once it is closed.
        """
        with self._lock:
            if not self._closed:
                self.send({"kind": kind, **content}, buffers=None if data is None else [data])

    def _on_message(self, kind, content, buffers) -> None:
        if kind == "ask" and content.get("what") in (*self.offers, "shut"):
            wish = content["what"]
        elif kind == "save" and content.get("format") in FORMATS and "figure" in self.offers:
            wish = content["format"]
        else:
            log.warning("%r: the browser may not ask for %r", self, content)
            return
        for callback in list(self._callbacks):
            callback(wish)

    def _release(self) -> None:
        self._callbacks = []

    def __repr__(self) -> str:
        return f"PanelTools({self.label!r}, offers {', '.join(self.offers) or 'nothing'})"


def offers_of(*, code: bool, figure: bool, page: bool, guide: bool) -> Sequence[str]:
    return [name for name, there in zip(OFFERS, (code, figure, page, guide), strict=True) if there]
