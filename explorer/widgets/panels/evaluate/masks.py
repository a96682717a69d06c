"""What the page shows of a model that finds masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import block, pair
from explorer.widgets.panels.evaluate.judgement import Facts, Judgement
from explorer.widgets.panels.evaluate.place_photos import PlacePhotos
from explorer.widgets.panels.evaluate.place_words import (
    OUTLINED,
    PIXEL_ROWS,
    Columns,
    Rows,
    mask_headline_html,
    mask_rows,
    photo_of_masks,
)
from explorer.widgets.panels.evaluate.words import CONFUSION
from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.evaluation_card import csv_text, notes_html, themed_svg
from explorer.widgets.parts.sort_table import SortTable


@dataclass(frozen=True)
class MaskFacts(Facts):
    columns: Columns
    rows: Rows


class MaskBlocks:
    def __init__(self, panel: Panel, painting: Line, open_photo: Callable[..., None]):
        lock = panel.session.lock
        self.painting = painting
        self._judged: Judgement | None = None
        self.photos = PlacePhotos(panel, painting, {"worst": "Worst photos"}, opens="Segment",
                                  said=photo_of_masks, open_photo=open_photo,
                                  picture=lambda result, row, large: result.overlay(row))
        self.matrix = ConfusionMatrix(things="pixels", shares=True, opens=False, lock=lock)
        self.table = SortTable(label="Class by class", lock=lock)
        self.bars = W.HTML()
        matrix = block(CONFUSION, W.HTML(f'<p class="vx-soft">{PIXEL_ROWS}</p>'),
                       self.matrix)
        self.body = [pair(matrix, block("IoU of each class", self.bars)),
                     block("Class by class", self.table), self.photos.blocks["worst"]]
        self.held = [self.photos.chosen]
        self.table.on_pick(partial(panel.tell, self._pick_class))

    @staticmethod
    def work_out(judged: Judgement) -> MaskFacts:
        result = judged.result
        return MaskFacts(judged, mask_headline_html(result), notes_html(result), *mask_rows(result))

    # --- the lock is held ---

    def show(self, facts: MaskFacts) -> None:
        self._judged = facts.judged
        result = facts.judged.result
        self.photos.begin(facts.judged)
        self.table.show(facts.columns, facts.rows, csv=csv_text(facts.columns, facts.rows))
        self.matrix.show(result.classes, result.confusion)
        self.photos.fill("worst", result, result.worst, f"The lowest mean IoU first. {OUTLINED}")

        def work(_job: Job) -> str:
            return themed_svg(result.plot(), "IoU of each class")

        self.painting.start(work, lambda svg: setattr(self.bars, "value", svg), key="bars")

    def _pick_class(self, row: int) -> None:
        """A class in the table: of the worst photos those that have it, by its IoU in them."""
        if self._judged is not None:
            result = self._judged.result
            name = [*result.per_class][row]
            self.photos.fill("worst", result, result.worst_of(name),
                             f"Of these the ones with {name}, its lowest IoU first. {OUTLINED}")

    def offer_model(self, differs: bool) -> None:
        self.photos.offer_model(differs)

    # --- to keep ---

    def said(self, judged: Judgement) -> tuple[str, Sequence[str]]:
        from explorer.training.evaluation import mask_report

        return mask_report.headline(judged.result), mask_report.facts(judged.result)

    def code(self, judged: Judgement) -> list[str]:
        return ["result.plot()", *(["result.overlay(result.worst[0])"] if judged.result.worst else [])]

    def figure(self, judged: Judgement) -> Any:
        return judged.result.plot()

    def forget(self) -> None:
        self._judged = None
        self.photos.forget()
