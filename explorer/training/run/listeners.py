"""Listeners of a run: functions of one event, called in the run's thread.

    finetune("tf_efficientnet_lite0", "flowers5", on_event=print_progress())
    run.listen(TensorBoardListener("runs/flowers"))

Stopping early is no listener: `patience` in the recipe does it, since what stops must be resumed alike.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from explorer.files import given_path
from explorer.training.loop.events import (
    Batch,
    Epoch,
    Event,
    Finished,
    Note,
    Progress,
    Saved,
    Started,
    Stopped,
)
from explorer.training.loop.measures import part_words

if TYPE_CHECKING:
    from tqdm import tqdm


def print_progress(stream: TextIO | None = None) -> Callable[[Event], None]:
    """A listener that says how far a run is: a bar in a terminal (tqdm), elsewhere a line an epoch.

    stream: where to; None: standard error, so that standard output stays free for results. One listener is
            for one run.
    """
    if isinstance(stream, Event):
        # A listener's error goes to the log, where nobody would look for it.
        sys.stderr.write("print_progress makes a listener: write on_event=print_progress(), with brackets.\n")
        raise TypeError("print_progress makes a listener: call it first.")
    return _Printer(sys.stderr if stream is None else stream)


class _Printer:
    """What `print_progress` gives: it remembers how many epochs and batches there are, and the bar that is
    open."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.bar: tqdm | None = None
        self.started: Started | None = None
        self.announced = ""

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
                self._close()
                cached = ", on features of photos seen once" if event.cached else ""
                begins = f"goes on behind step {event.step}" if event.step else "begins"
                self._line(f"training {begins}: {event.epochs} epochs of {event.batches} batches, "
                           f"{event.learns:,} numbers learn{cached}")
            case Progress():
                self._advance(event.what, event.done, event.total)
            case Batch():
                epochs, batches = (self.started.epochs, self.started.batches) if self.started else ("?", 0)
                beside = f"loss {event.loss:.3f}, {event.examples_per_second:.0f} photos/s"
                what = f"epoch {event.epoch + 1} of {epochs}"
                self._advance(what, event.batch, batches, beside, quiet=True)
            case Epoch():
                self._close()
                best = ", the best so far" if event.best else ""
                measure = event.measure
                parts = ", ".join(f"{part_words(name)} {value:.3f}" for name, value in (event.parts or {}).items())
                learnt = f" ({parts})" if parts else ""
                if measure.learnt:
                    learnt += f", {measure.word} {measure.text(getattr(event, measure.key))}"
                judged = measure.text(getattr(event, measure.judged))
                self._line(f"epoch {event.epoch + 1}: loss {event.loss:.3f}{learnt}; "
                           f"judged: loss {event.val_loss:.3f}, {measure.word} {judged}{best}; "
                           f"{event.seconds:.1f} s")
            case Note():
                self._line(event.text)
            case Stopped():
                self._close()
                why = "it got no better" if event.reason == "no better" else "as asked"
                self._line(f"stopped in epoch {event.epoch + 1} behind step {event.step}: {why}")
            case Finished():
                self._close()
                measure = event.measure
                self._line(f"finished: best epoch {event.best_epoch + 1}, {measure.word} "
                           f"{measure.text(getattr(event, measure.judged))}, {event.seconds:.1f} s")
            case Saved():
                pass  # after each epoch: not news

    def _advance(self, what: str, done: int, total: int, beside: str = "", *, quiet: bool = False) -> None:
        """Move the bar, or without a terminal say once what is going on; quiet: then say nothing."""
        if not self._terminal():
            if not quiet and what != self.announced:
                self._line(f"{what} ({total})")
            self.announced = what
            return
        fresh = self.bar is None or self.announced != what
        if fresh:
            from tqdm import tqdm

            self._close()
            # without tqdm's own pace: photos a second say more than batches
            form = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
            self.bar = tqdm(total=total, desc=what, file=self.stream, leave=False, dynamic_ncols=True,
                            bar_format=form)
            self.announced = what
        self.bar.set_postfix_str(beside, refresh=False)
        self.bar.update(done - self.bar.n)
        if fresh:  # otherwise tqdm draws at its own pace, which a short epoch may not see
            self.bar.refresh()
        if done >= total:
            self._close()

    def _terminal(self) -> bool:
        return bool(getattr(self.stream, "isatty", lambda: False)())

    def _line(self, text: str) -> None:
        # a note may name a file, and a file's name may hold whatever a terminal obeys
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        if self.bar is not None:
            self.bar.write(text, file=self.stream)  # above the bar, which is drawn again below
        else:
            self.stream.write(text + "\n")
            self.stream.flush()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        self.announced = ""


class TensorBoardListener:
    """A listener that writes a run's curves for TensorBoard: `tensorboard --logdir folder`.

    loss, its parts, right answers (or MAE of numbers) and learning rate of each batch by step; each epoch's
    figures, learnt and judged, at its last step.
    Raises ModuleNotFoundError, with what to do, where TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ModuleNotFoundError(
                "TensorBoard is not installed. Install it with `pip install tensorboard`; without it, the "
                "same figures are in run.history, and in history.jsonl of a "
                "run_dir.", name="tensorboard") from error
        self.writer: Any = SummaryWriter(str(given_path(folder, "folder")))

    def __call__(self, event: Event) -> None:
        match event:
            case Batch():
                self._write(event.step, {"batch/loss": event.loss, **_parts("batch", event.parts),
                                         **_figure("batch", event, event.measure.key), "batch/lr": event.lr,
                                         "batch/examples_per_second": event.examples_per_second})
            case Epoch():
                measure = event.measure
                self._write(event.step, {"train/loss": event.loss, **_parts("train", event.parts),
                                         **_figure("train", event, measure.key), "val/loss": event.val_loss,
                                         **_parts("val", event.val_parts),
                                         f"val/{measure.key}": getattr(event, measure.judged)})
                self.writer.flush()
            case Note():
                self.writer.add_text("notes", event.text)
            case Stopped() | Finished():  # a stopped run may go on: the writer opens its file again by itself
                self.writer.close()

    def _write(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)


def _parts(where: str, parts: dict[str, float] | None) -> dict[str, float]:
    return {f"{where}/loss {part_words(name)}": value for name, value in (parts or {}).items()}


def _figure(where: str, event: Event, key: str) -> dict[str, float]:
    """That of photos that are learnt from, where they have one."""
    value = getattr(event, key, None)
    return {} if value is None else {f"{where}/{key}": value}
