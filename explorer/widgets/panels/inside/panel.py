"""Inside the model: what its stages tell apart, filters, activations, gradients, attention, what a channel answers to.

One thing is shown at a time, and only that is worked out, for the model and the photo on the screen. What the look
holds is drawn from it and follows the photo; what costs passes says so, begins on a click, and can be stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import is_told, sentence_of
from explorer.widgets import export
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
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.look.looking import Look

BLOCKS: tuple[type[Block], ...] = (Colours, FirstFilters, Activity, Gradients, Attention, Channel)
MOST_LOOKS = 24       # photos of the gallery that are looked at together
MOST_BYTES = 256e6    # of their feature maps, which are held as long as the model and this view stay


class InsidePanel(Panel):
    name = "Inside the model"
    rests = True
    draw_on = ("look",)
    guide = """
        <p><b>What you see.</b> <i>Colours of a stage</i>: the three directions in which the places of a stage's map differ most,
        as red, green and blue; places of like colour look alike to the model
        (<a href="https://arxiv.org/abs/2104.14294">Caron and others, 2021: DINO</a>;
        <a href="https://arxiv.org/abs/2304.07193">Oquab and others, 2023: DINOv2</a>). <i>First filters</i>: the weights that
        meet the photo's own pixels; grey is zero
        (<a href="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks">Krizhevsky
        and others, 2012</a>). <i>Activations</i>: how the numbers of each stage are spread, and which channels stay silent.
        <i>Gradient flow</i>: how strongly each layer would be asked to change by this photo
        (<a href="https://proceedings.mlr.press/v9/glorot10a.html">Glorot and Bengio, 2010</a>). <i>Attention</i>: from which
        places each head of a transformer takes what it mixes (<a href="https://arxiv.org/abs/1706.03762">Vaswani and others,
        2017</a>; <a href="https://arxiv.org/abs/2010.11929">Dosovitskiy and others, 2020</a>). <i>Photos of a channel</i>: those
        to which one channel answers most (<a href="https://arxiv.org/abs/1311.2901">Zeiler and Fergus, 2014</a>).</p>
        <p><b>What it does not prove.</b> A colour means “alike” or “different” within these pictures, and its order says nothing
        of importance. Noise in filters is a sign of little training, no proof. A channel that is silent on a few photos may
        speak on others, and behind another function than a ReLU “never above 0” is not dead. Gradients are small where the
        model is sure already: compare the shape of the curve, not its height. Attention tells what is mixed, not what
        decides; very different attention can lead to the same answer
        (<a href="https://arxiv.org/abs/1902.10186">Jain and Wallace, 2019</a>). A few photos always have something in common:
        look at more than one folder before you give a channel a name.</p>"""

    def __init__(self, session: Session, photos: Sequence[tuple[str, Any]] | None = None):
        """photos: (title, source) of each photo of the gallery; None for the session's."""
        self.photos = session.photos if photos is None else photos
        self.view: W.Dropdown | None = None
        self.turn = self.models = 0         # count looks and models: what was drawn from an older one is known by it
        self.blocks: dict[str, Block] = {}  # those that were shown, by name
        self._look: Look | None = None
        self._model: Any = None
        self._looks: dict[int, Look] = {}   # of photos of the gallery by this model, without their large photos
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
                self._looks = {}

    def draw(self) -> None:
        """Another model or photo is on the screen, or another view."""
        look, model = self.session.look, self.session.model
        if look is not self._look:
            self._look, self.turn = look, self.turn + 1
        if model is not self._model:
            self._model, self._looks, self.models = model, {}, self.models + 1
        block = self.block
        if look is None:
            block.clear("Choose a photo: what the model makes of it appears here.")
        elif model is not None:
            block.follow(look, model)

    # --- in the background ------------------------------------------------------------------------------

    def ask(self, block: Block, key: Hashable, step: Callable[[Job], Any], *, long: bool = False) -> None:
        """Run `step(job)` and show what it gives in `block`: one thing at a time, the newest that was asked for.

        long: whether it takes a pass for each of many photos
        """
        with self.session.lock:
            before, self._asked = self._asked, block
            if before is not None and before is not block:
                before.dropped()
            block.begun(key)
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

    def look_at_others(self, job: Job, look: Look, model: Any, most: int) -> tuple[dict[int, Look], list[str]]:
        """Looks of photos of the gallery other than the one on the screen, by their number; and why some are missing.

        At most `most`, and no more than fit into memory. Where it is stopped, those that it got.
        """
        from explorer.data.images import ImageError, load_image
        from explorer.inspection.look.looking import look as look_at

        found, problems = {}, []
        chosen = self.others(look)[:most]
        for number, index in enumerate(chosen, 1):
            if job.ended():
                break
            title, source = self.photos[index]
            with self.session.lock:
                kept = self._looks.get(index) if model is self._model else None
            if kept is None:
                try:
                    seen = look_at(model, load_image(source))
                except ImageError as error:
                    problems.append(f"{title}: {error}")
                    continue
                kept = replace(seen, image=seen.seen)  # a camera's photo is as large as all its maps
                with self.session.lock:
                    if model is self._model:
                        self._looks[index] = kept
            found[index] = kept
            job.progress(number, len(chosen))
        return found, problems

    def others(self, look: Look) -> list[int]:
        """The numbers of the gallery's photos other than the one on the screen, no more than are looked at together."""
        session = self.session
        numbers = [index for index, (title, source) in enumerate(self.photos)
                   if title != session.image_name and not _same_file(source, session.image_source)]
        size = sum(4 * maps.numel() for maps in look.stages.values())
        return numbers[:max(1, min(MOST_LOOKS, int(MOST_BYTES / max(1, size))))]

    # --- to keep ----------------------------------------------------------------------------------------

    def code(self) -> str:
        block = self.block
        return block.code() if block is not None and block.shown is not None else ""

    def figure(self) -> Any:
        block = self.block
        return block.figure() if block is not None and block.shown is not None else None

    def heading(self) -> str:
        block = self.block
        return super().heading() if block is None else f"{block.heading()}: {self.session.model_name}"

    def caption(self) -> str:
        block = self.block
        if block is None or block.shown is None:
            return super().caption()
        return f"{export.caption_of(self.session, photo=block.of_photo)} {block.caption()}"

    def forget(self) -> None:
        for block in self.blocks.values():
            block.release()
            close_whole(block)  # also those that are not shown
        self._look, self._model, self._looks, self._asked = None, None, {}, None


def _same_file(source: Any, other: Any) -> bool:
    return all(isinstance(one, (str, os.PathLike)) for one in (source, other)) and os.fspath(source) == os.fspath(other)
