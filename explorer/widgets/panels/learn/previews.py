"""What is said before anything learns: the data card, what learns, the rates, what augmentation does.

It is looked at in the background, as the controls stood when it was asked for; what nobody waits for any more
is not shown.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.data_choice import DataCard, Photos
from explorer.widgets.panels.learn.fields import Fields
from explorer.widgets.panels.learn.run_words import problem_text
from explorer.widgets.panels.learn.what_learns import learns_html, planned_rates, rates_text, what_learns
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts import data_card, place_card
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip

log = logging.getLogger(__name__)

BATCHES = 10  # of an epoch, while the photos are not counted yet
VIEWS = 8     # of one photo, as augmentation varies it


@dataclass(frozen=True)
class Asked:
    """The screen and the controls. data: a name, a path, or the error that tells why there is none"""

    model: Any
    model_name: str
    data: Any
    seed: int
    train: str
    looks_first: bool
    views: int
    augment: str
    task: str


class Previews:
    """The widgets, for the panel to place; `ask` looks at photos and model again, where they are others."""

    def __init__(self, panel: Panel, fields: Fields, photos: Photos):
        self.panel, self.fields, self.photos = panel, fields, photos
        self.about = DataCard(panel, photos, partial(self.ask, duplicates=True), self._card_shown)
        self.card, self.samples, self.find_duplicates = (
            self.about.card, self.about.samples, self.about.find_duplicates)
        self.learns, self.rate_note, self.preview_note = (W.HTML() for _ in range(3))
        self.variants = PhotoStrip(label="One photo as augmentation varies it", side=56)
        self.rates = LiveChart(title="Learning rate", x_label="epoch", height=110, switches=[])
        self.work = panel.line(failed=self._no_count)
        self._done: dict[str, Any] = {}  # what those on the screen were made of

    # --- the lock is held ---

    def ask(self, *, duplicates: bool = False) -> None:
        session, fields = self.panel.session, self.fields
        try:
            data = fields.where.chosen
        except ValueError as error:
            data = error
        asked = Asked(session.model, session.model_name, data, fields.seed.value, fields.train.value,
                      fields.looks_first, fields.views.value, fields.augment.value, fields.task)
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
        self.about.forget()

    def _no_count(self, error: BaseException) -> None:
        self.learns.value = said_html(problem_text(error))

    # --- in the background ---

    def _look(self, asked: Asked, duplicates: bool, job: Job) -> None:
        splits = self.about.look(asked.data, asked.seed, asked.task, job)
        if job.stale:
            return
        if duplicates and splits is not None:
            self.about.compare(splits)
        if asked.model is None:
            return
        self._count(asked, splits, job)
        if not job.stale and splits is not None:
            self._vary(asked, splits, job)

    def _card_shown(self, splits: Any) -> None:
        places = self.fields.task != "classification"
        self.fields.offer_loss(numbers=not places and splits.train.numbers)
        self.variants.whole, self.variants.side = places, 96 if places else 56
        self._done.pop("rates", None)  # the number of photos is known now, and with it the number of steps
        self.draw_rates()

    def _count(self, asked: Asked, splits: Any, job: Job) -> None:
        classes = len(splits.classes) if splits is not None else asked.model.num_classes
        key = (id(asked.model), asked.train, classes, asked.looks_first, asked.views)
        places = asked.task != "classification"
        if self._done.get("learns") != key:
            counted = what_learns(asked.model, asked.train, classes)
            html = learns_html(asked.model_name, *counted, looks=asked.views if asked.looks_first else 0,
                               again=places and asked.train == "head")
            job.tell(self._show_count, key, html)

    def _show_count(self, key: Any, html: str) -> None:
        self._done["learns"], self.learns.value = key, html

    def _vary(self, asked: Asked, splits: Any, job: Job) -> None:
        from explorer.data.transforms import resolve_data_config
        from explorer.training.loop.augmentation import preview
        from explorer.training.loop.recipe import augmentations_of

        looks = asked.views if asked.looks_first else 0
        key = (id(asked.model), id(splits), asked.augment, asked.seed, looks)
        if self._done.get("variants") == key:
            return
        count, seed = 1 if asked.augment == "none" else VIEWS, max(asked.seed, 0)
        text = f"{asked.augment}: {augmentations_of(asked.task)[asked.augment]}."
        if asked.task == "classification":
            photo = splits.train.open_one(data_card.spread(splits.train, 1)[0])
            show = partial(preview, photo, config=resolve_data_config({}, model=asked.model), seed=seed)
            if looks == 1:  # as it is: there is nothing to show
                views, text = [], ""
            elif looks:
                views = [*show("none", count=1), *show(asked.augment, count=min(looks, VIEWS) - 1)]
            else:
                views = show(asked.augment, count=count)
            pictures = [thumbnail_jpeg(view) for view in views]
        else:
            pictures = place_card.varied(splits, asked.augment, seed, min(count, VIEWS // 2))
        job.tell(self._show_variants, key, pictures, text)

    def _show_variants(self, key: Any, views: list[bytes], text: str) -> None:
        self._done["variants"] = key
        self.variants.show(views, [Caption()] * len(views))
        self.preview_note.value = f'<span class="vx-soft">{escape(text)}</span>'
