"""Train in its simplest form: photos, epochs, Start; a run that learns a head like any other under Train."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.models.surgery.inside import task_inside
from explorer.widgets.export import curves_figure, section_html
from explorer.widgets.jobs import Job, Pace
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.learn.data_choice import DataChoice, Photos
from explorer.widgets.panels.learn.plan import check_free
from explorer.widgets.panels.learn.run_words import curves_of, problem_text, progress_html, run_caption
from explorer.widgets.panels.learn.started import begin, known_runs, next_name
from explorer.widgets.panels.work import busy_html, said_html
from explorer.widgets.session import Session

GAP = 1.0  # seconds between two drawings of how far it is, at least
BEGINS = "A run is about to learn in basic mode. Stop it first; it can be resumed later."
IDLE = ("Train a new classifier on photos of yours: a copy of the model learns, the one on the screen stays. "
        "All settings: explorer.finetune in a cell.")


class BasicLearning(Panel):
    """Starts a run, and shows the session's run, wherever it began."""

    name = "Train"
    draw_on = ("model", "run")
    rests = True

    def __init__(self, session: Session):
        self._run: Any = None
        self._drawn = -1  # epochs that the curves show
        self._end_listening: Callable[[], None] = lambda: None
        super().__init__(session)
        self.build()

    def make(self) -> None:
        self.photos, self.where = Photos(), DataChoice()
        self.pace = Pace(self.session.lock)
        wide = W.Layout(width="auto", max_width="100%")
        self.epochs = labelled("Epochs", W.BoundedIntText, value=3, min=1, max=1000,
                               layout=W.Layout(width="130px"))
        self.start = W.Button(description="Train", tooltip="Start a run", layout=wide)
        self.stop = W.Button(description="Stop", disabled=True, layout=wide,
                             tooltip="Stop after the present batch")
        self.use = W.Button(description="Use this model", disabled=True, layout=wide,
                            tooltip="Make what was learnt the model on the screen")
        self.progress, self.message, self.curves = W.HTML(), W.HTML(), W.HTML()
        row = W.HBox([self.where.data, self.where.folder, self.epochs, self.start, self.stop, self.use],
                     layout=W.Layout(flex_flow="row wrap"))
        row.add_class("vx-controls")
        self.work = self.line(failed=self._failed, over=self._begun)
        self.fill([W.HTML("<h3>Train</h3>"), row, self.progress, self.message, self.curves])
        self.message.value = said_html(IDLE)
        self.when(self.where.data, self.where.show_path)
        self.when(self.start, self._start)
        self.when(self.stop, self._stop)
        self.when(self.use, lambda: self.work.start(partial(_copied, self._run), self.session.open_model))

    def draw(self) -> None:
        if (task := task_inside(self.session.model)) != self.where.task:
            self.where.follow(task)
            self.where.show_path()
        run = self.session.run
        if run is not self._run:
            self._end_listening()
            self._end_listening, self._run, self._drawn = (lambda: None), run, -1
            self.curves.value = ""
            if hasattr(run, "listen"):
                self._end_listening = run.listen(partial(self._hear, run))
        self._show(run)

    # --- starting ---

    def _start(self) -> None:
        try:
            check_free(self.session)
            chosen = self.where.chosen
        except (ValueError, TypeError) as error:
            self._failed(error)
            return
        self.session.learning = BEGINS
        self.message.value = busy_html("preparing the photos and the model")
        self.start.disabled = self.use.disabled = True
        session, photos, task, model = self.session, self.photos, self.where.task, self.session.model
        arguments = {"epochs": self.epochs.value, "train": "head", "input_size": session.input_size}

        def compute(_job: Job) -> Any:
            data = photos.open(chosen, 0, task, download=True)
            name = next_name([*session.runs, *known_runs()])
            # the network on the screen stays as it is
            return begin({"model": copy.deepcopy(model), "data": data, "name": name, **arguments})

        self.work.start(compute, self._started, long=True)

    def _started(self, run: Any) -> None:
        self.message.value = ""
        self.session.run = run

    def _begun(self) -> None:
        if self.session.learning == BEGINS:
            self.session.learning = ""
        self._show(self._run)

    def _stop(self) -> None:
        if getattr(self._run, "running", False):
            self._run.stop(wait=False)
            self._show(self._run)

    def _failed(self, error: BaseException) -> None:
        self.message.value = said_html(problem_text(error), wrong=True)

    # --- the run ---

    def _hear(self, run: Any, _event: Any) -> None:
        """In the run's thread, at each batch: mostly it only looks at the clock."""
        self.pace.show(partial(self._show, run), gap=GAP, last=run.state != "running")

    def _show(self, run: Any) -> None:
        """How far it is, and its curves once there is another epoch; the lock is held."""
        if run is not self._run or self.gone or not self.in_front:
            return
        learns = getattr(run, "running", False)
        self.start.disabled = learns or bool(self.session.learning)
        self.stop.disabled = not learns
        # while a run is being prepared this would take its place in the line of wishes
        waits = learns or self.session.learning == BEGINS
        self.use.disabled = run is None or waits or not hasattr(run, "model")
        self.progress.value = "" if run is None else progress_html(run)
        if run is not None and run.history and len(run.history) != self._drawn:
            self._drawn = len(run.history)
            figure = curves_figure(curves_of(run), title=run.name)
            self.curves.value = section_html(figure, title="Curves", caption=run_caption(run), code="")

    def forget(self) -> None:
        """End the listening; the run goes on."""
        self._end_listening()
        self._run = None
        if self.built:
            self.photos.forget()


def _copied(run: Any, _job: Job) -> Any:
    from explorer.training.run.beside import copy_of_model

    return copy_of_model(run)
