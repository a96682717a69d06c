"""The tab "Explain": heat maps, changing the photo, and looking inside the model;
one of the three is in front.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets.panels.explain.panel import ExplainPanel
from explorer.widgets.panels.inside.panel import InsidePanel
from explorer.widgets.panels.what_if.panel import WhatIfPanel
from explorer.widgets.session import Session


class ExplainTab(W.VBox):
    """Three panels and a switch.
    Each is built when it is first looked at; `seen` tells whether the tab itself is in front.
    """

    def __init__(self, session: Session):
        self.heat_map, self.what_if = ExplainPanel(session), WhatIfPanel(session)
        self.inside = InsidePanel(session)
        self.panels = {"Heat map": self.heat_map, "Change the photo": self.what_if,
                       "Inside the model": self.inside}
        self.switch = W.ToggleButtons(options=list(self.panels), tooltips=[
            "Where does the answer come from?", "Cover, spoil or attack the photo, and look again",
            "Colours, filters, activations, gradients, attention"])
        self._in_front = False
        super().__init__([self.switch, *self.panels.values()])
        self.add_class("vx-explain-tab")
        self.switch.observe(self._show, "value")
        session.observe(self._asked, ["asked_class", "tab"])
        self._show()

    def _asked(self, change: Any) -> None:
        """A class was asked about, by a click on an answer or in a cell; perhaps the same as before."""
        asked = change["new"] if change["name"] == "asked_class" else change["new"] == "Explain"
        if asked:
            self.switch.value = next(iter(self.panels))

    def seen(self, in_front: bool) -> None:
        self._in_front = in_front
        self._show()

    def _show(self, _change: Any = None) -> None:
        for name, panel in self.panels.items():
            chosen = name == self.switch.value
            panel.layout.display = "" if chosen else "none"
            panel.seen(chosen and self._in_front)

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until the panel in front shows what was asked for; False after `timeout` seconds."""
        return self.panels[self.switch.value].wait(timeout)
