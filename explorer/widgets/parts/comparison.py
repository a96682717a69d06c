"""The models that were ticked: a chip for each, a small table of facts, and a button that copies it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


class Comparison(ExplorerPart, files="comparison"):
    """Names with their facts side by side. The reader may take one away or ask to see one: ``on_remove`` and
    ``on_pick`` call back with its name. ``show`` may be called from any thread; with no rows nothing is on
    the page.
    """


    _table = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._names: tuple[str, ...] = ()
        self._callbacks: dict[str, list] = {"remove": [], "pick": []}
        super().__init__(**kwargs)

    def show(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """One row of texts for each model, its name first, under ``columns``.

        Raises ``ValueError`` for a row of another length.
        """
        columns, rows = [str(c) for c in columns], [[str(text) for text in row] for row in rows]
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"A row of {len(row)} texts does not fit {len(columns)} columns: {row!r}.")
        message = json.dumps({"columns": columns, "rows": rows, "markdown": markdown(columns, rows)},
                             ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if not self._closed:
                self._names = tuple(row[0] for row in rows)
                self._table = message

    def on_remove(self, callback) -> None:
        """Call ``callback(name)`` when the reader takes a model away."""
        self._callbacks["remove"].append(callback)

    def on_pick(self, callback) -> None:
        """Call ``callback(name)`` when the reader wants to see a model's card."""
        self._callbacks["pick"].append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if not isinstance(kind, str) or kind not in self._callbacks:
            return super()._on_message(kind, content, buffers)
        name = content.get("name")
        if name not in self._names:
            log.warning("%r: %r is not compared", self, name)
            return
        for callback in list(self._callbacks[kind]):
            callback(name)

    def _release(self) -> None:
        self._callbacks = {kind: [] for kind in self._callbacks}
        self._names = ()
        self._table = ""

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self._names) or 'no models'})"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar or a line break in a text does not break it."""
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(text.replace("|", "\\|").split()) for text in texts) + " |"

    return "\n".join([line(columns), "|" + "---|" * len(columns), *map(line, rows)]) + "\n"
