"""The controls of the Train tab, and the arguments of `finetune` that they stand for."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.panels.learn.advice import augmentation_text
from explorer.widgets.panels.learn.controls import field, offer, text, tick
from explorer.widgets.panels.learn.data_choice import DataChoice
from explorer.widgets.panels.learn.task_choices import CHOICES, TaskChoices

# controls that are called as in `finetune`
USUAL = "100px"  # of the labels of those in sight
#: how often a frozen body looks at each photo: once as it is, then varied
VIEWS = (("1, as it is", 1), ("2, one varied", 2), ("4, three varied", 4), ("8, seven varied", 8))

NAMED = ("train", "epochs", "batch_size", "optimizer", "schedule", "augment", "seed")
WHOLE = ("patience", "rounds", "threads")  # whole numbers among the advanced ones


def number(label: str, typed: str, *, whole: bool = False) -> float | int | None:
    """What a reader has typed: None for nothing. A comma is taken for a point.

    Raises ValueError with what to write.
    """
    typed = typed.strip().replace(",", ".")
    if not typed:
        return None
    try:
        return int(typed) if whole else float(typed)
    except ValueError:
        example = "a whole number such as 3" if whole else "a number such as 0.001 or 1e-3"
        raise ValueError(f"{label} is {typed!r}: write {example}, or leave it empty.") from None


class Fields:
    """One control a setting. `usual` are in sight, `rarer` in a drawer.

    Data set and folder come first; `both`, a second run, stands beside Start.
    where: data set and folder;  task: of the model that would learn
    numbers: whether the photos have numbers, no classes
    """

    def __init__(self) -> None:
        from explorer.training.loop.augmentation import AUGMENTATIONS
        from explorer.training.loop.recipe import OPTIMIZERS, Recipe
        from explorer.training.loop.schedules import SCHEDULES

        default, usual = Recipe(), partial(field, label=USUAL)
        self.where, self.numbers = DataChoice(), False
        self.data, self.folder = self.where.data, self.where.folder
        choices = self.choices
        self.train = usual(W.Dropdown, "What learns", "Of the network: the head alone is a linear probe, "
                           "everything is full fine-tuning", options=choices.parts)
        self.epochs = usual(W.IntText, "Epochs", value=default.epochs)
        self.lr = text("Learning rate", "", "Step size of the classifier or head; the body learns at a tenth",
                       label=USUAL)
        self.batch_size = usual(W.IntText, "Batch size", value=default.batch_size)
        self.optimizer = usual(W.Dropdown, "Optimizer", options=[*OPTIMIZERS], value=default.optimizer)
        schedules = [(name.replace("_", " "), name) for name in SCHEDULES]
        self.schedule = usual(W.Dropdown, "Schedule", options=schedules, value=default.schedule)
        self.augment = usual(W.Dropdown, "Augmentation", options=[*AUGMENTATIONS], value=default.augment)
        self.views = usual(W.Dropdown, "Views", "How often the frozen body looks at each photo "
                           "before the first epoch: once as it is, then as augmentation varies it",
                           options=VIEWS)
        self.seed = usual(W.IntText, "Seed", value=default.seed)
        self.loss = usual(W.Dropdown, "Loss", choices.why, options=choices.losses, goes=True)
        self.advanced: dict[str, W.Text] = {
            "body_lr": text("Body's rate", "a tenth of it", "Learning rate of the body (backbone); empty: a "
                            "tenth of the learning rate above"),
            "weight_decay": text("Weight decay", "recommended", "How much the weights shrink at each step: "
                                 "a regulariser (L2)"),
            "warmup": text("Warm-up", f"{default.warmup:g} of the run", "The share of the run in which the "
                           "learning rate climbs from 0"),
            "label_smoothing": text("Label smoothing", "0, such as 0.1", "So much of the right answer's "
                                    "share goes to the other classes"),
            "mixup": text("Mixup", "0, such as 0.2", "Two photos laid over each other, their labels too"),
            "cutmix": text("CutMix", "0, such as 1", "A piece of another photo pasted in, labels by area"),
            "clip": text("Gradient clip", "off, such as 1", "Gradient clipping: the largest norm of a step"),
            "ema": text("Mean weights, EMA", "off, such as 0.99",
                         "EMA: the mean of the last steps' weights is judged and kept"),
            "swa": text("Mean epochs, SWA", "off, such as 0.25",
                        "SWA: share of the epochs, the last ones, whose mean weights are judged and kept"),
            "patience": text("Patience", "off, such as 3",
                              "Early stopping: after so many epochs without a better one"),
            "rounds": text("Rounds", "enough for 40 batches",
                            "Head only: how often an epoch goes over what the frozen body saw; empty: as "
                            "often as makes 40 batches"),
            "threads": text("Threads", "all but one"),
        }
        self.run_dir = text("Checkpoints", "none; a folder",
                             "A run that was cut off goes on from this folder")
        self.scratch = tick("from scratch: forget the trained weights")
        self.balanced = tick("rare classes weigh more (class weights)")
        self.cache = tick("head only: look at the photos once, and keep what was seen (cache)",
                          "Cached features: epochs cost next to nothing", value=True)
        self.both = tick("also from scratch: a second run afterwards, to compare",
                          "The same settings, photos and order, without the trained weights. Runs lays both "
                          "over each other. Best with “everything”: a classifier behind a body that was "
                          "never trained learns little")
        self.varies = W.HTML()   # what augmentation does, where that is not the usual
        self.without = W.HTML()  # why some of them are away
        self.usual = (self.train, self.epochs, self.lr, self.batch_size, self.optimizer, self.schedule,
                      self.augment, self.views, self.seed, self.loss)
        self.rarer = (*self.advanced.values(), self.run_dir, self.scratch, self.balanced, self.cache)

    @property
    def task(self) -> str:
        return self.where.task

    @property
    def choices(self) -> TaskChoices:
        return self.where.choices

    def follow(self, task: str) -> None:
        """Offer what suits a model of this task; what it has in common with the others stays."""
        if task == self.task:
            return
        from explorer.training.loop.recipe import BATCH_SIZE, augmentations_of

        before, self.numbers = BATCH_SIZE[self.task], False
        self.where.follow(task)
        choices = self.choices
        for control, options in ((self.train, choices.parts), (self.augment, [*augmentations_of(task)])):
            offer(control, options)
        self.loss.options, self.loss.tooltip = choices.losses, choices.why
        if self.batch_size.value == before:
            self.batch_size.value = BATCH_SIZE[task]
        self.advanced["clip"].placeholder = "10, the usual" if task == "detection" else "off, such as 1"
        for name in CHOICES["detection"].without:
            self._named(name).layout.display = "none" if name in choices.without else ""
        why = escape(choices.why_without)
        self.without.value = f'<span class="vx-soft">{why}</span>' if why else ""
        self.offer_loss(numbers=False)
        self.offer_views()

    @property
    def looks_first(self) -> bool:
        """Whether a frozen body looks at the photos before the first epoch, and epochs learn from that."""
        return self.train.value == "head" and self.cache.value and "cache" not in self.choices.without

    def offer_views(self) -> None:
        """Views of a photo are for a body that looks first; and what augmentation does, in a sentence."""
        self.views.layout.display = "" if self.looks_first else "none"
        text = augmentation_text(cached=self.looks_first, views=self.views.value, augment=self.augment.value)
        self.varies.value = f'<span class="vx-soft" role="status">{escape(text)}</span>' if text else ""

    def offer_loss(self, *, numbers: bool) -> None:
        """Losses to choose from: of masks, and of photos with numbers."""
        self.numbers = numbers
        here = numbers or self.task == "segmentation"
        self.loss.layout.display = "" if here else "none"

    def _named(self, name: str) -> Any:
        return self.advanced[name] if name in self.advanced else getattr(self, name)

    def settings(self) -> dict[str, Any]:
        """The arguments of `finetune` that the controls stand for. Raises ValueError for no number."""
        found: dict[str, Any] = {name: getattr(self, name).value for name in NAMED}
        found["lr"] = number("Learning rate", self.lr.value)
        without = self.choices.without
        if "cache" not in without:
            found["cache"] = self.cache.value
        if self.looks_first and self.views.value > 1:
            found["views"] = self.views.value
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
