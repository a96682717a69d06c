"""The runs so far as a table: ticks choose whose curves are drawn,
buttons ask to see a run, to use its model, or for its live page.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)

@dataclass(frozen=True)
class Cell:
    """One text; differs: it is not the same in all rows; best: the best of its column;
    note: small, below it.
    """

    text: str
    differs: bool = False
    best: bool = False
    note: str = ""


class RunTable(ExplorerPart, files="run_table"):
    """Rows with a tick each.
    ``ticked`` (indices) is the reader's; ``on_action`` calls back with ("show", "use" or "page", index).

    ``show`` may be called from any thread; ticks of rows that are gone are taken away.
    """

    _reader_traits = ("ticked",)

    ticked = t.List(t.Int(min=0), help="indices of the rows with a tick").tag(sync=True)

    _table = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._count = 0
        self._callbacks: list = []
        super().__init__(**kwargs)

    @t.validate("ticked")
    def _rows_that_are_there(self, proposal):
        wrong = [index for index in proposal["value"] if index >= self._count]
        if wrong:
            raise t.TraitError(f"There is no row {wrong[0]}: the table has {self._count}.")
        return sorted(set(proposal["value"]))

    def show(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, csv: str = "",
             terms: Mapping[str, str] = MappingProxyType({})) -> None:
        """Rows of cells under ``columns``, the first of each its name.
        csv: what the copy and download buttons give; terms: column -> another name of it, small, below.

        Raises ``ValueError`` for a row of another length.
        """
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"A row of {len(row)} cells does not fit {len(columns)} columns: "
                                 f"{row[0].text!r}.")
        cells = [[asdict(cell) for cell in row] for row in rows]
        content = {"columns": list(columns), "terms": [terms.get(name, "") for name in columns],
                   "rows": cells, "csv": csv}
        message = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if not self._closed:
                self._count = len(rows)
                self.ticked = [index for index in self.ticked if index < len(rows)]
                self._table = message

    def on_action(self, callback) -> None:
        """Call ``callback(what, index)``, what being "show", "use" or "page", for each press of a button."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind not in ("show", "use", "page"):
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < self._count:
            log.warning("%r: there is no row %r", self, index)
            return
        for callback in list(self._callbacks):
            callback(kind, index)

    def _release(self) -> None:
        self._callbacks = []
        self._table = ""

    def __repr__(self) -> str:
        return f"RunTable({self._count} runs, {len(self.ticked)} ticked)"
