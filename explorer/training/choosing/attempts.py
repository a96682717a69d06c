"""A trial of a search while it runs, here or on a cluster, and who is told of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from explorer.training.choosing.search_plan import SearchPlan
from explorer.training.choosing.trials import Trial

log = logging.getLogger(__name__)


class TrialTeller:
    """Tells a listener of trials. One that fails is logged and left out, as a listener of a run is."""

    def __init__(self, on_trial: Callable[[Trial], None] | None):
        self.on_trial = on_trial

    def __call__(self, trial: Trial) -> None:
        if self.on_trial is not None:
            try:
                self.on_trial(trial)
            except Exception:
                log.exception("a listener of the search failed; it hears no more")
                self.on_trial = None


class Attempt:
    """One trial that runs, wherever: what is heard of it, and how it ended, go to the study and a listener.

    settings: its own
    """

    def __init__(self, plan: SearchPlan, trial: Any, tell: TrialTeller):
        self.plan, self.trial, self.tell = plan, trial, tell
        self.settings = plan.study.settings(trial)
        self.began, self.told = time.perf_counter(), 0
        self.begin()

    @property
    def number(self) -> int:
        return self.trial.number

    def begin(self) -> None:
        """From its first epoch; once more, where its process was lost."""
        self.history: list[float] = []
        self.tell(Trial(self.number, self.settings, "running"))

    def hear(self, value: float, loss: float) -> bool:
        """The figure after an epoch or a fold; True: give it up."""
        self.history.append(value)
        self.trial.set_user_attr("history", self.history)
        self.trial.set_user_attr("loss", loss)
        if len(self.history) > self.told:
            self.trial.report(value, step=len(self.history))
            self.told = len(self.history)
        self.tell(Trial(self.number, self.settings, "running", value, loss, tuple(self.history),
                        time.perf_counter() - self.began))
        return self.trial.should_prune()

    def finish(self, value: float, loss: float) -> None:
        """It came to its end with this figure."""
        if not math.isfinite(value):
            self.fail(f"The figure became {value}.")
            return
        self.trial.set_user_attr("loss", loss)
        self._end("COMPLETE", value)

    def prune(self) -> None:
        """It was given up early."""
        self._end("PRUNED")

    def fail(self, sentence: str) -> None:
        """It can't be done, and why."""
        self.trial.set_user_attr("error", sentence)
        self._end("FAIL")

    def put_back(self) -> None:
        """It was broken off, for whoever comes next."""
        self.plan.study.put_back(self.trial)

    def _end(self, state: str, value: float | None = None) -> None:
        study = self.plan.study
        self.trial.set_user_attr("seconds", time.perf_counter() - self.began)
        study.study.tell(self.trial, value, state=study.optuna.trial.TrialState[state])
        self.tell(next(one for one in self.plan.trials() if one.number == self.number))
