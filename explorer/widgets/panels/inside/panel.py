"""Inside the model: what its stages tell apart, filters, activations, gradients, attention, what a channel
answers to.

One thing is shown at a time, and only that is worked out, for the model and the photo on the screen. What
the look
holds is drawn from it and follows the photo; what costs passes says so, begins on a click, and can be
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import is_told, sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.inside.activations import Activity
from explorer.widgets.panels.inside.attention import Attention
from explorer.widgets.panels.inside.block import Block
from explorer.widgets.panels.inside.channel import Channel
from explorer.widgets.panels.inside.colours import Colours
from explorer.widgets.panels.inside.filters import FirstFilters
from explorer.widgets.panels.inside.gradients import Gradients
from explorer.widgets.panels.inside.guide import GUIDE
from explorer.widgets.panels.inside.others import OtherLooks
from explorer.widgets.panels.ran import ran_on
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look

BLOCKS: tuple[type[Block], ...] = (Colours, FirstFilters, Activity, Gradients, Attention, Channel)


class InsidePanel(Panel):
    name = "Inside the model"
    guide = GUIDE
    rests = True
    draw_on = ("look", "gallery")

    def __init__(self, session: Session):
        self.view: W.Dropdown | None = None
        self.turn = self.models = 0         # count looks and models: an older one's drawing is known by it
        self.blocks: dict[str, Block] = {}  # those that were shown, by name
        self.others = OtherLooks(session)
        self._look: Look | None = None
        self._model: Any = None
        self._asked: Block | None = None    # who asked last
        super().__init__(session)
        self.add_class("vx-inside")

    def make(self) -> None:
        self.work = self.line(failed=self._failed, told=self._told)
        self.view = labelled("Show", W.Dropdown, options=[(one.menu, one.name) for one in BLOCKS],
                             layout=W.Layout(width="auto"))
        self.about, self.body = W.HTML(), W.Box()
        self.body.add_class("vx-inside-body")
        line = W.HBox([self.view, self.about])
        line.add_class("vx-inside-menu")
        self.fill([line, self.body])
        self.view.observe(self._chosen, "value")
        self._chosen()

    @property
    def block(self) -> Block | None:
        """The one that is shown."""
        return None if self.view is None else self.blocks.get(self.view.value)

    def _chosen(self, _change: Any = None) -> None:
        with self.session.lock:
            name = self.view.value
            if name not in self.blocks:
                self.blocks[name] = next(one for one in BLOCKS if one.name == name)(self)
            block = self.blocks[name]
            self.body.children = [block]
            self.about.value = f'<span class="vx-soft">{block.about}</span>'
            self._redraw()

    def seen(self, in_front: bool) -> None:
        super().seen(in_front)
        if not in_front:
            with self.session.lock:
                self.others.forget()

    def draw(self) -> None:
        """Another model or photo is on the screen, or another view."""
        look, model = self.session.look, self.session.model
        if look is not self._look:
            self._look, self.turn = look, self.turn + 1
        if model is not self._model:
            self._model, self.models = model, self.models + 1
            self.others.forget()
        block = self.block
        if look is None:
            block.clear("Choose a photo: what the model makes of it appears here.")
        elif model is not None:
            block.follow(look, model)

    # --- in the background ------------------------------------------------------------------------------

    def ask(self, block: Block, key: Hashable, step: Callable[[Job], Any], *, long: bool = False) -> None:
        """Run `step(job)` and show what it gives in `block`: one thing at a time, the newest that was asked
        for.

        long: whether it takes a pass for each of many photos
        """
        with self.session.lock:
            before, self._asked = self._asked, block
            if before is not None and before is not block:
                before.dropped()
            block.begun(key, ran_on(self.session))
            self.work.start(step, self._show, long=long)

    def drop(self, block: Block) -> None:
        """Nobody waits any more for what that block asked for."""
        if block is self._asked:
            self.work.drop()

    def stop(self) -> None:
        self.work.stop()

    def _show(self, found: Any) -> None:
        self._asked.done(found, "")
        self.changed()

    def _failed(self, error: BaseException) -> None:
        self._asked.done(None, sentence_of(error), expected=is_told(error))
        self.changed()

    def _told(self, _job: Job, done: int, total: int, _what: str) -> None:
        self._asked.advance(done, total)

    # --- to keep ----------------------------------------------------------------------------------------

    def code(self) -> str:
        block = self.block
        return block.code() if block is not None and block.shown is not None else ""

    def figure(self) -> Any:
        block = self.block
        return block.figure() if block is not None and block.shown is not None else None

    def heading(self) -> str:
        block = self.block
        if block is None:
            return super().heading()
        return f"{block.heading()}: {block.ran.model_name or self.session.model_name}"

    def caption(self) -> str:
        block = self.block
        if block is None or block.shown is None:
            return super().caption()
        return f"{block.ran.about if block.of_photo else block.ran.about_model} {block.caption()}"

    def forget(self) -> None:
        for block in self.blocks.values():
            block.release()
            close_whole(block)  # also those that are not shown
        self.others.forget()
        self._look, self._model, self._asked = None, None, None
