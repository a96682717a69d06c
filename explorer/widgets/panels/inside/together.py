"""What views of the photo on the screen, alone or together with the gallery's,
share: buttons for stages and for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text
from explorer.widgets.gallery import NO_PHOTOS, Gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.inside.block import Block, Host, button, row

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look


class StageButtons(W.ToggleButtons):
    """The stages of the model on the screen; another model keeps the depth that was chosen."""

    def __init__(self):
        super().__init__(options=[], tooltips=[])
        self.add_class("vx-stages")
        self.offering = False

    def offer(self, look: Look, names: list[str], *, first: int) -> None:
        """first: number of the one that is chosen where none was chosen before."""
        if tuple(names) == tuple(self.options):
            return
        steps = len(self.options) - 1
        share = self.index / steps if steps > 0 else first / max(1, len(names) - 1)
        self.offering = True
        try:
            self.options = names
            self.tooltips = [" × ".join(map(str, look.stages[name].shape)) for name in names]
            self.value = names[round(share * (len(names) - 1))] if names else None
        finally:
            self.offering = False


class Together(Block):
    """A view of the photo on the screen alone or, on a click,
    together with photos of the gallery, each of which costs a pass.
    """

    words, tooltip, most = "", "", 1  # of the button; how many other photos at most

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.cost, self.together = W.HTML(), False
        self.more, self.alone = button(self.words, tooltip=self.tooltip), button("This photo alone")
        self.stop = button("Stop")
        self.line = row(self.more, self.alone, self.stop, self.cost)
        self.more.on_click(lambda _: self._set_together(True))
        self.alone.on_click(lambda _: self._set_together(False))
        self.stop.on_click(lambda _: self.panel.stop())

    def follow(self, look: Look, model: Any) -> None:
        """Another photo is shown alone again: the passes for the others are not asked for by that."""
        if self.wanted is not None and self.wanted[0] != self.panel.turn:
            self.together = False
        number = len(self.panel.others.photos(look)[:self.most])
        longest = seconds_text(number * look.timing["forward"])
        cost = (f"{counted(number, 'other photo')}, a pass each where it was not looked at yet: "
                f"at most about {longest}.")
        self.cost.value = f'<span class="vx-soft">{cost}</span>' if number else ""
        self.ask(look, model)

    def ask(self, look: Look | None, model: Any) -> None:
        """Draw it, unless it is there already."""

    def work_at(self, key: Hashable, look: Look, model: Any,
                compute: Callable[[list[Look], Gallery, tuple[str, ...]], Any]) -> None:
        """Ask for `compute(looks, others, problems)`.

        looks: of the photo on the screen and, where they are wanted, of others
        others, problems: which photos these are, and why some of the gallery are missing
        """
        together, others = self.together, self.panel.others
        photos = Gallery(others.photos(look)[:self.most]) if together else NO_PHOTOS

        def step(job: Job) -> Any:
            found, looks, problems = others.look_at(job, model, photos)
            return compute([look, *looks], found, tuple(problems))

        self.panel.ask(self, key, step, long=together)


    def _set_together(self, together: bool) -> None:
        with self.session.lock:
            self.together = together
            self.ask(self.session.look, self.session.model)

    def busy(self, running: bool) -> None:
        def there(part: W.Widget, is_there: bool) -> None:
            part.layout.display = "" if is_there else "none"

        there(self.more, not self.together and bool(self.session.gallery))
        there(self.cost, not self.together)
        there(self.alone, self.together)
        there(self.stop, self.together and running)
