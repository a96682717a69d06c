"""The list of models: its rows travel once; a filter sends only which of them to show, in which order."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


class ModelList(ExplorerPart, files="model_list"):
    """A list box with columns. ``value`` is the chosen name, None for none; a name that is not listed raises
    ``TraitError``. ``load`` gives it all rows once, ``show`` says which are listed; both may be called from
    any thread.
    """

    _reader_traits = ("value",)

    value = t.Unicode(None, allow_none=True, help="name of the chosen model").tag(sync=True)

    _table = t.Unicode("").tag(sync=True, echo_update=False)  # 900 rows are 50 kB: one string, sent once
    _order = t.List(t.Int()).tag(sync=True, echo_update=False)
    _column = t.Int(0).tag(sync=True, echo_update=False)
    _here = t.List(t.Int()).tag(sync=True, echo_update=False)
    _open = t.Unicode("").tag(sync=True, echo_update=False)
    _second = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._names: dict[str, int] = {}
        self._shown: frozenset[str] = frozenset()
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are listed, in their order."""
        names = list(self._names)
        return tuple(names[index] for index in self._order)

    def load(self, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> None:
        """All rows: (name, one text for each of ``columns``), of which one column is shown."""
        rows = [[str(name), [str(text) for text in texts]] for name, texts in rows]
        with self._lock:
            if self._closed:
                return
            self._names = {row[0]: index for index, row in enumerate(rows)}
            self._table = json.dumps({"columns": [str(c) for c in columns], "rows": rows}, ensure_ascii=False,
                                     separators=(",", ":"))
            self.show(self._names)

    def show(self, names: Iterable[str], *, column: int = 0, value: str | None = None) -> None:
        """List these of the loaded names in this order, with that column;
        ``value`` is chosen (None: no one is).
        """
        names = list(names)
        with self._lock, self.hold_sync():
            if not self._closed:
                self._shown = frozenset(names)
                self._order = [self._names[name] for name in names]
                self._column = column
                self.value = value

    def tell(self, *, here: Iterable[str], opened: str, second: str = "") -> None:
        """Say which have their weights on this computer, which one is on the screen, and which one beside it
        ("" for none).
        """
        with self._lock, self.hold_sync():
            if not self._closed:
                self._here = [self._names[name] for name in here if name in self._names]
                self._open, self._second = opened, second

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` when the reader opens a row, in the thread of the message."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "open":
            return super()._on_message(kind, content, buffers)
        name = content.get("name")
        if not isinstance(name, str) or name not in self._shown:
            log.warning("%r: there is no model %r to open", self, name)
            return
        for callback in list(self._callbacks):
            callback(name)

    @t.validate("value")
    def _listed(self, proposal):
        if proposal["value"] is not None and proposal["value"] not in self._shown:
            count = len(self._shown)
            raise t.TraitError(f"{proposal['value']!r} is not among the {count} models that are listed now.")
        return proposal["value"]

    def _release(self) -> None:
        self._names, self._shown = {}, frozenset()
        self._callbacks.clear()
        self._table = ""

    def __repr__(self) -> str:
        return f"ModelList({len(self._order)} of {len(self._names)} models)"
