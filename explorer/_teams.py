"""Teams of threads, and why two of them slow each other: the pause of those that are idle.

torch divides a large product among a team of threads, which GCC's OpenMP library (libgomp) keeps for the next
one, a team for each thread that ever computed. Between two products a team waits, spinning, so that it can go
on at once. But once libgomp has more threads in its care than there are processors, it lets all of them sleep
instead, and every product of a pass begins with waking somebody: a pass takes twice as long and more. In a
notebook that is the normal case: a cell has computed, so the main thread has a team, and then a dashboard
computes in a thread of its own.

So a thread that has nothing more to compute gives its team back: `rest()`. It comes back by itself with the
next product, in microseconds. And threads that only open photos compute on their own: `alone()`.

On Linux with the libgomp that torch brings; elsewhere, and with EXPLORER_FAST=0, both do nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_SOFT = 1  # omp_pause_soft: what can be had again by itself


def wanted() -> bool:
    """Whether explorer may set what concerns the whole process; EXPLORER_FAST=0 forbids it."""
    return os.environ.get("EXPLORER_FAST", "1") != "0"


def rest() -> None:
    """Give back the team of this thread, which has nothing to compute for now."""
    library = _libgomp()
    if library is not None:
        library.omp_pause_resource_all(_SOFT)


def alone() -> None:
    """Let this thread compute by itself from now on: it opens photos while others compute."""
    library = _libgomp()
    if library is not None:
        sys.modules["torch"].get_num_threads()  # torch sets it for each new thread once; then ours holds
        library.omp_set_num_threads(1)


@contextmanager
def leaving_one() -> Iterator[None]:
    """Compute with one processor less for the `with` block, in this thread: somebody else on this computer
    works at the same time, such as the browser that draws what a camera sees. One is always kept.
    """
    library = _libgomp()
    if library is None:
        yield
        return
    usual = sys.modules["torch"].get_num_threads()
    library.omp_set_num_threads(max(1, usual - 1))
    try:
        yield
    finally:
        library.omp_set_num_threads(usual)


def rest_after_cells() -> None:
    """In a notebook, let the main thread rest after each cell: what computes next is a dashboard's job."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    events = getattr(shell, "events", None)
    if events is not None and _rest_after not in events.callbacks["post_run_cell"]:
        events.register("post_run_cell", _rest_after)


def _rest_after(*_result: object) -> None:
    rest()


def active() -> bool:
    """Whether `rest` and `alone` do anything here."""
    return _libgomp() is not None


def _libgomp() -> ctypes.CDLL | None:
    if not wanted() or "torch" not in sys.modules:
        return None
    return _loaded_libgomp()


@cache
def _loaded_libgomp() -> ctypes.CDLL | None:
    """The libgomp that torch computes with, if any: others, such as scikit-learn, bring their own."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return None
    mapped = [line.split(maxsplit=5) for line in lines if "libgomp" in line]
    paths = sorted({parts[5] for parts in mapped if len(parts) == 6})
    home = str(Path(sys.modules["torch"].__file__).parent)
    ours = [path for path in paths if path.startswith(home)] or [path for path in paths if len(paths) == 1]
    if not ours:
        return None
    try:
        library = ctypes.CDLL(ours[0])
        for name in ("omp_pause_resource_all", "omp_set_num_threads"):  # the first is not in GCC before 10
            getattr(library, name)
    except (OSError, AttributeError):
        return None
    return library
