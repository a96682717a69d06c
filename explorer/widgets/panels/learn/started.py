"""The runs of this process, for a dashboard that is opened while they learn, or afterwards."""

from __future__ import annotations

import re
import sys
from collections import deque
from typing import Any

#: Runs that were started from a dashboard, kept when it is closed, so that the next one shows them again.
STARTED: deque[Any] = deque(maxlen=8)


def known_runs() -> list[Any]:
    """The runs of this process, oldest first, those that still learn last.

    Imports nothing: without what makes a run there is none.
    """
    module = sys.modules.get("explorer.training.run.run")
    return sorted(module.RUNS if module is not None else [], key=lambda run: (run.running, run.created))


def next_name(runs: Any) -> str:
    """ "my run 3" where two were there."""
    numbers = [int(found[1]) for run in runs if (found := re.fullmatch(r"my run (\d+)", run.name))]
    return f"my run {max(numbers, default=0) + 1}"
