"""What a reader asks of the models: a search, a family of the timeline, four menus, a tick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import ipywidgets as W
import traitlets as t

from explorer.models.catalog import FAMILIES
from explorer.widgets.panels.picker.finding import LICENCES, SIZES, Filters
from explorer.widgets.parts.search_field import SearchField
from explorer.widgets.parts.timeline import FamilyTimeline


class Asking(W.VBox):
    """The controls behind `Filters`. `changed` is called, under the lock, when they ask for something else.

    layout: of every control, which would cost as much as a widget more if it had its own
    """

    def __init__(self, lock: threading.RLock, layout: W.Layout, changed: Callable[[], None]):
        self._lock, self._changed, self._quiet = lock, changed, False
        by_year = sorted(FAMILIES.values(), key=lambda f: (f.year, f.title))
        families = ((f"{f.title} ({f.year})", f.name) for f in by_year)
        tasks = sorted({f.task for f in by_year})
        licences = ((text, key) for key, text in LICENCES.items())

        self.search = SearchField(placeholder="resnet, *lite*, vit_*_224 …", down=".vx-models select",
                                  lock=lock, layout=layout)
        self.timeline = FamilyTimeline(lock=lock, layout=layout)
        self.timeline.show((f.name, f.title, f.year, f.tagline, len(f.names)) for f in by_year)
        self.family = W.Dropdown(options=[("all families", ""), *families], description="Family",
                                 layout=layout, style={"description_width": "54px"})

        def menu(label: str, options: Iterable[tuple[str, str]]) -> W.Dropdown:
            return W.Dropdown(options=[*options], description=label, layout=layout, style=self.family.style)

        self.task = menu("Task", [("any task", ""), *zip(tasks, tasks)])
        self.size = menu("Size", [("any number of parameters", ""), *((size, size) for size in SIZES)])
        self.licence = menu("Licence", [("any licence", ""), *licences])
        self.here = W.Checkbox(value=False, description="weights on this computer", indent=False,
                               layout=layout)
        self.clear = W.Button(description="Clear filters", disabled=True, layout=layout)
        self.clear.add_class("vx-open")
        menus = W.Box([self.family, self.task, self.size, self.licence], layout=layout)
        menus.add_class("vx-filters")
        last = W.Box([self.here, self.clear], layout=layout)
        last.add_class("vx-line")
        super().__init__([self.search, self.timeline, menus, last], layout=layout)
        self.add_class("vx-find")

        t.link((self.timeline, "selected"), (self.family, "value"))
        for control in (self.search, self.family, self.task, self.size, self.licence, self.here):
            control.observe(self._moved, "value")
        self.clear.on_click(lambda _: self.ask_for_nothing())

    @property
    def filters(self) -> Filters:
        """What the controls ask for."""
        return Filters(search=self.search.value, family=self.family.value, task=self.task.value,
                       size=self.size.value, licence=self.licence.value, here=self.here.value)

    def ask_for_nothing(self) -> None:
        """Clear all of them, as one change."""
        with self._lock:
            self._quiet = True
            try:
                for control in (self.search, self.family, self.task, self.size, self.licence):
                    control.value = ""
                self.here.value = False
            finally:
                self._quiet = False
            self._moved()

    def _moved(self, _change=None) -> None:
        with self._lock:
            if not self._quiet:
                self.clear.disabled = not self.filters.active()
                self._changed()
