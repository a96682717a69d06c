"""Judging a model by photos whose classes are known: how often it is right, where it errs, on which photos.

The photos go through the network once, in the background. All that is shown afterwards is worked out from the answers
that are there; only a heat map asks the network again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer import __version__
from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate_subject import FOLDER, OWN, run_behind, subject_of
from explorer.widgets.panels.finetune import DATA
from explorer.widgets.panels.images import thumbnail_jpeg
from explorer.widgets.panels.run_view import copy_of_model
from explorer.widgets.panels.work import Work, busy_html, meter_html
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.evaluation_card import (
    WORST,
    answer_of,
    cell_photos,
    cell_text,
    class_rows,
    csv_text,
    headline_html,
    notes_html,
    number_answer_of,
    number_headline_html,
    number_photo_html,
    number_rows,
    photo_html,
    surest_mistakes,
    themed_svg,
)
from explorer.widgets.parts.judged_photos import JudgedPhotos
from explorer.widgets.parts.sort_table import SortTable
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation
    from explorer.training.evaluation.figures import JudgedPhoto
    from explorer.training.evaluation.numbers import NumberEvaluation

log = logging.getLogger(__name__)

PARTS = {"held out to judge by": "val", "learnt from, to compare": "train", "all of them": "all"}
FIRST = 24        # photos of a cell that are shown at once; a button shows more
BESIDE = 12       # classes up to which the matrix leaves room for photos beside it
SIDE = 168        # pixels of a small photo
ROWS = "Rows are what the photos are, columns what they were taken for."
SEVERAL = ("A photo may have several classes here, so there is no one answer that could be confused with another, and no "
           "matrix. Press a class in the table to see its photos.")
NO_CURVE = "A curve needs photos of a class, and photos of others: there are none here."
VIEWS = {"photo": "photo", "heat map of its answer": "predicted", "of the true class": "true"}
NUMBER_VIEWS = {"photo": "photo", "heat map of its answer": "predicted"}

FIRST_STEPS = ("Judging needs photos whose classes the model knows. Nothing was taught here yet: start a run under Train and judge it "
               "here, or give a folder whose folders are named after the model's own classes.")

GUIDE = """
<p><b>What you see.</b> Each photo went through the model once, and its answer is held against the name of
its folder. The matrix counts photos: rows are what they are, columns what they were taken for; the diagonal
is right. <i>Recall</i>: of the photos of a class, how many were recognised. <i>Precision</i>: of the
answers with a name, how many are right. F1 is their harmonic mean. The reliability diagram asks whether 80
% sure means right in 80 of 100 answers; the bars should end on the dashed line (<a
href="https://arxiv.org/abs/1706.04599" target="_blank" rel="noopener">Guo et al., On Calibration of Modern
Neural Networks, 2017</a>). ROC and precision-recall curves show one class against all others at every
threshold.</p>
<p>A model that gives <b>numbers</b> is judged in their own unit: MAE is how far off it is on average, RMSE counts large
errors more, R² is the share of the spread that it explains. Compare the MAE with that of guessing the mean.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>Few photos say little.</b> 9 of 10 right fits a model that is right in 60 of 100 cases as well as one
that is in 98. The interval beside top-1 (Wilson, 1927) says how far chance alone reaches; two models whose
intervals overlap widely may be equal.</li>
<li><b>Only photos like these.</b> A new collection of the same classes usually gives lower figures (<a
href="https://arxiv.org/abs/1902.10811" target="_blank" rel="noopener">Recht et al., 2019</a>).</li>
<li><b>Right for a wrong reason.</b> A model may know the meadow, not the flower (<a
href="https://arxiv.org/abs/2004.07780" target="_blank" rel="noopener">Geirhos et al., Shortcut Learning,
2020</a>). Heat maps give hints; they are no proof either (<a href="https://arxiv.org/abs/1810.03292"
target="_blank" rel="noopener">Adebayo et al., 2018</a>).</li>
<li><b>Duplicates flatter.</b> A photo that is also among those it learnt from tests its memory (<a
href="https://arxiv.org/abs/1902.00423" target="_blank" rel="noopener">Barz and Denzler, 2020</a>); the
Train tab finds exact ones.</li>
<li><b>Labels err.</b> Look at the worst photos first: some are wrong names, not wrong answers.</li>
<li><b>Choosing is learning.</b> Who picks the best of many runs by these photos needs others for the final
figure.</li>
</ul>
"""


@dataclass(frozen=True)
class Judgement:
    """What is on the page: the answers, the network that gave them, and the lines that give them again."""

    result: Evaluation | NumberEvaluation
    model: Any
    lines: tuple[str, ...]
    stopped: bool = False

    @property
    def numbers(self) -> bool:
        """Whether the model gives numbers, not classes."""
        return hasattr(self.result, "numbers")


@dataclass(frozen=True)
class Facts:
    """What is said of a judgement, worked out before it is shown.

    lines: which class or number each row of the table is;  curves: what has a curve;  weakest: of these
    """

    judged: Judgement
    head: str
    notes: str
    columns: list[Any]
    rows: list[Any]
    lines: list[int]
    curves: Sequence[str]
    weakest: str | None


def facts_of(judged: Judgement) -> Facts:
    result = judged.result
    if judged.numbers:
        from explorer.training.evaluation.number_report import by_r2

        every = list(range(len(result.numbers)))
        return Facts(judged, number_headline_html(result), notes_html(result), *number_rows(result), every,
                     result.numbers, by_r2(result)[0])
    curves = [name for name in result.pr if name in result.roc] if len(result.classes) <= 1000 else []
    weakest = min(curves, key=lambda name: result.per_class[name].f1, default=None)
    return Facts(judged, headline_html(result), notes_html(result), *class_rows(result), curves, weakest)


def how_far_html(job: Job, done: int, total: int, what: str) -> str:
    stopping = "Stopping behind this batch." if job.stopped else ""
    return meter_html(done, total, what, "Working out the figures …" if done == total else stopping)


class EvaluatePanel(Panel):
    name = "Evaluation"
    guide = GUIDE
    draw_on = ("model", "model_name", "run", "runs")  # two models may have one name

    def __init__(self, session: Session):
        self.shown: Judgement | None = None
        self._cell: tuple[Sequence[int] | None, Sequence[int] | None] | None = None
        self._rows: dict[str, list[JudgedPhoto]] = {}  # what each row of photos holds
        self._picked: JudgedPhoto | None = None
        self._touched = False  # whether the reader has chosen what is judged, or by what
        self._by_itself = False  # while the panel chooses
        self._table_classes: list[int] = []
        super().__init__(session)
        self.add_class("vx-eval")

    def make(self) -> None:
        wide, style, lock = W.Layout(width="auto"), {"description_width": "72px"}, self.session.lock
        self.who = W.Dropdown(description="Judge", options=[("the model on the screen", "model")], layout=wide,
                              style=style)
        data = {"its own: those the run did not learn from": OWN, **DATA}
        self.data = W.Dropdown(description="by photos", options=[*data.items()], value="flowers5", layout=wide,
                               style=style)
        self.folder = W.Text(description="Folder", placeholder="a folder with one folder a class, or a table (CSV)",
                             layout=W.Layout(width="auto", display="none"), style=style, continuous_update=False)
        self.part = W.Dropdown(description="of these", options=[*PARTS.items()], layout=wide, style=style)
        self.tta = W.Checkbox(description="mirror image too (test-time augmentation)", indent=False,
                              layout=wide, tooltip="The mean of both answers; twice the time")
        self.go = W.Button(description="Evaluate", button_style="primary", layout=wide)
        self.work = self.line(Work, sentence=_sentence, meter=how_far_html, tooltip="Behind the present batch",
                              busy=lambda running: setattr(self.go, "disabled", running))
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        # opens photos, asks for heat maps, draws charts: one after the other, of one place the newest
        self.painting = self.line(failed=lambda error: self.work.say(_sentence(error), wrong=True))
        self.head, self.notes, self.hint = W.HTML(), W.HTML(), W.HTML()
        self.matrix, self.table = ConfusionMatrix(lock=lock), SortTable(label="Class by class", lock=lock)
        self.matrix_note = W.HTML()
        self.cell = JudgedPhotos(label="Photos of the cell", lock=lock)
        self.more = W.Button(description="More photos", layout=W.Layout(width="auto", display="none"))
        self.worst = JudgedPhotos(label="The highest losses", lock=lock)
        self.surest = JudgedPhotos(label="The surest mistakes", lock=lock)
        self.view = W.ToggleButtons(options=[*VIEWS.items()], value="photo", tooltips=(
            "The photos as they are", "Grad-CAM for the class it gave", "Grad-CAM for the class of the folder"))
        self.view_note = W.HTML()
        self.reliability, self.curves = W.HTML(), W.HTML()
        self.of_class = W.Dropdown(description="Class", options=[], layout=wide, style={"description_width": "initial"})
        self.kind = W.ToggleButtons(options=[("ROC", "roc"), ("precision-recall", "pr")])
        self.one = W.HTML()
        self.open = W.Button(description="Open in the dashboard", layout=wide,
                             tooltip="Makes it the photo that all panels show")
        self.open_both = W.Button(description="Open with the judged model", layout=W.Layout(width="auto"),
                                  tooltip="Makes photo and model those that all panels show")

        fields = W.Box([self.who, self.data, self.part, self.folder])
        fields.add_class("vx-fields")
        begin = W.HBox([self.go, self.stop, self.tta], layout=W.Layout(flex_flow="row wrap"))
        begin.add_class("vx-controls")
        for button in (self.go, self.stop, self.more, self.open, self.open_both):
            button.add_class("vx-open")
        buttons = W.HBox([self.open, self.open_both], layout=W.Layout(flex_flow="row wrap"))
        buttons.add_class("vx-controls")
        self.chosen = W.VBox([self.one, buttons])
        self.chosen.add_class("vx-eval-chosen")

        def block(title: str, *children: W.Widget) -> W.VBox:
            box = W.VBox([W.HTML(f"<h3>{title}</h3>"), *children])
            box.add_class("vx-eval-block")
            return box

        self.matrix_block = block("Which class is taken for which", self.matrix_note, self.matrix)
        self.surest_block = block("The surest mistakes", self.surest)
        self.reliability_block = block("Is it as sure as it is right?", self.reliability)
        choice = W.HBox([self.of_class, self.kind], layout=W.Layout(flex_flow="row wrap"))
        choice.add_class("vx-controls")
        self.table_block = block("Class by class", self.table)
        self.curve_block = block("One class against all others", choice, self.curves)
        cell_block = block("Photos of the chosen cell", self.cell, self.more)
        worst_block = block("Worst photos", self.view, self.view_note, self.worst)
        # where photos can be picked
        self._places = {"cell": cell_block, "worst": worst_block, "surest": self.surest_block}
        self.matrix_pair = W.Box([self.matrix_block, cell_block])
        pairs = [self.matrix_pair,
                 W.Box([self.table_block, self.curve_block]),
                 W.Box([worst_block, self.reliability_block])]
        for pair in pairs:
            pair.add_class("vx-eval-pair")
        self.body = W.VBox([self.head, self.notes, pairs[0], pairs[1], pairs[2], self.surest_block],
                           layout=W.Layout(display="none"))
        self.body.add_class("vx-eval-body")
        self.fill([fields, self.hint, begin, self.progress, self.message, self.body])

        self.data.observe(self._choose_data, "value")
        for control in (self.who, self.data):
            control.observe(self._chosen_by_hand, "value")
        self.go.on_click(lambda _: self._begin())
        self.matrix.on_pick(self._pick_cell)
        self.table.on_pick(lambda row: self._pick_class(self._table_classes[row]))
        self.more.on_click(lambda _: self._show_cell(len(self.cell.answers) + FIRST))
        for name in ("cell", "worst", "surest"):
            getattr(self, name).on_pick(partial(self._pick_photo, name))
        self.view.observe(self._change_view, "value")
        for control in (self.of_class, self.kind):
            control.observe(lambda _: self._draw_curve(), "value")
        self.open.on_click(lambda _: self._open())
        self.open_both.on_click(lambda _: self._open(both=True))

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
        if tuple(options) != self.who.options:
            value = before if self._touched or on_screen is None else on_screen
            self._by_itself = True
            self.who.options = options
            self.who.value = value if value in {one for _, one in options} else "model"
            if not self._touched:
                learnt = self.who.value != "model" or run_behind(session.model, session.runs) is not None
                self.data.value = OWN if learnt else "flowers5"
            self._by_itself = False
        nothing = not session.runs and session.model is not None and run_behind(session.model, session.runs) is None
        self.hint.value = f'<span class="vx-soft">{FIRST_STEPS}</span>' if nothing else ""
        self._offer_both()

    def _chosen_by_hand(self, _change: Any = None) -> None:
        self._touched = self._touched or not self._by_itself

    def _choose_data(self, _change: Any = None) -> None:
        with self.session.lock:
            self.folder.layout.display = "" if self.data.value == FOLDER else "none"

    def _offer_both(self) -> None:
        differs = self.shown is not None and self.shown.model is not self.session.model
        self.open_both.layout.display = "" if differs else "none"

    # --- judging ---

    def _begin(self) -> None:
        """Judge what is chosen, in the background."""
        with self.session.lock:
            self.work.say("")
            self.work.start(self._judge, self._show, doing="opening the photos")

    def _judge(self, job: Job) -> Facts:
        from explorer.training.evaluation.evaluating import evaluate

        with self.session.lock:
            run = self.session.runs[int(self.who.value.split()[1])] if self.who.value != "model" else None
        subject = subject_of(self.session, run, self.data.value, folder=self.folder.value, split=self.part.value,
                             tta=self.tta.value)
        result = evaluate(subject.whom, subject.data, **subject.options, should_stop=job.ended,
                          on_progress=partial(job.progress, what="photos"))
        return facts_of(Judgement(result, subject.model, subject.lines, stopped=job.stopped))

    def _show(self, facts: Facts) -> None:
        """Another evaluation takes the place of the one before; the lock is held."""
        judged = facts.judged
        self._show_blocks(numbers=judged.numbers)
        self.shown, self._cell, self._rows, self._table_classes = judged, None, {}, facts.lines
        self.head.value, self.notes.value = facts.head, facts.notes
        self.table.show(facts.columns, facts.rows, csv=csv_text(facts.columns, facts.rows))
        self._put_chosen("")
        self.of_class.options = facts.curves
        if facts.weakest is not None:
            self.of_class.value = facts.weakest
        worst = judged.result.worst[:WORST]
        if judged.numbers:
            note = "The photo" if len(worst) == 1 else f"The {len(worst)} photos"
            note = f"{note} that it is furthest off for, worst first."
        else:
            self._show_classes(judged.result, len(facts.rows))
            note = f"The {len(worst)} photos with the highest loss, worst first."
        self.body.layout.display = ""
        self._offer_both()
        self._later("worst", partial(self._fill, "worst", worst, note))
        self._draw_curve()
        self.changed()

    def _show_classes(self, result: Evaluation, classes: int) -> None:
        """What there is of classes alone: the matrix, a cell of it, mistakes, the reliability diagram."""
        several = result.multi_label
        self.matrix_note.value = f'<p class="vx-soft">{SEVERAL if several else ROWS}</p>'
        if several:
            self.matrix.clear()
        else:
            self.matrix.show(result.classes, result.confusion.numpy())
        if not several and classes > BESIDE:
            self.matrix_pair.add_class("vx-eval-wide")
        else:
            self.matrix_pair.remove_class("vx-eval-wide")
        self.surest_block.layout.display = self.view.layout.display = "none" if several else ""
        self.cell.show([], note="Press a cell of the matrix, or a class in the table.")
        self.more.layout.display = "none"
        if not several:
            wrong = surest_mistakes(result)
            note = "Wrong, and most sure of it." if wrong else "There are no mistakes among these photos."
            self._later("surest", partial(self._fill, "surest", wrong, note))
            first = result.most_confused
            if first:
                i, j = result.index(first[0].true), result.index(first[0].predicted)
                self.matrix.mark(i, j)
                self._pick_cell((i,), (j,))
        self._later("reliability", partial(self._chart, self.reliability, result.plot_reliability,
                                           "Reliability diagram"))

    def _show_blocks(self, *, numbers: bool) -> None:
        """What there is of classes alone comes and goes; the headings say which of the two are judged."""
        for block in (self.matrix_pair, self.surest_block, self.reliability_block, self.kind):
            block.layout.display = "none" if numbers else ""
        for block, title in ((self.table_block, "Number by number" if numbers else "Class by class"),
                             (self.curve_block, "Predicted against true" if numbers else "One class against all others")):
            block.children[0].value = f"<h3>{title}</h3>"
        self.table.label = "Number by number" if numbers else "Class by class"
        self.worst.label = "Furthest off" if numbers else "The highest losses"
        self.of_class.description = "Number" if numbers else "Class"
        views = tuple((NUMBER_VIEWS if numbers else VIEWS).items())
        if self.view.options != views:
            self.view.options = views
        self.view.layout.display = ""
        self.view.value = "photo"

    # --- one thing after the other, in the background ---

    def _later(self, key: str, work: Callable[[Job], None]) -> None:
        """Do `work(job)` soon; a newer one of the same key takes its place."""
        self.painting.start(work, key=key)

    def _chart(self, place: W.HTML, plot: Callable[[], Any], label: str, job: Job) -> None:
        svg = themed_svg(plot(), label)
        job.tell(setattr, place, "value", svg)

    def _draw_curve(self) -> None:
        """The curve of the chosen class."""
        judged, name, kind = self.shown, self.of_class.value, self.kind.value
        if judged is None:
            return
        if name is None:
            self.curves.value = f'<p class="vx-soft">{NO_CURVE}</p>'
            return
        if judged.numbers:
            if name in judged.result.numbers:  # else the choice of an evaluation before
                self._later("curve", partial(self._chart, self.curves, lambda: judged.result.plot([name]),
                                             f"Predicted against true {name}"))
                if self.view.value != "photo":  # a heat map is of the chosen number
                    self._change_view()
                self.changed()
            return
        if name not in judged.result.classes:
            return
        plot = judged.result.plot_roc if kind == "roc" else judged.result.plot_pr
        self._later("curve", partial(self._chart, self.curves, lambda: plot([name]), f"{kind} curve of {name}"))
        self.changed()

    # --- photos ---

    def _pick_cell(self, true: Sequence[int] | None, predicted: Sequence[int] | None) -> None:
        with self.session.lock:
            self._cell = (true, predicted)
            self._show_cell(FIRST)
            self.changed()

    def _pick_class(self, index: int) -> None:
        """A class in the table: its photos, its row in the matrix, its curves."""
        with self.session.lock:
            if self.shown.numbers:
                self.of_class.value = self.shown.result.numbers[index]
                return
            name = self.shown.result.classes[index]
            if name in self.of_class.options:
                self.of_class.value = name
            if not self.shown.result.multi_label:
                self.matrix.mark(index, -1)
            self._pick_cell((index,), None)

    def _show_cell(self, count: int) -> None:
        if self.shown is None or self._cell is None:
            return
        result, (true, predicted) = self.shown.result, self._cell
        rows = cell_photos(result, true, predicted)
        what = cell_text(result, true, predicted, len(rows))
        few = f" The {min(count, len(rows))} with the highest loss." if len(rows) > count else ""
        with self.session.lock:
            self.more.layout.display = "" if len(rows) > count else "none"
        self._later("cell", partial(self._fill, "cell", rows[:count], what + few))

    def _fill(self, name: str, rows: list[JudgedPhoto], note: str, job: Job) -> None:
        """Open the photos of a row, small, and show them."""
        judged = self.shown
        photos = []
        for row in rows:
            if job.stale or judged is not self.shown:
                return
            answer = number_answer_of(judged.result, row) if judged.numbers else answer_of(row)
            photos.append((self._small(judged.result, row), answer))
        job.tell(self._show_photos, judged, name, rows, photos, note)

    def _show_photos(self, judged: Judgement, name: str, rows: list[JudgedPhoto], photos: list[Any],
                     note: str) -> None:
        if judged is self.shown:
            self._rows[name] = rows
            getattr(self, name).show(photos, note=note)

    def _small(self, result: Evaluation, row: JudgedPhoto) -> bytes:
        from PIL import Image

        from explorer.data.images import ImageError

        try:
            return thumbnail_jpeg(result.open_photo(row), SIDE)
        except (ImageError, ValueError):  # moved since, or there were only probabilities: its name is still there
            return thumbnail_jpeg(Image.new("RGB", (8, 8), "grey"), SIDE)

    def _change_view(self, _change: Any = None) -> None:
        if self.shown is not None and "worst" in self._rows:
            self._later("view", partial(self._show_view, self.view.value))
        self.changed()

    def _show_view(self, view: str, job: Job) -> None:
        """The worst photos as they are, or under a heat map for one of two classes."""
        judged, rows = self.shown, self._rows["worst"]
        pictures, notes = [], set()
        for number, row in enumerate(rows, 1):
            if job.stale or judged is not self.shown:
                return
            if view == "photo":
                pictures.append(self._small(judged.result, row))
                continue
            job.tell(setattr, self.view_note, "value", busy_html(f"heat map {number} of {len(rows)}"))
            try:
                pictures.append(self._heat(judged, row, view))
            except Exception as error:
                notes.add(_sentence(error))
                log.info("no heat map of %s: %s", row.name, error, exc_info=error)
                pictures.append(self._small(judged.result, row))
        if judged.numbers:
            why = f"Bright: what raised {escape(str(self.of_class.value))} (Grad-CAM)." * (view != "photo")
        else:
            why = {"predicted": "Bright: what spoke for the class that it gave (Grad-CAM).",
                   "true": "Bright: what spoke for the true class (Grad-CAM)."}.get(view, "")
        said = f'<p class="vx-soft">{why}</p>' * bool(why) + "".join(
            f'<div class="vx-note">{escape(note)}</div>' for note in sorted(notes))
        job.tell(self._show_pictures, judged, pictures, said)

    def _show_pictures(self, judged: Judgement, pictures: list[bytes], said: str) -> None:
        if judged is self.shown:
            self.worst.pictures(pictures)
            self.view_note.value = said

    def _heat(self, judged: Judgement, row: JudgedPhoto, view: str) -> bytes:
        from explorer.inspection.attribution.explaining import explain

        result = judged.result
        if judged.numbers:
            target = result.numbers.index(self.of_class.value)
        else:
            target = int((result.labels if view == "true" else result.predicted)[row.index])
        shown = explain(judged.model, result.open_photo(row), method="gradcam", target=target)
        return thumbnail_jpeg(shown.overlay(), SIDE)

    def _pick_photo(self, place: str, index: int) -> None:
        with self.session.lock:
            rows = self._rows.get(place, [])
            if self.shown is None or index >= len(rows):
                return
            self._picked = rows[index]
            words = number_photo_html if self.shown.numbers else photo_html
            self.one.value = words(self.shown.result, self._picked)
            self._put_chosen(place)
            self.changed()

    def _put_chosen(self, place: str) -> None:
        """Show what is known of the picked photo below the row that it was picked from; "" nowhere."""
        for name, block in self._places.items():
            rest = [child for child in block.children if child is not self.chosen]
            if name == place:
                rest.insert(rest.index(getattr(self, name)) + 1, self.chosen)
            if tuple(rest) != block.children:
                block.children = rest
            if name != place:
                getattr(self, name).selected = -1

    def _open(self, *, both: bool = False) -> None:
        """Make the picked photo the one that all panels show."""
        judged, row = self.shown, self._picked
        if judged is None or row is None:
            return

        def work(_job: Job) -> None:
            if both:
                self.session.open_model(judged.model if not _of_a_run(judged.model, self.session.runs) else
                                        copy_of_model(_of_a_run(judged.model, self.session.runs)))
            self.session.open_image(row.file or judged.result.open_photo(row), row.name)
            self.work.say(f"{row.name} is the photo that all panels show now.")

        self._later("open", work)

    # --- to keep ---

    def code(self) -> str:
        if self.shown is None:
            return ""
        result, lines = self.shown.result, list(self.shown.lines)
        if self.shown.stopped:
            lines.append("# it was stopped early: these lines judge all photos")
        lines.append("print(result)")
        if self._cell is not None and all(part is None or len(part) == 1 for part in self._cell):
            true, predicted = (None if part is None else result.classes[part[0]] for part in self._cell)
            lines.append(f"result.photos({true!r}, {predicted!r})")
        classes = [self.of_class.value] if self.of_class.value is not None else None
        lines.append(f"result.plot({'' if classes is None else repr(classes)})")
        if self.view.value != "photo":
            whom = "run.model" if any("explorer.evaluate(run" in line for line in lines) else "model"
            target = (result.numbers.index(self.of_class.value) if self.shown.numbers
                      else f"result.index(row.{self.view.value})")
            lines += [f"heat_maps = [explorer.explain({whom}, result.open_photo(row),",
                      f"                              target={target})",
                      f"             for row in result.worst[:{WORST}]]"]
        return "\n".join(lines)

    def figure(self) -> Any:
        if self.shown is None:
            return None
        return self.shown.result.plot([self.of_class.value] if self.of_class.value is not None else None)

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        from explorer.training.evaluation import number_report, report
        from explorer.training.evaluation.report import named

        result = self.shown.result
        words = number_report if self.shown.numbers else report
        parts = {"val": "photos held out to judge by", "train": "photos it learnt from"}
        part = parts.get(result.split, "all photos")
        return (f"{named(result)}, {part}: {words.headline(result)}. {' '.join(words.facts(result))} "
                f"explorer {__version__}.")

    def _title_now(self) -> str:
        """What is judged need not be what is on the screen."""
        from explorer.training.evaluation.report import named

        return f"{self.called}: {named(self.shown.result)}" if self.shown is not None else self.called

    def _file_name(self) -> str:
        from explorer.widgets.export import file_name

        return file_name(self._title_now())

    def forget(self) -> None:
        self.shown, self._picked, self._rows = None, None, {}


def _of_a_run(model: Any, runs: Sequence[Any]) -> Any:
    """The run that still owns this network, which nobody else may hold on to."""
    return next((run for run in runs if getattr(run, "model", None) is model), None)


def _sentence(error: Exception) -> str:
    """What went wrong, for a person; the traceback is in the log."""
    from explorer.data.datasets import DataError

    text = str(error)
    if isinstance(error, DataError) and "(finetune)" in text:  # classes that the model does not know
        return f"{text} The Train tab teaches them; then choose the run beside 'Judge'."
    return sentence_of(error)
