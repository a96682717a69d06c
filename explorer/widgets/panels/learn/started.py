"""The runs of this process, wherever they began: under Train, in a cell, in a dashboard that is closed.

`Newcomers` brings them into a dashboard, those that are there and each that begins while it is open.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections import deque
from typing import Any

from explorer.training.run.register import RUNS
from explorer.widgets.session import Session

#: Runs that were started from a dashboard, kept when it is closed, so that the next one shows them again.
STARTED: deque[Any] = deque(maxlen=8)
#: Of runs that a cell began, so many that are over keep their network for as long as a dashboard is open.
KEPT = 8
IN_A_CELL = "started in a cell"

_ours: weakref.WeakSet[Any] = weakref.WeakSet()    # runs that a reader asked for in a dashboard
_asking = threading.local()                        # .on: this thread is about to begin one of them
_let_go: weakref.WeakSet[Any] = weakref.WeakSet()  # what is left of runs of cells


def known_runs() -> list[Any]:
    """The runs of this process that have begun, oldest first, those that still learn last."""
    begun = [run for run in RUNS if run.state != "waiting"]  # one that could not start waits for good
    return sorted(begun, key=lambda run: (run.running, run.created))


def next_name(runs: Any) -> str:
    """ "my run 3" where two were there."""
    numbers = [int(found[1]) for run in runs if (found := re.fullmatch(r"my run (\d+)", run.name))]
    return f"my run {max(numbers, default=0) + 1}"


def begin(arguments: dict[str, Any]) -> Any:
    """Start the run that a reader asked for in a dashboard. arguments: of `finetune`"""
    from explorer.training.run.finetuning import finetune

    _asking.on = True
    try:
        run = finetune(**arguments)
    finally:
        _asking.on = False
    _ours.add(run)  # where no dashboard is open any more that would have heard of it
    STARTED.append(run)
    return run


def in_a_cell(run: Any) -> bool:
    """Whether code in a cell began it, not a reader in a dashboard; False of one from a folder too."""
    return run in _let_go or run in RUNS and run not in _ours


class Newcomers:
    """Brings the runs of this process into a session, and shows the newest there.

    One that a cell begins takes the place of the one that is shown, unless that one still learns. Of those
    that are over the newest `KEPT` keep their network; the others keep their curves and settings.

    It holds the session, and nobody holds it but the dashboard: both end together.
    """

    def __init__(self, session: Session):
        self.session = session
        self.close = RUNS.watch(self._hear)  # first: none that begins meanwhile is missed
        for run in known_runs():
            session.run = run
        with session.lock:
            self._let_older_go()

    def _hear(self, run: Any) -> None:
        """In the thread that began it."""
        if getattr(_asking, "on", False):
            _ours.add(run)
        session = self.session
        with session.lock:
            if session.jobs.closed:
                return
            if not in_a_cell(run) or getattr(session.run, "running", False):
                session.know(run)
            else:
                session.run = run
            self._let_older_go()

    def _let_older_go(self) -> None:
        """Keep curves and settings of older runs of cells, and no more: a loop over fifty of them would fill
        the memory, which its own code leaves free.
        """
        from explorer.training.run.past import PastRun

        session = self.session
        over = [run for run in session.runs if hasattr(run, "model") and in_a_cell(run) and not run.running
                and run is not session.run]
        for run in over[:-KEPT]:
            _let_go.add(past := PastRun.of(run))
            session.know(past, instead=run)
