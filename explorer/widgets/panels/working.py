"""What is being done, beside the model's name: said once it takes a while, and gone when it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W

from explorer.widgets.panels.work import busy_html
from explorer.widgets.session import Session

PATIENCE = 0.15  # seconds after which the page says what is being done: most looks are over by then


class WorkingLine(W.HTML):
    """One line. Each word of it is a message and a redrawing, which would compete with the look itself.

    sessions: gives those of the models that the dashboard shows, the first one's first
    lock:     that of the sessions, held while it writes
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], lock: threading.RLock):
        self._sessions, self._lock = sessions, lock
        self._patience: threading.Timer | None = None
        super().__init__()

    @property
    def doing(self) -> str:
        """What is being done for the first model, or else for the second; "" where nothing is."""
        return next(filter(None, (one.busy for one in self._sessions())), "")

    def follow(self, _change: Any = None) -> None:
        """Something else is being done, or nothing any more; the lock is held."""
        if not self.doing:
            self._stop_waiting()
            self.value = ""
        elif self.value:
            self._say()
        elif self._patience is None:
            self._patience = threading.Timer(PATIENCE, self._say)
            self._patience.daemon = True
            self._patience.start()

    def _say(self) -> None:
        with self._lock:
            self.value = busy_html(doing) if (doing := self.doing) else ""

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def close(self) -> None:
        self._stop_waiting()
        super().close()
