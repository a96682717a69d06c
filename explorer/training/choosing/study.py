"""The memory of a search: an Optuna study in this process, or in a file that several processes share.

What a grid and a random search will try is known from the start and waits in a queue, so that it is the same
whoever takes it, and in whatever order. Each process that works at a study holds a lock on a file of its own;
a trial whose process has died is found by that, and tried again.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import filelock

from explorer.files import DiskError, given_path, make_folder
from explorer.training.choosing.space import Choices, Range, Space, values_of
from explorer.training.loop.errors import TrainingError

NAME = "search"        # of the study in its file
PUT_BACK = "put back"  # the trials that came to no end, and are tried again under another number


def find_optuna() -> ModuleType:
    """`optuna`. Raises ModuleNotFoundError with what to install."""
    try:
        import optuna
    except ImportError as error:
        raise ModuleNotFoundError(
            f"explorer.search needs Optuna, which is not complete here ({error}): pip install "
            "'vision-explorer[search]'. Without it, explorer.cross_validate judges one setting after the "
            "other.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return optuna


def distributions(space: Space) -> dict[str, Any]:
    """The space in Optuna's words."""
    found, kinds = {}, find_optuna().distributions
    for name, one in space.items():
        if isinstance(one, Choices):
            found[name] = kinds.CategoricalDistribution(one.labels)
        elif one.whole:
            found[name] = kinds.IntDistribution(int(one.low), int(one.high), log=one.logarithmic)
        else:
            found[name] = kinds.FloatDistribution(one.low, one.high, log=one.logarithmic)
    return found


def space_facts(space: Space) -> dict[str, Any]:
    """A space as plain values."""
    return {name: [repr(label) for label in one.labels] if isinstance(one, Choices) else
            [one.low, one.high] for name, one in space.items() if isinstance(one, (Choices, Range))}


