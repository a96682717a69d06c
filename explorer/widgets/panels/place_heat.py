"""Why this box, why this class here: the button, the work behind it, and the heat map over the photo."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import Work, notes_html
from explorer.widgets.parts.photo_overlay import PhotoOverlay

if TYPE_CHECKING:
    from explorer.inspection.attribution.place_result import PlaceAttribution


class PlaceHeat:
    """row: the button and what is said;  found: the heat map on the screen, None while there is none

    compute: gives the heat map in a job; what `prepared` gave, called under the lock, is its argument
    alone:   called under the lock with whether what else lies over the photo makes way
    """

    def __init__(self, panel: Panel, view: PhotoOverlay, title: str, prepared: Callable[[], Any],
                 compute: Callable[[Any], PlaceAttribution], alone: Callable[[bool], None]):
        self.panel, self.view, self.prepared, self.compute = panel, view, prepared, compute
        self.alone = alone
        self.found: PlaceAttribution | None = None
        self.asked: Any = None      # what `found` is the answer to
        self.button = W.Button(description=title, layout=W.Layout(width="auto"))
        self.button.add_class("vx-open")
        self.work = panel.line(Work, tooltip="Stop", busy=self._busy)
        self._busy(False)
        self.words = W.HTML()
        line = W.HBox([self.button, self.work.progress, self.work.button])
        line.add_class("vx-line")
        self.row = W.VBox([line, self.work.message, self.words])
        panel.when(self.button, self._ask)

    def _busy(self, running: bool) -> None:
        """The button that stops is there while there is something to stop."""
        self.work.button.layout.display = "" if running else "none"

    def _ask(self) -> None:
        asked = self.prepared()
        if asked is None:
            return
        self.work.say("")

        def compute(_job: Job) -> tuple[Any, PlaceAttribution]:
            return asked, self.compute(asked)

        self.work.start(compute, self._show, doing="asking the network")

    def _show(self, answer: tuple[Any, PlaceAttribution]) -> None:
        self.asked, self.found = answer
        self.alone(True)
        self.view.heat(self.found.heatmap.numpy())
        notes = notes_html(note for note in self.found.notes if "No weights were loaded" not in note)
        self.words.value = f'<p class="vx-soft">{escape(self.found.caption)}.</p>{notes}'
        self.panel.changed()

    def offer(self, wanted: bool) -> None:
        """Whether there is something to ask about; the heat map of something else goes."""
        self.row.layout.display = "" if wanted else "none"
        self.clear()

    def clear(self) -> None:
        self.work.drop()
        self.work.say("")
        if self.found is not None:
            self.found = self.asked = None
            self.view.heat(None)
            self.alone(False)
        self.words.value = ""


def heat_of_one(asked: tuple[Any, Any, int]) -> PlaceAttribution:
    """Where the score of one box comes from: of (a look, its boxes, which of them); in a job."""
    from explorer.inspection.attribution.places import heat_of_box

    look, found, number = asked
    return heat_of_box(look, number, found=found)


def heat_of_class(asked: tuple[Any, int | None, tuple[int, ...] | None]) -> PlaceAttribution:
    """Where the scores of a class come from: of (a look, the class, the region); in a job."""
    from explorer.inspection.attribution.places import heat_of_region

    look, target, region = asked
    return heat_of_region(look, target, region=region)
