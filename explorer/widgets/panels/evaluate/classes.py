"""What the page shows of a model that tells classes, or gives numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from explorer.widgets.jobs import Line
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import pair, show_if
from explorer.widgets.panels.evaluate.cells import Cells
from explorer.widgets.panels.evaluate.charts import Charts
from explorer.widgets.panels.evaluate.class_facts import ClassFacts, facts_of_classes
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.photos import Photos


class ClassBlocks:
    """photos, charts, cells: the parts of it

    painting: pictures are made there;  open_photo: makes a photo the dashboard's
    """

    def __init__(self, panel: Panel, painting: Line, open_photo: Callable[..., None]):
        self.charts = Charts(panel, painting, panel.changed)
        self.photos = Photos(panel, painting, lambda: self.charts.chosen, panel.changed)
        self.cells = Cells(panel, self.photos, self.charts, panel.changed)
        self._judged: Judgement | None = None
        blocks, charts = self.photos.blocks, self.charts
        self.body = [self.cells.matrix_pair, pair(self.cells.table_block, charts.curve_block),
                     pair(blocks["worst"], charts.reliability_block), blocks["surest"]]
        self.held = [self.photos.chosen]  # stands nowhere until a photo is picked
        panel.when(charts.of_class, self._another_number)
        panel.when(self.photos.open, lambda: open_photo(self.photos.picked))
        panel.when(self.photos.open_both, lambda: open_photo(self.photos.picked, both=True))

    @staticmethod
    def work_out(judged: Judgement) -> ClassFacts:
        return facts_of_classes(judged)

    def said(self, judged: Judgement) -> tuple[str, Sequence[str]]:
        from explorer.training.evaluation import number_report, report

        words = number_report if judged.numbers else report
        return words.headline(judged.result), words.facts(judged.result)

    def show(self, facts: ClassFacts) -> None:
        self._judged = facts.judged
        self.photos.show(facts.judged)
        self.charts.show(facts)
        self.cells.show(facts)

    def offer_model(self, differs: bool) -> None:
        show_if(differs, self.photos.open_both)

    def _another_number(self) -> None:
        """A heat map is of the chosen number."""
        judged = self._judged
        if judged is not None and judged.numbers and self.photos.view.value != "photo":
            self.photos.change_view()

    def code(self, judged: Judgement) -> list[str]:
        chosen = self.charts.chosen
        plot = f"result.plot({'' if chosen is None else repr([chosen])})"
        return [*self.cells.code(judged), plot, *self.photos.code(judged)]

    def figure(self, judged: Judgement) -> Any:
        return judged.result.plot(None if self.charts.chosen is None else [self.charts.chosen])

    def forget(self) -> None:
        self._judged = None
        for part in (self.photos, self.charts, self.cells):
            part.forget()
