"""The charts of an evaluation: whether it is as sure as it is right, and the curve of one class or number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import block, controls, head, show_if
from explorer.widgets.panels.evaluate.class_facts import ClassFacts
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.words import NO_CURVE
from explorer.widgets.parts.evaluation_card import themed_svg


class Charts:
    """chosen: the class or number that the figure of this evaluation is of, None for none

    painting: charts are drawn there, of each place the newest
    changed:  called when another class or number is chosen
    """

    def __init__(self, panel: Panel, painting: Line, changed: Callable[[], None]):
        self.panel, self.painting, self.changed = panel, painting, changed
        self.chosen: str | None = None
        self._judged: Judgement | None = None
        self.reliability, self.curves = W.HTML(), W.HTML()
        self.of_class = W.Dropdown(description="Class", options=[], layout=W.Layout(width="auto"),
                                   style={"description_width": "initial"})
        self.kind = W.ToggleButtons(options=[("ROC", "roc"), ("precision-recall", "pr")])
        self.reliability_block = block("Is it as sure as it is right? (calibration)", self.reliability)
        choice = controls(self.of_class, self.kind)
        self.curve_block = block("One class against all others", choice, self.curves)
        for control in (self.of_class, self.kind):
            panel.when(control, self._draw)

    def show(self, facts: ClassFacts) -> None:
        """Another evaluation; the lock is held."""
        judged = facts.judged
        self._judged = None  # the choices below are no wishes of the reader's
        show_if(not judged.numbers, self.reliability_block, self.kind)
        head(self.curve_block, "Predicted against true" if judged.numbers else "One class against all others")
        self.of_class.description = "Number" if judged.numbers else "Class"
        self.of_class.options = facts.curves
        if facts.weakest is not None:
            self.of_class.value = facts.weakest
        self._judged = judged
        if not judged.numbers:
            plot = judged.result.plot_reliability
            self._later("reliability", self.reliability, plot, "Reliability diagram")
        self._draw()

    def choose(self, name: str) -> None:
        """The curve of a class or number, where it has one."""
        if name in self.of_class.options:
            self.of_class.value = name

    def forget(self) -> None:
        self._judged = None

    def _draw(self) -> None:
        judged, name, kind = self._judged, self.of_class.value, self.kind.value
        if judged is None:
            return
        self.chosen = name
        if name is None:
            self.curves.value = f'<p class="vx-soft">{NO_CURVE}</p>'
        elif judged.numbers:
            plot = partial(judged.result.plot, [name])
            self._later("curve", self.curves, plot, f"Predicted against true {name}")
        else:
            plot = judged.result.plot_roc if kind == "roc" else judged.result.plot_pr
            self._later("curve", self.curves, partial(plot, [name]), f"{kind} curve of {name}")
        self.changed()

    def _later(self, key: str, place: W.HTML, plot: Callable[[], Any], label: str) -> None:
        def work(_job: Job) -> str:
            return themed_svg(plot(), label)

        self.painting.start(work, lambda svg: setattr(place, "value", svg), key=key)
