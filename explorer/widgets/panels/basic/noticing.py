"""Noticing that a page shows the controls of ipywidgets, but not explorer's own views.

    the kernel asks: a link between two traits of one invisible widget, made of ipywidgets alone
    the page answers: it carries the value over, as soon as it knows the widgets, displayed or not
    the views say "ready" once their scripts run

Whoever answers can draw ipywidgets; if no view is ready a while after the answer, and the page still answers
then, the views can't be loaded there. Without a page (nbconvert, nbval, a script) nobody answers, and nothing
is ever said. A view that is ready later after all takes everything back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import ipywidgets as W

from explorer.widgets.parts.base import ExplorerPart

PATIENCE = 5.0  # seconds that a page has for its scripts, once it has answered
ROUNDS = 3      # so often is a page asked that answers slowly, before it is believed


class Noticing:
    """Watches one view for all: they come in one package.

    changed: called under the lock when `missing` has changed
    missing: whether the views can't be loaded in the page that shows the dashboard
    """

    def __init__(self, view: ExplorerPart, lock: threading.RLock, changed: Callable[[], None]):
        self.view, self.lock, self.changed = view, lock, changed
        self.missing, self._closed = False, False
        self._round, self._asked_at = 0, 0.0
        self._timer: threading.Timer | None = None
        self._numbers = count()
        self.question = W.Layout(width=f"{next(self._numbers)}px")  # the plainest widget that there is
        self.link = W.jsdlink((self.question, "width"), (self.question, "height"))
        self.question.observe(self._answered, "height")
        view.observe(self._ready, "ready")

    @property
    def ready(self) -> bool:
        """Whether a page has loaded the views."""
        return self.view.ready

    def say(self) -> None:
        """It is known from elsewhere that the views are not there: say so, unless they are."""
        with self.lock:
            self._stop()
            self._set(not self.view.ready)

    def again(self) -> None:
        """Forget what was noticed, and ask anew."""
        with self.lock:
            self._stop()
            self._round = -1
            self._set(False)
            self._ask()

    def _answered(self, change: Any) -> None:
        """A page is there. It has sent this behind all that it had to say before."""
        with self.lock:
            if self._closed or self.view.ready or self.missing or change["new"] != self.question.width:
                return
            quick = time.monotonic() - self._asked_at < PATIENCE  # else it may be a page that has just come
            if self._round and (quick or self._round >= ROUNDS):
                self._set(True)
            elif self._timer is None:
                self._timer = threading.Timer(PATIENCE, self._ask)
                self._timer.daemon = True
                self._timer.start()

    def _ask(self) -> None:
        with self.lock:
            self._timer = None
            if not (self._closed or self.view.ready or self.missing):
                self._round, self._asked_at = self._round + 1, time.monotonic()
                self.question.width = f"{next(self._numbers)}px"  # another one than before

    def _ready(self, _change: Any) -> None:
        with self.lock:
            self._stop()
            self._set(False)

    def _set(self, missing: bool) -> None:
        if missing != self.missing and not self._closed:
            self.missing = missing
            self.changed()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        with self.lock:
            self._closed = True
            self._stop()
        self.link.close()
        self.question.close()
