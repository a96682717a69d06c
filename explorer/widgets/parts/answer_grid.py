"""Photos down, models across: what each model answered to each photo; a click picks a photo."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from .base import ExplorerPart
from .judged_photos import packed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GridCell:
    """answer: a model's first one;  sure: how sure it is, in words;  right: None where nobody knows"""

    answer: str
    sure: str = ""
    right: bool | None = None


@dataclass(frozen=True)
class GridRow:
    """photo: its title;  truth: what it shows, "" where nobody says;  apart: the number, in words
    share: of the bar beside it, 0..1;  cells: one a model
    """

    photo: str
    truth: str
    apart: str
    share: float
    cells: tuple[GridCell, ...]


class AnswerGrid(ExplorerPart, files="answer_grid"):
    """A table with a photo in each row, and a column a model; ``on_pick`` calls back with a row's index.

    ``selected`` is the marked row, -1 for none. ``show`` and ``mark`` may be called from any thread.
    """

    _reader_traits = ("selected",)

    label = t.Unicode("Answers", help="what a screen reader calls the table").tag(sync=True)
    selected = t.Int(-1, min=-1, help="number of the marked row, -1 for none").tag(sync=True)

    _grid = t.Unicode("").tag(sync=True, echo_update=False)
    _pictures = t.Dict().tag(sync=True, echo_update=False)

    @t.validate("selected")
    def _a_row(self, proposal):
        if proposal["value"] >= len(self._rows):
            raise t.TraitError(f"There is no row {proposal['value']}: there are {len(self._rows)}.")
        return int(proposal["value"])

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[int], None]] = []
        self._rows: tuple[GridRow, ...] = ()
        super().__init__(**kwargs)

    def show(self, models: Sequence[tuple[str, str]], rows: Sequence[GridRow], pictures: Sequence[bytes], *,
             apart: str = "apart", means: str = "") -> None:
        """Show rows; none of them is marked then.

        models: (name, CSS colour) of each column;  pictures: the bytes of a small JPEG or PNG of each row
        apart, means: the heading of the number, and what it is, on hovering
        Raises ValueError for a row of another length, or another number of pictures.
        """
        if len(pictures) != len(rows):
            raise ValueError(f"{len(pictures)} pictures do not fit {len(rows)} rows: give one for each.")
        for row in rows:
            if len(row.cells) != len(models):
                raise ValueError(f"A row of {len(row.cells)} answers does not fit {len(models)} models: "
                                 f"{row.photo!r}.")
        message = json.dumps({"models": [list(model) for model in models], "apart": apart, "means": means,
                              "rows": [asdict(row) for row in rows]},
                             ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if not self._closed:
                self._rows, self.selected = tuple(rows), -1
                self._pictures = packed(pictures)
                self._grid = message

    @property
    def rows(self) -> tuple[GridRow, ...]:
        return self._rows

    def mark(self, index: int) -> None:
        """Mark a row; -1 marks none. Nothing is picked by this."""
        with self._lock:
            if not self._closed:
                self.selected = index if index < len(self._rows) else -1

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call ``callback(index)`` for each pick, in whichever thread the kernel handles messages in."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if type(index) is not int or not 0 <= index < len(self._rows):
            log.warning("%r: there is no row %r to pick", self, index)
            return
        self._choose("selected", index)  # the page shows it already
        for callback in list(self._callbacks):
            callback(index)

    def _release(self) -> None:
        self._callbacks, self._rows, self._grid, self._pictures = [], (), "", {}

    def __repr__(self) -> str:
        return f"AnswerGrid({self.label!r}, {len(self._rows)} photos)"
