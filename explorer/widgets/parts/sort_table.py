"""A table of figures that the reader sorts by any column, picks rows from, and takes along as CSV."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
KINDS = ("text", "count", "share", "number", "setting")


class SortTable(ExplorerPart, files="sort_table"):
    """Rows with a name each; ``on_pick`` calls back with the index of the row whose name is pressed.

    ``sort`` is [column, ascending], [] for the order that was given. ``show`` may be called from any thread.
    """

    _reader_traits = ("sort",)

    label = t.Unicode("Table", help="what a screen reader calls it, and its CSV file").tag(sync=True)
    sort = t.List(help="[column, ascending], [] for the order that was given").tag(sync=True)

    files = t.Bool(True, help="whether buttons below it give the table as CSV").tag(sync=True)

    _table = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._columns = self._count = 0
        self._titles: list[list[str]] = []
        self._callbacks: list[Callable[[int], None]] = []
        super().__init__(**kwargs)

    @t.validate("sort")
    def _a_column(self, proposal):
        value = proposal["value"]
        if value and not (len(value) == 2 and type(value[0]) is int and type(value[1]) is bool
                          and 0 <= value[0] < self._columns):
            raise t.TraitError("sort is [] or [column, ascending] with a column below "
                               f"{self._columns}, not {value}.")
        return value

    def show(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | float | None]], *,
             csv: str = "") -> None:
        """Show rows of plain values; NaN and None are a dash, and come last in any order.

        columns: (title, kind) with the kinds "text", "count", "share" (0..1, shown in percent), "number"
                 and "setting" (a number of any size); the first one is the row's name
        The reader's order stays where the columns are the same.
        Raises ValueError for another kind, or a row of another length.
        """
        for title, kind in columns:
            if kind not in KINDS:
                known = ", ".join(KINDS)
                raise ValueError(f"The column {title!r} is of kind {kind!r}: expected one of {known}.")
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"A row of {len(row)} values does not fit {len(columns)} columns: "
                                 f"{row[0]!r}.")
        plain = [[None if isinstance(value, float) and not math.isfinite(value) else value for value in row]
                 for row in rows]
        message = json.dumps({"columns": [list(column) for column in columns], "rows": plain, "csv": csv},
                             ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if not self._closed:
                titles = [list(column) for column in columns]
                self._columns, self._count = len(columns), len(rows)
                if titles != self._titles:
                    self._titles, self.sort = titles, []
                self._table = message

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call ``callback(index)`` for each row that is picked,
        in whichever thread the kernel handles messages in.
        """
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if type(index) is not int or not 0 <= index < self._count:
            log.warning("%r: there is no row %r", self, index)
            return
        for callback in list(self._callbacks):
            callback(index)

    def _release(self) -> None:
        self._callbacks, self._table = [], ""

    def __repr__(self) -> str:
        return f"SortTable({self.label!r}, {self._count} rows)"
