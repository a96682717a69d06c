"""The controls of the Search tab: what is tried, and how it is searched.

A setting with one value is the same in all trials; with several, or a range, it is searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.panels.learn.controls import field, text, tick
from explorer.widgets.panels.learn.task_choices import CHOICES
from explorer.widgets.panels.search.values import Values, check_values, values_of

METHODS = (("random", "random"), ("grid: every combination", "grid"), ("TPE: learns from the trials", "tpe"),
           ("halving: gives up the worse", "halving"))
JUDGED_BY = (("accuracy, or error", "accuracy"), ("loss", "loss"))


@dataclass(frozen=True)
class Typed:
    """A setting of numbers. usual: what stands in its field at first;  example: while it is empty"""

    name: str
    title: str
    usual: str
    example: str
    whole: bool = False
    why: str = ""


@dataclass(frozen=True)
class Ticked:
    """A setting with a box for each of its values. usual: those that are ticked at first"""

    name: str
    title: str
    options: tuple[tuple[str, Any], ...]
    usual: tuple[Any, ...]


def _usual() -> tuple[Typed | Ticked, ...]:
    return (
        Ticked("train", "What learns", CHOICES["classification"].parts, ("head",)),
        Typed("lr", "Learning rate", "0.0003 to 0.1", "as recommended; 0.001, 0.01 or 0.001 to 0.1"),
        Typed("weight_decay", "Weight decay", "0.0001 to 0.1", "as recommended; 0, 0.01 or 0.0001 to 0.1"),
        Typed("label_smoothing", "Label smoothing", "0, 0.1, 0.2", "0; such as 0, 0.1"),
        _augmentations(),
        Typed("epochs", "Epochs", "3", "3; such as 2, 5", whole=True),
    )


def _augmentations() -> Ticked:
    from explorer.training.loop.augmentation import AUGMENTATIONS

    return Ticked("augment", "Augmentation", tuple((name, name) for name in AUGMENTATIONS), ("light",))


def _rarer() -> tuple[Typed | Ticked, ...]:
    from explorer.training.loop.recipe import OPTIMIZERS
    from explorer.training.loop.schedules import SCHEDULES

    return (
        Ticked("optimizer", "Optimizer", tuple((name, name) for name in OPTIMIZERS), ("adamw",)),
        Ticked("schedule", "Schedule", tuple((name.replace("_", " "), name) for name in SCHEDULES),
               ("cosine",)),
        Typed("batch_size", "Batch size", "", "32; such as 16, 64", whole=True),
        Typed("body_lr", "Body's rate", "", "a tenth of the learning rate"),
        Typed("mixup", "Mixup", "", "0; such as 0, 0.2", why="For “last stage” and “everything” only"),
        Typed("cutmix", "CutMix", "", "0; such as 0, 1", why="For “last stage” and “everything” only"),
        Typed("ema", "Mean weights", "", "off; such as 0.99",
              why="EMA: the mean of the last steps' weights is judged and kept"),
    )


class Row:
    """A setting's control; `values` is what it stands for."""

    def __init__(self, setting: Typed | Ticked):
        self.setting = setting
        if isinstance(setting, Typed):
            self.text = text(setting.title, setting.example, setting.why)
            self.text.value = setting.usual
            self.controls, self.widget = [self.text], self.text
        else:
            self.boxes = {value: tick(said, f"{setting.title}: {said}", value=value in setting.usual)
                          for said, value in setting.options}
            self.controls = [*self.boxes.values()]
            self.widget = W.Box([W.HTML(f"<span>{setting.title}</span>"), *self.controls])
            self.widget.add_class("vx-ticks")

    @property
    def values(self) -> Values:
        """Raises ValueError for what is no number, or can't be."""
        setting = self.setting
        if isinstance(setting, Ticked):
            return [value for value, box in self.boxes.items() if box.value]
        found = values_of(setting.title, self.text.value, whole=setting.whole)
        check_values(setting.name, found)
        return found


class Fields:
    """usual: rows in sight;  rarer: those in a drawer;  how: the controls of the search itself"""

    def __init__(self) -> None:
        self.usual, self.rarer = [[Row(one) for one in group] for group in (_usual(), _rarer())]
        self.method = field(W.Dropdown, "Method", options=METHODS)
        self.trials = field(W.IntText, "Trials", value=8)
        self.by = field(W.Dropdown, "Judged by", options=JUDGED_BY)
        self.seed = field(W.IntText, "Seed", value=0)
        self.folder = text("Folder", "none; a folder",
                           "Keeps trials and the best run: a search goes on from it on another day too")
        self.how = (self.method, self.trials, self.by, self.seed, self.folder)

    @property
    def rows(self) -> list[Row]:
        return [*self.usual, *self.rarer]

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.setting.name == name)

    def settings(self) -> tuple[dict[str, Values], dict[str, Any]]:
        """(what is searched, what is the same in all trials). Raises ValueError for what can't be."""
        space: dict[str, Values] = {}
        fixed: dict[str, Any] = {}
        for row in self.rows:
            values = row.values
            if len(values) == 1:
                fixed[row.setting.name] = values[0]
            elif values:
                space[row.setting.name] = values
        return space, fixed

    @property
    def place(self) -> Path | None:
        """The folder that is asked for. Raises ValueError for what is no name."""
        typed = self.folder.value.strip()
        return given_path(typed, "the folder") if typed else None
