"""What a heat map takes: said before it begins, where it is not quick, by what a pass takes here."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.jobs import Job, Line
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.attribution.methods import Method
    from explorer.inspection.look.result import Look


class Cost(W.HTML):
    """The sentence on it, "" where none is needed. timing: the line in which a pass is timed again"""

    def __init__(self, session: Session, timing: Line):
        self.session, self.timing = session, timing
        self._said: Method | None = None  # that the sentence is about
        # what a pass of that look's model takes when it is warm
        self._seconds: tuple[Look | None, float] = (None, 0.0)
        super().__init__()

    def text(self, method: Method, look: Look, model: Any, own: dict[str, Any]) -> str:
        """What a method takes with its own options, in words. Raises what `Method.cost` raises."""
        seconds = self._seconds[1] if self._seconds[0] is look else look.timing["forward"]
        return method.cost(model, seconds_per_pass=seconds, **own)

    def say(self, method: Method, text: str) -> None:
        """Say that this method takes so much."""
        self._said, self.value = method, f'<span class="vx-soft">This takes {escape(text)}.</span>'

    def hide(self) -> None:
        """Nothing needs to be said."""
        self._said, self.value = None, ""

    def measure(self, method: Method, look: Look, model: Any, own: dict[str, Any]) -> None:
        """Say it again, once it is known what a pass takes; nothing where that is known already."""
        if self._seconds[0] is not look:
            self.timing.start(partial(_time_a_pass, look, model),
                              partial(self._measured, method, look, model, own))

    def _measured(self, method: Method, look: Look, model: Any, own: dict[str, Any],
                  seconds: float) -> None:
        if look is self.session.look:
            self._seconds = look, seconds
            if method is self._said:
                self.say(method, self.text(method, look, model, own))

    def forget(self) -> None:
        """Let go of the look."""
        self._seconds = None, 0.0


def _time_a_pass(look: Look, model: Any, _job: Job) -> float:
    """What a pass takes: the look's own may have been its model's first, which takes many times as long."""
    from explorer.inspection.look.looking import look as look_again

    return min(look.timing["forward"], look_again(model, look.image).timing["forward"])
