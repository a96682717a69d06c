"""The controls of the Train tab, and the arguments of `finetune` that they stand for."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.panels.learn.task_choices import CHOICES, FOLDER, TaskChoices

# controls that are called as in `finetune`
NAMED = ("train", "epochs", "batch_size", "optimizer", "schedule", "augment", "seed")
WHOLE = ("patience", "views", "rounds", "threads")  # whole numbers among the advanced ones


def number(label: str, text: str, *, whole: bool = False) -> float | int | None:
    """What a reader has typed: None for nothing. A comma is taken for a point.

    Raises ValueError with what to write.
    """
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        example = "a whole number such as 3" if whole else "a number such as 0.001 or 1e-3"
        raise ValueError(f"{label} is {text!r}: write {example}, or leave it empty.") from None


class Fields:
    """One control a setting. `usual` are in sight, `rarer` in a drawer.

    Data set and folder come first; `both`, a second run, stands beside Start.
    task: of the model that would learn;  numbers: whether the photos have numbers, no classes
    """

    def __init__(self) -> None:
        from explorer.training.loop.augmentation import AUGMENTATIONS
        from explorer.training.loop.recipe import OPTIMIZERS, Recipe
        from explorer.training.loop.schedules import SCHEDULES

        default = Recipe()
        self.task, self.numbers = "classification", False
        self._data_of: dict[str, str] = {}  # what was chosen for each task
        choices = self.choices
        self.data = _field(W.Dropdown, "Data set", options=choices.data)
        self.folder = _text("Path", choices.example, goes=True)
        self.train = _field(W.Dropdown, "What learns", options=choices.parts)
        self.epochs = _field(W.IntText, "Epochs", value=default.epochs)
        self.lr = _text("Learning rate", "", "Of the classifier or head; the body learns at a tenth")
        self.batch_size = _field(W.IntText, "Batch size", value=default.batch_size)
        self.optimizer = _field(W.Dropdown, "Optimizer", options=[*OPTIMIZERS], value=default.optimizer)
        schedules = [(name.replace("_", " "), name) for name in SCHEDULES]
        self.schedule = _field(W.Dropdown, "Schedule", options=schedules, value=default.schedule)
        self.augment = _field(W.Dropdown, "Augmentation", options=[*AUGMENTATIONS], value=default.augment)
        self.seed = _field(W.IntText, "Seed", value=default.seed)
        self.loss = _field(W.Dropdown, "Loss", choices.why, options=choices.losses, goes=True)
        self.advanced: dict[str, W.Text] = {
            "body_lr": _text("Body's rate", "a tenth of the rate above"),
            "weight_decay": _text("Weight decay", "recommended"),
            "warmup": _text("Warm-up", f"{default.warmup:g}, a share of the run"),
            "label_smoothing": _text("Label smoothing", "0, such as 0.1"),
            "mixup": _text("Mixup", "0, such as 0.2"),
            "cutmix": _text("CutMix", "0, such as 1"),
            "clip": _text("Gradient clip", "off, such as 1"),
            "ema": _text("Mean weights", "off, such as 0.99",
                         "EMA: the mean of the last steps' weights is judged and kept"),
            "swa": _text("Mean of epochs", "off, such as 0.25",
                         "SWA: share of the epochs, the last ones, whose mean weights are judged and kept"),
            "patience": _text("Patience", "off, such as 3 epochs",
                              "Stop after so many epochs without a better one"),
            "views": _text("Views", "1, such as 2",
                           "Head only: variants of each photo that the frozen body sees"),
            "rounds": _text("Rounds", "as many as make 40 batches",
                            "Head only: how often an epoch goes over what the frozen body saw"),
            "threads": _text("Threads", "all but one"),
        }
        self.run_dir = _text("Checkpoints", "none; a folder",
                             "A run that was cut off goes on from this folder")
        self.scratch = _tick("from scratch: forget the trained weights")
        self.balanced = _tick("rare classes weigh more")
        self.cache = _tick("head only: see each photo once (cache)", value=True)
        self.both = _tick("also from scratch: a second run afterwards, to compare",
                          "The same settings, photos and order, without the trained weights. Runs lays both "
                          "over each other. Best with “everything”: a classifier behind a body that was "
                          "never trained learns little")
        self.without = W.HTML()  # why some of them are away
        self.usual = (self.train, self.epochs, self.lr, self.batch_size, self.optimizer, self.schedule,
                      self.augment, self.seed, self.loss)
        self.rarer = (*self.advanced.values(), self.run_dir, self.scratch, self.balanced, self.cache)

    @property
    def choices(self) -> TaskChoices:
        return CHOICES[self.task]

    def follow(self, task: str) -> None:
        """Offer what suits a model of this task; what it has in common with the others stays."""
        if task == self.task:
            return
        from explorer.training.loop.recipe import BATCH_SIZE, augmentations_of

        before, self._data_of[self.task] = BATCH_SIZE[self.task], self.data.value
        self.task, self.numbers = task, False
        choices = self.choices
        for control, options in ((self.data, choices.data), (self.train, choices.parts),
                                 (self.augment, [*augmentations_of(task)])):
            _offer(control, options)
        if task in self._data_of:
            self.data.value = self._data_of[task]
        self.loss.options, self.loss.tooltip = choices.losses, choices.why
        self.folder.placeholder = choices.example
        if self.batch_size.value == before:
            self.batch_size.value = BATCH_SIZE[task]
        self.advanced["clip"].placeholder = "10, the usual" if task == "detection" else "off, such as 1"
        for name in CHOICES["detection"].without:
            self._named(name).layout.display = "none" if name in choices.without else ""
        why = escape(choices.why_without)
        self.without.value = f'<span class="vx-soft">{why}</span>' if why else ""
        self.offer_loss(numbers=False)

    def offer_loss(self, *, numbers: bool) -> None:
        """Losses to choose from: of masks, and of photos with numbers."""
        self.numbers = numbers
        here = numbers or self.task == "segmentation"
        self.loss.layout.display = "" if here else "none"

    def _named(self, name: str) -> Any:
        return self.advanced[name] if name in self.advanced else getattr(self, name)

    @property
    def chosen(self) -> Any:
        """The data set that is asked for: a name, or a path. Raises ValueError where no folder is named."""
        if self.data.value != FOLDER:
            return self.data.value
        if not self.folder.value.strip():
            raise ValueError(self.choices.no_folder)
        return given_path(self.folder.value.strip(), "the path")

    def settings(self) -> dict[str, Any]:
        """The arguments of `finetune` that the controls stand for. Raises ValueError for no number."""
        found: dict[str, Any] = {name: getattr(self, name).value for name in NAMED}
        found["lr"] = number("Learning rate", self.lr.value)
        without = self.choices.without
        if "cache" not in without:
            found["cache"] = self.cache.value
        for name, control in self.advanced.items():
            if name in without:
                continue
            value = number(control.description, control.value, whole=name in WHOLE)
            if value is not None:
                found[name] = value
        if self.balanced.value and "balanced" not in without:
            found["class_weights"] = "balanced"
        if self.loss.value is not None and self.loss.layout.display != "none":
            found["loss"] = self.loss.value
        return found

    def recipe(self) -> Any:
        """The settings, checked. Raises ValueError or TypeError for what can't be."""
        from explorer.training.loop.recipe import Recipe

        return Recipe(**self.settings(), task=self.task)


def _offer(control: W.Dropdown, options: Any) -> None:
    """Other options; what was chosen stays where it is among them, else the first is."""
    if tuple(options) == tuple(control.options):
        return
    before = control.value
    control.options = options
    values = [one[1] if isinstance(one, tuple) else one for one in options]
    if before in values:
        control.value = before


def _field(kind: type, description: str, why: str = "", *, goes: bool = False, **options: Any) -> Any:
    """goes: whether it comes and goes, and is away at first."""
    layout = W.Layout(width="auto", display="none" if goes else None)
    return kind(description=description, tooltip=why or description, layout=layout,
                style={"description_width": "112px"}, **options)


def _text(description: str, placeholder: str, why: str = "", *, goes: bool = False) -> W.Text:
    return _field(W.Text, description, why, goes=goes, placeholder=placeholder, continuous_update=False)


def _tick(description: str, why: str | None = None, *, value: bool = False) -> W.Checkbox:
    wide = W.Layout(width="auto")
    return W.Checkbox(value=value, description=description, indent=False, tooltip=why, layout=wide)
