"""Feature maps: one stage at a time, every channel a small picture."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.number.block import NumberBlock
from explorer.widgets.panels.number.figure import number_figure
from explorer.widgets.panels.number.guide import GUIDE
from explorer.widgets.parts.mosaic import FeatureMosaic
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, setup_lines

SHEET = 1100  # pixels, about, of the exported sheet's longer side


class StagesPanel(Panel):
    name = "Feature maps"
    rests = True
    draw_on = ("look", "stage")
    guide = """
        <p><b>What you see.</b> What comes out of one stage for this photo: every small picture is one
        channel, every pixel of it one place of the photo. Early stages answer to edges and colours, with
        many places; late ones to parts and things, with few. “Own” colours stretch each channel from its
        lowest to its highest value; “shared” colours make channels comparable, and show how many are nearly
        silent.</p>
        <p><b>What it does not prove.</b> A channel that lights up on the cat need not stand for cats: look
        at it with other photos. Most networks spread what they know over many channels, and can do without
        those that seem to stand for one thing (<a href="https://arxiv.org/abs/1803.06959">Morcos and
        others, 2018</a>). Bright means a large value, not an important one: what counts for the answer is
        what the later layers make of it.</p>
        <p><b>To read.</b> <a href="https://arxiv.org/abs/1311.2901">Zeiler and Fergus, 2014: Visualizing
        and Understanding Convolutional Networks</a>; <a
        href="https://distill.pub/2017/feature-visualization/">Olah and others, 2017: Feature
        Visualization</a>.</p>""" + GUIDE

    def __init__(self, session: Session):
        self.stage = W.ToggleButtons(options=[], tooltips=[])
        self.stage.add_class("vx-stages")
        self.mosaic = FeatureMosaic()
        self._shown: tuple | None = None
        self._offering = False
        self.number = NumberBlock(self, session)
        super().__init__(session, [self.stage, self.mosaic, self.number])
        self.own_lines += self.number.own_lines
        self.when(self.stage, self._chosen)
        self.mosaic.observe(self._recoloured, ["sort", "scale", "colormap", "selected"])
        self.mosaic.on_cell(lambda *cell: self.tell(self._ask_about, *cell))
        self.mosaic.observe(self._enlarged, "selected")

    def _recoloured(self, _change=None) -> None:
        self.number.view.colormap = self.mosaic.colormap
        self.changed()  # the page draws these by itself

    def _ask_about(self, channel: int, row: int, column: int) -> None:
        """A click on a cell of the enlarged channel: how is its number computed?"""
        if self.stage.value:
            self.number.explain(self.stage.value, channel, row, column)

    def _enlarged(self, change: Any) -> None:
        """The session knows which channel is in front, too."""
        self.session.channel = change["new"]

    def _chosen(self) -> None:
        """The session knows which stage is in front: what else shows it follows."""
        if not self._offering and self.stage.value:
            self.session.stage = self.stage.value

    def draw(self) -> None:
        look = self.session.look
        if self._offering:
            return  # the buttons are being exchanged
        if look is None:
            self.number.shut()
            self.mosaic.clear("Choose a photo: the feature maps of each stage appear here.")
            return
        names = list(look.stages)
        if tuple(names) != tuple(self.stage.options):
            self._offer(names)
        elif self.session.stage in names and self.session.stage != self.stage.value:
            self.stage.value = self.session.stage
        self.stage.tooltips = [" × ".join(map(str, look.stages[one].shape)) for one in names]
        self.number.follow(look, self.session.model, self.stage.value or "")
        if not names:  # e.g. a student's first network, of linear layers only
            self._shown = None
            self.mosaic.clear("This model makes no maps: it has no layer with places side by side.")
            return
        name = self.stage.value
        if self._shown == (id(look), name):
            return
        self._shown = (id(look), name)
        maps = look.stages[name]
        self.mosaic.show(maps.numpy(), title=f"{name} of {look.model_name}")

    def _offer(self, names: list[str]) -> None:
        """Other buttons for another model;
        the same depth stays chosen, so that two models can be compared.
        """
        depth = self.stage.index or 0
        share = depth / max(1, len(self.stage.options) - 1)
        self._offering = True
        try:
            self.stage.options = names
            same_depth = names[round(share * (len(names) - 1))] if names else None
            self.stage.value = self.session.stage if self.session.stage in names else same_depth
        finally:
            self._offering = False
        self._chosen()

    # --- code and figure ---

    def _shown_maps(self) -> Any:
        """The maps [C, H, W] of the stage on the screen, None where there are none."""
        self.draw()  # it may have rested while something else was in front
        look = self.session.look
        return None if look is None or self.stage.value not in look.stages else look.stages[self.stage.value]

    def _options(self) -> dict[str, Any]:
        """How the mosaic is drawn, in the words of `Look.mosaic`."""
        view, (channels, height, width) = self.mosaic, self._shown_maps().shape
        options: dict[str, Any] = {"sort": view.sort, "scale": view.scale, "colormap": view.colormap}
        shown = view.shown_channels
        if shown < channels:
            options["limit"] = shown
        # of one channel, in values; then as many pixels each as there is room for
        side = -(-max(height, width) // view.step)
        options["cell"] = side * max(1, round(SHEET / (shown ** 0.5 * side)))
        return options

    def code(self) -> str:
        if self._shown_maps() is None:
            return ""
        lines = [*setup_lines(self.session), "look = explorer.look(model, photo)"]
        stage, channel = literal(self.stage.value), self.mosaic.selected
        if 0 <= channel < len(self._shown_maps()):
            lines.append(f"look.stages[{stage}][{channel}]  # the enlarged channel")
        lines.append(call("look.mosaic", stage, options=self._options()))
        return "\n".join([*lines, *self.number.lines()])

    def figure(self) -> Any:
        if self._shown_maps() is None:
            return None
        if self.number.shown is not None:  # what the reader asked for last
            return number_figure(self.number.shown, self.number.field, title=self.heading())
        return self.session.look.mosaic(self.stage.value, **self._options())

    def forget(self) -> None:
        self.number.release()

    def heading(self) -> str:
        number = self.number.asked
        if number is not None:
            return f"How {number.words} of {self.session.model_name} is computed"
        return f"Feature maps of {self.stage.value}: {self.session.model_name}"

    def caption(self) -> str:
        if self.number.shown is not None:
            return f"{super().caption()} {self.number.caption()}"
        view = self.mosaic
        own = "each channel from its own minimum to its own maximum"
        colours = own if view.scale == "own" else "one scale for all channels"
        if view.colormap == "coolwarm":
            colours += ", zero in the middle"
        strongest = "the strongest first (mean absolute activation)"
        order = "by channel number" if view.sort == "channel" else strongest
        note = f"{view.note[:1].upper()}{view.note[1:]}"
        return f"{super().caption()} {note}. Order: {order}. Colours: {view.colormap}, {colours}."
