"""How long a drawing takes: foretold before it begins, and measured while it goes on."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from explorer.widgets.panels.draw.asking import Wanted

if TYPE_CHECKING:  # importing these loads torch
    from explorer.inspection.drawing.drawn import DrawnPicture
    from explorer.inspection.look.result import Look

STEP = 2.5  # of a pass forward, of as many pixels, is what a step takes, where none was measured


class Timing:
    """All in seconds, as this computer takes them."""

    def __init__(self) -> None:
        self._pass = math.inf                           # the quickest look of the model in front
        self._paces: dict[tuple[str, str], float] = {}  # a step and pixel, by model and method
        self._begun = 0.0, 0                            # when the drawing began, and after how many steps

    def other_model(self) -> None:
        """The looks of the former model say nothing of another one."""
        self._pass = math.inf

    def see(self, look: Look) -> None:
        """Take a look's time into account; a model's first pass takes longer than the others."""
        self._pass = min(self._pass, look.timing["forward"])

    def a_step(self, model_name: str, method: str, pixels: int, look: Look | None) -> float | None:
        """As measured here before, else by the time of the look; None without one."""
        known = self._paces.get((model_name, method))
        if known is not None:
            return known * pixels
        if look is None or look.input is None:
            return None
        seen = look.input.shape[-1] * look.input.shape[-2]
        return STEP * self._pass * pixels / seen

    def begin(self, steps: int) -> None:
        """A drawing begins now, with so many steps behind it."""
        self._begun = time.monotonic(), steps

    def left(self, done: int, total: int) -> float:
        """What the rest takes; 0 while too few steps are done to tell."""
        begun, first = self._begun
        taken = done - first
        return (time.monotonic() - begun) / taken * (total - done) if taken > 2 else 0

    def end(self, wanted: Wanted, drawn: DrawnPicture) -> None:
        """It came to its end: remember its pace, unless it took too few steps to tell."""
        begun, first = self._begun
        width, height = drawn.image.size
        taken = drawn.steps - first
        if taken > 2:
            self._paces[wanted.ran.model_name, wanted.method] = \
                (time.monotonic() - begun) / taken / (width * height)
