"""Fine-tuning: from which photos, what learns and how, and the run itself.

Everything that can be said beforehand is said beforehand: what is in the data, how many numbers learn, the
learning rate of every step, what augmentation does to a photo. Settings that can't be are a sentence; the
controls stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.models.surgery.inside import task_inside
from explorer.widgets.export import curves_figure
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.data_choice import Photos
from explorer.widgets.panels.learn.fields import Fields
from explorer.widgets.panels.learn.learns_tree import LearnsTree
from explorer.widgets.panels.learn.plan import Plan, Wish, check_free, plan_of
from explorer.widgets.panels.learn.previews import Previews
from explorer.widgets.panels.learn.rate_finder import Asked, RateFinder
from explorer.widgets.panels.learn.run_view import RunView
from explorer.widgets.panels.learn.run_words import curves_of, problem_text, run_caption
from explorer.widgets.panels.learn.setting_words import in_words
from explorer.widgets.panels.learn.started import begin, known_runs, next_name
from explorer.widgets.panels.learn.what_learns import as_it_would_learn
from explorer.widgets.panels.work import busy_html
from explorer.widgets.session import Session

log = logging.getLogger(__name__)

# arguments of `finetune` that a search for a rate has no use for
NOT_TO_FIND = ("name", "run_dir", "resume", "epochs", "schedule", "lr", "patience", "ema", "swa")

BEGINS = "A run is about to learn under Train. Stop it first; it can be resumed later."

GUIDE = """
<p><b>What you see.</b> A copy of the open model learns your classes: its classifier is exchanged, and with
“last stage” or “everything” the layers below learn as well, more carefully. The curves show the loss and the
share of right answers, or for numbers how far off they are: on each batch that it learns from, and after each
epoch on photos that it never learns from (validation). Those judge. A network that finds boxes or masks
learns from photos with boxes or masks; each part of its loss has a curve, and the figure is AP50 (the mean
average precision of boxes that overlap the true ones by half) or mIoU (the mean overlap of the classes), of
the validation photos.</p>
<p><b>What it does not prove.</b> A few dozen photos judge coarsely: with 30 of them, one photo is 3 points,
and another seed another result. Photos of the same scene in both parts make it look better than it is:
frames of a burst (files such as burst-1-7.jpg, see Teach) are kept together, others are yours to find. And
the best epoch was chosen by the very photos that judge it: for a figure to publish, keep photos aside that
chose nothing.</p>
<p><b>To read.</b> <a href="https://arxiv.org/abs/1411.1792">Yosinski and others, 2014: How transferable are
features in deep neural networks?</a>; <a href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2019:
Do Better ImageNet Models Transfer Better?</a>.</p>"""


class FinetunePanel(Panel):
    name = "Train"
    nothing_yet = "No run yet: start one, and its curves can be kept."
    guide = GUIDE
    draw_on = ("model", "model_name", "run")  # two models may have one name

    def __init__(self, session: Session):
        self.view: RunView | None = None
        self._on_screen: Any = None              # (model, name) that the previews are of
        self._ran: list[tuple[Any, str]] = []    # runs that were started here, each with its lines
        super().__init__(session)
        self.add_class("vx-train")

    def make(self) -> None:
        self.fields, self.photos = Fields(), Photos()
        self.fields.follow(task_inside(self.session.model))
        self.previews = Previews(self, self.fields, self.photos)
        self.problem = W.HTML()
        self.start = W.Button(description="Start", button_style="primary", layout=W.Layout(width="auto"))
        self.starting = self.line(failed=lambda error: self._complain(problem_text(error)),
                                  over=self._begun)
        self.view = RunView(self.session, self._may_start)
        self.own_lines += self.view.own_lines
        self.finder = RateFinder(self, self._to_find, lambda rate: setattr(self.fields.lr, "value", rate))
        self.modules = LearnsTree(self, "Modules: what would learn", self._would_learn)
        self._lay_out()
        self._wire()
        self._settings_changed()

    def _lay_out(self) -> None:
        fields, previews = self.fields, self.previews
        usual, more = W.Box(fields.usual), W.Box(fields.rarer)
        for box in (usual, more):
            box.add_class("vx-fields")
        accordion = W.Accordion([W.VBox([more, fields.without])], titles=("Advanced",), selected_index=None)
        starts = W.HBox([self.start, fields.both], layout=W.Layout(flex_flow="row wrap"))
        starts.add_class("vx-controls")
        chosen = W.VBox([fields.data, fields.folder, previews.card])
        seen = W.VBox([previews.samples, previews.find_duplicates])
        data = W.Box([chosen, seen])
        data.add_class("vx-train-data")
        recipe = W.VBox([W.HTML("<h3>How it learns (hyperparameters)</h3>"), usual, fields.varies, accordion,
                         self.problem, starts, previews.learns, previews.preview_note, previews.variants,
                         previews.rate_note, previews.rates, self.finder, self.modules])
        run = W.VBox([W.HTML("<h3>Run</h3>"), self.view])
        columns = W.Box([recipe, run])  # the curves beside the settings, below them where it is narrow
        columns.add_class("vx-train-columns")
        self.fill([W.HTML("<h3>Photos to learn from (data set)</h3>"), data, columns])
        self.start.add_class("vx-open")

    def _wire(self) -> None:
        fields = self.fields
        matter = (fields.data, fields.folder, fields.train, fields.batch_size, fields.optimizer, fields.loss)
        for control in matter:  # to a rate that was found
            self.when(control, self.finder.forget)
        for control in (fields.data, fields.folder, *fields.usual, *fields.rarer):
            self.when(control, self._settings_changed)
        self.when(fields.both, self.changed)
        for control in (fields.train, fields.data):
            self.when(control, self.modules.refresh)
        self.when(self.start, self._start)

    # --- before it learns ---

    def _settings_changed(self) -> None:
        """Say what follows from it at once, and look at photos and model in the background."""
        self.fields.where.show_path()
        self.fields.offer_views()
        try:
            self.fields.recipe()
            self._complain("")
        except (ValueError, TypeError) as error:
            self._complain(str(error))
        self.previews.draw_rates()
        self._may_start()
        self.changed()
        self.previews.ask()

    def _complain(self, text: str) -> None:
        text = in_words(text)
        self.problem.value = f'<div class="vx-error" role="alert">{escape(text)}</div>' if text else ""

    def draw(self) -> None:
        """Another model is on the screen; of another run the view knows by itself."""
        now = (self.session.model, self.session.model_name)
        if now != self._on_screen:
            self._on_screen = now
            self.fields.follow(task_inside(self.session.model))
            self.finder.forget()
            self.previews.another_model()
            self.modules.refresh()

    def _to_find(self) -> Callable[[], Asked]:
        """What gives (model, data, settings) to the finder; a run that learns has the processor to itself."""
        check_free(self.session)
        plan = plan_of(self.session, self.fields)

        def prepare() -> Asked:
            wish = plan.arguments(self._open(plan), "")
            settings = {name: value for name, value in wish.items() if name not in NOT_TO_FIND}
            return settings.pop("model"), settings.pop("data"), settings

        return prepare

    def _would_learn(self) -> Any:
        """In the background: a copy without weights, frozen as the controls say; None without a model."""
        model = self.session.model
        if model is None:
            return None
        try:
            fields = self.fields
            classes = len(self.photos.open(fields.where.chosen, fields.seed.value, fields.task).classes)
        except Exception:  # the card says why; the tree does not depend on the number
            classes = model.num_classes
        return as_it_would_learn(model, self.fields.train.value, classes)[0]

    def _open(self, plan: Plan) -> Any:
        return self.photos.open(plan.data, plan.settings["seed"], plan.task, download=True)

    # --- starting ---

    def _start(self) -> None:
        self.finder.work.stop()  # a run is about to need the processor
        try:
            check_free(self.session)
            plan = plan_of(self.session, self.fields)
        except (ValueError, TypeError) as error:
            self._complain(problem_text(error))
            return
        self.session.learning = BEGINS
        self.problem.value = busy_html("preparing the photos and the model")
        self.view.message.value = ""  # it was about the run before
        self.starting.start(partial(self._start_run, plan))
        self._may_start()

    def _begun(self) -> None:
        """Nothing is about to start any more: the run is there, or why it is not."""
        if self.session.learning == BEGINS:
            self.session.learning = ""
        self._may_start()

    def _may_start(self) -> None:
        """One run at a time: Start rests while one begins, or the one that is shown learns."""
        run = self.session.run
        learns = getattr(run, "running", False)
        self.start.disabled = learns or self.session.learning == BEGINS
        self.start.tooltip = f"{run.name} is learning: stop it first, or wait" if learns else ""

    def _start_run(self, plan: Plan, _job: Job) -> None:
        splits, lines = self._open(plan), plan.lines()
        name = next_name([*self.session.runs, *known_runs()])
        first = Wish(plan.arguments(splits, name), lines)
        second = None
        if plan.both:
            second = Wish(plan.arguments(splits, f"{name} from scratch", second=True), lines)
        run = self._begin(first)
        if second is not None:
            run.listen(lambda event: self._then(run, second, event))

    def _begin(self, wish: Wish) -> Any:
        """Start a run, and show it."""
        run = begin(wish.arguments)
        self.tell(self._show, run, wish.lines)
        return run

    def _show(self, run: Any, lines: str) -> None:
        self._complain("")
        self._ran.append((run, lines))
        self.session.run = run

    def _then(self, first: Any, second: Wish, event: Any) -> None:
        """In the first run's thread: when it is finished, the one from scratch begins; not behind a stop."""
        if event.kind == "finished" and self.starting.closed:  # nobody is there to compare
            log.info("%s is finished; the run from scratch is not started", first.name)
        elif event.kind == "finished":
            self.starting.start(lambda _job: self._begin_second(second))

    def _begin_second(self, second: Wish) -> None:
        check_free(self.session)  # a search may have begun
        self._begin(second)

    def forget(self) -> None:
        self._on_screen, self._ran = None, []
        if self.built:
            self.photos.forget()
            self.previews.forget()

    # --- code and figure ---

    def code(self) -> str:
        """The lines that learnt the run on the screen; if it did not start here, those of what Start does."""
        ran = next((lines for run, lines in self._ran if run is self.session.run), None)
        if ran is not None:
            return ran
        if self.view is None or self.session.model is None:
            return ""
        try:
            return plan_of(self.session, self.fields).lines()
        except (ValueError, TypeError):
            return "# These settings can't be used: the panel says why."

    def figure(self) -> Any:
        """The curves of the run on the screen, in its first epoch those of its batches."""
        run = self.session.run
        if run is None or not (run.history or getattr(run, "batches", ())):
            return None
        return curves_figure(curves_of(run), title=self.heading())

    def heading(self) -> str:
        return getattr(self.session.run, "name", "") or self.called

    def caption(self) -> str:
        run = self.session.run
        return "" if run is None else run_caption(run)
