"""Work in the background: one runner for a dashboard, and a line of wishes for whoever wants something done.

Notebook callbacks may arrive in any thread (the main one, or a subshell's), and must return at once. They
start a job and leave:

    self.work = self.line()           # a panel's line: one thing at a time, and of its wishes the newest
    self.work.start(compute, show)    # compute(job) gives what show(found) draws

`compute` runs in a thread of the runner and holds no lock; it asks `job.ended()` between its steps whether
to give up, and says with `job.progress(done, total)` how far it is. `show` runs under the session's lock, and
only where nobody has asked for something else meanwhile, dropped the wish or closed the panel: what comes too
late is never seen.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from explorer import _memory, _teams
from explorer._threads import ends_with_python, wait_for
from explorer.display.words import is_told

log = logging.getLogger(__name__)

MOST = 3         # threads of a dashboard
MOST_LONG = 2    # of them at long work, so that a look never waits for a comparison
IDLE = 20.0      # seconds after which a thread that has nothing to do ends
GAP = 0.2        # seconds between two drawings of the progress, at least


Compute = Callable[["Job"], Any]
Show = Callable[[Any], None]


class Pace:
    """Drawing what is told often, from whatever thread: not more often than a reader sees.

    Somebody who redraws for the moment is not waited for, but for what comes last, when nothing follows.
    """

    def __init__(self, lock: threading.RLock):
        self.lock, self._drawn = lock, 0.0

    def show(self, draw: Callable[[], None], *, gap: float, last: bool = False) -> None:
        """Call `draw()` under the lock; or not, if it was called less than `gap` seconds ago."""
        now = time.monotonic()
        if not last and now - self._drawn < gap:
            return
        if self.lock.acquire(blocking=last):
            try:
                self._drawn = now
                draw()
            finally:
                self.lock.release()


class Job:
    """One wish that waits, or is worked at.

    stale:   a newer wish has taken its place, or nobody waits for it any more: what it finds is not shown
    stopped: the reader has pressed Stop: what it has found until then is shown
    """

    def __init__(self, line: Line, compute: Compute, show: Show | None, *, key: Hashable, long: bool):
        self.line, self.compute, self.show, self.key, self.long = line, compute, show, key, long
        self.stale = self.stopped = False
        self._pace = Pace(line.lock)

    def ended(self) -> bool:
        """Whether to come to an end; what the core's functions take as `should_stop`."""
        return self.stale or self.stopped

    def tell(self, show: Callable[..., None], *given: Any) -> bool:
        """Call `show(*given)` under the lock if somebody still waits for this job; whether somebody did."""
        with self.line.lock:
            if not self.stale:
                show(*given)
            return not self.stale

    def progress(self, done: int, total: int, what: str = "") -> None:
        """Say how far it is; what the core's functions take as `on_progress`. Drawn a few times a second."""
        self._pace.show(partial(self._told, done, total, what), gap=GAP if done else 0, last=done == total)

    def _told(self, done: int, total: int, what: str) -> None:
        if not self.stale and self.line.told is not None:
            self.line.told(self, done, total, what)


class Line:
    """The wishes of a panel, or of a part of it: one job at a time, of those with one key the newest.

    failed: called with the error of a job that somebody waits for; without it, the error is in the log alone
    told:   called with (job, done, total, what) as a job says how far it is
    over:   called when nothing is wanted any more
    long:   whether its jobs keep a computer busy; at most `MOST_LONG` such run at once

    The three are called under the lock.
    """

    def __init__(self, runner: Runner, *, long: bool = False, failed: Callable[[Any], None] | None = None,
                 told: Callable[[Job, int, int, str], None] | None = None,
                 over: Callable[[], None] | None = None):
        self.runner, self.lock, self.long = runner, runner.lock, long
        self.failed, self.told, self.over = failed, told, over
        self._closed = False
        self.ended = threading.Event()  # set while nothing runs or waits
        self.ended.set()
        self.waiting: dict[Hashable, Job] = {}  # these three belong to the runner, and change under its guard
        self.running: Job | None = None
        self.thread: int | None = None

    def start(self, compute: Compute, show: Show | None = None, *, key: Hashable = None,
              long: bool | None = None) -> Job:
        """Work at this as soon as may be, in place of an older wish with the same key.

        Once the line is closed the job is stale from the beginning, and nothing runs.
        """
        job = Job(self, compute, show, key=key, long=self.long if long is None else long)
        self.runner.enter(job)
        return job

    @property
    def closed(self) -> bool:
        return self._closed or self.runner.closed

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a job of this line."""
        return self.runner.wants(self)

    def stop(self) -> None:
        """The reader has pressed Stop: end soon, and show what there is by then."""
        self.runner.stop(self)

    def drop(self) -> None:
        """Nobody waits any more for what was asked for."""
        self.runner.drop(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False if `timeout` seconds pass first."""
        if threading.get_ident() == self.thread:
            raise RuntimeError("wait() was called by what it waits for: call it from a notebook cell.")
        return wait_for(self.ended, timeout)

    def close(self) -> None:
        """Drop everything, and take no more; returns at once. May be called twice."""
        self._closed = True
        self.drop()

    def jobs(self) -> list[Job]:
        """What waits and what runs; the guard is held."""
        return [*self.waiting.values(), *([self.running] if self.running is not None else [])]

    def work_at(self, job: Job) -> None:
        """In the runner's thread: compute, and show what came of it."""
        try:
            found = job.compute(job)
        except BaseException as error:  # also of sys.exit(), which would end the thread
            self._finish(job, self._fail, error)
        else:
            self._finish(job, job.show or (lambda found: None), found)

    def _finish(self, job: Job, show: Show, found: Any) -> None:
        with self.lock:
            if job.stale:
                return
            try:
                show(found)
            except Exception as error:  # what was found could not be drawn
                self._fail(error)
            finally:
                job.stale = True  # it is over: nobody waits for it any more
                if self.over is not None and not self.waiting:
                    self.over()

    def _fail(self, error: BaseException) -> None:
        said = self.failed is not None and is_told(error)
        log.log(logging.INFO if said else logging.ERROR, "a background job failed", exc_info=error)
        if self.failed is not None:
            self.failed(error)


