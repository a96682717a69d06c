"""Feature maps: one stage at a time, every channel a small picture."""

from __future__ import annotations

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.mosaic import FeatureMosaic
from explorer.widgets.session import Session


class StagesPanel(Panel):
    draw_on = ("look",)

    def __init__(self, session: Session):
        self.stage = W.ToggleButtons(options=[], tooltips=[])
        self.stage.add_class("vx-stages")
        self.mosaic = FeatureMosaic()
        self._shown: tuple | None = None
        self._offering = False
        super().__init__(session, [self.stage, self.mosaic])
        self.on_choice(self.stage)

    def draw(self) -> None:
        look = self.session.look
        if self._offering:
            return  # the buttons are being exchanged
        if look is None:
            self.mosaic.clear("Choose a photo: the feature maps of each stage appear here.")
            return
        names = list(look.stages)
        if tuple(names) != tuple(self.stage.options):
            self._offer(names)
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
        """Other buttons for another model; the same depth stays chosen, so that two models can be compared."""
        depth = self.stage.index or 0
        share = depth / max(1, len(self.stage.options) - 1)
        look = self.session.look
        self._offering = True
        try:
            self.stage.options = names
            self.stage.tooltips = [" × ".join(map(str, look.stages[n].shape)) for n in names]
            self.stage.value = names[round(share * (len(names) - 1))] if names else None
        finally:
            self._offering = False
