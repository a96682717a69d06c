"""A run: a thread that follows the loop's events, keeps its history, and hands each to whoever listens.

    run = finetune("tf_efficientnet_lite0", "flowers5")       # returns at once
    run.stop(); run.resume(); run.wait()
    run.history, run.best, run.model
    run.live_page("flowers.html")    # what it has learnt, as a page for any browser
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from html import escape
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from explorer import _memory, _teams
from explorer._threads import ends_with_python, wait_for
from explorer.data.places.place_set import AnySplits
from explorer.display.words import sentence_of
from explorer.files import given_path, writing
from explorer.models.contract import VisionModel
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Epoch, Event, Finished, Note, Progress, Started, Stopped
from explorer.training.loop.measures import best_of, best_text, epochs_html
from explorer.training.loop.recipe import Recipe
from explorer.training.run import checkpoint
from explorer.training.run.claim import Claim
from explorer.training.run.home import HasLivePage
from explorer.training.run.kept import HasCheckpoints, KeptWeights
from explorer.training.run.saving import Trained, save_run

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]


class Work(Protocol):
    """What a run listens to: it does the learning, here or elsewhere, and owns all that belongs to it."""

    model: VisionModel
    data: AnySplits
    recipe: Recipe
    kept: KeptWeights

    @property
    def weights_now(self) -> Callable[[], dict[str, Tensor]] | None:
        """Gives a copy of what learns, as it is; None where that can't be had, or not yet."""

    def events(self, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """All events of one start: a run that was stopped and is started again goes on where it was."""
        ...


class Run(HasCheckpoints, HasLivePage):
    """What `finetune` gives back while it works. It shows itself as a table in a notebook.

    model, labels: the model that learns, and the names of its classes or numbers
    recipe, data: how it learns, and from what
    began_with: where the weights came from that it started with;  taught_by: its teacher, "" for none
    history: one dict an epoch: loss, val_loss, and top1, val_top1, of numbers mae, val_mae in their own unit
    batches: one `Batch` event each;  notes: sentences
    best:    the dict of the best epoch, or None before the first
    state:   "waiting", "running", "stopped", "finished" or "failed";  error: why it failed
    folder:  where it is kept, or None;  created: when it was made, in seconds since 1970
    checkpoints, model_at(epoch): the epochs whose weights are kept, and the model as it was then
    """

    def __init__(self, work: Work, *, folder: Path | None = None, name: str = "",
                 listeners: Sequence[Listener] = (), claim: Claim | None = None, taught_by: str = ""):
        self.model, self.recipe, self.folder = work.model, work.recipe, folder
        self.labels = work.data.classes
        report = work.model.load_report
        self.began_with = report.source if report is not None else "random weights"
        self.taught_by = taught_by
        self.name = name or (folder.name if folder else "run")
        self.history: list[dict[str, Any]] = []
        self.batches: list[Batch] = []
        self.notes: list[str] = list(work.data.notes)
        self.started: Started | None = None
        self.progress: Progress | None = None
        self.created = time.time()
        self.state = "waiting"
        self.error: BaseException | None = None
        self._work, self._listeners, self._claim = work, list(listeners), claim
        self._unwritten: list[str] = []  # lines of the history that a full disk did not take
        self._stop, self._thread = threading.Event(), None
        self.ended = threading.Event()  # set by the thread at its very end
        self.ended.set()
        self._guard = threading.Lock()

    # --- what a person does -----------------------------------------------------------------------------

    def start(self) -> Run:
        """Begin, or go on after a stop.

        Raises TrainingError while it runs, behind its end, and where another run has its folder or its model
        meanwhile.
        """
        with self._guard:
            if self._thread is threading.current_thread() and not self.ended.is_set():
                raise TrainingError(f"{self.name} can't be resumed by its own listener: resume it from a "
                                    "cell.")
            if self.running:
                how = "is stopping. Wait for it first: run.wait()." if self.asked_to_stop else \
                    "is running. Stop it first: run.stop()."
                raise TrainingError(f"{self.name} {how}")
            if self.state == "finished":
                raise TrainingError(f"{self.name} is finished. For more epochs start another run from its "
                                    "model.")
            wait_for(self.ended)  # it may have told of its stop and not ended yet
            if self._claim is not None:
                self._claim.take()
            self._stop.clear()
            before = self.state, self.error
            # Not a daemon: Python would kill such a thread in mid-step at its end, which torch answers by
            # aborting.
            thread = threading.Thread(target=self._listen, name=f"explorer-{self.name}", daemon=False)
            self.state, self.error, self._thread = "running", None, thread
            _teams.rest()  # this thread waits while that one computes
            self.ended.clear()
            ends_with_python(self)
            try:
                thread.start()
            except BaseException:
                if thread.ident is None:  # it has not begun: Python ends, or has no room for another thread
                    self.state, self.error = before
                    self.ended.set()
                    if self._claim is not None:
                        self._claim.release()
                raise
        return self

    resume = start

    def stop(self, *, wait: bool = True) -> Run:
        """Ask it to stop after the present batch; with a folder it leaves a checkpoint that resumes."""
        self.ask_to_end()
        if wait and self._thread is not threading.current_thread():
            wait_for(self.ended)
        return self

    def ask_to_end(self) -> None:
        self._stop.set()

    def wait(self, timeout: float | None = None) -> Run:
        """Block until it has ended. Raises what went wrong in it, and TimeoutError after `timeout` seconds.

        An interrupted cell stops the run too: it answers within one batch. A second interrupt does not wait
        for that.
        """
        if self._thread is threading.current_thread() and not self.ended.is_set():
            raise TrainingError(f"{self.name} can't be waited for by its own listener: wait for it in a "
                                "cell.")
        try:
            ended = wait_for(self.ended, timeout)
        except (KeyboardInterrupt, SystemExit):  # the latter from whoever has a signal end the program
            self.stop()
            raise
        if not ended:
            where = f"epoch {len(self.history) + 1} of {self.recipe.epochs}"
            raise TimeoutError(f"{self.name} still runs after {timeout} seconds: {where}.")
        if self.error is not None:
            raise self.error
        return self

    def save(self, path: str | Path) -> Path:
        """Write weights, labels, settings and a model card into a folder that `load_run` and "local-dir:..."
        open.

        Raises FileExistsError for a folder that holds something else, DiskError where it can't be written.
        """
        trained = Trained(self.name, self.model, self.labels, self.recipe, self.history, self.notes,
                          self.data, self.began_with, self.kept, self.taught_by)
        return save_run(trained, given_path(path))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` for each event from now on, in the run's thread; gives the function that
        ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # --- what it says -----------------------------------------------------------------------------------

    @property
    def data(self) -> AnySplits:
        """What it learns from; once it has begun, without the photos that can't be opened."""
        return self._work.data

    @property
    def kept(self) -> KeptWeights:
        return self._work.kept

    @property
    def weights_now(self) -> Callable[[], dict[str, Tensor]] | None:
        """Gives a copy of what learns, as it is: ask between two batches. None where there is nothing to be
        had: before the first batch, and of a run on other computers.
        """
        return self._work.weights_now

    @property
    def running(self) -> bool:
        return self.state == "running" and not self.ended.is_set()

    @property
    def best(self) -> dict[str, Any] | None:
        return best_of(self.history)

    @property
    def asked_to_stop(self) -> bool:
        """Also at Python's end: a run must not keep a closed notebook's kernel alive for hours."""
        return self._stop.is_set()

    @property
    def eta(self) -> float | None:
        """Seconds until the end, by the pace of the last batches; None before the first."""
        if not self.batches or self.started is None:
            return None
        recent = self.batches[-20:]
        pace = sum(self.recipe.batch_size / max(b.examples_per_second, 1e-9) for b in recent) / len(recent)
        last = self.batches[-1]
        return pace * ((self.recipe.epochs - last.epoch) * self.started.batches - last.batch)

    # --- what it hears ----------------------------------------------------------------------------------

    def _listen(self) -> None:
        """The thread's work: events to the listeners, and whatever goes wrong into `error`."""
        _memory.keep()  # a step fetches as much as the one before let go of
        try:
            events = self._work.events(self._stop.is_set)
            if self._claim is not None:
                events = self._claim.around(events)
            with closing(events):
                for event in events:
                    # The state first: whoever hears of the end may ask for it.
                    self.state = {Stopped: "stopped", Finished: "finished"}.get(type(event), "running")
                    self._hear(event)
            if self.state == "running":
                self.state = "stopped"
        except BaseException as error:  # also SystemExit: nobody else would ever see it
            if not isinstance(error, Exception):  # raised again by wait(), it would end the reader's program
                told = (f"The training was ended by {type(error).__name__}({error}), from a data set or "
                        "another function of yours.")
                error = TrainingError(told).with_traceback(error.__traceback__)
            self.error, self.state = error, "failed"
            log.error("%s failed", self.name, exc_info=error)
            self._hear(Note(f"{self.name} failed: {sentence_of(error)}"))
        finally:
            _memory.give_back()
            _teams.rest()
            self.ended.set()

    def _hear(self, event: Event) -> None:
        """Keep an event, write it down, and hand it to the listeners; one that fails is logged and left out.
        """
        if isinstance(event, Batch):
            self.batches.append(event)
        elif isinstance(event, Epoch):
            self.history.append({key: value for key, value in event.as_dict().items() if key != "kind"})
        elif isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Started):
            self.started = event
            self._begin_at(event)
        elif isinstance(event, Progress):
            self.progress = event
        if self.folder is not None and not isinstance(event, Batch | Progress):
            self._write_down(self.folder, event)
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except SystemExit:  # sys.exit() in a listener: in this thread it ends no program
                log.warning("a listener of %s asked for the end of the program: the run stops", self.name)
                self.ask_to_end()
            except Exception:
                self._listeners.remove(listener)
                log.exception("a listener of %s failed; it gets no more events", self.name)

    def _begin_at(self, started: Started) -> None:
        """The history up to where it begins: what was heard of later epochs and batches comes once more."""
        if started.epoch and not self.history and self.folder is not None:  # of an earlier process
            self.history = checkpoint.past_epochs(self.folder, started.epoch)
        self.history = [row for row in self.history if row["epoch"] < started.epoch]
        here = started.epoch, started.batch
        self.batches = [batch for batch in self.batches if (batch.epoch, batch.batch) <= here]

    def _write_down(self, folder: Path, event: Event) -> None:
        """A line in the history; what a full disk does not take waits for room, and the first time that is a
        note.
        """
        waited = bool(self._unwritten)
        self._unwritten.append(json.dumps(event.as_dict()))
        try:
            with writing(folder / checkpoint.HISTORY):
                checkpoint.append_lines(folder / checkpoint.HISTORY, self._unwritten)
        except OSError as error:
            log.warning("the history of %s can't be written: %s", self.name, error)
            if not waited:
                self._hear(Note("The history could not be written, and the run goes on; its lines are "
                                f"written when they can be. {error}"))
        else:
            self._unwritten = []

    def __repr__(self) -> str:
        best = self.best
        top = f", best {best_text(self)} in epoch {best['epoch'] + 1}" if best else ""
        return f"Run({self.name!r}, {self.state}, {len(self.history)} of {self.recipe.epochs} epochs{top})"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.notes)
        error = f"<p role='alert'>{escape(sentence_of(self.error))}</p>" if self.error else ""
        epochs = epochs_html(self, seconds=True)
        return f"<div><b>{escape(repr(self))}</b>{error}{epochs}<ul>{notes}</ul></div>"
