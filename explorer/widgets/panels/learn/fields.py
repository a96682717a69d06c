"""The controls of the Train tab, and the arguments of `finetune` that they stand for."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.files import given_path

FOLDER = "a folder"
DATA = {"flowers5: five flowers, bundled": "flowers5",
        "flowers5_nano: a few small photos, for trying out": "flowers5_nano",
        "CIFAR-10: 60,000 tiny photos": "cifar10", "a folder or table (CSV) of your own": FOLDER}
NO_FOLDER = ("Type the path of a folder that holds one folder of photos for each class, or of a table (CSV) "
             "with a column of files and one of numbers or classes.")

PARTS = [("head: the classifier", "head"), ("last stage and classifier", "last_stage"), ("everything", "all")]
LOSSES = [("mse, the usual", None), ("l1", "l1"), ("huber", "huber")]
# controls that are called as in `finetune`
NAMED = ("train", "epochs", "batch_size", "optimizer", "schedule", "augment", "seed", "cache")
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
    """

    def __init__(self) -> None:
        from explorer.training.loop.augmentation import AUGMENTATIONS
        from explorer.training.loop.recipe import OPTIMIZERS, Recipe
        from explorer.training.loop.schedules import SCHEDULES

        default = Recipe()
        self.data = _field(W.Dropdown, "Data set", options=[*DATA.items()])
        self.folder = _text("Path", "a folder with one folder a class, or a table of photos (CSV)", goes=True)
        self.train = _field(W.Dropdown, "What learns", options=PARTS)
        self.epochs = _field(W.IntText, "Epochs", value=default.epochs)
        self.lr = _text("Learning rate", "", "Of the classifier; the body learns at a tenth")
        self.batch_size = _field(W.IntText, "Batch size", value=default.batch_size)
        self.optimizer = _field(W.Dropdown, "Optimizer", options=[*OPTIMIZERS], value=default.optimizer)
        schedules = [(name.replace("_", " "), name) for name in SCHEDULES]
        self.schedule = _field(W.Dropdown, "Schedule", options=schedules, value=default.schedule)
        self.augment = _field(W.Dropdown, "Augmentation", options=[*AUGMENTATIONS], value=default.augment)
        self.seed = _field(W.IntText, "Seed", value=default.seed)
        self.loss = _field(W.Dropdown, "Loss", "How far off is how bad: mse minds large errors most, l1 all "
                           "alike, huber between", options=LOSSES, goes=True)  # of numbers alone
        self.advanced: dict[str, W.Text] = {
            "body_lr": _text("Body's rate", "a tenth of the classifier's"),
            "weight_decay": _text("Weight decay", "recommended"),
            "warmup": _text("Warm-up", f"{default.warmup:g}, a share of the run"),
            "label_smoothing": _text("Label smoothing", "0, such as 0.1"),
            "mixup": _text("Mixup", "0, such as 0.2"),
            "cutmix": _text("CutMix", "0, such as 1"),
            "clip": _text("Gradient clip", "off, such as 1"),
            "ema": _text("Mean weights", "off, such as 0.99",
                         "EMA: the mean of the last steps' weights is judged and kept"),
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
        self.usual = (self.train, self.epochs, self.lr, self.batch_size, self.optimizer, self.schedule,
                      self.augment, self.seed, self.loss)
        self.rarer = (*self.advanced.values(), self.run_dir, self.scratch, self.balanced, self.cache)

    @property
    def chosen(self) -> Any:
        """The data set that is asked for: a name, or a path. Raises ValueError where no folder is named."""
        if self.data.value != FOLDER:
            return self.data.value
        if not self.folder.value.strip():
            raise ValueError(NO_FOLDER)
        return given_path(self.folder.value.strip(), "the path")

    def settings(self) -> dict[str, Any]:
        """The arguments of `finetune` that the controls stand for. Raises ValueError for no number."""
        found: dict[str, Any] = {name: getattr(self, name).value for name in NAMED}
        found["lr"] = number("Learning rate", self.lr.value)
        for name, control in self.advanced.items():
            value = number(control.description, control.value, whole=name in WHOLE)
            if value is not None:
                found[name] = value
        if self.balanced.value:
            found["class_weights"] = "balanced"
        if self.loss.value is not None and self.loss.layout.display != "none":
            found["loss"] = self.loss.value
        return found

    def recipe(self) -> Any:
        """The settings, checked. Raises ValueError or TypeError for what can't be."""
        from explorer.training.loop.recipe import Recipe

        return Recipe(**self.settings())


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
