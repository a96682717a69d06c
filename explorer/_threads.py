"""What all background work shares: how many threads there may be, how to wait for them, and how they end with
Python.

A thread is never waited for by `Thread.join`: one that is interrupted (the notebook's stop button) leaves
Python 3.11 in the belief that the thread is over. Whoever works sets an event at its very end, and others
wait for that.
"""

from __future__ import annotations

# its end of all pools is registered before ours, so that ours comes first
import concurrent.futures.thread  # noqa: F401
import math
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import Protocol

TURN = 0.5  # seconds; Windows hears no Ctrl-C while it waits for a lock, so nobody waits longer at a time


def cpu_count() -> int:
    """The cores that this process may use: a container or a batch queue may have given it fewer than there
    are.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def thread_count(wanted: int | None, default: int) -> int:
    """`wanted` threads, or `default` for None, but never more than there are cores: more only wait for each
    other, and a thousand of them end the process inside OpenMP.
    """
    return max(1, min(default if wanted is None else wanted, cpu_count()))


def wait_for(event: threading.Event, timeout: float | None = None) -> bool:
    """Block until the event is set; False if `timeout` seconds pass first. Any interrupt comes through at
    once.

    Raises ValueError for a timeout that is no number of seconds.
    """
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))
                                or math.isnan(timeout)):
        raise ValueError(f"timeout is {timeout!r}: give seconds, or None to wait until the end.")
    end = None if timeout is None else time.monotonic() + timeout
    while not event.is_set():
        turn = TURN if end is None else min(TURN, end - time.monotonic())
        if turn <= 0:
            return False
        event.wait(turn)
    return True


class Work(Protocol):
    """Something that a thread is busy with."""

    ended: threading.Event

    def ask_to_end(self) -> None:
        """Say that it should come to its end soon; returns at once."""


_WORKING: weakref.WeakSet[Work] = weakref.WeakSet()


def ends_with_python(work: Work) -> None:
    """Ask for the end of this work when Python ends, and wait for it.

    A thread that Python's end meets inside torch aborts the whole process.
    """
    _WORKING.add(work)


def _end_all() -> None:
    for work in tuple(_WORKING):
        work.ask_to_end()
    for work in tuple(_WORKING):
        while not work.ended.is_set():
            # it ends already, and nothing is left that could be interrupted
            with suppress(KeyboardInterrupt):
                wait_for(work.ended)


# There is no public way to come before the pools' end: atexit runs when they take no more work, in which a
# run's next batch would fail. A process that was forked off has none of these threads.
threading._register_atexit(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WORKING.clear)
