"""The trials of a search while they are tried, and afterwards: table, curves, which settings matter."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.search import words
from explorer.widgets.panels.search.plan import Plan
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.evaluation_card import themed_svg
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.sort_table import SortTable

PAINTED = 4.0  # seconds between two drawings of the charts, which take a part of one, while trials go on
FIRST = "The first epoch is on its way."


class TrialsView(W.VBox):
    """plan, result: of the search that is shown, None before the first;  trials: by their numbers"""

    def __init__(self, panel: Panel, said_already: Callable[[], Sequence[str]]):
        """said_already: gives the notes on the photos, which stand beside these"""
        self.panel, self.said_already = panel, said_already
        self.plan: Plan | None = None
        self.result: Any = None
        self.trials: dict[int, Any] = {}
        self.over = True
        self._alone: int | None = None     # the trial whose curve is drawn alone
        self._painted: Any = None          # the result that the charts are of, and when they were drawn
        self._painted_at = 0.0
        self.painting = panel.line()
        lock = panel.session.lock
        self.best, self.one, self.notes, self.matters, self.lines = (W.HTML() for _ in range(5))
        self.use = W.Button(description="Open the best", layout=W.Layout(width="auto", flex="0 0 auto"),
                             tooltip="Its run joins Runs and Train, and its model all panels", disabled=True)
        self.use.add_class("vx-open")
        self.table = SortTable(label="Trials", lock=lock)
        self.curves = LiveChart(x_label="epoch", switches=[], empty=FIRST, lock=lock)
        line = W.HBox([self.best, self.use])
        line.add_class("vx-line")
        self.table.on_pick(lambda index: panel.tell(self._pick, index))
        beside = W.Box([W.VBox([W.HTML("<h3>What matters</h3>"), self.matters]),
                        W.VBox([W.HTML("<h3>From settings to figure</h3>"), self.lines])])
        beside.add_class("vx-search-charts")
        self.empty = W.HTML('<span class="vx-soft">No trial yet. Start, and each has a row and a curve '
                            "here.</span>")
        self.body = W.VBox([line, self.table, self.one, self.curves, beside, self.notes])
        self.body.add_class("vx-search-body")
        self.body.layout.display = "none"
        super().__init__([self.empty, self.body])
        self.add_class("vx-search-trials")

    # --- what is told: the lock is held ---

    def begin(self, plan: Plan) -> None:
        """Another search, or the same once more, whose trials so far stay."""
        if self.plan is None or self.plan.key != plan.key:
            self.result, self.trials, self._alone, self._painted = None, {}, None, None
            for place in (self.best, self.one, self.notes, self.matters, self.lines):
                place.value = ""
            self.curves.clear()
            self.curves.hidden = []
            self.use.disabled = True
        self.plan, self.over = plan, False
        self.body.layout.display, self.empty.layout.display = "", "none"
        self.draw()

    def hear(self, trial: Any) -> None:
        """One trial has begun, has another epoch, or is over."""
        self.trials[trial.number] = trial
        self.draw()

    def take(self, result: Any) -> None:
        """All trials so far."""
        self.result = result
        self.trials = {trial.number: trial for trial in result.trials}
        self.draw()

    def end(self) -> None:
        """Nothing is tried any more: what was broken off is no trial. May be called twice."""
        if self.over:
            return
        self.trials = {number: trial for number, trial in self.trials.items() if trial.state != "running"}
        if self.result is not None and self.trials:
            kept = tuple(trial for trial in self.result.trials if trial.number in self.trials)
            self.result = replace(self.result, trials=kept)
        self.over = True
        self.draw()
        self.curves.finish()

    # --- what is drawn: the lock is held ---

    @property
    def figure(self) -> str:
        """What the search is by, in words."""
        if self.result is not None:
            return self.result.figure
        return "validation loss" if self.plan is not None and self.plan.by == "loss" else "figure"

    @property
    def shares(self) -> bool:
        return self.result.shares if self.result is not None else False

    @property
    def winner(self) -> Any:
        """The best finished trial, as the result sorts them; None before the first."""
        if self.result is None:
            return None
        best = self.result.trials[0] if self.result.trials else None
        return self.trials.get(best.number) if best is not None and best.state == "finished" else None

    def draw(self) -> None:
        plan = self.plan
        if plan is None:
            return
        trials, best = [self.trials[number] for number in sorted(self.trials)], self.winner
        columns, rows = words.table_of(plan, trials, best, self.figure, shares=self.shares)
        self.table.show(columns, rows, csv=words.csv_of(plan, trials, self.figure))
        self._draw_curves(plan, trials, best)
        said = "" if best is None else words.best_text(plan, best, self.figure, shares=self.shares,
                                                       over=self.over)
        self.best.value = f"<b>{escape(said)}</b>" if said else ""
        notes = self.result.notes if self.result is not None else ()
        self.notes.value = notes_html(note for note in notes if note not in self.said_already())
        if self._alone is not None and self._alone in self.trials:
            self._say_one()
        self._paint()
        self.panel.changed()

    def _draw_curves(self, plan: Plan, trials: Sequence[Any], best: Any) -> None:
        chart, told = self.curves, [trial for trial in trials if trial.history]
        drawn = told[-words.MOST_LINES:]
        if best is not None and best not in drawn and best.history:
            drawn = [best, *drawn]
        chart.title = f"{self.figure[0].upper()}{self.figure[1:]}, of the photos that judge"
        chart.unit = "percent" if self.shares else "number"
        chart.x_end = max([words.epochs_of(plan, trial) for trial in trials], default=1)
        chart.replace({name_of(trial.number): list(enumerate(trial.history, 1)) for trial in drawn})
        marks = []
        if best is not None and best.history:
            choose = max if self.result.higher else min
            marks = [[best.history.index(choose(best.history)) + 1, f"best: trial {best.number}"]]
        if chart.marks != marks:
            chart.marks = marks
        hidden = [] if self._alone is None else [name for name in chart.names if name != name_of(self._alone)]
        if self._alone is not None and chart.hidden != hidden:
            chart.hidden = hidden

    def _pick(self, index: int) -> None:
        """A press on a trial's number: its curve alone, and what it was; once more: all of them."""
        number = sorted(self.trials)[index] if index < len(self.trials) else None
        self._alone = None if number == self._alone else number
        if self._alone is None:
            self.one.value, self.curves.hidden = "", []
        self.draw()

    def _say_one(self) -> None:
        trial = self.trials[self._alone]
        said = words.trial_text(self.plan, trial, self.figure, shares=self.shares)
        self.one.value = (f'<div class="vx-note" role="status">{escape(said)} Its curve is drawn alone; '
                          "press its number again for all.</div>")

    def _paint(self) -> None:
        """Which settings matter, and the lines from settings to figure: drawn in the background."""
        plan, result, now = self.plan, self.result, time.monotonic()
        if result is None or result is self._painted or not self.over and now - self._painted_at < PAINTED:
            return
        self._painted, self._painted_at = result, now
        done = sum(trial.state == "finished" for trial in result.trials)
        if result.importance:
            self.matters.value = words.matters_html(plan, result.importance)
        else:
            self.matters.value = f'<span class="vx-soft">{escape(words.too_few_text(done))}</span>'
        if sum(trial.value is not None for trial in result.trials) < 2:
            self.lines.value = '<span class="vx-soft">Drawn from the second trial on.</span>'
            return

        def work(_job: Job) -> str:
            label = f"Parallel coordinates: a line a trial, through its settings to its {result.figure}"
            return themed_svg(parallel(plan, result), label)

        self.painting.start(work, lambda svg: setattr(self.lines, "value", svg))

    def forget(self) -> None:
        self.plan = self.result = self._painted = None
        self.trials = {}


def name_of(number: int) -> str:
    """What a trial's curve is called."""
    return f"trial {number}"


def parallel(plan: Plan, result: Any) -> Any:
    """The core's chart in the panel's words; a model of one's own by the name on the screen."""
    def said(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {plan.titles[name]: value if name != "model" or isinstance(value, str) else plan.own_name
                for name, value in settings.items()}

    named = tuple(replace(trial, settings=said(trial.settings)) for trial in result.trials)
    return replace(result, trials=named, space=tuple(plan.titles[name] for name in result.space)).plot()
