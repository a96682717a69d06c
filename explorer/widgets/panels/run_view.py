"""One run, while it learns and afterwards: its curves, how far it is, what it says to a few photos, and what can be done.

The run goes on in its own thread whatever becomes of this view. What is drawn is pulled from the run (`batches`, `history`,
`progress`), so a view that begins late, or again, shows the same as one that was there from the start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text, sentence_of
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learns_tree import LearnsTree
from explorer.widgets.panels.run_epochs import NOW, EpochsView, between_batches, copy_of_model
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.session import Session

GAP = 0.25       # seconds between two drawings, at least
FEW_EPOCHS = 5   # of fewer nothing is concluded
WIDE = 0.1       # so much better on its own photos is worth a sentence


# --- what is said: plain functions -----------------------------------------------------------------------------


def problem_text(error: BaseException) -> str:
    """What went wrong while a model learns, for a person; the traceback is in the log."""
    return sentence_of(error, scarce="There is not enough memory for that. Close other notebooks, or choose a smaller model "
                                     "or batch size.")


def figure_text(run: Any, row: dict[str, Any]) -> str:
    """"93.3 % right", or of numbers their mean absolute error, for the photos that an epoch was judged by."""
    from explorer.training.loop.measures import measure_of

    measure = measure_of(run)
    return measure.says(row.get(measure.judged))


def chart_title(measure: Any, labels: Any) -> str:
    """ "Right answers", or "Mean absolute error, age": of numbers it is in their own unit, so their name is told."""
    title = measure.name[0].upper() + measure.name[1:]
    if measure.share or not labels:
        return title
    return f"{title}, {labels[0]}" if len(labels) == 1 else f"{title}, mean of {len(labels)} numbers"


def how_far(run: Any) -> tuple[float, str]:
    """(share that is done, 0..1; a sentence) of a run in any state, also of one that was opened from a folder."""
    epochs, done = run.recipe.epochs, len(run.history)
    state = getattr(run, "state", "finished")
    best = run.best
    top = f" Best: {figure_text(run, best)} in epoch {best['epoch'] + 1}." if best else ""
    batches, started = getattr(run, "batches", ()), getattr(run, "started", None)
    if state == "failed":
        return done / epochs, f"Failed after {done} of {epochs} epochs: {problem_text(run.error)}"
    if state == "finished":
        seconds = run.history[-1]["seconds"] if run.history else 0
        spent = f" in {seconds_text(seconds)} of learning" if seconds >= 1 else ""
        return 1.0, f"Finished: {counted(done, 'epoch')}{spent}.{top}"
    if state == "stopped":
        return done / epochs, f"Stopped after {done} of {epochs} epochs; Resume goes on from there.{top}"
    if started is None:
        progress = getattr(run, "progress", None)
        if progress is None:
            return 0.0, "Preparing: checking the photos."
        return 0.0, f"Preparing, {progress.what}: {progress.done} of {progress.total}."
    if not batches:
        return 0.0, "Learning from the first batch."
    last = batches[-1]
    share = (last.epoch + last.batch / max(started.batches, 1)) / epochs
    if run.asked_to_stop:
        return share, "Stopping behind this batch."
    left = run.eta
    return share, (
        f"Epoch {last.epoch + 1} of {epochs}, batch {last.batch} of {started.batches}: "
        f"{last.examples_per_second:,.0f} photos a second, learning rate {last.lr:.2g}"
        + (f", about {seconds_text(left)} left." if left is not None else ".")
    )


def progress_html(run: Any) -> str:
    """The name, a bar and the sentence; a failure is an alert."""
    share, sentence = how_far(run)
    state = getattr(run, "state", "finished")
    frame = f'<div class="vx-error" role="alert">{escape(sentence)}</div>' if state == "failed" else \
        f'<span class="vx-soft">{escape(sentence)}</span>'
    return (f'<div class="vx-run-line"><b>{escape(run.name)}</b> <progress max="1" value="{share:.3f}" '
            f'aria-label="done">{share:.0%}</progress> {frame}</div>')


def notes_html(notes: list[str]) -> str:
    shown = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="vx-run-notes" aria-label="Notes">{shown}</ul>' if shown else ""


def gap_note(history: list[dict[str, Any]]) -> str:
    """What the two loss curves say about learning by heart; nothing is concluded from fewer than `FEW_EPOCHS` epochs.

    The loss while learning is a mean over an epoch, of varied photos: it lags, and it is of harder photos. So only what the
    two do is compared, not how far apart they are.
    """
    if not history:
        return ""
    if len(history) < FEW_EPOCHS:
        return (f"Learning and judged loss after {counted(len(history), 'epoch')}: too few to tell whether it learns by "
                f"heart. From {FEW_EPOCHS} epochs on a sentence stands here.")
    learnt, judged = [row["loss"] for row in history], [row["val_loss"] for row in history]
    if not all(math.isfinite(value) for value in (*learnt, *judged)):
        return ""
    low = min(range(len(judged)), key=judged.__getitem__)
    since, rise = len(judged) - 1 - low, judged[-1] / max(judged[low], 1e-9) - 1
    if since >= 2 and rise > 0.05 and learnt[-1] < learnt[low]:
        return (f"Since epoch {low + 1} the judged loss has risen by {100 * rise:.0f} % while the loss of learning fell: it learns its photos by "
                "heart (overfitting). Fewer epochs, stronger augmentation or more photos help; the best epoch's weights are kept.")
    if low == len(judged) - 1 and judged[-1] < 0.97 * judged[-3]:
        return "Both losses were still falling at the end: more epochs may do better (underfitting so far)."
    known, others = history[-1].get("top1", 0.0), history[-1].get("val_top1", 0.0)
    if known - others > WIDE:
        return (f"It gets {100 * known:.0f} % of the photos right that it learns from, and {100 * others:.0f} % of the others: part of what it "
                "learnt holds for its own photos only, though the judged loss does not rise. More photos or stronger augmentation help.")
    return "The judged loss has levelled off and does not rise: no sign of learning by heart, and little to gain from more of the same epochs."


# --- the view ---------------------------------------------------------------------------------------------------


class RunView(Panel):
    draw_on = ("run", "image")

    def __init__(self, session: Session):
        self.progress = W.HTML()
        self.empty = W.HTML('<span class="vx-soft">No run yet. Start one, and its curves grow here.</span>')
        buttons = {"stop": ("Stop", "Stops behind the present batch; Resume goes on from there"),
                   "resume": ("Resume", "Go on where it was stopped"),
                   "use": ("Use this model", "Makes the model, as it is now, the one that all panels show"),
                   "save": ("Save", "Write weights, labels, settings and a model card into the folder")}
        for name, (text, why) in buttons.items():
            setattr(self, name, W.Button(description=text, tooltip=why, layout=W.Layout(width="auto", flex="0 0 auto")))
        self.path = W.Text(value="my model", description="to folder", continuous_update=False,
                           style={"description_width": "initial"}, layout=W.Layout(width="230px"))
        self.message = W.HTML()
        self.loss = LiveChart(title="Loss", x_label="epoch", smooth=True, empty="The first batch is on its way.")
        self.right = LiveChart(title="Right answers", x_label="epoch", unit="percent", smooth=True, switches=["smooth"],
                               empty="The first batch is on its way.")
        self.gap = W.HTML()
        self.epochs = EpochsView(session, lambda epoch: self._do(self._use_epoch, epoch))
        self.photos = self.epochs.photos
        self.modules = LearnsTree("Modules of this run: what learns",
                                  lambda: getattr(self._run, "model", None), session.jobs)
        self.notes = W.HTML()
        controls = W.HBox([self.stop, self.resume, self.use, self.save, self.path], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        charts = W.HBox([self.loss, self.right])
        charts.add_class("vx-charts")
        self.body = W.VBox([self.progress, controls, self.message, charts, self.gap, self.epochs, self.modules, self.notes])
        self.body.add_class("vx-run")
        self._run: Any = None
        self._image: Any = None
        self._stop_listening: Callable[[], None] = lambda: None
        self._seen = self._epochs = self._noted = 0
        self._heard: dict[str, float] = {}
        super().__init__(session, [self.empty, self.body])
        self.work = self.line(failed=lambda error: self._say(problem_text(error), wrong=True))
        self.own_lines += [self.epochs.work, self.modules.work]
        self.stop.on_click(lambda _: self._stop())
        self.resume.on_click(lambda _: self._do(self._resume))
        self.use.on_click(lambda _: self._do(self._use))
        self.save.on_click(lambda _: self._do(self._save))
        self.epochs.slider.observe(self._mark, "value")

    def draw(self) -> None:
        """Follow another run; all that it has told before is drawn at once. Or look at another photo."""
        run = self.session.run
        self.empty.layout.display = "none" if run is not None else ""
        self.body.layout.display = "" if run is not None else "none"
        if run is self._run:
            if self.session.image is not self._image:
                self._image = self.session.image
                self.epochs.photo_changed()
            return
        self._stop_listening()
        self._stop_listening, self._run, self._image = (lambda: None), run, self.session.image
        self._seen = self._epochs = self._noted = 0
        self._heard = {}
        self.loss.clear()
        self.right.clear()
        for line in (self.message, self.notes, self.gap):
            line.value = ""
        if run is not None:
            from explorer.training.loop.measures import measure_of

            self._measure = measure_of(run)
            self.right.title = chart_title(self._measure, getattr(run, "labels", ()))
            self.right.unit = "percent" if self._measure.share else "number"
        self.epochs.follow(run)
        self.modules.refresh()
        if run is None:
            return
        if hasattr(run, "listen"):
            self._stop_listening = run.listen(partial(self._hear, run))
        self._catch_up(run)

    # --- the run's thread ---

    def _hear(self, run: Any, event: Any) -> None:
        """Called for every event, thousands of times a second at worst: mostly it only looks at the clock."""
        kind, now = event.kind, time.monotonic()
        last = run.state != "running"  # no event follows, that could catch up
        if kind == "epoch":  # it knows itself when it is time to look again
            self.epochs.hear(run, kind, last=last)
        pace = "flow" if kind in ("batch", "epoch") else kind  # what one of the two has drawn is drawn for both
        if not last and now - self._heard.get(pace, 0.0) < GAP:
            return
        self._heard[pace] = now
        if kind != "epoch":
            self.epochs.hear(run, kind, last=last)
        # Somebody who redraws for the moment is not waited for.
        if not self.session.lock.acquire(blocking=last):
            return
        try:
            self._catch_up(run)
        finally:
            self.session.lock.release()

    def _catch_up(self, run: Any) -> None:
        """Draw what the run has told since the last time; the session's lock is held."""
        if run is not self._run or self.gone:
            return
        batches, started = getattr(run, "batches", []), getattr(run, "started", None)
        new = batches[self._seen:]
        self._seen += len(new)
        if new and started is not None:
            places = [b.epoch + b.batch / max(started.batches, 1) for b in new]
            self.loss.extend("each batch", zip(places, (b.loss for b in new)))
            self.right.extend("each batch", zip(places, (getattr(b, self._measure.key) for b in new)))
        rows = run.history[self._epochs:]
        self._epochs += len(rows)
        for chart, learnt, judged in ((self.loss, "loss", "val_loss"),
                                      (self.right, self._measure.key, self._measure.judged)):
            if rows:
                chart.extend("judged", [(row["epoch"] + 1, row[judged]) for row in rows])
            if rows and not batches:  # a run from a folder has kept its epochs only
                chart.extend("learning", [(row["epoch"] + 1, row[learnt]) for row in rows])
            if chart.x_end != run.recipe.epochs:
                chart.x_end = run.recipe.epochs
            chart.flush()
        self.epochs.offer()
        self._mark()
        self.gap.value = f'<span class="vx-soft">{escape(gap_note(run.history))}</span>' if run.history else ""
        self.progress.value = progress_html(run)
        if len(run.notes) != self._noted:
            self._noted = len(run.notes)
            self.notes.value = notes_html(run.notes)
        state = getattr(run, "state", "finished")
        self.stop.disabled = state != "running" or run.asked_to_stop
        self.resume.disabled = state != "stopped"
        if state in ("stopped", "finished", "failed") and hasattr(run, "data"):
            self.loss.finish()
            self.right.finish()

    def _mark(self, _change: Any = None) -> None:
        """The best epoch, and the one that is looked at, in both charts."""
        run = self._run
        if run is None:
            return
        best = run.best["epoch"] + 1 if run.best else None
        marks = [] if best is None else [[float(best), "best"]]
        if self.epochs.place not in (NOW, best) and self.epochs.layout.display != "none":
            marks.append([float(self.epochs.place), "shown"])
        with self.session.lock:
            for chart in (self.loss, self.right):
                if chart.marks != marks:
                    chart.marks = marks

    # --- buttons ---

    def _do(self, work: Callable[..., str], *given: Any) -> None:
        """Do what may take a while in the background; what came of it, or went wrong, is a sentence."""
        self.work.start(lambda _job: work(self._run, *given), self._say, key=work.__name__)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message.value = said_html(text, wrong=wrong)

    def _stop(self) -> None:
        run = self._run
        if getattr(run, "running", False):
            run.stop(wait=False)
            with self.session.lock:
                self._catch_up(run)

    def _resume(self, run: Any) -> str:
        run.stop()  # until its thread has gone; it had stopped already
        run.resume()
        with self.session.lock:
            self._catch_up(run)
        return ""

    def _use(self, run: Any) -> str:
        self.session.open_model(copy_of_model(run))
        again = " It goes on learning; press again for its later state." if getattr(run, "running", False) else ""
        return f"All panels show {run.name} now.{again}"

    def _use_epoch(self, run: Any, epoch: int) -> str:
        if epoch == NOW:
            return self._use(run)
        self.session.open_model(between_batches(run, lambda: run.model_at(epoch)))
        when = f"after epoch {epoch}" if epoch else "before its first epoch"
        return f"All panels show {run.name} as it was {when} now."

    def _save(self, run: Any) -> str:
        path = self.path.value.strip()
        if not path:
            raise ValueError("Give the name of a folder to save into.")
        if not hasattr(run, "save"):
            raise ValueError(f"{run.name} was opened from '{run.folder}': it is saved already.")
        folder = between_batches(run, lambda: run.save(path))
        return f"Saved in '{folder.resolve()}'. Open it again with explorer.load_run({str(path)!r})."

    def forget(self) -> None:
        """End the listening; the run goes on."""
        self._stop_listening()
        self._run = self._image = None
