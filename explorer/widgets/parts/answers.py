"""The likeliest answers as a list with bars; a click on one asks about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """name, value: as text; share: from 0 to 1, the length of the bar, None without one."""

    name: str
    value: str
    share: float | None = None


class Answers(ExplorerPart, files="answers"):
    """Answers in their order, each a button. ``show`` may be called from any thread.

    ``label``: what a screen reader calls the list; ``hint``: what a click on an answer does
    """

    label = t.Unicode("Predictions, most likely first", help="what the answers are").tag(sync=True)
    hint = t.Unicode("Where in the photo is this? Opens the heat map",
                     help="what a click does").tag(sync=True)

    _rows = t.List().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[int], None]] = []
        super().__init__(**kwargs)

    def show(self, answers: Sequence[Answer], *, label: str = "") -> None:
        """Draw these answers; names are written as text. label: as the trait, "" leaves it."""
        with self._lock:
            if not self._closed:
                self.label = label or self.label
                self._rows = [asdict(answer) for answer in answers]

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call ``callback(index)`` for each answer that the reader clicks, in the thread of the message."""
        self._callbacks.append(callback)

    @property
    def rows(self) -> tuple[Answer, ...]:
        """What is shown."""
        return tuple(Answer(**row) for row in self._rows)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if type(index) is not int or not 0 <= index < len(self._rows):
            log.warning("%r: there is no answer %r to pick", self, index)
            return
        for callback in list(self._callbacks):
            callback(index)

    def _release(self) -> None:
        self._callbacks.clear()
        self._rows = []

    def __repr__(self) -> str:
        return f"Answers({', '.join(f'{row.name} {row.value}' for row in self.rows)})"
