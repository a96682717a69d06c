"""One background thread that always works on the newest request.

Notebook callbacks may arrive in any thread (the main one, or a subshell's), and must return at once. They hand
a job to the worker and leave. A job that waits while a newer one arrives is dropped; a job that is running can ask
`ticket.stale` between its steps and give up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Ticket:
    """Tells a running job whether a newer one waits behind it."""

    def __init__(self) -> None:
        self._stale = threading.Event()

    @property
    def stale(self) -> bool:
        return self._stale.is_set()

    def give_up(self) -> None:
        self._stale.set()


class Worker:
    """Runs jobs in its own daemon thread, newest first; the thread starts with the first job."""

    def __init__(self, name: str = "explorer-worker"):
        self._name = name
        self._change = threading.Condition()
        self._waiting: Callable[[Ticket], None] | None = None
        self._running: Ticket | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[Ticket], None]) -> None:
        """Run `job(ticket)` as soon as the present one ends; drops a job that still waits.

        Raises RuntimeError after `close`.
        """
        with self._change:
            if self._closed:
                raise RuntimeError("This dashboard is closed. Make a new one with explorer.Dashboard().")
            self._waiting = job
            if self._running is not None:
                self._running.give_up()
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._change.notify_all()

    @property
    def idle(self) -> bool:
        with self._change:
            return self._waiting is None and self._running is None

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False if `timeout` seconds pass first."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("The worker can't wait for itself: call wait() from a notebook cell.")
        with self._change:
            return self._change.wait_for(lambda: self._waiting is None and self._running is None, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Drop what waits, ask the running job to give up, and end the thread. May be called twice."""
        with self._change:
            self._closed, self._waiting = True, None
            if self._running is not None:
                self._running.give_up()
            self._change.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting is not None or self._closed)
                if self._closed:
                    return
                job, self._waiting = self._waiting, None
                self._running = ticket = Ticket()
            try:
                job(ticket)
            except Exception:  # a job reports its own errors; this is the last net
                log.exception("a background job failed")
            finally:
                del job  # or the last model would live as long as the thread waits
                with self._change:
                    self._running = None
                    self._change.notify_all()
