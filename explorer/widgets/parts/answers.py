"""The likeliest answers as a list with bars; a click on one asks about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
        with self._lock:  # or the answers change before whoever hears of it looks at them
            index = self._at(content.get("index"), content.get("name"))
            if index is None:
                log.warning("%r: there is no such answer to pick: %.200r", self, content)
                return
            for callback in list(self._callbacks):
                callback(index)

    def _at(self, index: Any, name: Any) -> int | None:
        """Where the answer that was clicked stands now; None where it is gone. It may have moved: answers
        that follow a camera change under the pointer. name: what stood there; None: whatever stands there.
        """
        if type(index) is not int or not 0 <= index < len(self._rows):
            return None
        names = [row["name"] for row in self._rows]
        if name is None or names[index] == name:
            return index
        return next((at for at, one in enumerate(names) if one == name), None)

    def _release(self) -> None:
        self._callbacks.clear()
        self._rows = []

    def __repr__(self) -> str:
        return f"Answers({', '.join(f'{row.name} {row.value}' for row in self.rows)})"
