"""What the page shows of a model that finds boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.evaluate.blocks import block, controls, pair, show_if
from explorer.widgets.panels.evaluate.judgement import Facts, Judgement
from explorer.widgets.panels.evaluate.place_photos import PlacePhotos
from explorer.widgets.panels.evaluate.place_words import (
    BOX_ROWS,
    DASHED,
    Columns,
    Rows,
    box_headline_html,
    box_rows,
    cell_words,
    photo_of_boxes,
    score_html,
    size_rows,
)
from explorer.widgets.panels.evaluate.words import CONFUSION, NO_BOX_CURVE
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.evaluation_card import csv_text, notes_html, themed_svg
from explorer.widgets.parts.sort_table import SortTable

Part = Sequence[int] | None  # classes of one side of a cell; None: all
TITLES = {"cell": "Photos of the chosen cell", "worst": "Worst photos"}
TOGETHER = "the weakest together", -1  # as a choice of a curve; None would be no choice


@dataclass(frozen=True)
class AtScore:
    """What depends on the score: the evaluation from there on, its figures as HTML, the rows of its table."""

    result: Any
    figures: str
    columns: Columns
    rows: Rows


@dataclass(frozen=True)
class BoxFacts(Facts):
    """at: what depends on the score;  sizes: columns and rows of that table
    curves: (name, index) of the classes with a box
    """

    at: AtScore
    sizes: tuple[Columns, Rows]
    curves: list[tuple[str, int]]


def at_score(result: Any, score: float) -> AtScore:
    shown = result.at(score=score)
    return AtScore(shown, score_html(shown), *box_rows(shown))


class BoxBlocks:
    """score: the slider;  at: what is shown of it, None before a judgement"""

    def __init__(self, panel: Panel, painting: Line, open_photo: Callable[..., None]):
        lock = panel.session.lock
        self.painting, self.changed = painting, panel.changed
        self.at: AtScore | None = None
        self._judged: Judgement | None = None
        self._marked: tuple[int, int] | None = None  # the cell whose photos are shown, -1 for all
        self.photos = PlacePhotos(panel, painting, TITLES, opens="Detect", said=photo_of_boxes,
                                  open_photo=open_photo,
                                  picture=lambda result, row, large: result.overlay(row, names=large))
        self.score = labelled("Score from", W.FloatSlider, min=0.0, max=1.0, step=0.05, value=0.3,
                              continuous_update=False, readout_format=".2f",
                              layout=W.Layout(width="min(420px, 100%)"))
        self.figures, self.curve = W.HTML(), W.HTML()
        self.matrix = ConfusionMatrix(things="things", lock=lock)
        self.of_class = labelled("Class", W.Dropdown, options=[TOGETHER],
                                 layout=W.Layout(width="auto"))
        self.iou = W.ToggleButtons(options=[("IoU 0.5", 0.5), ("IoU 0.75", 0.75)])
        self.table = SortTable(label="Class by class", lock=lock)
        self.sizes = SortTable(label="AP by size", lock=lock)
        above = block("Boxes from a score on", self.score, self.figures)
        matrix = block(CONFUSION, W.HTML(f'<p class="vx-soft">{BOX_ROWS}</p>'),
                       self.matrix)
        curve = block("Precision against recall", controls(self.of_class, self.iou), self.curve)
        sizes = block("AP by the size of the box, in pixels", self.sizes)
        self.body = [pair(W.VBox([above, matrix]), W.VBox([curve, sizes])),
                     block("Class by class", self.table), self.photos.blocks["worst"],
                     self.photos.blocks["cell"]]
        self.held = [self.photos.chosen]
        panel.when(self.score, self._another_score)
        for control in (self.of_class, self.iou):
            panel.when(control, self._draw)
        self.matrix.on_pick(partial(panel.tell, self._pick))
        self.table.on_pick(partial(panel.tell, self._pick_class))

    @staticmethod
    def work_out(judged: Judgement) -> BoxFacts:
        result = judged.result
        curves = [(name, k) for k, (name, one) in enumerate(result.per_class.items()) if one.boxes]
        return BoxFacts(judged, box_headline_html(result), notes_html(result),
                        at_score(result, result.score), size_rows(result), curves)

    # --- the lock is held ---

    def show(self, facts: BoxFacts) -> None:
        self._judged = None  # the choices below are no wishes of the reader's
        self._marked = None
        self.photos.begin(facts.judged)
        self.score.value = facts.judged.result.score
        self.of_class.options = [TOGETHER, *facts.curves]
        self.sizes.show(*facts.sizes, csv=csv_text(*facts.sizes))
        show_if(False, self.photos.blocks["cell"])
        self._judged = facts.judged
        self._show_at(facts.at)
        self._draw()

    def _another_score(self) -> None:
        if self._judged is not None:
            result, score = self._judged.result, self.score.value
            self.painting.start(lambda _job: at_score(result, score), self._show_at, key="score")

    def _show_at(self, at: AtScore) -> None:
        """What depends on the score."""
        self.at = at
        self.figures.value = at.figures
        self.table.show(at.columns, at.rows, csv=csv_text(at.columns, at.rows))
        self.matrix.show(at.result.cells, at.result.confusion)
        worst = at.result.worst
        self.photos.fill("worst", at.result, worst, f"The lowest F1 first. {DASHED}")
        if self._marked is not None:
            self.matrix.mark(*self._marked)
            self._show_cell()
        self.changed()

    def _pick(self, true: Part, predicted: Part) -> None:
        if self.at is None or any(part is not None and len(part) > 1 for part in (true, predicted)):
            return  # several classes at once, which are not on this page of the matrix
        self._marked = tuple(-1 if part is None else part[0] for part in (true, predicted))
        self._show_cell()
        self.changed()

    def _pick_class(self, row: int) -> None:
        """A class in the table: its curve, its photos."""
        if row in dict(self.of_class.options).values():
            self.of_class.value = row
        self.matrix.mark(row, -1)
        self._pick((row,), None)

    def _names(self) -> list[str | None]:
        return [None if place < 0 else self.at.result.cells[place] for place in self._marked]

    def _show_cell(self) -> None:
        true, predicted = self._names()
        nothing = self.at.result.cells[-1]
        rows = self.at.result.photos(true, predicted)
        show_if(True, self.photos.blocks["cell"])
        words = cell_words(true, predicted, nothing, len(rows))
        self.photos.fill("cell", self.at.result, rows, f"{words} {DASHED}")

    def offer_model(self, differs: bool) -> None:
        self.photos.offer_model(differs)

    @property
    def _chosen(self) -> list[str] | None:
        """The class whose curve is drawn; None for the weakest ones together."""
        return None if self.of_class.value < 0 else [self.at.result.classes[self.of_class.value]]

    def _draw(self) -> None:
        judged, iou = self._judged, self.iou.value
        if judged is None:
            return
        if len(self.of_class.options) == 1:
            self.curve.value = f'<p class="vx-soft">{NO_BOX_CURVE}</p>'
        else:
            plot = partial(judged.result.plot, self._chosen, iou=iou)
            label = f"Precision against recall at IoU {iou:g}: {self.of_class.label}"

            def work(_job: Job) -> str:
                return themed_svg(plot(), label)

            self.painting.start(work, lambda svg: setattr(self.curve, "value", svg), key="curve")
        self.changed()

    # --- to keep ---

    def said(self, judged: Judgement) -> tuple[str, Sequence[str]]:
        from explorer.training.evaluation import box_report

        return box_report.headline(self.at.result), box_report.facts(self.at.result)

    def code(self, judged: Judgement) -> list[str]:
        lines = []
        if self.at.result.score != judged.result.score:
            lines.append(f"result = result.at(score={round(self.at.result.score, 2)})")
        if self._marked is not None:
            lines.append("result.photos({!r}, {!r})".format(*self._names()))
        return [*lines, f"result.plot({self._plot()})"]

    def _plot(self) -> str:
        return ", ".join([repr(self._chosen), *([f"iou={self.iou.value}"] if self.iou.value != 0.5 else [])])

    def figure(self, judged: Judgement) -> Any:
        return judged.result.plot(self._chosen, iou=self.iou.value)

    def forget(self) -> None:
        self._judged = self.at = None
        self.photos.forget()
