"""Occlusion while it goes on: the square over the photo, the map and the curve of scores that grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as W

from explorer.display.legend import LEAST
from explorer.widgets.parts.live_chart import LiveChart

if TYPE_CHECKING:
    import threading

    from explorer.inspection.attribution.occlusion import Step
    from explorer.widgets.parts.photo_overlay import PhotoOverlay

SIDE = 160  # cells of the growing map's longer side, at most: it is sent again and again
ONE, NONE = "a square covered", "nothing covered"


class Covering:
    """chart: the score with one square after another covered; hidden until there is one"""

    def __init__(self, view: PhotoOverlay, lock: threading.RLock):
        self.view = view
        self.chart = LiveChart(title="Score with one square covered", x_label="square", height=150,
                               switches=[], lock=lock, layout=W.Layout(display="none"))
        self._done, self._before = 0, 0.0

    def begin(self) -> None:
        """Nothing is covered yet, or no longer."""
        self._done, self._before = 0, 0.0
        self.view.sweep(())
        self.chart.layout.display = "none"
        self.chart.clear()

    def timed(self, tell: Callable[..., object], *given: object) -> Callable[[Step], None]:
        """A listener for `explain(on_step=)` that tells how long the step has taken, too."""
        began = time.monotonic()

        def told(step: Step) -> None:
            nonlocal began
            now = time.monotonic()
            tell(self.show, step, now - began)
            began = now

        return told

    def show(self, step: Step, seconds: float) -> None:
        """The map so far, the square on its way over the batch that was covered, and the score at each."""
        heat = step.heat.numpy()
        every = -(-max(heat.shape) // SIDE)
        self.view.heat(heat[::every, ::every], ends=(LEAST, "the most so far"))
        self.view.sweep(step.squares, seconds=seconds)
        self.chart.layout.display = ""
        first, self._done = self._done + 1, self._done + len(step.scores)
        self.chart.extend(ONE, enumerate(step.scores, first))
        self.chart.extend(NONE, [(first, step.score), (self._done, step.score)])
        self.chart.flush()

    def end(self) -> None:
        """All is covered: the square goes, the curve stays."""
        self.view.sweep(())
