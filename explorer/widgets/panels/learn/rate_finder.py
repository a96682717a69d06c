"""The learning-rate finder under the field it fills: a short run of its own, drawn while it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.run_words import problem_text
from explorer.widgets.parts.live_chart import LiveChart

CURVE = "loss, smoothed"
# where each step goes through the body: a minute is long in a class
FEWER = {"start": 1e-5, "stop": 1.0, "steps": 32}

Asked = tuple[Any, Any, dict[str, Any]]  # model, data, settings of `find_lr`


def found_text(found: Any, *, stopped: bool) -> str:
    """What came of it, and what it cost."""
    cost = (f"{counted(len(found.rates), 'rate')}, one batch each of {found.photos} photos, in "
            f"{seconds_text(found.seconds)}. The model on the screen is as it was.")
    if stopped:
        return f"Stopped after {cost}"
    if found.suggestion is None:
        return f"The loss never fell clearly, so no rate stands out. Tried {cost}"
    return f"The loss falls fastest at {found.suggestion:.2g}. Tried {cost}"


class RateFinder(W.VBox):
    """A button that finds, a chart, and a button that takes what was found.

    ask:  called at the click; gives what is called in the background for (model, data, settings of
          `find_lr`). Either raises ValueError with a sentence
    take: called with the rate, as text
    """

    def __init__(self, panel: Panel, ask: Callable[[], Callable[[], Asked]], take: Callable[[str], None]):
        self._ask, self._take = ask, take

        def button(text: str, why: str = "", **options: Any) -> W.Button:
            layout = W.Layout(width="auto", flex="0 0 auto")  # one each: they are shown and hidden one by one
            return W.Button(description=text, tooltip=why, layout=layout, **options)

        self.find = button("Find rate", "Learns from one batch at each of many rates, from tiny to far too "
                           "large, and draws the loss. A copy learns: the model stays as it is")
        self.stop = button("Stop finding", disabled=True)
        self.use = button("Use it", "Writes the suggested rate into the field", disabled=True)
        self.note = W.HTML()
        self.chart = LiveChart(title="Loss by learning rate", x_label="log10 of the rate", height=150,
                               switches=[], empty="The first batch is on its way.", lock=panel.session.lock)
        self.buttons = W.HBox([self.find, self.stop, self.use], layout=W.Layout(flex_flow="row wrap"))
        self.buttons.add_class("vx-controls")
        super().__init__([self.buttons, self.note, self.chart])
        self.add_class("vx-rates")
        self.work = panel.line(long=True, failed=self._failed, over=lambda: self._show(looking=False))
        self.found: Any = None
        self._show(looking=False)
        panel.when(self.find, self._start)
        panel.when(self.stop, self.work.stop)
        panel.when(self.use, self._use)

    def _start(self) -> None:
        try:
            ask = self._ask()
        except ValueError as error:
            self._failed(error)
            return
        self.find.disabled = True
        self._say("looking at the photos …", 'class="vx-busy" role="status"')
        self.found = None
        self.chart.clear()
        self.work.start(partial(self._find, ask), self._take_over)

    def _show(self, *, looking: bool) -> None:
        self.find.disabled, self.stop.disabled = looking, not looking
        self.use.disabled = looking or self.found is None or self.found.suggestion is None
        wanted = {self.stop: looking, self.use: not self.use.disabled,
                  self.chart: looking or self.found is not None}
        for control, here in wanted.items():
            control.layout.display = "" if here else "none"

    def _say(self, text: str, kind: str = 'class="vx-soft" role="status"') -> None:
        self.note.value = f"<div {kind}>{escape(text)}</div>" if text else ""

    def _failed(self, error: BaseException) -> None:
        self._say(problem_text(error), 'class="vx-error" role="alert"')

    def _find(self, ask: Callable[[], Asked], job: Job) -> tuple[Any, bool]:
        """(what was found, whether it was stopped)."""
        from explorer.models.surgery.inside import task_inside
        from explorer.training.run.lr_finder import find_lr

        model, data, settings = ask()
        job.tell(lambda: self._show(looking=True))
        cached = settings.get("train", "head") == "head" and settings.get("cache", True) and \
            task_inside(model) == "classification"
        found = find_lr(model, data, on_rate=lambda rate, loss: job.tell(self._draw, rate, loss),
                        should_stop=job.ended, **({} if cached else FEWER), **settings)
        return found, job.stopped

    def _take_over(self, outcome: tuple[Any, bool]) -> None:
        found, stopped = outcome
        self.found = found if found.rates else None
        self.chart.finish()
        rate = found.suggestion
        self.chart.marks = [] if rate is None else [[math.log10(rate), f"{rate:.2g}"]]
        self._say(found_text(found, stopped=stopped))

    def _draw(self, rate: float, loss: float) -> None:
        if not self.chart.names:
            self._say("trying one rate after another …", 'class="vx-busy" role="status"')
        self.chart.push(math.log10(rate), {CURVE: loss})

    def forget(self) -> None:
        """Another model, other photos or settings that matter: what was found is about those before."""
        self.work.drop()
        self.found = None
        self.chart.clear()
        self.note.value = ""
        self._show(looking=False)

    def _use(self) -> None:
        if self.found is not None and self.found.suggestion is not None:
            self._take(f"{self.found.suggestion:.2g}")