class Study:
    """A search's trials, to be taken one after the other, by one process or several.

    queue: what a grid or a random search tries, in order; None where each trial is chosen by those before
    """

    def __init__(self, space: Space, *, storage: str | os.PathLike | None, method: str, higher: bool,
                 seed: int, prunes: bool, queue: list[dict[str, Any]] | None, facts: Mapping[str, Any],
                 steps: int):
        self.optuna, self.space, self.queue = find_optuna(), space, queue
        self.distributions, self.facts = distributions(space), json.dumps(facts, sort_keys=True, default=repr)
        self.path = None if storage is None else given_path(storage, "storage")
        self._mine = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._lock: filelock.BaseFileLock | None = None
        with self.alone():
            self.study = self._opened(method, higher, seed, prunes, steps)
            self._check_asked()
            if self.path is not None:
                self._lock = filelock.FileLock(self._lock_of(self._mine), thread_local=False)
                self._lock.acquire(timeout=10)
            self._put_back_the_dead()
            self._fill()

    def _opened(self, method: str, higher: bool, seed: int, prunes: bool, steps: int) -> Any:
        optuna, store = self.optuna, None
        if self.path is not None:
            make_folder(self.path.parent)
            _check_file(self.path)
            store = optuna.storages.RDBStorage(f"sqlite:///{self.path.as_posix()}",
                                               engine_kwargs={"connect_args": {"timeout": 60}})
        study = optuna.create_study(storage=store, study_name=NAME, load_if_exists=True,
                                    direction="maximize" if higher else "minimize")
        if method == "tpe":  # another draw than the trials that are there already had
            study.sampler = optuna.samplers.TPESampler(seed=(seed + len(study.trials)) % 2**32,
                                                       constant_liar=True)
        else:  # all that it would draw is in the queue
            study.sampler = optuna.samplers.RandomSampler(seed=seed % 2**32)
        if not prunes:
            study.pruner = optuna.pruners.NopPruner()
        elif method == "halving":
            factor = 2 if steps < 8 else 3
            study.pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
        else:
            study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
        return study

    def _check_asked(self) -> None:
        """Raises TrainingError where the file holds another search."""
        before = self.study.user_attrs.get("asked")
        if before is None:
            self.study.set_user_attr("asked", self.facts)
        elif before != self.facts:
            old, new = json.loads(before), json.loads(self.facts)
            which = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
            same = "is not the same" if len(which) == 1 else "are not the same"
            raise TrainingError(f"'{self.path}' holds another search: {', '.join(which)} {same}. Give what "
                                "it began with, or another storage.")

    # --- who works at what ------------------------------------------------------------------------------

    def _lock_of(self, worker: str) -> Path:
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.{worker}.lock")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time looks into the queue and takes from it."""
        if self.path is None:
            yield
            return
        make_folder(self.path.parent)
        lock = filelock.FileLock(self.path.with_name(f"{self.path.name}.lock"))
        try:
            lock.acquire(timeout=120)
        except filelock.Timeout:
            raise TrainingError(f"Another process has kept '{self.path}' for two minutes: try again, or give "
                                "another storage.") from None
        except OSError as error:
            raise DiskError(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def _lives(self, worker: str) -> bool:
        if worker == self._mine or self.path is None:
            return worker == self._mine
        lock = filelock.FileLock(self._lock_of(worker))
        if not self._lock_of(worker).exists():
            return False
        try:
            with lock.acquire(timeout=0):
                pass
        except filelock.Timeout:
            return True
        with suppress(OSError):
            self._lock_of(worker).unlink()
        return False

    def _put_back_the_dead(self) -> None:
        running = self.optuna.trial.TrialState.RUNNING
        for trial in self.study.get_trials(states=(running,)):
            if not self._lives(trial.user_attrs.get("worker", "")):
                self._end(trial)

    def _gone(self) -> list[int]:
        """The numbers of the trials that came to no end."""
        return self.study.user_attrs.get(PUT_BACK, [])

    def _end(self, trial: Any) -> None:
        """A trial that came to no end: marked as failed, and put back into the queue."""
        self.study.set_user_attr(PUT_BACK, [*self._gone(), trial.number])
        self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        if trial.params:
            facts = {key: value for key, value in trial.user_attrs.items() if key == "slot"}
            self.study.enqueue_trial(dict(trial.params), user_attrs=facts)

    def _fill(self) -> None:
        """What the queue still lacks."""
        if self.queue is None:
            return
        there = {trial.user_attrs.get("slot") for trial in self.study.get_trials(deepcopy=False)}
        for slot, row in enumerate(self.queue):
            if slot not in there:
                self.study.enqueue_trial(row, user_attrs={"slot": slot})

    # --- the trials -------------------------------------------------------------------------------------

    def take(self, most: int) -> Any | None:
        """The next trial, or None where there is nothing left to try. most: trials altogether"""
        state = self.optuna.trial.TrialState
        with self.alone():
            self._put_back_the_dead()
            gone = self._gone()
            there = [trial for trial in self.study.get_trials(deepcopy=False) if trial.number not in gone]
            waiting = sum(trial.state == state.WAITING for trial in there)
            if not waiting and (self.queue is not None or len(there) >= most):
                return None
            trial = self.study.ask(self.distributions)
            trial.set_user_attr("worker", self._mine)
            return trial

    def put_back(self, trial: Any) -> None:
        """A trial that was broken off, for whoever comes next."""
        with self.alone():
            found = self.study.get_trials(deepcopy=False)[trial.number]
            self._end(found)

    def settings(self, trial: Any) -> dict[str, Any]:
        """What a trial's parameters stand for."""
        return values_of(self.space, trial.params)

    def trials(self) -> list[Any]:
        """All that were begun, and not put back."""
        gone = self._gone()
        return [trial for trial in self.study.get_trials(deepcopy=False)
                if trial.number not in gone and trial.state.name != "WAITING"]

    def importance(self) -> dict[str, float]:
        """How much of the figure's variance each setting explains (functional ANOVA); empty where too few
        trials have ended, or all with the same figure.

        Source: F. Hutter, H. Hoos, K. Leyton-Brown, An Efficient Approach for Assessing Hyperparameter
                Importance, 2014.
        """
        done = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        varied = [name for name, one in self.space.items()
                  if isinstance(one, Range) or len({trial.params.get(name) for trial in done}) > 1]
        if len(done) < 4 or len({trial.value for trial in done}) < 2 or not varied:
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {name: float(value) for name, value in found.items()}

    def close(self) -> None:
        """Nothing is taken any more."""
        if self._lock is not None:
            self._lock.release()
            with suppress(OSError):
                self._lock_of(self._mine).unlink()
            self._lock = None


def _check_file(path: Path) -> None:
    """Raises TrainingError for a file that is no study."""
    if not path.exists():
        return
    try:
        head = path.read_bytes()[:16] if path.is_file() else b"-"
        if head and head != b"SQLite format 3\0":
            raise TrainingError(f"storage '{path}' is something else than the file of a search: give a name "
                                "that is free, such as 'search.db'.")
        if head:
            with closing(sqlite3.connect(path)) as file:
                tables = {name for name, in file.execute("select name from sqlite_master")}
            if tables and "studies" not in tables:
                raise TrainingError(f"storage '{path}' is somebody's data base, and no search: give a name "
                                    "that is free, such as 'search.db'.")
    except sqlite3.DatabaseError as error:
        raise TrainingError(f"storage '{path}' can't be read ({error}): give a name that is free.") from error
