"""A trial of a search while it runs, here or on a cluster, and who is told of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from explorer.display.words import sentence_of
from explorer.training.choosing.search_plan import SearchPlan
from explorer.training.choosing.trials import Trial, sorted_trials
from explorer.training.choosing.trying import Outcome
from explorer.training.run.saving import save_run

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

    def finish(self, done: Outcome) -> None:
        """It came to its end."""
        if not math.isfinite(done.figure):
            self.fail(f"The figure became {done.figure}.")
            return
        self.trial.set_user_attr("loss", done.loss)
        self._end("COMPLETE", done)

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

    def _end(self, state: str, done: Outcome | None = None) -> None:
        study = self.plan.study
        self.trial.set_user_attr("seconds", time.perf_counter() - self.began)
        with study.alone():  # no other process may find a better one meanwhile
            if done is not None:
                self._keep_best(done)
            study.study.tell(self.trial, None if done is None else done.figure,
                             state=study.optuna.trial.TrialState[state])
        self.tell(next(one for one in self.plan.trials() if one.number == self.number))

    def _keep_best(self, done: Outcome) -> None:
        """The run of a trial that is better than all before it, in its folder; a full disk is a note."""
        keep = self.plan.keep
        if keep is None or done.trained is None:
            return
        this = Trial(self.number, {}, "finished", done.figure, done.loss)
        if sorted_trials([*self.plan.trials(), this], higher=self.plan.higher)[0] is not this:
            return
        try:
            name = f"trial {self.number} on {done.trained.data.name}"
            save_run(replace(done.trained, name=name), keep)
            self.trial.set_user_attr("kept", str(keep))
        except Exception as error:  # the trial itself is as good as ever
            log.warning("the run of trial %d was not kept", self.number, exc_info=error)
            self.plan.notes.append(f"The run of trial {self.number} could not be kept. {sentence_of(error)}")
