"""Change the photo and look again: a region masked, every pixel pushed a little, the whole photo spoilt.

A heat map claims what an answer rests on; here the reader finds out by taking it away. The network runs
when the reader asks for a change and at no other time; the look on the screen is the "before" of every
comparison.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.what_if.block import Block
from explorer.widgets.panels.what_if.drawing import unsuitable
from explorer.widgets.panels.what_if.fgsm import FgsmBlock
from explorer.widgets.panels.what_if.mask import MaskBlock
from explorer.widgets.panels.what_if.robust import RobustBlock
from explorer.widgets.panels.work import notes_html
from explorer.widgets.session import Session
from explorer.widgets.snippets import setup_lines

if TYPE_CHECKING:  # importing it loads torch
    from explorer.inspection.look.result import Look

GUIDE = """
    <p><b>What you see.</b> Three experiments with the photo on the screen. Bars compare what the model said
    before and what it says now; <i>points</i> are percentage points. Where several classes may hold at
    once, the answer is a yes or no to the likeliest of them; where the model gives a number, there is no
    answer to flip, and the number is followed.</p>
    <p><b>Mask a region</b> hides a part of the photo and looks again (<a
    href="https://arxiv.org/abs/1311.2901">Zeiler and Fergus, 2014</a>). If the answer falls, it rested on
    that part, or the patch itself confuses: a patch of one colour is something that the network never saw
    in training. So compare two fills, and a region of the same size elsewhere.</p>
    <p><b>A change that nobody sees</b> moves every value by epsilon in the direction that hurts most: the
    fast gradient sign method (<a href="https://arxiv.org/abs/1412.6572">Goodfellow and others, 2014</a>);
    towards a class of your choice it is the one-step target class method (<a
    href="https://arxiv.org/abs/1611.01236">Kurakin and others, 2016</a>). It is done to what the network
    sees, after resize and crop. One step of an 8-bit picture is 1/255. The noise is shown amplified.</p>
    <p><b>How much can it bear?</b> spoils the photo as a camera or the web would, more and more (the idea:
    <a href="https://arxiv.org/abs/1903.12261">Hendrycks and Dietterich, 2019</a>), and finds where the
    answer changes.</p>
    <p><b>What it does not prove.</b> All of it is about this one photo. That a tiny, computed change fools
    a model says that its decision is brittle in directions which no camera takes; surviving one step does
    not say that a stronger attack would fail. The flip is the first one found on that scan: answers change
    back and forth, and a smaller change may hide between the values that were tried. Noise and dropped
    pixels are one draw (seed 0).</p>"""


class WhatIfPanel(Panel):
    name = "Change the photo"
    guide = GUIDE
    nothing_yet = "Nothing was changed yet: draw a box on the photo, or move a slider."
    draw_on = ("look",)

    def __init__(self, session: Session):
        self.body: W.VBox | None = None
        self.look: Look | None = None  # what the blocks are about
        self._photo: Any = None        # its photo: stays while the model changes
        self._used: Block | None = None  # the block that showed something last
        super().__init__(session)
        self.add_class("vx-whatif")

    def make(self) -> None:
        self.mask, self.fgsm, self.robust = MaskBlock(self), FgsmBlock(self), RobustBlock(self)
        self.blocks = (self.mask, self.fgsm, self.robust)
        self.empty = W.HTML()
        self.body = W.VBox([block.box for block in self.blocks])
        self.body.add_class("vx-whatif-body")
        self.fill([self.empty, self.body])

    def seen(self, in_front: bool) -> None:
        super().seen(in_front)
        if in_front:
            self._redraw()

    def draw(self) -> None:
        """Another look is on the screen: what was found is about the one before. No model runs for that.

        Out of sight it is only let go of.
        """
        look = self.session.look
        if look is not None and look is self.look:
            return
        self.look = self._used = None
        for block in self.blocks:
            block.work.drop()
            block.forget()
        if not self.in_front:
            return
        self.look, why_not = look, unsuitable(look)
        same_photo = self.session.image is self._photo
        if not why_not:
            self._photo = self.session.image
        soft = f'<span class="vx-soft">{escape(why_not)}</span>'
        self.empty.value = soft if why_not else notes_html(look.notes)
        self.body.layout.display = "none" if why_not else ""
        if not why_not:
            for block in self.blocks:
                block.reset(look, same_photo=same_photo)

    # --- for its blocks ---------------------------------------------------------------------------------

    def showed(self, block: Block) -> None:
        """That block showed something: code, figure and caption are about it."""
        self._used = block
        self.changed()

    def emptied(self, block: Block) -> None:
        """That block shows nothing any more."""
        if self._used is block:
            self._used = None
        self.changed()

    def put_on_top(self, block: Block) -> None:
        """That block stands first, the others below it in their order."""
        blocks = sorted(self.blocks, key=lambda one: one is not block)
        self.body.children = [one.box for one in blocks]

    # --- to keep ----------------------------------------------------------------------------------------

    def code(self) -> str:
        if self._used is None:
            return ""
        first, *rest = setup_lines(self.session)
        return "\n".join([first, *self._used.imports, *rest, *self._used.code_lines()])

    def figure(self) -> Any:
        return None if self._used is None else export.titled(self._used.figure(), self.heading())

    def caption(self) -> str:
        parts = [super().caption(), *self.look.notes] if self.look is not None else [super().caption()]
        return " ".join([*parts, self._used.caption()] if self._used is not None else parts)

    def forget(self) -> None:
        for block in self.blocks if self.built else ():
            block.forget()
        self.look = self._photo = self._used = None
