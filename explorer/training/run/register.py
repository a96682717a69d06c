"""The runs of this process, for whoever shows them all: a dashboard hears of one that a cell begins.

    end = RUNS.watch(self.hear)      # hear(run) for each that begins from now on, in the thread that began it

Nothing is kept alive by this: a run lives as long as somebody holds it, and so does who watches. No library
is imported for it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

log = logging.getLogger(__name__)


class Register:
    """The runs that there are. All of it may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs: weakref.WeakSet[Any] = weakref.WeakSet()
        self._watchers: list[weakref.WeakMethod] = []

    def __iter__(self) -> Iterator[Any]:
        with self._guard:
            return iter(list(self._runs))

    def __contains__(self, run: Any) -> bool:
        with self._guard:
            return run in self._runs

    def add(self, run: Any) -> None:
        with self._guard:
            self._runs.add(run)

    def tell(self, run: Any) -> None:
        """It has begun: say so to all who watch. One that fails is logged; the run goes on."""
        with self._guard:
            self._watchers = [watcher for watcher in self._watchers if watcher() is not None]
            watchers = tuple(self._watchers)
        for watcher in watchers:
            hear = watcher()
            try:
                if hear is not None:
                    hear(run)
            except Exception:
                log.exception("a run that has begun could not be shown")

    def watch(self, hear: Callable[[Any], None]) -> Callable[[], None]:
        """Call `hear(run)`, a method, for each run that begins from now on; gives what ends that."""
        watcher = weakref.WeakMethod(hear)
        with self._guard:
            self._watchers.append(watcher)

        def end() -> None:
            with self._guard:
                self._watchers = [one for one in self._watchers if one is not watcher]

        return end

    def clear(self) -> None:
        """Forget all runs, not those who watch."""
        with self._guard:
            self._runs.clear()


RUNS = Register()
