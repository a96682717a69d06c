"""What is said before anything learns: the data card, what learns, the rates, what augmentation does.

It is looked at in the background, as the controls stood when it was asked for; what nobody waits for any more
is not shown.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.fields import Fields
from explorer.widgets.panels.learn.task_choices import SAMPLES
from explorer.widgets.panels.learn.what_learns import learns_html, planned_rates, rates_text, what_learns
from explorer.widgets.panels.work import busy_html
from explorer.widgets.parts import data_card, place_card
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip

log = logging.getLogger(__name__)

BATCHES = 10  # of an epoch, while the photos are not counted yet
VIEWS = 8     # of one photo, as augmentation varies it
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


@dataclass(frozen=True)
class Asked:
    """The screen and the controls. data: a name, a path, or the error that tells why there is none"""

    model: Any
    model_name: str
    data: Any
    seed: int
    train: str
    cache: bool
    augment: str
    task: str


class Previews:
    """The widgets, for the panel to place; `ask` looks at photos and model again, where they are others."""

    def __init__(self, panel: Panel, fields: Fields, photos: Photos):
        self.panel, self.fields, self.photos = panel, fields, photos
        self.card, self.learns, self.rate_note, self.preview_note = (W.HTML() for _ in range(4))
        self.samples = PhotoStrip(label="Photos of each class", side=72)
        self.variants = PhotoStrip(label="One photo as augmentation varies it", side=56)
        self.rates = LiveChart(title="Learning rate", x_label="epoch", height=110, switches=[])
        self.find_duplicates = W.Button(description="Find duplicates", layout=W.Layout(width="auto"),
                                        tooltip="Photos that are in both parts, pixel for pixel")
        self.work = panel.line(failed=self._no_count)
        self._done: dict[str, Any] = {}  # what those on the screen were made of
        panel.when(self.find_duplicates, partial(self.ask, duplicates=True))

    # --- the lock is held ---

    def ask(self, *, duplicates: bool = False) -> None:
        session, fields = self.panel.session, self.fields
        try:
            data = fields.chosen
        except ValueError as error:
            data = error
        asked = Asked(session.model, session.model_name, data, fields.seed.value, fields.train.value,
                      fields.cache.value, fields.augment.value, fields.task)
        self.work.start(partial(self._look, asked, duplicates))

    def another_model(self) -> None:
        self._done.pop("learns", None)
        self._done.pop("variants", None)
        self.ask()

    def draw_rates(self) -> None:
        """The rate of every step, and which it is; nothing where the settings can't be."""
        try:
            recipe = self.fields.recipe()
        except (ValueError, TypeError):
            self.rate_note.value = ""  # it was about the number before
            return
        self.fields.lr.placeholder = f"{recipe.rates[0]:g}, recommended" if recipe.lr is None else ""
        self.rate_note.value = f'<span class="vx-soft">{escape(rates_text(recipe))}</span>'
        splits = self.photos.splits
        batches = math.ceil(len(splits.train) / recipe.batch_size) if splits is not None else BATCHES
        if recipe.cached:
            batches *= recipe.rounds_of(batches)
        if self._done.get("rates") != (recipe, batches):
            self._done["rates"] = recipe, batches
            self.rates.x_end = recipe.epochs
            self.rates.replace({"learning rate": planned_rates(recipe, batches)})

    def forget(self) -> None:
        self._done = {}

    def _no_count(self, error: BaseException) -> None:
        self.learns.value = f'<div class="vx-note">{escape(str(error))}</div>'

    def _no_card(self, error: BaseException) -> None:
        self._done["card"] = None
        self.card.value = f'<div class="vx-note">{escape(str(error))}</div>'
        self.samples.show([], [])

    # --- in the background ---

    def _look(self, asked: Asked, duplicates: bool, job: Job) -> None:
        splits = self._open(asked, job)
        if job.stale:
            return
        if duplicates and splits is not None:
            self._find_duplicates(splits)
        if asked.model is None:
            return
        self._count(asked, splits, job)
        if not job.stale and splits is not None:
            self._vary(asked, splits, job)

    def _open(self, asked: Asked, job: Job) -> Any:
        """The data set, its card drawn; None where there is none, which the card says then."""
        try:
            if isinstance(asked.data, ValueError):
                raise asked.data
            splits = self.photos.open(asked.data, asked.seed, asked.task)
            if self._done.get("card") is not splits:
                job.tell(setattr, self.card, "value", busy_html("looking at the photos"))
                measure = self._measure if asked.task == "classification" else self._measure_places
                measure(splits, job)
        except Exception as error:
            log.info("no data card: %s", error)
            job.tell(self._no_card, error)
            return None
        return splits

    def _measure_places(self, splits: Any, job: Job) -> None:
        found = place_card.measured(splits, lambda: job.stale)
        if found is not None:
            job.tell(self._show_card, splits, *found)

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
        job.tell(self._show_card, splits, data_card.card_html(splits, sizes, notes), shown)

    def _show_card(self, splits: Any, html: str, shown: list[tuple[bytes, Caption]]) -> None:
        self._done["card"] = splits
        self.card.value = html
        places = self.fields.task != "classification"
        self.fields.offer_loss(numbers=not places and splits.train.numbers)
        kind = f"Photos with their {splits.train.kind}" if places else "Photos of each class"
        self.samples.label = kind
        self.samples.whole = self.variants.whole = places
        self.samples.side, self.variants.side = (128, 96) if places else (72, 56)
        self.find_duplicates.layout.display = "none" if places else ""
        self.samples.show([data for data, _ in shown], [caption for _, caption in shown])
        self._done.pop("rates", None)  # the number of photos is known now, and with it the number of steps
        self.draw_rates()

    def _find_duplicates(self, splits: Any) -> None:
        from explorer.data.checks import duplicates

        self.panel.tell(self._comparing, True)
        try:
            text = data_card.duplicates_text(duplicates(splits))
        except ValueError as error:  # a broken photo
            text = str(error)
        finally:
            self.panel.tell(self._comparing, False)
        self.panel.tell(self._say_duplicates, splits, text)

    def _comparing(self, now: bool) -> None:
        self.find_duplicates.description = "Comparing …" if now else "Find duplicates"
        self.find_duplicates.disabled = now

    def _say_duplicates(self, splits: Any, text: str) -> None:
        """Once below the card of these photos."""
        if self._done.get("card") is splits and self._done.get("duplicates") != (id(splits), text):
            self._done["duplicates"] = id(splits), text
            self.card.value += f'<div class="vx-note" role="status">{escape(text)}</div>'

    def _count(self, asked: Asked, splits: Any, job: Job) -> None:
        classes = len(splits.classes) if splits is not None else asked.model.num_classes
        key = (id(asked.model), asked.train, classes, asked.cache)
        places = asked.task != "classification"
        if self._done.get("learns") != key:
            counted = what_learns(asked.model, asked.train, classes)
            head = asked.train == "head"
            html = learns_html(asked.model_name, *counted, cached=head and asked.cache and not places,
                               again=head and places)
            job.tell(self._show_count, key, html)

    def _show_count(self, key: Any, html: str) -> None:
        self._done["learns"], self.learns.value = key, html

    def _vary(self, asked: Asked, splits: Any, job: Job) -> None:
        from explorer.data.transforms import resolve_data_config
        from explorer.training.loop.augmentation import preview
        from explorer.training.loop.recipe import augmentations_of

        key = (id(asked.model), id(splits), asked.augment, asked.seed)
        if self._done.get("variants") == key:
            return
        count, seed = 1 if asked.augment == "none" else VIEWS, max(asked.seed, 0)
        if asked.task == "classification":
            photo = splits.train.open_one(data_card.spread(splits.train, 1)[0])
            views = preview(photo, asked.augment, resolve_data_config({}, model=asked.model), count=count,
                            seed=seed)
            pictures = [thumbnail_jpeg(view) for view in views]
        else:
            pictures = place_card.varied(splits, asked.augment, seed, min(count, VIEWS // 2))
        text = f"{asked.augment}: {augmentations_of(asked.task)[asked.augment]}."
        job.tell(self._show_variants, key, pictures, text)

    def _show_variants(self, key: Any, views: list[bytes], text: str) -> None:
        self._done["variants"] = key
        self.variants.show(views, [Caption()] * len(views))
        self.preview_note.value = f'<span class="vx-soft">{escape(text)}</span>'
