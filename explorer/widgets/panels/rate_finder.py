"""The learning-rate finder under the field it fills: a short run of its own, drawn while it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.run_view import problem_text
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.session import Session

CURVE = "loss, smoothed"
FEWER = {"start": 1e-5, "stop": 1.0, "steps": 32}  # where each step goes through the body: a minute is long in a class


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

    ask:  gives (model, data, settings of `find_lr`); in the background. Raises ValueError with a sentence
    take: called with the rate, as text
    """

    def __init__(self, session: Session, ask: Callable[[], tuple[Any, Any, dict[str, Any]]], take: Callable[[str], None]):
        self.session, self._ask, self._take = session, ask, take

        def narrow() -> W.Layout:  # one each: they are shown and hidden one by one
            return W.Layout(width="auto", flex="0 0 auto")

        self.find = W.Button(description="Find rate", layout=narrow(), tooltip="Learns from one batch at each of many rates, from tiny to far "
                             "too large, and draws the loss. A copy learns: the model stays as it is")
        self.stop = W.Button(description="Stop finding", layout=narrow(), disabled=True)
        self.use = W.Button(description="Use it", layout=narrow(), disabled=True, tooltip="Writes the suggested rate into the field")
        self.note = W.HTML()
        self.chart = LiveChart(title="Loss by learning rate", x_label="log10 of the rate", height=150, switches=[], empty="The first batch "
                               "is on its way.", lock=session.lock)
        self.buttons = W.HBox([self.find, self.stop, self.use], layout=W.Layout(flex_flow="row wrap"))
        self.buttons.add_class("vx-controls")
        super().__init__([self.buttons, self.note, self.chart])
        self.add_class("vx-rates")
        self.work = Line(session.jobs, long=True, over=lambda: self._show(looking=False),
                         failed=lambda error: self._say(problem_text(error), 'class="vx-error" role="alert"'))
        self.found: Any = None
        self._show(looking=False)
        self.find.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.work.stop())
        self.use.on_click(lambda _: self._use())

    def _start(self) -> None:
        self.find.disabled = True
        self.work.start(self._find, self._take_over)

    def _show(self, *, looking: bool) -> None:
        self.find.disabled, self.stop.disabled = looking, not looking
        self.use.disabled = looking or self.found is None or self.found.suggestion is None
        for control, wanted in ((self.stop, looking), (self.use, not self.use.disabled), (self.chart, looking or self.found is not None)):
            control.layout.display = "" if wanted else "none"

    def _say(self, text: str, kind: str = 'class="vx-soft" role="status"') -> None:
        self.note.value = f"<div {kind}>{escape(text)}</div>" if text else ""

    def _begin(self) -> None:
        self._say("looking at the photos …", 'class="vx-busy" role="status"')
        self.found = None
        self.chart.clear()

    def _find(self, job: Job) -> tuple[Any, bool]:
        """(what was found, whether it was stopped)."""
        from explorer.training.run.lr_finder import find_lr

        job.tell(self._begin)
        model, data, settings = self._ask()
        job.tell(lambda: self._show(looking=True))
        cached = settings.get("train", "head") == "head" and settings.get("cache", True)
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
        with self.session.lock:
            self.work.drop()
            self.found = None
            self.chart.clear()
            self.note.value = ""
            self._show(looking=False)

    def end(self) -> None:
        """Stop finding: a run is about to need the processor."""
        self.work.stop()

    def _use(self) -> None:
        if self.found is not None and self.found.suggestion is not None:
            self._take(f"{self.found.suggestion:.2g}")

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until it has found, or given up; False after `timeout` seconds."""
        return self.work.wait(timeout)

    def close(self) -> None:
        self.work.close()
        super().close()
