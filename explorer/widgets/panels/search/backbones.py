"""The models that a search may begin with: the one on the screen, those that are here, others by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W

from explorer.models.tasks import task_of_name
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.words import default_names
from explorer.widgets.panels.learn.controls import text, tick

TASK = "classification"
#: Stands for the model on the screen, where no name gives it again.
ON_SCREEN = ""


class Backbones:
    """A box for each; `row` and `others` are for the panel to place.

    changed: called under the lock when other ones are ticked
    """

    def __init__(self, panel: Panel, changed: Callable[[], None]):
        self.panel, self.session, self.changed = panel, panel.session, changed
        self.boxes: dict[str, W.Checkbox] = {}
        self._ticked: list[str] | None = None  # None until the reader has ticked: what is on the screen
        self._label = W.HTML("<span>Backbone</span>")
        self.row = W.Box([self._label])
        self.row.add_class("vx-ticks")
        self.others = text("Others", "names, such as resnet18, convnext_tiny",
                           "Further backbones by name, with commas between them")
        panel.when(self.others, changed)

    def draw(self) -> None:
        """Follow the model on the screen, and the picker's ticks."""
        usual, session = default_names(TASK), self.session
        ticked = [name for name in session.compare if task_of_name(name) == TASK]
        fits = getattr(session.model, "task", None) == TASK
        screen = [session.model_source or ON_SCREEN] if fits else []
        wanted = list(dict.fromkeys([*screen, *usual, *ticked]))
        words = {name: name or f"the model on the screen, {session.model_name}" for name in wanted}
        chosen = (screen or [*usual[:1]]) if self._ticked is None else self._ticked
        if {name: box.description for name, box in self.boxes.items()} == words:
            for name, box in self.boxes.items():
                self._set(box, name in chosen)
            return
        gone = self.boxes
        self.boxes = {name: tick(said, "Begin trials with this one", value=name in chosen)
                      for name, said in words.items()}
        self.row.children = [self._label, *self.boxes.values()]
        close_whole(*gone.values())
        for box in self.boxes.values():
            self.panel.when(box, self._chosen)

    def _set(self, box: W.Checkbox, on: bool) -> None:
        if box.value != on:
            before = self._ticked
            box.value = on
            self._ticked = before

    def _chosen(self) -> None:
        self.settle()
        self.changed()

    def settle(self) -> None:
        """From now on what is ticked stays, whatever model is opened."""
        self._ticked = [name for name, box in self.boxes.items() if box.value]

    @property
    def names(self) -> list[str]:
        """What is ticked and typed; `ON_SCREEN` for the model on the screen.

        Raises ValueError for a name that is none, or of a network that tells no classes.
        """
        from explorer.widgets.checks import check_model

        found = [name for name, box in self.boxes.items() if box.value]
        for name in filter(None, (part.strip() for part in self.others.value.split(","))):
            check_model(name, None)
            if task_of_name(name) not in (TASK, ""):
                raise ValueError(f"{name} finds boxes or masks: a search tries networks that tell classes or "
                                 "numbers.")
            found.append(name)
        if not found:
            raise ValueError("No backbone is ticked: tick one to begin with.")
        return list(dict.fromkeys(found))

    def note(self) -> str:
        """What to know of the model on the screen: why it is not among them, or what it has learnt; "" for
        nothing.
        """
        model: Any = self.session.model
        box = self.boxes.get(ON_SCREEN)
        if box is not None and box.value and "trained here" in getattr(model.load_report, "source", ""):
            return ("The model on the screen was trained here. If it has learnt from these photos, every "
                    "figure is too good: begin with one that has not seen them.")
        if model is None or model.task == TASK:
            return ""
        found = "boxes" if model.task == "detection" else "masks"
        return (f"{self.session.model_name} on the screen finds {found}, which a search does not try: it "
                "tries networks that tell classes or numbers.")
