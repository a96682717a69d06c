"""Which class is taken for which: the matrix, the table of classes or numbers, the photos of a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import block, head, pair, show_if
from explorer.widgets.panels.evaluate.charts import Charts
from explorer.widgets.panels.evaluate.class_facts import ClassFacts
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.photos import Photos
from explorer.widgets.panels.evaluate.words import CONFUSION, ROWS, SEVERAL
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.evaluation_card import cell_photos, cell_text, csv_text
from explorer.widgets.parts.sort_table import SortTable

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation

FIRST = 24        # photos of a cell that are shown at once; a button shows more
BESIDE = 12       # classes up to which the matrix leaves room for photos beside it

Part = Sequence[int] | None  # classes of one side of a cell; None: all


class Cells:
    """chosen: (true, predicted) classes of the cell whose photos are shown, None for none

    photos, charts: where a cell's photos go, and a class's curve
    changed: called when another cell is chosen
    """

    def __init__(self, panel: Panel, photos: Photos, charts: Charts, changed: Callable[[], None]):
        lock = panel.session.lock
        self.photos, self.charts, self.changed = photos, charts, changed
        self.chosen: tuple[Part, Part] | None = None
        self._judged: Judgement | None = None
        self._lines: list[int] = []  # which class or number each row of the table is
        self.matrix, self.matrix_note = ConfusionMatrix(lock=lock), W.HTML()
        self.table = SortTable(label="Class by class", lock=lock)
        matrix = block(CONFUSION, self.matrix_note, self.matrix)
        self.matrix_pair = pair(matrix, photos.blocks["cell"])
        self.table_block = block("Class by class", self.table)
        self.matrix.on_pick(partial(panel.tell, self._pick))
        self.table.on_pick(partial(panel.tell, self._pick_line))
        panel.when(photos.more, lambda: self._show_photos(len(photos.cell.answers) + FIRST))

    def show(self, facts: ClassFacts) -> None:
        """Another evaluation; the lock is held."""
        judged = facts.judged
        self._judged, self.chosen, self._lines = judged, None, facts.lines
        title = "Number by number" if judged.numbers else "Class by class"
        self.table.label = title
        head(self.table_block, title)
        self.table.show(facts.columns, facts.rows, csv=csv_text(facts.columns, facts.rows))
        show_if(not judged.numbers, self.matrix_pair)
        if not judged.numbers:
            self._show_matrix(judged.result, len(facts.rows))

    def _show_matrix(self, result: Evaluation, classes: int) -> None:
        several = result.multi_label
        self.matrix_note.value = f'<p class="vx-soft">{SEVERAL if several else ROWS}</p>'
        if not several and classes > BESIDE:
            self.matrix_pair.add_class("vx-eval-wide")
        else:
            self.matrix_pair.remove_class("vx-eval-wide")
        self.photos.cell.show([], note="Press a cell of the matrix, or a class in the table.")
        show_if(False, self.photos.more)
        if several:
            self.matrix.clear()
            return
        self.matrix.show(result.classes, result.confusion.numpy())
        first = result.most_confused
        if first:
            i, j = result.index(first[0].true), result.index(first[0].predicted)
            self.matrix.mark(i, j)
            self._pick((i,), (j,))

    def _pick(self, true: Part, predicted: Part) -> None:
        if self._judged is not None:
            self.chosen = (true, predicted)
            self._show_photos(FIRST)
            self.changed()

    def _pick_line(self, row: int) -> None:
        """A class in the table: its photos, its row in the matrix, its curves; or a number: its curve."""
        if self._judged is None:
            return
        result, index = self._judged.result, self._lines[row]
        if self._judged.numbers:
            self.charts.choose(result.numbers[index])
            return
        self.charts.choose(result.classes[index])
        if not result.multi_label:
            self.matrix.mark(index, -1)
        self._pick((index,), None)

    def _show_photos(self, count: int) -> None:
        if self._judged is None or self.chosen is None:
            return
        result, (true, predicted) = self._judged.result, self.chosen
        rows = cell_photos(result, true, predicted)
        few = f" The {min(count, len(rows))} with the highest loss." if len(rows) > count else ""
        show_if(len(rows) > count, self.photos.more)
        self.photos.fill("cell", rows[:count], cell_text(result, true, predicted, len(rows)) + few)

    def forget(self) -> None:
        self._judged = None

    def code(self, judged: Judgement) -> list[str]:
        """A line that gives the photos of the chosen cell; none for several classes at once."""
        if self.chosen is None or not all(part is None or len(part) == 1 for part in self.chosen):
            return []
        classes = judged.result.classes
        true, predicted = (None if part is None else classes[part[0]] for part in self.chosen)
        return [f"result.photos({true!r}, {predicted!r})"]
