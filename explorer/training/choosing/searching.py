"""`search`: many settings tried, and the best of them.

    found = explorer.search({"lr": (1e-4, 1e-1), "train": ["head", "last_stage"]}, "flowers5", trials=20)
    found.best_settings                                   # explorer.finetune(data="flowers5", **these)
    found.plot(); found.importance

    explorer.search(space, data, method="grid", storage="search.db")       # goes on where it was, also killed
    # the same line in another process works at the same search

Backbone ("model") and augmentation are settings like any other. What a frozen body has seen of the photos
serves all trials with it.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch

from explorer.arguments import checked, flag, number, whole, word
from explorer.display.words import sentence_of
from explorer.models.contract import VisionModel
from explorer.training.choosing.fold_runs import Opened, opened, recipe_of
from explorer.training.choosing.folds import fold_parts
from explorer.training.choosing.search_result import SearchResult
from explorer.training.choosing.space import BESIDE, Space, drawn, grid_of, space_of
from explorer.training.choosing.study import Study, find_optuna, space_facts
from explorer.training.choosing.trials import Trial, sorted_trials
from explorer.training.choosing.trying import BrokenOff, GivenUp, Work
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.recipe import Recipe

log = logging.getLogger(__name__)

METHODS = ("grid", "random", "tpe", "halving")
BY = ("accuracy", "loss")
TRIALS = 20  # where nobody says how many
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@checked(method=word, trials=whole(1, 100_000), folds=whole(2, 1000), by=word, prune=flag,
         timeout=number(0, above=True), device=None)
def search(
    space: dict[str, Any], data: Any, *, method: str = "tpe", trials: int | None = None,
    model: VisionModel | str = "tf_efficientnet_lite0", folds: int | None = None, by: str = "accuracy",
    prune: bool | None = None, storage: str | os.PathLike | None = None, timeout: float | None = None,
    seed: int = 0, pretrained: bool = True, device: str | torch.device | None = None,
    on_trial: Callable[[Trial], None] | None = None,
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
    timeout: seconds, after which no other trial is begun
    on_trial: called with a `Trial` when one begins, after each of its epochs or folds, and when it ends
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
    began = time.perf_counter()
    for name, value, known in (("method", method, METHODS), ("by", by, BY)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: expected one of {', '.join(known)}.")
    find_optuna()
    choices = space_of(space)
    fixed = {key: value for key, value in {**settings, "seed": seed}.items() if key not in choices}
    recipe = recipe_of({key: value for key, value in fixed.items() if key not in BESIDE},
                       ("method", "trials", "model", "folds", "by", "prune", "storage", "timeout"))
    queue = _queue(choices, method, trials, seed)
    most = len(queue) if queue is not None else trials or TRIALS
    found = opened(data, "all", recipe)
    parts, notes = None, list(found.notes)
    if folds is not None:
        if "patience" in choices or fixed.get("patience") is not None:
            raise ValueError("patience would let the photos of a fold choose the epoch: leave it away, or "
                             "leave folds away.")
        parts, more = fold_parts(found.photos, folds, seed)
        notes = [note for note in [*notes, *more] if "held out to judge by" not in note]
    higher = by == "accuracy" and not found.photos.numbers
    prunes = method in ("tpe", "halving") if prune is None else bool(prune)
    if queue is not None and len(queue) < (trials or 0):
        notes.append(f"The space has {len(queue)} combinations, fewer than the {trials} trials asked for.")
    study = Study(choices, storage=storage, method=method, seed=seed, prunes=prunes, queue=queue,
                  higher=higher, steps=folds or recipe.epochs,
                  facts=_facts(choices, found, method, by, folds, fixed, model))
    work = Work(found, model, fixed, parts, by, pretrained, device, should_stop)
    worker = _Worker(study, work, choices, on_trial)
    try:
        while not _ended(timeout, began, should_stop):
            trial = study.take(most)
            if trial is None:
                break
            stopped = not worker.run(trial)
            if on_progress is not None:
                on_progress(min(sum(one.state != "running" for one in worker.trials()), most), most)
            if stopped:
                break
        tried = sorted_trials(worker.trials(), higher=higher)
        _check_any(tried)
        importance = study.importance()
    finally:
        study.close()
    done = sum(trial.state != "running" for trial in tried)
    if done < most:
        notes.append(f"{done} of {most} trials have ended: "
                     + ("the same call with its storage goes on." if storage is not None else
                        "a storage would let it go on another time."))
    common = fixed if "model" in choices else {"model": model, **fixed}
    return SearchResult(tried, _figure(found, by, folds), higher, method, found.name, tuple(choices), common,
                        importance, time.perf_counter() - began, tuple(dict.fromkeys(notes)), shares=higher)


def _figure(data: Opened, by: str, folds: int | None) -> str:
    """What is searched by, in words."""
    if by == "loss":
        return "validation loss"
    if data.photos.numbers:
        return "mean absolute error"
    return "share with all classes right" if folds and data.photos.multi_label else "top-1 accuracy"


def _queue(space: Space, method: str, trials: int | None, seed: int) -> list[dict[str, Any]] | None:
    """What is tried in this order; None where each trial is chosen by those before."""
    if method == "tpe":
        return None
    return grid_of(space)[:trials] if method == "grid" else drawn(space, trials or TRIALS, seed)


class _Worker:
    """Runs trials one after the other, and tells of them."""

    def __init__(self, study: Study, work: Work, space: Space, on_trial: Callable[[Trial], None] | None):
        self.study, self.work, self.space, self.on_trial = study, work, space, on_trial

    def run(self, trial: Any) -> bool:
        """One trial to its end, which the study is told; False where it was broken off."""
        began, history = time.perf_counter(), []
        settings = self.study.settings(trial)
        self._tell(Trial(trial.number, settings, "running"))

        def tell(value: float, loss: float) -> bool:
            history.append(value)
            trial.set_user_attr("history", history)
            trial.set_user_attr("loss", loss)
            trial.report(value, step=len(history))
            self._tell(Trial(trial.number, settings, "running", value, loss, tuple(history),
                             time.perf_counter() - began))
            return trial.should_prune()

        state, value = self.study.optuna.trial.TrialState, None
        try:
            value, loss = self.work.try_out(settings, tell)
            if not math.isfinite(value):
                raise TrainingError(f"The figure became {value}.")
            trial.set_user_attr("loss", loss)
            how = state.COMPLETE
        except GivenUp:
            how = state.PRUNED
        except BrokenOff:
            self.study.put_back(trial)
            return False
        except Exception as error:  # whatever a combination can do; the others may be fine
            log.info("trial %d failed", trial.number, exc_info=error)
            trial.set_user_attr("error", sentence_of(error))
            how = state.FAIL
        except BaseException:  # an interrupted cell
            self.study.put_back(trial)
            raise
        trial.set_user_attr("seconds", time.perf_counter() - began)
        self.study.study.tell(trial, value if how == state.COMPLETE else None, state=how)
        self._tell(next(one for one in self.trials() if one.number == trial.number))
        return True

    def trials(self) -> list[Trial]:
        return [Trial(one.number, self.study.settings(one), STATES[one.state.name], one.value,
                      one.user_attrs.get("loss"), tuple(one.user_attrs.get("history", ())),
                      one.user_attrs.get("seconds"), one.user_attrs.get("error", ""))
                for one in self.study.trials()]

    def _tell(self, trial: Trial) -> None:
        """A listener that fails is logged and left out, as one of a run is."""
        if self.on_trial is not None:
            try:
                self.on_trial(trial)
            except Exception:
                log.exception("a listener of the search failed; it hears no more")
                self.on_trial = None


def _ended(timeout: float | None, began: float, should_stop: Callable[[], bool] | None) -> bool:
    late = timeout is not None and time.perf_counter() - began > timeout
    return late or (should_stop is not None and should_stop())


def _check_any(trials: tuple[Trial, ...]) -> None:
    """Raises TrainingError where there is nothing to choose."""
    if not trials:
        raise TrainingError("Stopped before the first trial ended: there is no result yet.")
    failed = [trial for trial in trials if trial.state == "failed"]
    if len(failed) == len(trials):
        raise TrainingError(f"All {len(trials)} trials failed. The first: {failed[0].error}")
    if not any(trial.state == "finished" for trial in trials):
        raise TrainingError(f"None of the {len(trials)} trials has finished: there is no result yet.")


def _facts(space: Space, data: Opened, method: str, by: str, folds: int | None, fixed: dict[str, Any],
           model: Any) -> dict[str, Any]:
    """What must be the same for a search to go on in its file."""
    name = model if isinstance(model, str) else type(model).__name__
    own = {key: value for key, value in fixed.items() if value != getattr(Recipe, key, None)}
    return {"space": space_facts(space), "data": [data.name, len(data.photos), data.cut], "method": method,
            "by": by, "folds": folds, "settings": {key: repr(value) for key, value in own.items()},
            "model": name}
