"""A search, checked and made ready: what will be tried, by what work, and what comes of it. Who runs the
trials, one after the other here or on the workers of a cluster, is another matter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.files import given_path
from explorer.models.contract import VisionModel
from explorer.training.choosing.fold_runs import Opened, opened, recipe_of
from explorer.training.choosing.folds import fold_parts
from explorer.training.choosing.search_result import SearchResult
from explorer.training.choosing.space import BESIDE, Space, drawn, grid_of, space_of
from explorer.training.choosing.study import Study, find_optuna, space_facts
from explorer.training.choosing.trials import Trial, sorted_trials
from explorer.training.choosing.trying import Work
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.recipe import Recipe
from explorer.training.run.saving import check_free

METHODS = ("grid", "random", "tpe", "halving")
BY = ("accuracy", "loss")
OWN = ("method", "trials", "model", "folds", "by", "prune", "storage", "timeout", "keep")
TRIALS = 20  # where nobody says how many
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass
class SearchPlan:
    """A search whose trials can begin, here or on a cluster.

    most:  trials altogether;  notes: sentences for the result, which may be added to
    figure: what is searched by, in words;  common: what all trials have;  began: `time.perf_counter()` then
    keep:  a folder for the run of the best trial
    """

    study: Study
    work: Work
    space: Space
    most: int
    method: str
    figure: str
    higher: bool
    common: dict[str, Any]
    notes: list[str]
    began: float
    keep: Path | None

    def ended(self, timeout: float | None) -> bool:
        """Whether no other trial begins, since it is late or somebody asked to stop."""
        late = timeout is not None and time.perf_counter() - self.began > timeout
        return late or self.asked_to_stop()

    def asked_to_stop(self) -> bool:
        """Whether somebody wants the trials that run to be broken off."""
        return self.work.should_stop is not None and self.work.should_stop()

    def trials(self) -> list[Trial]:
        """All that were begun, and not put back."""
        return [Trial(one.number, self.study.settings(one), STATES[one.state.name], one.value,
                      one.user_attrs.get("loss"), tuple(one.user_attrs.get("history", ())),
                      one.user_attrs.get("seconds"), one.user_attrs.get("error", ""))
                for one in self.study.trials()]

    def progress(self) -> tuple[int, int]:
        """(trials done, of how many)."""
        return min(sum(one.state != "running" for one in self.trials()), self.most), self.most

    def so_far(self) -> SearchResult:
        """What is there, without a look at what is missing."""
        tried = sorted_trials(self.trials(), higher=self.higher)
        return SearchResult(tried, self.figure, self.higher, self.method, self.work.data.name,
                            tuple(self.space), self.common, self.study.importance(),
                            time.perf_counter() - self.began, tuple(dict.fromkeys(self.notes)),
                            shares=self.higher)

    def result(self) -> SearchResult:
        """What was found. Raises TrainingError where there is nothing to choose."""
        tried = self.trials()
        _check_any(tried)
        self.notes += self._not_kept(tried)
        done = sum(trial.state != "running" for trial in tried)
        if done < self.most:
            self.notes.append(f"{done} of {self.most} trials have ended: "
                              + ("the same call with its storage goes on." if self.study.path is not None
                                 else "a storage would let it go on another time."))
        return self.so_far()

    def _not_kept(self, trials: list[Trial]) -> list[str]:
        """A sentence where the best trial's run is not in the folder for it."""
        best = sorted_trials(trials, higher=self.higher)[0].number
        there = self.study.study.get_trials(deepcopy=False)[best].user_attrs.get("kept")
        return [] if self.keep is None or there == str(self.keep) else [
            f"The run of trial {best}, the best, is not in '{self.keep}': it ran before, or could not be "
            "kept. finetune(data=data, **found.best_settings) teaches it again."]


def planned(space: Any, data: Any, *, method: str, trials: int | None, model: VisionModel | str,
            folds: int | None, by: str, prune: bool | None, storage: str | os.PathLike | None,
            keep: str | os.PathLike | None, seed: int, pretrained: bool, device: Any,
            should_stop: Callable[[], bool] | None,
            settings: dict[str, Any], own: Sequence[str] = OWN) -> SearchPlan:
    """What `search` was asked for, checked and made ready; its study is open until it is closed.

    own: what the function that was called takes beside the settings of `finetune`
    """
    began = time.perf_counter()
    for name, value, known in (("method", method, METHODS), ("by", by, BY)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: expected one of {', '.join(known)}.")
    find_optuna()
    choices = space_of(space)
    fixed = {key: value for key, value in {**settings, "seed": seed}.items() if key not in choices}
    recipe = recipe_of({key: value for key, value in fixed.items() if key not in BESIDE}, own)
    queue = _queue(choices, method, trials, seed)
    most = len(queue) if queue is not None else trials or TRIALS
    found = opened(data, "all", recipe)
    parts, notes = None, list(found.notes)
    place = None if keep is None else given_path(keep, "keep")
    if folds is not None and place is not None:
        raise ValueError("With folds a trial is several runs, and there is no one to keep: leave keep out, "
                         "and teach the best settings once more (finetune).")
    if place is not None:
        check_free(place)
    if folds is not None:
        if "patience" in choices or fixed.get("patience") is not None:
            raise ValueError("patience would let the photos of a fold choose the epoch: leave it out, or "
                             "leave folds out.")
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
    common = fixed if "model" in choices else {"model": model, **fixed}
    return SearchPlan(study, work, choices, most, method, _figure(found, by, folds), higher, common, notes,
                      began, place)


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


def _check_any(trials: list[Trial]) -> None:
    """Raises TrainingError where there is nothing to choose."""
    if not trials:
        raise TrainingError("Stopped before the first trial ended: there is no result yet.")
    failed = [trial for trial in trials if trial.state == "failed"]
    alone = len(trials) == 1
    if len(failed) == len(trials):
        what = "The only trial failed:" if alone else f"All {len(trials)} trials failed. The first:"
        raise TrainingError(f"{what} {failed[0].error}")
    if not any(trial.state == "finished" for trial in trials):
        what = "The only trial has not" if alone else f"None of the {len(trials)} trials has"
        raise TrainingError(f"{what} finished: there is no result yet.")


def _facts(space: Space, data: Opened, method: str, by: str, folds: int | None, fixed: dict[str, Any],
           model: Any) -> dict[str, Any]:
    """What must be the same for a search to go on in its file."""
    name = model if isinstance(model, str) else type(model).__name__
    own = {key: value for key, value in fixed.items() if value != getattr(Recipe, key, None)}
    return {"space": space_facts(space), "data": [data.name, len(data.photos), data.cut], "method": method,
            "by": by, "folds": folds, "settings": {key: repr(value) for key, value in own.items()},
            "model": name}