class Runner:
    """A dashboard's threads: they begin with the first job, work at all lines in turn, and end when idle.

    lock: held while results are shown
    """

    def __init__(self, lock: threading.RLock | None = None):
        _teams.rest_after_cells()
        self.lock = lock or threading.RLock()
        self.ended = threading.Event()  # set while nothing runs or waits
        self.ended.set()
        self.closed = False
        # Held for a moment, never while other code runs; whoever holds it does not ask for the lock.
        self._guard = threading.Condition()
        self._ready: deque[Line] = deque()   # lines with a job that waits for a thread
        self._at_work: list[Line] = []
        self._threads = self._idle = 0

    def close(self, timeout: float = 5.0) -> None:
        """Drop what waits, ask what runs to give up, and end the threads. May be called twice."""
        self.ask_to_end()
        with self._guard:
            called_by_a_job = any(line.thread == threading.get_ident() for line in self._at_work)
        if not called_by_a_job:
            wait_for(self.ended, timeout)

    def ask_to_end(self) -> None:
        """Drop what waits, take no more, and ask what runs to give up; returns at once."""
        with self._guard:
            self.closed = True
            for line in (*self._ready, *self._at_work):
                self._drop(line)
            self._guard.notify_all()

    # --- for lines ------------------------------------------------------------------------------------------

    def enter(self, job: Job) -> None:
        """Let a job wait for its turn; one with the same key of the same line is given up."""
        _teams.rest()  # whoever asks has nothing to compute while the job does
        line = job.line
        with self._guard:
            if line.closed:
                job.stale = True
                return
            for older in (line.waiting.pop(job.key, None), line.running):
                if older is not None and older.key == job.key:
                    older.stale = True
            line.waiting[job.key] = job
            line.ended.clear()
            self.ended.clear()
            ends_with_python(self)
            if line.running is None and line not in self._ready:
                self._ready.append(line)
            if self._idle < len(self._ready) and self._threads < MOST:
                threading.Thread(target=self._live, name="explorer-jobs").start()
                self._threads += 1
            else:
                self._guard.notify()

    def wants(self, line: Line) -> bool:
        with self._guard:
            return any(not job.stale for job in line.jobs())

    def stop(self, line: Line) -> None:
        with self._guard:
            for job in line.jobs():
                job.stopped = True

    def drop(self, line: Line) -> None:
        with self._guard:
            self._drop(line)

    def _drop(self, line: Line) -> None:
        """The guard is held."""
        for job in line.jobs():
            job.stale = True
        line.waiting.clear()
        if line in self._ready:
            self._ready.remove(line)
        self._settle(line)

    def _settle(self, line: Line) -> None:
        """Tell those who wait that there is nothing more to wait for; the guard is held."""
        if line.running is None and not line.waiting:
            line.ended.set()
        if not self._ready and not self._at_work:
            self.ended.set()

    # --- a thread -------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while self._take_turn():
            pass

    def _take_turn(self) -> bool:
        """Work at one job; False if none came for a while. Nothing of the job outlives this call."""
        with self._guard:
            self._idle += 1
            self._guard.wait_for(lambda: self.closed or self._next() is not None, IDLE)
            self._idle -= 1
            line = self._next()
            if line is None:
                self._threads -= 1
                if not self._threads:
                    _memory.trim()
                return False
            self._ready.remove(line)
            self._at_work.append(line)
            line.running = line.waiting.pop(next(iter(line.waiting)))
            line.thread = threading.get_ident()
        try:
            line.work_at(line.running)
        except BaseException:  # what a panel does when a job is over may fail too
            log.exception("a background job failed")
        finally:
            _teams.rest()
        with self._guard:
            self._at_work.remove(line)
            line.running = line.thread = None
            if line.waiting:
                self._ready.append(line)
            self._settle(line)
            self._guard.notify_all()  # a long job may begin now
        return True

    def _next(self) -> Line | None:
        """The line whose turn it is; the guard is held."""
        long = sum(line.running.long for line in self._at_work)
        return next((line for line in self._ready
                     if long < MOST_LONG or not next(iter(line.waiting.values())).long), None)
