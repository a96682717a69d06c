"""First filters: the weights that meet the photo's own pixels."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.panels.inside.block import Block, Host, picture
from explorer.widgets.panels.work import notes_html
from explorer.widgets.snippets import call

if TYPE_CHECKING:
    from explorer.inspection.inside.filters import Filters
    from explorer.inspection.look.result import Look

SHEET = 460  # pixels, about, of the picture of all filters


class FirstFilters(Block):
    name, menu = "filters", "First filters"
    about = "What the layer that reads the photo's own pixels looks for. Grey is a weight of zero."
    of_photo = False

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.view = W.HTML()
        self.cell, self.columns = 24, None
        self.children = [self.problem, self.view]

    def follow(self, look: Look, model: Any) -> None:
        key = self.panel.models
        if self.wanted == key:
            return

        def step(job):
            from explorer.inspection.inside.filters import first_convolution, first_filters

            weights = first_convolution(model)[1].weight
            kernels = weights.shape[0] * (1 if weights.shape[1] == 3 else weights.shape[1])
            self.cell = max(12, min(56, round(SHEET / kernels ** 0.5)))
            self.columns = even_columns(kernels) if kernels == len(weights) else None
            return first_filters(model, **self.options)

        self.panel.ask(self, key, step)

    def empty(self) -> None:
        self.view.value = ""

    def show(self, found: Filters) -> None:
        height, width = found.size
        channels = found.weights.shape[1]
        kind = "a colour picture" if channels == 3 else f"{counted(channels, 'grey picture')} in a row"
        sheet = picture(found.picture, alt=found.caption, side=found.picture.width, crisp=True)
        text = (f"<b>{found.count}</b> filters of {escape(found.path)}, {height} × {width} pixels. Each is "
                f"{kind}, on its own scale, from its largest weight to minus that.")
        self.view.value = f"{notes_html(found.notes)}{sheet}<p>{text}</p>"

    @property
    def options(self) -> dict[str, int]:
        return {"cell": self.cell} | ({"columns": self.columns} if self.columns else {})

    def code(self) -> str:
        call_text = call("explorer.first_filters", "model", options=self.options)
        return "\n".join(["import explorer", "", *self.ran.opening, call_text])

    def figure(self) -> Any:
        return self.shown.picture

    def caption(self) -> str:
        return f"{self.shown.caption}."


def even_columns(count: int) -> int | None:
    """So many that no row stays short, and the sheet is at most twice as wide as high;
    None where that can't be.
    """
    return next((columns for columns in range(math.isqrt(count - 1) + 1, count + 1) if count % columns == 0
                 and columns ** 2 <= 2 * count), None)
