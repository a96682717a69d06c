"""The lower half of Teach: what a network learns from the collected photos, how good it is, and live answers.

Learn begins a run like any other, of the open model's classifier: Train shows it, Runs lists it, Evaluate can
judge it. Its photos lie in the folder of the panel's shelf.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job, Pace
from explorer.widgets.panels.camera import frames
from explorer.widgets.panels.evaluate.blocks import controls, show_if
from explorer.widgets.panels.learn.plan import check_free
from explorer.widgets.panels.learn.run_words import VALIDATION, problem_text, progress_html, waiting_text
from explorer.widgets.panels.learn.started import begin, known_runs, next_name
from explorer.widgets.panels.teach.bank import Bank, Known
from explorer.widgets.panels.teach.ground import Ground
from explorer.widgets.panels.teach.lesson_words import result_html, unfit, why_not
from explorer.widgets.panels.teach.live import Live
from explorer.widgets.panels.work import busy_html, said_html
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.evaluation_card import answer_of, surest_mistakes
from explorer.widgets.parts.judged_photos import Answer, JudgedPhotos
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.snippets import call, literal, model_lines

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation

log = logging.getLogger(__name__)

EPOCHS = 5
GAP = 0.25    # seconds between two drawings of what flows, at least
SIDE = 96     # pixels of a small photo
BEGINS = "A network is about to learn under Teach. Wait for it: it takes seconds; or stop it there."
ALL_RIGHT = "There are no mistakes among the photos that judged it."


@dataclass(frozen=True)
class Judged:
    """result: how it answered the photos that it has not learnt from;  model: a copy of its network
    wrong: the mistakes, each a small photo and what stands under it
    """

    result: Evaluation
    model: Any
    wrong: list[tuple[bytes, Answer]]


class Lesson:
    """run: the newest one that was begun here;  judged: what came of it;  lines: of code that do the same"""

    def __init__(self, panel: Ground):
        self.panel, self.session = panel, panel.session
        self.run: Any = None
        self.judged: Judged | None = None
        self.lines = ""
        self._model = self.session.model
        self._end_listening: Callable[[], None] = lambda: None
        self._points = self._rows = 0  # of the run's batches and epochs so many are drawn
        self._over = True              # whether the end of the run was heard
        self.bank, self.pace = Bank(), Pace(self.session.lock)
        failed = lambda error: self._say(problem_text(error), wrong=True)
        self.reading = panel.line(failed=lambda error: self.panel.warn([problem_text(error)]))
        self.starting = panel.line(failed=failed, over=self._begun)
        self.judging = panel.line(failed=failed, over=self._rest_if_idle)
        self.live = Live(panel, self._added)
        self._make()
        panel.on_photos(self.photos_changed)
        self.photos_changed()

    def _make(self) -> None:
        panel, lock, auto = self.panel, self.session.lock, W.Layout(width="auto")
        self.go = W.Button(description="Learn", button_style="primary", layout=auto,
                           tooltip="The open model's classifier learns your classes; it takes seconds")
        self.stop = W.Button(description="Stop", layout=auto, disabled=True,
                             tooltip="After the present batch")
        self.use = W.Button(description="Show it in all tabs", disabled=True, layout=auto,
                            tooltip="Makes the network that has learnt the one that all panels show")
        for button in (self.go, self.stop, self.use):
            button.add_class("vx-open")
        self.why, self.progress, self.message, self.head = (W.HTML() for _ in range(4))
        self.chart = LiveChart(title="Right answers", x_label="epoch", unit="percent", smooth=True,
                               switches=["smooth"], height=150)
        self.matrix = ConfusionMatrix(lock=lock, opens=False)
        self.wrong = JudgedPhotos(label="The photos that it got wrong", lock=lock)
        figures = W.Box([W.VBox([self.chart]), W.VBox([self.head, self.matrix])])
        figures.add_class("vx-lesson-row")
        self.result = W.VBox([W.HTML("<h3>What it has learnt</h3>"), figures, self.wrong])
        show_if(False, self.result)
        self.result.add_class("vx-lesson")
        buttons = controls(self.go, self.stop, self.use)
        panel.left.children = [panel.camera, buttons, self.why, self.progress, self.message,
                               *self.live.children]
        panel.below.children = [self.result]
        for button, act in ((self.go, self.learn), (self.stop, self._stop), (self.use, self._use)):
            panel.when(button, act)

    # --- the photos -----------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Another model is on the screen: it sees the photos in its own way. What has learnt stays."""
        if self.session.model is not self._model:
            self._model = self.session.model
            self.live.know(None)
            self.photos_changed()

    def photos_changed(self) -> None:
        """Photos or classes are others than before; the lock is held."""
        shelf = self.panel.shelf
        self.live.classes(shelf.classes)
        self._offer()
        photos = {name: shelf.photos(name) for name in shelf.classes}
        model = None if frames.unfit(self._model) else self._model
        self.reading.start(partial(self._read, model, photos), self._know)

    def _read(self, model: Any, photos: Any, job: Job) -> tuple[Known | None, list[str]] | None:
        from explorer.inspection.features.advice import advice_on_counts, advice_on_photos

        counts = {name: len(some) for name, some in photos.items()}
        advice = advice_on_counts(counts) if any(counts.values()) else []
        if model is None or not any(counts.values()):
            return None, advice
        known = self.bank.know(model, photos, job.ended)
        return None if known is None else (known, advice + advice_on_photos(known.features))

    def _know(self, found: tuple[Known | None, list[str]] | None) -> None:
        if found is not None:
            known, advice = found
            self.live.know(known)
            self.panel.warn(advice)

    def _added(self, name: str) -> None:
        again = " Learn again, and it counts." if self.judged is not None else ""
        self._say(f"The picture is a photo of “{name}” now.{again}")

    def reads(self, folder: Path) -> bool:
        """Whether a run learns from the photos of a folder, or has: Evaluate opens them again."""
        return self.session.learning == BEGINS or any(
            folder in file.parents for run in known_runs()
            for file in getattr(getattr(run.data, "train", None), "files", ())[:1] if file is not None)

    def moved(self, before: Path, after: Path) -> None:
        """The photos are in another folder now."""
        self.lines = self.lines.replace(literal(str(before)), literal(str(after)))
        self.panel.changed()

    # --- learning -------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self.session.learning == BEGINS or getattr(self.run, "running", False)

    def _offer(self) -> None:
        """Learn works where it can do what it says; else the reason stands beside it."""
        why = "" if self.busy else unfit(self._model) or why_not(self.panel.shelf)
        self.go.disabled = self.busy or bool(why)
        self.why.value = f'<span class="vx-soft" role="status">{escape(why)}</span>' if why else ""

    def learn(self) -> None:
        """The classifier of a copy of the open model learns the photos."""
        try:
            check_free(self.session)
        except ValueError as error:
            self._say(problem_text(error), wrong=True)
            return
        self.session.learning = BEGINS
        self._say("")
        self.progress.value = busy_html("preparing the photos and the model")
        self.live.rest(True)
        self.starting.start(partial(self._start, self.session.model, *self._named(), self._options()))
        self._offer()

    def _named(self) -> tuple[tuple[str, ...], bool]:
        """(the lines that define the open model, whether they open it anew)"""
        return tuple(model_lines(self.session)), bool(self.session.model_source)

    def _options(self) -> dict[str, Any]:
        size = self.session.input_size
        return {"epochs": EPOCHS} | ({} if size is None else {"input_size": size})

    def code(self) -> str:
        """The lines that learn and judge the same as what ran last, or would; "" where nothing can learn."""
        if self.lines or unfit(self.session.model):
            return self.lines
        return lines_of(*self._named(), str(self.panel.shelf.folder), self._options())

    def _start(self, model: Any, named: tuple[str, ...], by_name: bool, options: dict[str, Any],
               _job: Job) -> None:
        self.panel.keeping.wait()  # photos that are on their way into the folder
        shelf = self.panel.shelf
        if lost := shelf.forget_lost():
            self.panel.tell(self.panel.show_classes)
            if why := why_not(shelf):
                raise ValueError(f"{counted(lost, 'photo')} of '{shelf.folder}' "
                                 f"{'is' if lost == 1 else 'are'} gone. {why}")
        folder = str(shelf.folder)
        run = begin({"model": copy.deepcopy(model), "data": folder, "train": "head",
                     "name": next_name([*self.session.runs, *known_runs()]), **options})
        self.panel.tell(self._follow, run, lines_of(named, by_name, folder, options))
        if self.panel.gone:
            run.stop(wait=False)

    def _begun(self) -> None:
        """Nothing is about to begin any more: the run is there, or why it is not."""
        if self.session.learning == BEGINS:
            self.session.learning = ""
        self._rest_if_idle()

    def _follow(self, run: Any, lines: str) -> None:
        self._end_listening()
        self.run, self.judged, self.lines = run, None, lines
        self._points = self._rows = 0
        self._over = False
        self.chart.clear()
        self.chart.x_end = EPOCHS
        self.head.value, self.use.disabled = "", True
        show_if(True, self.result)
        show_if(False, self.matrix, self.wrong)
        self.session.run = run
        self._end_listening = run.listen(partial(self._hear, run))
        self._catch_up(run)
        self.panel.changed()

    def _hear(self, run: Any, event: Any) -> None:
        """In the run's thread."""
        flows = event.kind in ("batch", "epoch", "progress")
        self.pace.show(partial(self._catch_up, run), gap=GAP if flows else 0, last=run.state != "running")

    def _catch_up(self, run: Any) -> None:
        """Draw what the run has told since the last time; the lock is held."""
        if run is not self.run or self.panel.gone:
            return
        batches, rows, started = run.batches[self._points:], run.history[self._rows:], run.started
        self._points, self._rows = self._points + len(batches), self._rows + len(rows)
        if batches and started is not None:
            places = (one.epoch + one.batch / max(started.batches, 1) for one in batches)
            self.chart.extend("each batch", zip(places, (one.top1 for one in batches)))
        if rows:
            self.chart.extend(VALIDATION, [(row["epoch"] + 1, row["val_top1"]) for row in rows])
        self.chart.empty = waiting_text(run)
        self.chart.flush()
        self.progress.value = progress_html(run)
        self.stop.disabled = run.state != "running" or run.asked_to_stop
        if run.state in ("finished", "stopped", "failed") and not self._over:
            self._over = True
            self.chart.finish()
            if run.best and run.state != "failed":
                self.judging.start(partial(self._judge, run), partial(self._show, run))
            else:
                self._rest()
        self._offer()

    def _rest_if_idle(self) -> None:
        if not self.busy:
            self._rest()

    def _rest(self) -> None:
        """Nothing learns any more: frames are answered again."""
        self.progress.value = "" if self.run is None else progress_html(self.run)
        self.live.rest(False)
        self._offer()

    def _stop(self) -> None:
        if getattr(self.run, "running", False):
            self.run.stop(wait=False)
            self._catch_up(self.run)

    # --- what came of it ------------------------------------------------------------------------------------

    def _judge(self, run: Any, job: Job) -> Judged:
        from explorer.training.evaluation.evaluating import evaluate
        from explorer.training.run.beside import copy_of_model

        run.wait()
        result = evaluate(run, should_stop=job.ended)
        wrong = [(thumbnail_jpeg(result.open_photo(row), SIDE), answer_of(row))
                 for row in surest_mistakes(result)]
        return Judged(result, copy_of_model(run), wrong)

    def _show(self, run: Any, judged: Judged) -> None:
        if run is not self.run:
            return
        self.judged, result = judged, judged.result
        self.head.value = result_html(run, result)
        self.matrix.show(result.classes, result.confusion.numpy())
        self.wrong.show(judged.wrong, note="Wrong, the surest first." if judged.wrong else ALL_RIGHT)
        show_if(True, self.matrix, self.wrong)
        self.go.description, self.use.disabled = "Learn again", False
        self.live.teach(judged.model, run.name)
        self.panel.changed()

    def _use(self) -> None:
        if self.judged is not None:
            self.session.open_model(self.judged.model)
            self._say(f"All tabs show {self.run.name} now.")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message.value = said_html(text, wrong=wrong)

    def forget(self) -> None:
        """The panel is closed: a run that it began ends too."""
        self._end_listening()
        if getattr(self.run, "running", False):
            self.run.stop(wait=False)
        if self.session.learning == BEGINS:
            self.session.learning = ""
        self.bank.forget()
        self.live.forget()
        self.run = self.judged = self._model = None


def lines_of(named: tuple[str, ...], by_name: bool, folder: str, options: dict[str, Any]) -> str:
    """The code that learns and judges the same."""
    model = "model" if by_name else "copy.deepcopy(model)"
    first = ["import explorer", ""] if by_name else ["import copy", "", "import explorer", ""]
    run = call("explorer.finetune", model, literal(folder), options=options)
    return "\n".join([*first, *named, f"run = {run}.wait()", "explorer.evaluate(run)"])
