"""`search`: many settings tried, and the best of them.

    found = explorer.search({"lr": (1e-4, 1e-1), "train": ["head", "last_stage"]}, "flowers5", trials=20)
    found.best_settings                                   # explorer.finetune(data="flowers5", **these)
    found.plot(); found.importance

    explorer.search(space, data, method="grid", storage="search.db")       # goes on where it was, also killed
    # the same line in another process works at the same search

    explorer.search(space, data, keep="best")
    explorer.load_run("best").model                                        # what the best trial has learnt

Backbone ("model") and augmentation are settings like any other. What a frozen body has seen of the photos
serves all trials with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import torch

from explorer.arguments import checked, flag, number, whole, word
from explorer.display.words import sentence_of
from explorer.models.contract import VisionModel
from explorer.training.choosing.attempts import Attempt, TrialTeller
from explorer.training.choosing.search_plan import SearchPlan, planned
from explorer.training.choosing.search_result import SearchResult
from explorer.training.choosing.trials import Trial
from explorer.training.choosing.trying import BrokenOff, GivenUp

log = logging.getLogger(__name__)


@checked(method=word, trials=whole(1, 100_000), folds=whole(2, 1000), by=word, prune=flag,
         timeout=number(0, above=True), device=None)
def search(
    space: dict[str, Any], data: Any, *, method: str = "tpe", trials: int | None = None,
    model: VisionModel | str = "tf_efficientnet_lite0", folds: int | None = None, by: str = "accuracy",
    prune: bool | None = None, storage: str | os.PathLike | None = None,
    keep: str | os.PathLike | None = None, timeout: float | None = None,
    seed: int = 0, pretrained: bool = True, device: str | torch.device | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_result: Callable[[SearchResult], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> SearchResult:
    """Try settings of `finetune` one after the other, and sort them by the validation figure.

    space:   {setting: choices}: a list of choices, or a range (low, high), which is logarithmic where its
             ends are 100 times apart; the settings of `finetune`, "model" and "input_size" among them
    data:    whatever `finetune` takes
    method:  "grid" every combination; "random" drawn by `seed`, none twice; "tpe" each chosen by those before
             (tree-structured Parzen estimator); "halving" random, and the worse half given up again and again
    trials:  how many; None: 20, of a grid all
    model, settings: what all trials have: `finetune`'s
    folds:   judge each trial by cross-validation in so many folds; None: by the data's held-out part, as
             `finetune` does
    by:      "accuracy" (of numbers the mean absolute error) or "loss"
    prune:   give up trials that fall behind the median of the others at the same epoch (or fold); None: for
             "tpe" and "halving"
    storage: a file that remembers all trials (SQLite): the same call goes on from it, also after its process
             was killed, and in several processes at once. None: memory
    keep:    a folder for the run of the best trial, as `Run.save` writes it: `load_run(keep)` opens it. With
             folds a trial is several runs, and none is kept
    timeout: seconds, after which no other trial is begun
    on_trial: called with a `Trial` when one begins, after each of its epochs or folds, and when it ends
    on_result: called with the result so far when a trial has ended, and at first where trials are there from
             before: those of other processes are in it too
    on_progress, should_stop: on_progress is called with (trials done, of how many); True from should_stop
             breaks off the trial that runs, which is tried again when the search goes on

    What comes back is a table of the trials; `explorer.finetune(data=data, **found.best_settings)` is the
    best one's run. A trial that fails is in the result with its sentence, and the rest goes on. A figure
    that was chosen among many is a little too good: judge the winner by photos that no trial has seen.
    Raises ModuleNotFoundError without Optuna (pip install 'vision-explorer[search]'), ValueError for a space
    that can't be searched, TrainingError where every trial fails, or the storage holds another search.
    Source: J. Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011 (tpe); K. Jamieson,
            A. Talwalkar, Non-stochastic Best Arm Identification, 2016 (halving).
    """
    plan = planned(space, data, method=method, trials=trials, model=model, folds=folds, by=by, prune=prune,
                   storage=storage, keep=keep, seed=seed, pretrained=pretrained, device=device,
                   should_stop=should_stop, settings=settings)
    worker = _Worker(plan, on_trial, on_result)
    try:
        worker.tell_all()
        while not plan.ended(timeout):
            trial = plan.study.take(plan.most)
            if trial is None:
                break
            stopped = not worker.run(trial)
            worker.tell_all()
            if on_progress is not None:
                on_progress(*plan.progress())
            if stopped:
                break
        return plan.result()
    finally:
        plan.study.close()


class _Worker:
    """Runs trials one after the other, and tells of them."""

    def __init__(self, plan: SearchPlan, on_trial: Callable[[Trial], None] | None,
                 on_result: Callable[[SearchResult], None] | None):
        self.plan, self.tell, self.on_result = plan, TrialTeller(on_trial), on_result

    def run(self, trial: Any) -> bool:
        """One trial to its end, which the study is told; False where it was broken off."""
        attempt = Attempt(self.plan, trial, self.tell)
        try:
            done = self.plan.work.try_out(attempt.settings, attempt.hear)
        except GivenUp:
            attempt.prune()
        except BrokenOff:
            attempt.put_back()
            return False
        except Exception as error:  # whatever a combination can do; the others may be fine
            log.info("trial %d failed", trial.number, exc_info=error)
            attempt.fail(sentence_of(error))
        except BaseException:  # an interrupted cell
            attempt.put_back()
            raise
        else:
            attempt.finish(done)
        return True

    def tell_all(self) -> None:
        """Tell of all trials, where there are some; a listener that fails hears no more."""
        if self.on_result is None or not self.plan.trials():
            return
        try:
            self.on_result(self.plan.so_far())
        except Exception:
            log.exception("a listener of the search failed; it hears no more")
            self.on_result = None
