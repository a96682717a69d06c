"""Judging a model by photos whose classes are known: how often it is right, where it errs, on which photos.

The photos go through the network once, in the background. All that is shown afterwards is worked out from the
answers that are there; only a heat map asks the network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.widgets.export import file_name
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import controls, pair, show_if
from explorer.widgets.panels.evaluate.cells import Cells
from explorer.widgets.panels.evaluate.charts import Charts
from explorer.widgets.panels.evaluate.judgement import Facts, Judgement, facts_of
from explorer.widgets.panels.evaluate.photos import Photos
from explorer.widgets.panels.evaluate.subject import OWN, run_behind, subject_of
from explorer.widgets.panels.evaluate.words import FIRST_STEPS, GUIDE, how_far_html, problem_text
from explorer.widgets.panels.learn.fields import DATA, FOLDER
from explorer.widgets.panels.work import Work
from explorer.widgets.session import Session

PARTS = {"held out to judge by": "val", "learnt from, to compare": "train", "all of them": "all"}
OWN_PHOTOS = "its own: those the run did not learn from"


class EvaluatePanel(Panel):
    name = "Evaluation"
    guide = GUIDE
    draw_on = ("model", "model_name", "run", "runs")  # two models may have one name

    def __init__(self, session: Session):
        self.shown: Judgement | None = None
        self._touched = False  # whether the reader has chosen what is judged, or by what
        self._by_itself = False  # while the panel chooses
        super().__init__(session)
        self.add_class("vx-eval")

    def make(self) -> None:
        wide, style = W.Layout(width="auto"), {"description_width": "72px"}
        on_screen = [("the model on the screen", "model")]
        self.who = W.Dropdown(description="Judge", options=on_screen, layout=wide, style=style)
        photos = [(OWN_PHOTOS, OWN), *DATA.items()]
        self.data = W.Dropdown(description="by photos", options=photos, value="flowers5", layout=wide,
                               style=style)
        self.folder = W.Text(description="Folder", continuous_update=False, style=style,
                             placeholder="a folder with one folder a class, or a table (CSV)",
                             layout=W.Layout(width="auto", display="none"))
        self.part = W.Dropdown(description="of these", options=[*PARTS.items()], layout=wide, style=style)
        self.tta = W.Checkbox(description="mirror image too (test-time augmentation)", indent=False,
                              layout=wide, tooltip="The mean of both answers; twice the time")
        self.go = W.Button(description="Evaluate", button_style="primary", layout=wide)
        self.work = self.line(Work, sentence=problem_text, meter=how_far_html,
                              tooltip="Behind the present batch",
                              busy=lambda running: setattr(self.go, "disabled", running))
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        for button in (self.go, self.stop):
            button.add_class("vx-open")

        def failed(error: Any) -> None:
            self.work.say(problem_text(error), wrong=True)

        # opens photos, asks for heat maps, draws charts: one after the other, of one place the newest
        self.painting, self.opening = self.line(failed=failed), self.line(failed=failed)
        self.charts = Charts(self, self.painting, self.changed)
        self.photos = Photos(self, self.painting, lambda: self.charts.chosen, self.changed)
        self.cells = Cells(self, self.photos, self.charts, self.changed)
        self.chosen = self.photos.chosen  # stands nowhere until a photo is picked; it is closed all the same
        self.head, self.notes, self.hint = W.HTML(), W.HTML(), W.HTML()
        self._lay_out()
        self._wire()

    def _lay_out(self) -> None:
        fields = W.Box([self.who, self.data, self.part, self.folder])
        fields.add_class("vx-fields")
        blocks, charts = self.photos.blocks, self.charts
        self.body = W.VBox([self.head, self.notes, self.cells.matrix_pair,
                            pair(self.cells.table_block, charts.curve_block),
                            pair(blocks["worst"], charts.reliability_block), blocks["surest"]],
                           layout=W.Layout(display="none"))
        self.body.add_class("vx-eval-body")
        begin = controls(self.go, self.stop, self.tta)
        self.fill([fields, self.hint, begin, self.progress, self.message, self.body])

    def _wire(self) -> None:
        self.when(self.data, lambda: show_if(self.data.value == FOLDER, self.folder))
        for control in (self.who, self.data):
            self.when(control, self._chosen_by_hand)
        self.when(self.go, self._begin)
        self.when(self.charts.of_class, self._another_number)
        self.when(self.photos.open, self._open)
        self.when(self.photos.open_both, partial(self._open, both=True))

    # --- what can be judged ---

    def draw(self) -> None:
        """Another model or run is on the screen, or another run is there."""
        session, before = self.session, self.who.value
        called = f"{session.model_name}, on the screen" if session.model_name else "the model on the screen"
        options, on_screen = [(called, "model")], None
        for index in reversed(range(len(session.runs))):
            run = session.runs[index]
            here = ", shown under Train" if run is session.run else ""
            options.append((f"{run.name}{here}", f"run {index}"))
            on_screen = f"run {index}" if here else on_screen
        behind = run_behind(session.model, session.runs)
        if tuple(options) != self.who.options:
            value = before if self._touched or on_screen is None else on_screen
            self._by_itself = True
            self.who.options = options
            self.who.value = value if value in {one for _, one in options} else "model"
            if not self._touched:
                learnt = self.who.value != "model" or behind is not None
                self.data.value = OWN if learnt else "flowers5"
            self._by_itself = False
        nothing = not session.runs and session.model is not None and behind is None
        self.hint.value = f'<span class="vx-soft">{FIRST_STEPS}</span>' if nothing else ""
        self._offer_both()

    def _chosen_by_hand(self) -> None:
        self._touched = self._touched or not self._by_itself

    def _offer_both(self) -> None:
        differs = self.shown is not None and self.shown.model is not self.session.model
        show_if(differs, self.photos.open_both)

    # --- judging ---

    def _begin(self) -> None:
        """Judge what is chosen, in the background."""
        run = self.session.runs[int(self.who.value.split()[1])] if self.who.value != "model" else None
        settings = {"folder": self.folder.value, "split": self.part.value, "tta": self.tta.value}
        self.work.say("")
        work = partial(self._judge, run, self.data.value, settings)
        self.work.start(work, self._show, doing="opening the photos")

    def _judge(self, run: Any, photos: str, settings: dict[str, Any], job: Job) -> Facts:
        from explorer.models.tasks import check_task
        from explorer.training.evaluation.evaluating import evaluate, task_of

        judged = self.session.model if run is None else run
        # this panel draws figures of classes and numbers; those of boxes and masks show themselves in a cell
        check_task("classification", task_of(judged), self.session.model_name if run is None else run.name)
        subject = subject_of(self.session, run, photos, **settings)
        result = evaluate(subject.whom, subject.data, **subject.options, should_stop=job.ended,
                          on_progress=partial(job.progress, what="photos"))
        return facts_of(Judgement(result, subject.model, subject.lines, stopped=job.stopped))

    def _show(self, facts: Facts) -> None:
        """Another evaluation takes the place of the one before; the lock is held."""
        self.painting.drop()  # what is drawn of the one before
        self.shown = facts.judged
        self.head.value, self.notes.value = facts.head, facts.notes
        self.photos.show(facts.judged)
        self.charts.show(facts)
        self.cells.show(facts)
        show_if(True, self.body)
        self._offer_both()
        self.changed()

    def _another_number(self) -> None:
        """A heat map is of the chosen number."""
        if self.shown is not None and self.shown.numbers and self.photos.view.value != "photo":
            self.photos.change_view()

    def _open(self, *, both: bool = False) -> None:
        """Make the picked photo the one that all panels show."""
        judged, row = self.shown, self.photos.picked
        if judged is not None and row is not None:
            self.opening.start(partial(self._open_in_dashboard, judged, row, both), self.work.say)

    def _open_in_dashboard(self, judged: Judgement, row: Any, both: bool, _job: Job) -> str:
        from explorer.training.run.beside import copy_of_model

        if both:
            run = _of_a_run(judged.model, self.session.runs)
            self.session.open_model(judged.model if run is None else copy_of_model(run))
        self.session.open_image(row.file or judged.result.open_photo(row), row.name)
        return f"{row.name} is the photo that all panels show now."

    def forget(self) -> None:
        self.shown = None
        if self.built:
            for part in (self.photos, self.charts, self.cells):
                part.forget()

    # --- to keep ---

    def code(self) -> str:
        if self.shown is None:
            return ""
        chosen = self.charts.chosen
        plot = f"result.plot({'' if chosen is None else repr([chosen])})"
        cell, heat = self.cells.code(self.shown), self.photos.code(self.shown)
        return "\n".join([*self.shown.code(), *cell, plot, *heat])

    def figure(self) -> Any:
        if self.shown is None:
            return None
        return self.shown.result.plot(None if self.charts.chosen is None else [self.charts.chosen])

    def caption(self) -> str:
        return super().caption() if self.shown is None else self.shown.caption()

    def heading(self) -> str:
        """What is judged need not be what is on the screen."""
        return self.called if self.shown is None else f"{self.called}: {self.shown.title}"

    def _file_name(self) -> str:
        return file_name(self.heading())


def _of_a_run(model: Any, runs: Sequence[Any]) -> Any:
    """The run that still owns this network, which nobody else may hold on to."""
    return next((run for run in runs if getattr(run, "model", None) is model), None)
