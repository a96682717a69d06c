"""One background thread that always works on the newest request.

Notebook callbacks may arrive in any thread (the main one, or a subshell's), and must return at once. They hand
a job to the worker and leave. A job that waits while a newer one arrives is dropped; a job that is running can ask
`ticket.stale` between its steps and give up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from explorer._threads import ends_with_python, wait_for

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
    """Runs jobs one at a time in a thread of its own, the newest first; the thread starts with the first job."""

    def __init__(self, name: str = "explorer-worker"):
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._change = threading.Lock()
        self._waiting: Callable[[Ticket], None] | None = None
        self._running: Ticket | None = None
        self._closed = False
        self.ended = threading.Event()  # set while nothing runs or waits
        self.ended.set()
        self._thread_id: int | None = None

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
            if self.ended.is_set():
                self._pool.submit(self._work)
                self.ended.clear()
                ends_with_python(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False if `timeout` seconds pass first."""
        if threading.get_ident() == self._thread_id:
            raise RuntimeError("wait() was called by what it waits for: call it from a notebook cell.")
        return wait_for(self.ended, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Drop what waits, ask the running job to give up, and end the thread. May be called twice."""
        self.ask_to_end()
        self._pool.shutdown(wait=False)
        if threading.get_ident() != self._thread_id:
            self.wait(timeout)

    def ask_to_end(self) -> None:
        """Drop what waits, take no more, and ask the running job to give up; returns at once."""
        with self._change:
            self._closed, self._waiting = True, None
            if self._running is not None:
                self._running.give_up()

    def _work(self) -> None:
        """Run waiting jobs until there is none."""
        self._thread_id = threading.get_ident()
        while True:
            with self._change:
                job, self._waiting = self._waiting, None
                self._running = ticket = Ticket() if job else None
                if job is None:
                    self.ended.set()
                    return
            try:
                job(ticket)
            except BaseException:  # a job reports its own errors; this is the last net, also for sys.exit()
                log.exception("a background job failed")
            del job  # or the last model would live as long as the thread waits
