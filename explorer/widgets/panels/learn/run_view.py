"""One run, while it learns and afterwards: its curves, how far it is, its epochs, what can be done with it.

The run goes on in its own thread whatever becomes of this view. What is drawn is pulled from the run
(`batches`, `history`, `progress`), so a view that begins late, or again, shows the same as one that was there
from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Pace
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.advice import gap_note, what_helps
from explorer.widgets.panels.learn.epoch_words import NOW
from explorer.widgets.panels.learn.epochs_view import EpochsView
from explorer.widgets.panels.learn.learns_tree import LearnsTree
from explorer.widgets.panels.learn.run_words import (
    FIRST,
    VALIDATION,
    chart_title,
    problem_text,
    progress_html,
    run_notes_html,
    several_parts,
    waiting_text,
)
from explorer.widgets.panels.learn.setting_words import in_words
from explorer.widgets.panels.learn.started import IN_A_CELL, in_a_cell
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.session import Session

HEIGHT = 180     # pixels of a chart: two of them are seen beside the settings
GAP = 0.25       # seconds between two drawings of what flows, at least
FLOW = ("batch", "epoch", "progress")  # events that come many a second

BUTTONS = {"stop": ("Stop", "Stops after the present batch; Resume goes on from there"),
           "resume": ("Resume", "Go on where it was stopped"),
           "use": ("Use this model", "Makes the model, as it is now, the one that all panels show"),
           "save": ("Save", "Write weights, labels, settings and a model card into the folder")}


class RunView(Panel):
    draw_on = ("run", "image")

    def __init__(self, session: Session, on_state: Callable[[], None] = lambda: None):
        """on_state: called under the lock when another run is shown, and when this one has told something"""
        self._on_state = on_state
        self._run: Any = None
        self._image: Any = None
        self._end_listening: Callable[[], None] = lambda: None
        super().__init__(session)
        self.build()

    def make(self) -> None:
        self.progress, self.message, self.gap, self.notes = (W.HTML() for _ in range(4))
        self.empty = W.HTML('<span class="vx-soft">No run yet. Start one, and its curves grow here.</span>')
        for name, (text, why) in BUTTONS.items():
            layout = W.Layout(width="auto", flex="0 0 auto")
            setattr(self, name, W.Button(description=text, tooltip=why, layout=layout))
        self.path = W.Text(value="my model", description="to folder", continuous_update=False,
                           style={"description_width": "initial"}, layout=W.Layout(width="230px"))
        self.loss = LiveChart(title="Loss", x_label="epoch", smooth=True, empty=FIRST, height=HEIGHT)
        self.right = LiveChart(title="Right answers", x_label="epoch", unit="percent", smooth=True,
                               switches=["smooth"], empty=FIRST, height=HEIGHT)
        self.parts = LiveChart(title="Parts of the loss", x_label="epoch", smooth=True, empty=FIRST,
                               height=HEIGHT)
        self.parts.layout.display = "none"
        self.pace = Pace(self.session.lock)
        self.epochs = EpochsView(self, lambda epoch: self._do(self._use_epoch, epoch))
        self.photos = self.epochs.photos
        self.modules = LearnsTree(self, "Modules of this run: what learns",
                                  lambda: getattr(self._run, "model", None))
        self.work = self.line(failed=lambda error: self._say(problem_text(error), wrong=True))

        controls = W.HBox([self.stop, self.resume, self.use, self.save, self.path],
                          layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        charts = W.HBox([self.loss, self.right, self.parts])
        charts.add_class("vx-charts")
        self.body = W.VBox([self.progress, controls, self.message, charts, self.gap, self.epochs,
                            self.modules, self.notes])
        self.body.add_class("vx-run")
        self.fill([self.empty, self.body])
        self.when(self.stop, self._stop)
        for button, work in ((self.resume, self._resume), (self.use, self._use), (self.save, self._save)):
            self.when(button, partial(self._do, work))
        self.when(self.epochs.slider, self._mark)

    def draw(self) -> None:
        """Follow another run; all that it has told before is drawn at once. Or look at another photo."""
        run = self.session.run
        self.empty.layout.display = "none" if run is not None else ""
        self.body.layout.display = "" if run is not None else "none"
        if run is not self._run:
            self._follow(run)
        elif self.session.image is not self._image:
            self._image = self.session.image
            self.epochs.photo_changed()

    def _follow(self, run: Any) -> None:
        self._end_listening()
        self._end_listening, self._run, self._image = (lambda: None), run, self.session.image
        self._batches = self._rows = self._noted = 0  # of these so many are drawn
        for chart in self.charts:
            chart.clear()
        self.parts.layout.display = "none"
        for line in (self.message, self.notes, self.gap):
            line.value = ""
        if run is not None:
            from explorer.training.loop.measures import measure_of

            self._measure = measure_of(run)
            self.right.title = chart_title(self._measure, getattr(run, "labels", ()))
            self.right.unit = "percent" if self._measure.share else "number"
        self.epochs.follow(run)
        self.modules.refresh()
        if run is not None:
            if hasattr(run, "listen"):
                self._end_listening = run.listen(partial(self._hear, run))
            self._catch_up(run)
        else:
            self._on_state()

    def forget(self) -> None:
        """End the listening; the run goes on."""
        self._end_listening()
        self._run = self._image = None
        self.epochs.forget()

    # --- what the run tells ---

    def _hear(self, run: Any, event: Any) -> None:
        """In the run's thread, thousands of times a second at worst: mostly it only looks at the clock."""
        last = run.state != "running"  # no event follows, that could catch up
        self.epochs.hear(run, event.kind, last=last)  # it knows itself when it is time to look again
        self.pace.show(partial(self._catch_up, run), gap=GAP if event.kind in FLOW else 0, last=last)

    def _catch_up(self, run: Any) -> None:
        """Draw what the run has told since the last time; the lock is held."""
        if run is not self._run or self.gone:
            return
        self._extend_curves(run)
        self.epochs.offer()
        self._mark()
        started = getattr(run, "started", None)
        helps = what_helps(run.recipe, cached=started.cached if started else run.recipe.cached)
        gap = gap_note(run.history, helps)
        self.gap.value = f'<span class="vx-soft">{escape(gap)}</span>' if run.history else ""
        self._say_how_far(run)
        if len(run.notes) != self._noted:
            self._noted = len(run.notes)
            self.notes.value = run_notes_html([in_words(note) for note in run.notes])
        state = getattr(run, "state", "finished")
        if state in ("stopped", "finished", "failed") and hasattr(run, "data"):
            for chart in self.charts:
                chart.finish()

    def _say_how_far(self, run: Any) -> None:
        """The progress line, what stands in the charts until there is a point, and the buttons."""
        self.progress.value = progress_html(run, IN_A_CELL if in_a_cell(run) else "")
        waiting, state = waiting_text(run), getattr(run, "state", "finished")
        for chart in self.charts:
            if chart.empty != waiting:
                chart.empty = waiting
        stops = state == "running" and run.asked_to_stop
        self.stop.disabled = state != "running" or stops
        self.stop.description = "Stopping …" if stops else "Stop"
        self.resume.disabled = state != "stopped"
        self._on_state()

    @property
    def charts(self) -> tuple[LiveChart, ...]:
        return self.loss, self.right, self.parts

    def _extend_curves(self, run: Any) -> None:
        all_batches, started = getattr(run, "batches", []), getattr(run, "started", None)
        batches, rows = all_batches[self._batches:], run.history[self._rows:]
        self._batches += len(batches)
        self._rows += len(rows)
        right = (self.right, self._measure.key, self._measure.judged)
        for chart, learnt, judged in ((self.loss, "loss", "val_loss"), right):
            learns = learnt == "loss" or self._measure.learnt
            if learns and batches and started is not None:
                places = (b.epoch + b.batch / max(started.batches, 1) for b in batches)
                chart.extend("each batch", zip(places, (getattr(b, learnt) for b in batches)))
            if rows:
                chart.extend(VALIDATION, [(row["epoch"] + 1, row[judged]) for row in rows])
            if learns and rows and not all_batches:  # a run from a folder has kept its epochs only
                chart.extend("learning", [(row["epoch"] + 1, row[learnt]) for row in rows])
        self._extend_parts(batches, rows, started, none=not all_batches)
        for chart in self.charts:
            if chart.x_end != run.recipe.epochs:
                chart.x_end = run.recipe.epochs
            chart.flush()

    def _extend_parts(self, batches: list[Any], rows: list[Any], started: Any, *, none: bool) -> None:
        """The parts of a loss that is a sum. none: no batches are known, as of a run from a folder"""
        from explorer.training.loop.measures import part_words

        names = several_parts([*batches, *rows])
        if names:
            self.parts.layout.display = ""
        for name in names:
            if batches and started is not None:
                self.parts.extend(part_words(name), [
                    (b.epoch + b.batch / max(started.batches, 1), b.parts[name]) for b in batches
                    if name in (b.parts or {})])
            for key, text in (("parts", ""), ("val_parts", f", {VALIDATION}"))[0 if none else 1:]:
                points = [(row["epoch"] + 1, row[key][name]) for row in rows if name in (row.get(key) or {})]
                if points:
                    self.parts.extend(part_words(name) + text, points)

    def _mark(self) -> None:
        """The best epoch, and the one that is looked at, in both charts."""
        run = self._run
        if run is None:
            return
        best = run.best["epoch"] + 1 if run.best else None
        marks = [] if best is None else [[float(best), "best"]]
        if self.epochs.place not in (NOW, best) and self.epochs.layout.display != "none":
            marks.append([float(self.epochs.place), "shown"])
        for chart in self.charts:
            if chart.marks != marks:
                chart.marks = marks

    # --- buttons ---

    def _do(self, work: Callable[..., str], *given: Any) -> None:
        """Do what may take a while in the background; what came of it, or went wrong, is a sentence."""
        run = self._run
        self.work.start(lambda _job: work(run, *given), self._say, key=work.__name__)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message.value = said_html(text, wrong=wrong)

    def _stop(self) -> None:
        if getattr(self._run, "running", False):
            self._run.stop(wait=False)
            self._say_how_far(self._run)

    def _resume(self, run: Any) -> str:
        run.stop()  # until its thread has gone; it had stopped already
        run.resume()
        self.tell(self._catch_up, run)
        return ""

    def _use(self, run: Any) -> str:
        from explorer.training.run.beside import copy_of_model

        self.session.open_model(copy_of_model(run))
        running = getattr(run, "running", False)
        again = " It goes on learning; press again for its later state." if running else ""
        return f"All panels show {run.name} now.{again}"

    def _use_epoch(self, run: Any, epoch: int) -> str:
        from explorer.training.run.beside import copy_at

        if epoch == NOW:
            return self._use(run)
        self.session.open_model(copy_at(run, epoch))
        when = f"after epoch {epoch}" if epoch else "before its first epoch"
        return f"All panels show {run.name} as it was {when} now."

    def _save(self, run: Any) -> str:
        from explorer.training.run.beside import between_batches

        path = self.path.value.strip()
        if not path:
            raise ValueError("Give the name of a folder to save into.")
        if not hasattr(run, "save"):
            raise ValueError(f"{run.name} was opened from '{run.folder}': it is saved already.")
        folder = between_batches(run, lambda: run.save(path))
        return f"Saved in '{folder.resolve()}'. Runs opens it again: give the folder that it lies in there."
