"""One run at a time: who writes in a run's folder, and who teaches a model.

A folder is claimed by a lock on a file in it, which the system takes back from a process that has died; a
model by a list in this process. What is refused is refused before a file or a weight has changed.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock
from torch import nn

from explorer.files import DiskError, make_folder, remove_stale
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Event, Finished, Note, Stopped
from explorer.training.run import checkpoint, kept

LOCK = "run.lock"
UNLOCKED = ("The disk of this folder knows no locks: nothing would keep a second run from writing there too. "
            "Start one at a time.")

_guard = threading.Lock()
_held: list[Claim] = []


class Turn:
    """One claim's turn at teaching a model. It knows no model: what a dictionary by models holds must not."""

    def __init__(self, name: str):
        self.name = name


_last: weakref.WeakKeyDictionary[nn.Module, Turn] = weakref.WeakKeyDictionary()  # the last to teach it


class Claim:
    """The right of one run to its model, and to its folder where it has one: taken, given back, taken again.

    check: called before anything is written, with whether this run has been in the folder before;
           raises TrainingError for another run's folder
    facts: {file: plain values} that the folder gets when the run begins
    notes: sentences that the run tells first
    """

    def __init__(self, model: nn.Module, folder: Path | None = None, *, name: str = "",
                 check: Callable[[bool], Any] = lambda again: None):
        self.model, self.folder, self.name, self.check = model, folder, name or "A run", check
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []
        self._lock: filelock.BaseFileLock | None = None
        self._left: tuple[int, ...] | None = None  # how the checkpoint was when this run gave the folder back
        self._taught, self._turn = False, Turn(self.name)

    def take(self) -> None:
        """Make model and folder this run's own. Raises TrainingError where another run has, or had, them."""
        with _guard:
            if self in _held:
                return
            if by := _teacher(self.model):
                raise TrainingError(f"{by} is teaching this model at present. Stop it first, or give a copy "
                                    "of the model: copy.deepcopy(model).")
            if self._taught and _last.get(self.model) is not self._turn:
                by = _last[self.model].name if self.model in _last else "Another run"
                raise TrainingError(f"{by} has taught the model of {self.name} since, so {self.name} can't "
                                    "go on. Start another run from the model as it is now.")
            self._lock_folder()
            _held.append(self)
        try:
            self._look_again()
            if self.folder is not None:
                remove_stale(self.folder, checkpoint.OURS)
                remove_stale(self.folder / kept.FOLDER, kept.OURS)
                if self._taught and not (self.folder / checkpoint.RECIPE).exists():  # emptied since
                    self.write()
        except BaseException:
            self.release()
            raise
        with _guard:
            _last[self.model], self._taught = self._turn, True

    def write(self) -> None:
        """Write down what the run is. Raises DiskError."""
        for name, facts in self.facts.items():
            checkpoint.write_json(self.folder / name, facts)

    def release(self) -> None:
        """Give back what was taken; nothing where nothing is held."""
        with _guard:
            if self not in _held:
                return
            if self.folder is not None:
                self._left = _stamp(self.folder / checkpoint.LAST)
            _held.remove(self)
            lock, self._lock = self._lock, None
            if lock is not None:
                lock.release()

    def around(self, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """The events of a run, which gives the claim back when it ends, before anybody hears of the end."""
        try:
            notes, self.notes = self.notes, []
            yield from map(Note, notes)
            with closing(events):
                for event in events:
                    if isinstance(event, Finished | Stopped):
                        self.release()
                    yield event
        finally:
            self.release()

    def _lock_folder(self) -> None:
        if self.folder is None:
            return
        make_folder(self.folder)
        lock = filelock.FileLock(self.folder / LOCK, thread_local=False)  # a thread gives it back
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            here = os.path.realpath(self.folder)
            others = [claim for claim in _held if claim.folder and os.path.realpath(claim.folder) == here]
            by = others[0].name if others else "Another run"
            raise TrainingError(f"{by} is writing in '{self.folder}' at present. Stop it first, or give "
                                "another run_dir.") from None
        except NotImplementedError:  # the library's word for a disk without locks
            self.notes.append(UNLOCKED)
            return
        except OSError as error:
            raise DiskError(self.folder / LOCK, error) from error
        self._lock = lock

    def _look_again(self) -> None:
        """Whether the folder is still this run's, now that nobody else writes there."""
        now = None if self.folder is None else _stamp(self.folder / checkpoint.LAST)
        if self._taught and now not in (None, self._left):
            raise TrainingError(f"Another run has gone on in '{self.folder}' since {self.name} was stopped. "
                                "To go on from there: finetune(..., resume=True) with what this one began "
                                "with.")
        self.check(self._taught)


def teacher_of(model: nn.Module) -> str:
    """The name of the run that is teaching a model, or parts of it, at present; empty where none is."""
    with _guard:
        return _teacher(model)


def _teacher(model: nn.Module) -> str:
    mine = {id(parameter) for parameter in model.parameters()}
    for claim in _held:
        theirs = {id(parameter) for parameter in claim.model.parameters()}
        if claim.model is model or mine & theirs:
            return claim.name
    return ""


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _after_fork() -> None:
    """A child process runs none of its parent's runs."""
    global _guard
    _guard = threading.Lock()
    _held.clear()
    _last.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
