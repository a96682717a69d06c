"""One run, while it learns and afterwards: its curves, how far it is, what it says to a few photos, and what can be done.

The run goes on in its own thread whatever becomes of this view. What is drawn is pulled from the run (`batches`, `history`,
`progress`), so a view that begins late, or again, shows the same as one that was there from the start.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.images import thumbnail_jpeg
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.session import Session
from explorer.widgets.worker import Ticket, Worker

log = logging.getLogger(__name__)

GAP = 0.2        # seconds between two drawings, at least
WATCHED = 8      # photos whose predictions are shown
SHARE = 20       # looking at them may take one part in so many of the run's time


# --- what is said: plain functions -----------------------------------------------------------------------------


def seconds_text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def how_far(run: Any) -> tuple[float, str]:
    """(share that is done, 0..1; a sentence) of a run in any state, also of one that was opened from a folder."""
    epochs, done = run.recipe.epochs, len(run.history)
    state = getattr(run, "state", "finished")
    best = run.best
    top = f" Best: {100 * best['val_top1']:.1f} % right in epoch {best['epoch'] + 1}." if best else ""
    batches, started = getattr(run, "batches", ()), getattr(run, "started", None)
    if state == "failed":
        return done / epochs, f"Failed after {done} of {epochs} epochs: {run.error}"
    if state == "finished":
        seconds = run.history[-1]["seconds"] if run.history else 0
        spent = f" in {seconds_text(seconds)} of learning" if seconds >= 1 else ""
        return 1.0, f"Finished: {done} epoch{'s' * (done != 1)}{spent}.{top}"
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


# --- touching a run from outside -------------------------------------------------------------------------------


def between_batches(run: Any, work: Callable[[], Any]) -> Any:
    """What `work()` gives: run in the run's own thread between two batches while it learns, at once where it rests.

    So a copy of the weights never holds half a step. Raises what `work` raises.
    """
    if not getattr(run, "running", False):
        return work()
    outcome: list[tuple[Any, BaseException | None]] = []
    begun, done = threading.Event(), threading.Event()

    def once(_event: Any) -> None:
        if begun.is_set():
            return
        begun.set()
        try:
            outcome.append((work(), None))
        except Exception as error:
            outcome.append((None, error))
        done.set()

    stop_listening = run.listen(once)
    while run.running and not done.wait(0.05):
        pass
    stop_listening()
    if not begun.is_set():  # it ended before its next event
        return work()
    done.wait()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def copy_of_model(run: Any) -> Any:
    """A copy of the run's network as it is now, under the run's name, in evaluation mode.

    A copy, because the run may go on: what the other panels show must not change under them.
    """
    from explorer.models.weights import LoadReport

    model = between_batches(run, lambda: copy.deepcopy(run.model)).eval()
    for parameter in model.parameters():
        parameter.grad = None
    model.config = model.config.with_(tag=run.name)
    model.load_report = LoadReport(source=f"{run.name}, trained here", name=model.config.name)
    return model


class Watch:
    """A few photos that the run is judged by, and what its network says to them. Call `answers` where the run allows it:
    in the run's own thread while it learns."""

    def __init__(self, run: Any, count: int = WATCHED):
        import torch

        from explorer.data.transforms import create_transform, resolve_data_config

        photos = run.data.val
        chosen = [i * len(photos) // min(count, len(photos)) for i in range(min(count, len(photos)))]
        pictures, self.truth = zip(*(photos[i] for i in chosen))
        self.names = [photos.names[i] for i in chosen]
        self.thumbnails = [thumbnail_jpeg(picture) for picture in pictures]
        prepare = create_transform(**resolve_data_config({}, model=run.model))
        self.inputs = torch.stack([prepare(picture) for picture in pictures])
        self.run, self.vectors = run, None

    def answers(self) -> list[Caption]:
        """A caption for each photo. With a frozen body the photos go through it once only, as all others do."""
        import torch

        from explorer.inspection.look import evaluating
        from explorer.models.contract import parameter_place

        model = self.run.model
        with evaluating(model), torch.inference_mode():
            if self.vectors is not None:
                logits = model.forward_classifier(self.vectors)
            else:
                inputs = self.inputs.to(**parameter_place(model))
                if self.run.started is not None and self.run.started.cached:
                    self.vectors, logits = model.forward_vector_and_logits(model.forward_features(inputs))
                else:
                    logits = model(inputs)
        return [caption(row, label, self.run.labels, name) for row, label, name in
                zip(logits.float().cpu(), self.truth, self.names)]


def caption(logits: Any, label: Any, labels: tuple[str, ...], name: str = "") -> Caption:
    """What the network says to one photo, and whether that is right. logits: [K]; label: an index, or several."""
    if isinstance(label, tuple):
        said = tuple(i for i, yes in enumerate((logits > 0).tolist()) if yes)
        text = ", ".join(labels[i] for i in said) or "nothing"
        return Caption(text, set(said) == set(label), f"{name}: it is {', '.join(labels[i] for i in label) or 'nothing'}")
    shares = logits.softmax(0)
    best = int(shares.argmax())
    text = f"{labels[best]} {100 * float(shares[best]):.0f}\N{NO-BREAK SPACE}%"
    return Caption(text if best == label else f"{text}, but it is {labels[label]}", best == label, name)


# --- the view ---------------------------------------------------------------------------------------------------


class RunView(Panel):
    draw_on = ("run",)

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
        self.about_photos = W.HTML()
        self.photos = PhotoStrip(label="Photos that the run is judged by, with its present answers", side=96)
        self.notes = W.HTML()
        controls = W.HBox([self.stop, self.resume, self.use, self.save, self.path], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        charts = W.HBox([self.loss, self.right])
        charts.add_class("vx-charts")
        self.body = W.VBox([self.progress, controls, self.message, charts, self.about_photos, self.photos, self.notes])
        self.body.add_class("vx-run")
        self.worker = Worker("explorer-run-view")
        self._run: Any = None
        self._stop_listening: Callable[[], None] = lambda: None
        self._watch: Watch | None = None
        self._seen = self._epochs = self._noted = 0
        self._heard: dict[str, float] = {}
        self._watched_at = self._watched_for = 0.0
        self._answers: tuple[Watch, list[Caption], str] | None = None  # not yet on the page
        super().__init__(session, [self.empty, self.body])
        self.stop.on_click(lambda _: self._stop())
        self.resume.on_click(lambda _: self._do(self._resume))
        self.use.on_click(lambda _: self._do(self._use))
        self.save.on_click(lambda _: self._do(self._save))

    def draw(self) -> None:
        """Follow another run; all that it has told before is drawn at once."""
        run = self.session.run
        self.empty.layout.display = "none" if run is not None else ""
        self.body.layout.display = "" if run is not None else "none"
        if run is self._run:
            return
        self._stop_listening()
        self._stop_listening, self._run, self._watch = (lambda: None), run, None
        self._seen = self._epochs = self._noted = 0
        self._heard, self._watched_at, self._watched_for, self._answers = {}, 0.0, 0.0, None
        self.loss.clear()
        self.right.clear()
        self.photos.show([], [])
        for line in (self.message, self.notes, self.about_photos):
            line.value = ""
        if run is None:
            return
        if hasattr(run, "listen"):
            self._stop_listening = run.listen(partial(self._hear, run))
        self._catch_up(run)
        if hasattr(run, "data") and not getattr(run, "running", False):
            self._do(lambda: self._look_at(run))

    # --- the run's thread ---

    def _hear(self, run: Any, event: Any) -> None:
        """Called for every event, thousands of times a second at worst: mostly it only looks at the clock."""
        kind, now = event.kind, time.monotonic()
        last = run.state != "running"  # no event follows, that could catch up
        if not last and now - self._heard.get(kind, 0.0) < GAP:
            return
        self._heard[kind] = now
        if last or kind == "started" or kind == "epoch" and now - self._watched_at > SHARE * self._watched_for:
            self._ask(run)
        # Somebody who redraws for the moment is not waited for.
        if not self.session.lock.acquire(blocking=last):
            return
        try:
            self._catch_up(run)
        finally:
            self.session.lock.release()

    def _catch_up(self, run: Any) -> None:
        """Draw what the run has told since the last time; the session's lock is held."""
        if run is not self._run or getattr(self, "_gone", False):
            return
        batches, started = getattr(run, "batches", []), getattr(run, "started", None)
        new = batches[self._seen:]
        self._seen += len(new)
        if new and started is not None:
            places = [b.epoch + b.batch / max(started.batches, 1) for b in new]
            self.loss.extend("each batch", zip(places, (b.loss for b in new)))
            self.right.extend("each batch", zip(places, (b.top1 for b in new)))
        rows = run.history[self._epochs:]
        self._epochs += len(rows)
        for chart, learnt, judged in ((self.loss, "loss", "val_loss"), (self.right, "top1", "val_top1")):
            if rows:
                chart.extend("judged", [(row["epoch"] + 1, row[judged]) for row in rows])
            if rows and not batches:  # a run from a folder has kept its epochs only
                chart.extend("learning", [(row["epoch"] + 1, row[learnt]) for row in rows])
            if chart.x_end != run.recipe.epochs:
                chart.x_end = run.recipe.epochs
            best = run.best
            marks = [[best["epoch"] + 1.0, "best"]] if best else []
            if chart.marks != marks:
                chart.marks = marks
            chart.flush()
        if self._answers is not None:
            (watch, captions, sentence), self._answers = self._answers, None
            if watch is self._watch:
                self.photos.caption(captions)
            elif watch.run is run:
                self._watch = watch
                self.photos.show(watch.thumbnails, captions)
            if watch.run is run:
                self.about_photos.value = f'<span class="vx-soft">{sentence}</span>'
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

    def _ask(self, run: Any) -> None:
        """Ask the network as it is now what it says to the photos; `_catch_up` shows it."""
        if run is not self._run:
            return
        began = time.monotonic()
        try:
            known = self._answers[0] if self._answers is not None else self._watch
            watch = known if known is not None and known.run is run else Watch(run)
            captions = watch.answers()
        except Exception:  # a photo that can't be shown must not end the listening
            log.exception("the photos of %s could not be shown", run.name)
            return
        self._watched_at = time.monotonic()
        self._watched_for = self._watched_at - began
        right = sum(bool(one.right) for one in captions)
        when = f"after epoch {len(run.history)}" if run.history else "before the first epoch"
        sentence = f"What it says to photos that it does not learn from, {when}: {right} of {len(captions)} right."
        self._answers = (watch, captions, sentence)

    def _look_at(self, run: Any) -> None:
        """The photos of a run that rests."""
        if not getattr(run, "running", False):
            self._ask(run)
            with self.session.lock:
                self._catch_up(run)

    # --- buttons ---

    def _do(self, work: Callable[[], None]) -> None:
        """Do what may take a while in the background; what goes wrong is a sentence."""
        def job(_ticket: Ticket) -> None:
            try:
                work()
            except Exception as error:
                log.warning("%s", error, exc_info=error)
                self._say(str(error), wrong=True)

        self.worker.submit(job)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        with self.session.lock:
            if not getattr(self, "_gone", False):
                kind = 'class="vx-error" role="alert"' if wrong else 'class="vx-note" role="status"'
                self.message.value = f"<div {kind}>{escape(text)}</div>" if text else ""

    def _stop(self) -> None:
        run = self._run
        if getattr(run, "running", False):
            run.stop(wait=False)
            with self.session.lock:
                self._catch_up(run)

    def _resume(self) -> None:
        run = self._run
        run.stop()  # until its thread has gone; it had stopped already
        self._say("")
        run.resume()
        with self.session.lock:
            self._catch_up(run)

    def _use(self) -> None:
        run = self._run
        self.session.open_model(copy_of_model(run))
        again = " It goes on learning; press again for its later state." if getattr(run, "running", False) else ""
        self._say(f"All panels show {run.name} now.{again}")

    def _save(self) -> None:
        run, path = self._run, self.path.value.strip()
        if not path:
            raise ValueError("Give the name of a folder to save into.")
        if not hasattr(run, "save"):
            raise ValueError(f"{run.name} was opened from '{run.folder}': it is saved already.")
        folder = between_batches(run, lambda: run.save(path))
        self._say(f"Saved in '{folder.resolve()}'. Open it again with explorer.load_run({str(path)!r}).")

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until the buttons' work is done; False after `timeout` seconds. The run itself: `session.run.wait()`."""
        return self.worker.wait(timeout)

    def close(self) -> None:
        """End the listening; the run goes on."""
        self._gone = True
        self._stop_listening()
        self.worker.close()
        self._run = self._watch = self._answers = None
        super().close()
