"""Which photos to learn from: a data set that comes along, or a path; opened once, and shown beforehand.

It is looked at in the background, as the controls stood when it was asked for; what nobody waits for any more
is not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.controls import field, offer, text
from explorer.widgets.panels.learn.task_choices import CHOICES, FOLDER, SAMPLES, TaskChoices
from explorer.widgets.panels.work import busy_html
from explorer.widgets.parts import data_card, place_card
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip

log = logging.getLogger(__name__)
SIDE = 66  # pixels of a photo

NOT_HERE = "CIFAR-10 is not on this computer. Start downloads it (170 MB); the other sets are here."


class Photos:
    """The data set that is asked for, opened once."""

    def __init__(self) -> None:
        self._key: Any = None
        self.splits: Any = None

    def open(self, chosen: Any, seed: int, task: str = "classification", *, download: bool = False) -> Any:
        """CIFAR-10 is downloaded only for a run. Raises ValueError for what can't be opened."""
        from explorer.data.datasets import cifar10, open_data

        key = (str(chosen), seed, task)
        if self._key == key:
            return self.splits
        if task != "classification":
            splits = _with_places(chosen, seed, task)
        elif key[0] == "cifar10" and not download:
            try:
                splits = cifar10(download=False)
            except ValueError:
                raise ValueError(NOT_HERE) from None
        else:
            splits = open_data(chosen, seed=seed)
        self._key, self.splits = key, splits
        return splits

    def forget(self) -> None:
        self._key = self.splits = None


def _with_places(chosen: Any, seed: int, task: str) -> Any:
    from explorer.data.samples import sample_places
    from explorer.training.run.given import place_splits

    if chosen in SAMPLES:
        return replace(place_splits(sample_places(chosen), task, seed), name=chosen)
    return place_splits(chosen, task, seed)


class DataChoice:
    """The two controls, and what they stand for.

    task: of the model that would learn
    """

    def __init__(self) -> None:
        self.task = "classification"
        self._data_of: dict[str, str] = {}  # what was chosen for each task
        self.data = field(W.Dropdown, "Data set", label="58px", options=self.choices.data)
        self.folder = text("Path", self.choices.example, goes=True, label="58px")

    @property
    def choices(self) -> TaskChoices:
        return CHOICES[self.task]

    @property
    def chosen(self) -> Any:
        """The data set that is asked for: a name, or a path. Raises ValueError where no folder is named."""
        if self.data.value != FOLDER:
            return self.data.value
        if not self.folder.value.strip():
            raise ValueError(self.choices.no_folder)
        return given_path(self.folder.value.strip(), "the path")

    def follow(self, task: str) -> None:
        """Offer what suits a model of this task."""
        self._data_of[self.task] = self.data.value
        self.task = task
        offer(self.data, self.choices.data)
        if task in self._data_of:
            self.data.value = self._data_of[task]
        self.folder.placeholder = self.choices.example

    def show_path(self) -> None:
        """The field for a path is there where one is wanted."""
        self.folder.layout.display = "" if self.data.value == FOLDER else "none"


class DataCard:
    """What is in the photos, before anything learns: counts, a few of each class, duplicates.

    shown: called under the lock with the data set whose card was drawn
    """

    def __init__(self, panel: Panel, photos: Photos, find: Callable[[], None],
                 shown: Callable[[Any], None] = lambda splits: None):
        self.panel, self.photos, self.shown = panel, photos, shown
        self.card = W.HTML()
        self.samples = PhotoStrip(label="Photos of each class", side=SIDE)
        self.find_duplicates = W.Button(description="Find duplicates", layout=W.Layout(width="auto"),
                                        tooltip="Photos that are in both parts, pixel for pixel")
        self.find_duplicates.add_class("vx-open")
        self._of: Any = None          # the data set of the card
        self._duplicates: Any = None  # that were told below it
        panel.when(self.find_duplicates, find)

    def forget(self) -> None:
        self._of = self._duplicates = None

    # --- in the background ---

    def look(self, data: Any, seed: int, task: str, job: Job) -> Any:
        """The data set, its card drawn; None where there is none, which the card says then.

        data: a name, a path, or the error that tells why there is none
        """
        try:
            if isinstance(data, ValueError):
                raise data
            splits = self.photos.open(data, seed, task)
            if self._of is not splits:
                job.tell(setattr, self.card, "value", busy_html("looking at the photos"))
                measure = self._measure if task == "classification" else self._measure_places
                measure(splits, job)
        except Exception as error:
            log.info("no data card: %s", error)
            job.tell(self._no_card, error)
            return None
        return splits

    def _no_card(self, error: BaseException) -> None:
        self._of = None
        self.card.value = f'<div class="vx-note">{escape(str(error))}</div>'
        self.samples.show([], [])

    def _measure_places(self, splits: Any, job: Job) -> None:
        found = place_card.measured(splits, lambda: job.stale)
        if found is not None:
            job.tell(self._show_card, splits, *found, True)

    def _measure(self, splits: Any, job: Job) -> None:
        from explorer.data.checks import without_broken
        from explorer.data.images import ImageError

        numbers, classes = splits.train.numbers, len(splits.classes)
        order = data_card.spread(splits.train, data_card.SAMPLES if numbers else data_card.MEASURED)
        wanted = data_card.SAMPLES
        if not numbers:
            wanted = data_card.SAMPLES // classes * classes or data_card.SAMPLES  # as many of each class
        shown, sizes = [], []
        for index in order:
            if job.stale:
                return
            try:
                photo = splits.train.open_one(index)
            except ImageError:
                continue  # named below
            sizes.append(photo.size)
            if len(shown) < wanted:
                shown.append((thumbnail_jpeg(photo), data_card.label_caption(splits.train, index)))
        notes: tuple[str, ...] = ()
        if splits.train.files and len(splits.train) + len(splits.val) <= data_card.CHECKED:
            notes = tuple(note for note in without_broken(splits).notes if note not in splits.notes)
        job.tell(self._show_card, splits, data_card.card_html(splits, sizes, notes), shown, False)

    def _show_card(self, splits: Any, html: str, shown: list[tuple[bytes, Caption]], places: bool) -> None:
        self._of = splits
        self.card.value = html
        self.samples.label = f"Photos with their {splits.train.kind}" if places else "Photos of each class"
        self.samples.whole, self.samples.side = places, 128 if places else SIDE
        self.find_duplicates.layout.display = "none" if places else ""
        self.samples.show([data for data, _ in shown], [caption for _, caption in shown])
        self.shown(splits)

    def compare(self, splits: Any) -> None:
        """Find duplicates, and say so below the card."""
        from explorer.data.checks import duplicates

        self.panel.tell(self._comparing, True)
        try:
            said = data_card.duplicates_text(duplicates(splits))
        except ValueError as error:  # a broken photo
            said = str(error)
        finally:
            self.panel.tell(self._comparing, False)
        self.panel.tell(self._say_duplicates, splits, said)

    def _comparing(self, now: bool) -> None:
        self.find_duplicates.description = "Comparing …" if now else "Find duplicates"
        self.find_duplicates.disabled = now

    def _say_duplicates(self, splits: Any, said: str) -> None:
        """Once below the card of these photos."""
        if self._of is splits and self._duplicates != (id(splits), said):
            self._duplicates = id(splits), said
            self.card.value += f'<div class="vx-note" role="status">{escape(said)}</div>'
