"""Judging a model by photos of which the answer is known: how often it is right, where it errs, on which.

The photos go through the network once, in the background. All that is shown afterwards is worked out from the
answers that are there; only a heat map asks the network again. What is shown, each kind of result says for
itself (`kinds`): this file knows none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.export import file_name
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import controls, show_if
from explorer.widgets.panels.evaluate.classes import ClassBlocks
from explorer.widgets.panels.evaluate.judgement import Facts, Judgement, held_against
from explorer.widgets.panels.evaluate.kinds import Blocks, facts_of, kind_of
from explorer.widgets.panels.evaluate.photo_choices import CHOICES, FOLDER, LABELLED, OWN, SAMPLES
from explorer.widgets.panels.evaluate.reasons import knows, why_not
from explorer.widgets.panels.evaluate.subject import run_behind, subject_of, task_of_whom
from explorer.widgets.panels.evaluate.words import GUIDE, against_html, how_far_html, problem_text
from explorer.widgets.panels.learn.started import IN_A_CELL, in_a_cell
from explorer.widgets.panels.work import Work
from explorer.widgets.session import Session

REMEMBERED = 4  # judgements that another may be held against
PARTS = {"held out to judge by (validation)": "val", "learnt from, to compare (training)": "train",
         "all of them": "all"}


class EvaluatePanel(Panel):
    name = "Evaluation"
    guide = GUIDE
    draw_on = ("model", "model_name", "run", "runs")  # two models may have one name

    def __init__(self, session: Session):
        self.shown: Judgement | None = None
        self.before: list[Judgement] = []  # what was judged, the last of it last
        self._touched = False  # whether the reader has chosen what is judged, or by what
        self._by_itself = False  # while the panel chooses
        super().__init__(session)
        self.add_class("vx-eval")

    def make(self) -> None:
        wide, style = W.Layout(width="auto"), {"description_width": "72px"}
        on_screen = [("the model on the screen", "model")]
        self.who = W.Dropdown(description="Judge", options=on_screen, layout=wide, style=style)
        self.choices = CHOICES["classification"]
        self.data = W.Dropdown(description="by photos", options=self.choices.options, layout=wide,
                               value=self.choices.first, style=style)
        self.folder = W.Text(description="Folder", style=style,  # each letter counts: then the button works
                             placeholder=self.choices.example,
                             layout=W.Layout(width="auto", display="none"))
        self.part = W.Dropdown(description="of these", options=[*PARTS.items()], style=style,
                               layout=W.Layout(width="auto"))
        self.tta = W.Checkbox(description="mirror image too (test-time augmentation)", indent=False,
                              layout=W.Layout(width="auto"),  # its own: it comes and goes
                              tooltip="The mean of both answers; twice the time")
        self.go = W.Button(description="Evaluate", button_style="primary", layout=wide)
        self.why = W.HTML()
        self.work = self.line(Work, sentence=problem_text, meter=how_far_html,
                              tooltip="After the present batch", busy=lambda _running: self._offer_start())
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        for button in (self.go, self.stop):
            button.add_class("vx-open")

        def failed(error: Any) -> None:
            self.work.say(problem_text(error), wrong=True)

        # opens photos, asks for heat maps, draws charts: one after the other, of one place the newest
        self.painting, self.opening = self.line(failed=failed), self.line(failed=failed)
        self.kinds: dict[type, Blocks] = {}
        self.held: list[W.Widget] = []  # what stands nowhere at times; it is closed all the same
        self.head, self.notes, self.hint, self.below = W.HTML(), W.HTML(), W.HTML(), W.VBox()
        self.against = W.HTML()
        classes = self._blocks(ClassBlocks)
        self.charts, self.photos, self.cells = classes.charts, classes.photos, classes.cells
        self._lay_out(classes)
        self._wire()

    def _blocks(self, kind: type) -> Any:
        """What shows results of that kind, made when the first one comes."""
        if kind not in self.kinds:
            made = self.kinds[kind] = kind(self, self.painting, self._open)
            self.held += [*made.body, *made.held]
        return self.kinds[kind]

    def _lay_out(self, first: Blocks) -> None:
        fields = W.Box([self.who, self.data, self.part, self.folder])
        fields.add_class("vx-fields")
        self.below.children = first.body
        self.below.add_class("vx-eval-body")
        self.body = W.VBox([self.head, self.against, self.notes, self.below], layout=W.Layout(display="none"))
        self.body.add_class("vx-eval-body")
        begin = controls(self.go, self.stop, self.tta, self.why)
        self.fill([fields, self.hint, begin, self.progress, self.message, self.body])

    def _wire(self) -> None:
        self.when(self.data, self._follow_data)
        for control in (self.who, self.data):
            self.when(control, self._chosen_by_hand)
        self.when(self.who, self._follow_task)
        for control in (self.who, self.data, self.folder):
            self.when(control, self._offer_start)
        self.when(self.go, self._begin)

    # --- what can be judged ---

    def draw(self) -> None:
        """Another model or run is on the screen, or another run is there."""
        session, before = self.session, self.who.value
        called = f"{session.model_name}, on the screen" if session.model_name else "the model on the screen"
        options, on_screen = [(called, "model")], None
        task = task_of_whom(session.model)
        for index in reversed(range(len(session.runs))):
            run = session.runs[index]
            if not hasattr(run, "model"):
                continue  # its network was let go of
            here = ", shown under Train" if run is session.run else ""
            cell = f", {IN_A_CELL}" if in_a_cell(run) else ""
            options.append((f"{run.name}{cell}{here}", f"run {index}"))
            # a run of another task than the model's is not what the reader has in front of them
            if here and (session.model is None or task_of_whom(run) == task):
                on_screen = f"run {index}"
        behind = run_behind(session.model, session.runs)
        self._by_itself = True
        if tuple(options) != self.who.options:
            self.who.options = options
        known = {one for _, one in options}
        value = before if self._touched else on_screen or "model"
        self.who.value = value if value in known else "model"
        self._follow_task()
        if not self._touched:
            learnt = self.who.value != "model" or behind is not None
            self.data.value = OWN if learnt else self._first()
        self._by_itself = False
        nothing = not session.runs and session.model is not None and behind is None and \
            self._first() == self.choices.first  # else it has photos to begin with
        self.hint.value = f'<span class="vx-soft">{self.choices.first_steps}</span>' if nothing else ""
        self._offer_both()
        self._offer_start()

    def _first(self) -> str:
        """The photos that are chosen before the reader does: such as the model can name."""
        model, first = self.session.model, self.choices.first_for(self.session.model)
        bundled = self.choices is CHOICES["classification"] and knows(model, LABELLED)
        return LABELLED if bundled else first

    def _offer_start(self) -> None:
        """The button works where it can do what it says; else the reason stands beside it."""
        running = self.work.wanted
        folder = self.folder.value
        why = "" if running else why_not(self.session, self._whom(), self.data.value, folder, self.choices)
        self.go.disabled, self.go.tooltip = running or bool(why), why
        self.why.value = f'<span class="vx-soft" role="status">{escape(why)}</span>' if why else ""

    def _whom(self) -> Any:
        """The run that is chosen; None for the model on the screen."""
        return None if self.who.value == "model" else self.session.runs[int(self.who.value.split()[1])]

    def _follow_task(self) -> None:
        """Photos to choose from that fit the chosen model's task."""
        run = self._whom()
        choices = CHOICES[task_of_whom(self.session.model if run is None else run)]
        if choices is self.choices:
            return
        self.choices, before = choices, self.data.value
        self.data.options = choices.options
        self.data.value = before if before in dict(choices.options).values() else \
            choices.first_for(self.session.model)
        self.folder.placeholder = choices.example
        show_if(choices.mirrors, self.tta)
        self._follow_data()

    def _follow_data(self) -> None:
        """A folder has a path; photos that come with explorer are few, and judged whole."""
        show_if(self.data.value == FOLDER, self.folder)
        show_if(self.data.value not in (*SAMPLES, LABELLED), self.part)

    def _chosen_by_hand(self) -> None:
        self._touched = self._touched or not self._by_itself

    def _offer_both(self) -> None:
        if self.shown is not None:
            self._blocks(kind_of(self.shown.result)).offer_model(self.shown.model is not self.session.model)

    # --- judging ---

    def _begin(self) -> None:
        """Judge what is chosen, in the background."""
        run = self._whom()
        whole = self.data.value in (*SAMPLES, LABELLED)
        settings = {"folder": self.folder.value, "split": "val" if whole else self.part.value,
                    "tta": self.tta.value and self.choices.mirrors, "choices": self.choices}
        self.work.say("")
        work = partial(self._judge, run, self.data.value, settings, tuple(self.before))
        self.work.start(work, self._show, doing="opening the photos")

    def _judge(self, run: Any, photos: str, settings: dict[str, Any], before: Sequence[Judgement],
               job: Job) -> Facts:
        from explorer.training.evaluation.evaluating import evaluate

        subject = subject_of(self.session, run, photos, **settings)
        result = evaluate(subject.whom, subject.data, **subject.options, should_stop=job.ended,
                          on_progress=partial(job.progress, what="photos"))
        judged = Judgement(result, subject.model, subject.lines, stopped=job.stopped)
        return facts_of(held_against(judged, before))

    def _show(self, facts: Facts) -> None:
        """Another evaluation takes the place of the one before; the lock is held."""
        self.painting.drop()  # what is drawn of the one before
        self.shown = facts.judged
        self.before = [*self.before, replace(facts.judged, against=None)][-REMEMBERED:]
        self.head.value, self.notes.value = facts.head, facts.notes
        self.against.value = against_html(facts.judged)
        blocks = self._blocks(kind_of(facts.judged.result))
        if self.below.children != tuple(blocks.body):
            self.below.children = blocks.body
        blocks.show(facts)
        show_if(True, self.body)
        self._offer_both()
        self.changed()

    def _open(self, row: Any, *, both: bool = False, tab: str = "") -> None:
        """Make a photo the one that all panels show, with the judged model if `both`, and go to a tab."""
        if self.shown is not None and row is not None:
            self.opening.start(partial(self._open_in_dashboard, self.shown, row, both, tab), self.work.say)

    def _open_in_dashboard(self, judged: Judgement, row: Any, both: bool, tab: str, _job: Job) -> str:
        from explorer.training.run.beside import copy_of_model

        if both:
            run = _of_a_run(judged.model, self.session.runs)
            self.session.open_model(judged.model if run is None else copy_of_model(run))
        self.session.open_image(row.file or judged.result.open_photo(row), row.name)
        if tab:
            self.session.show_tab(tab)
        return f"{row.name} is the photo that all panels show now."

    def forget(self) -> None:
        self.shown, self.before = None, []
        if self.built:
            for blocks in self.kinds.values():
                blocks.forget()

    # --- to keep ---

    def code(self) -> str:
        if self.shown is None:
            return ""
        return "\n".join([*self.shown.code(), *self._shown_by().code(self.shown)])

    def figure(self) -> Any:
        return None if self.shown is None else self._shown_by().figure(self.shown)

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        return self.shown.caption(*self._shown_by().said(self.shown))

    def _shown_by(self) -> Blocks:
        return self._blocks(kind_of(self.shown.result))

    def heading(self) -> str:
        """What is judged need not be what is on the screen."""
        return self.called if self.shown is None else f"{self.called}: {self.shown.title}"

    def _file_name(self) -> str:
        return file_name(self.heading())


def _of_a_run(model: Any, runs: Sequence[Any]) -> Any:
    """The run that still owns this network, which nobody else may hold on to."""
    return next((run for run in runs if getattr(run, "model", None) is model), None)
