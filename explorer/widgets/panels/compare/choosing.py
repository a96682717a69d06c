"""What is compared: the models that are ticked, and the photos that they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.display.words import counted
from explorer.models.names import list_models
from explorer.models.tasks import ASKED_BY, check_one_kind, task_of_name
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.gallery import Gallery, thumbnail_jpeg
from explorer.widgets.jobs import Job, Line
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.compare.words import default_names, weights_sentence
from explorer.widgets.panels.photo_code import BUNDLED, bundled_photo, chosen_lines
from explorer.widgets.parts.photo_ticks import PhotoTicks
from explorer.widgets.session import Session
from explorer.widgets.snippets import literal, photo_lines

SCREEN, GALLERY, FOLDER = "screen", "gallery", "folder"
SOURCES = (("the photo on the screen", SCREEN), ("photos of the gallery", GALLERY), ("a folder", FOLDER))
NO_TICK = "No model is ticked: these are here with their weights. Tick others under Model, or add them here."
NONE_CHOSEN = ("No model is ticked, and none that finds {} is chosen by itself: tick some under Model, or "
               "add them here, by name or as local-dir: with the folder that one was saved to.")
FIRST = 4  # photos of the gallery that are chosen before the reader chooses


@dataclass(frozen=True)
class Asked:
    """What a comparison was asked for: names, whether the model on the screen is among them,
    and photos by a key.
    """

    names: tuple[str, ...]
    own: str
    photos: tuple[Any, ...]


class Choice:
    """The controls for models and photos: `rows` are the lines of the models, `photo_rows` those of photos.

    changed:  called when photos or the model on the screen are chosen; ticks change the session's
    say:      called with a sentence, and whether it says that something went wrong
    painting: makes the small pictures of the photos, in the background
    """

    def __init__(self, session: Session, changed: Callable[[Any], None], say: Callable[..., None],
                 painting: Line):
        self.session, self.say, self.painting = session, say, painting
        self._gallery: Gallery | None = None  # that `several` offers
        self.chips = W.HBox()
        self.chips.add_class("vx-cmp-chips")
        self.add = labelled("Add a model", W.Combobox, placeholder="type part of a name",
                            ensure_option=False, continuous_update=False, layout=at_most(320))
        self._offered = ""  # the task whose names are offered to be added
        self.own = W.Checkbox(indent=False, layout=W.Layout(width="auto"))
        self.about_models = W.HTML()
        self.source = labelled("Photos", W.Dropdown, options=SOURCES, layout=at_most(280))
        self.several = PhotoTicks(label="Photos to compare with", lock=session.lock)
        self.folder = labelled("Folder", W.Text, placeholder="a folder with photos, or flowers5",
                               continuous_update=False, layout=at_most(420))
        self.about_models.add_class("vx-cmp-about-models")
        models = line([self.chips, self.add, self.own])
        models.add_class("vx-cmp-models")
        self.rows = [models, self.about_models]
        self.photo_rows = [line([self.source, self.folder]), self.several]
        self.add.observe(self._added, "value")
        for control in (self.own, self.source, self.several, self.folder):
            control.observe(changed, "value")

    def draw(self) -> None:
        """Follow the ticks, the gallery and the model on the screen."""
        if self.session.gallery is not self._gallery:
            self._offer_photos(self.session.gallery)
        names = self.names
        if tuple(chip.description for chip in self.chips.children) != names:
            gone = self.chips.children
            self.chips.children = [self._chip(name) for name in names]
            close_whole(*gone)
        if self.task != self._offered:
            self._offered, self.add.options = self.task, tuple(list_models(task=self.task))
        why = "" if self.session.compare else NO_TICK if names else NONE_CHOSEN.format(ASKED_BY[self.task][0])
        lines = [why, weights_sentence(names)]
        self.about_models.value = "".join(f'<div class="vx-soft">{escape(one)}</div>' for one in lines if one)
        on_screen = self.session.model_name
        self.own.description = f"and the model on the screen{f', {on_screen}' if on_screen else ''}"
        # its room stays, so that no line moves
        self.own.layout.visibility = "visible" if self.own_name() else "hidden"
        self.several.layout.display = "" if self.source.value == GALLERY else "none"
        if self.source.value == GALLERY and not (self.several.pictured or self.painting.wanted):
            self.painting.start(partial(self._small, self._gallery or ()), self.several.pictures)
        self.folder.layout.display = "" if self.source.value == FOLDER else "none"

    def _offer_photos(self, gallery: Gallery) -> None:
        """Another gallery: its first photos are chosen."""
        self._gallery = gallery
        self.painting.drop()
        self.several.show([title for title, _ in gallery], range(min(FIRST, len(gallery))))

    @staticmethod
    def _small(photos: Sequence[tuple[str, Any]], job: Job) -> list[bytes]:
        return [thumbnail_jpeg(source) for _, source in photos if not job.stale]

    # --- models ---

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are compared: the ticked ones, or those whose weights are installed."""
        return self.session.compare or default_names(self.task)

    @property
    def task(self) -> str:
        """What the models answer with: as the first ticked one does, or else the model on the screen."""
        ticked = next(filter(None, map(task_of_name, self.session.compare)), "")
        return ticked or getattr(self.session.model, "task", "classification")

    def own_name(self) -> str:
        """What the model on the screen is called beside the others;
        "" where it is among them already, answers with something else, or there is none.
        """
        session = self.session
        if session.model is None or getattr(session.model, "task", self.task) != self.task:
            return ""
        if session.model_source and session.model_source in self.names:
            return ""
        name = session.model_name
        return f"{name} (on the screen)" if name in self.names else name

    def _chip(self, name: str) -> W.Button:
        chip = W.Button(description=name, icon="times", tooltip=f"Take {name} away",
                        layout=W.Layout(width="auto"))
        chip.add_class("vx-cmp-chip")
        chip.on_click(lambda _: self._wish(tuple(one for one in self.names if one != name)))
        return chip

    def _added(self, change: Any) -> None:
        name = change["new"].strip()
        if not name:
            return
        with self.session.lock:
            self.add.value = ""
            if name not in self.names:
                self._wish((*self.names, name))

    def _wish(self, names: tuple[str, ...]) -> None:
        """Compare these from now on: they are ticked in the picker too."""
        try:
            self.session.compare = names
            self.say("")
        except t.TraitError as error:
            self.say(str(error), wrong=True)

    # --- what is asked for ---

    def wanted(self) -> Asked | None:
        key = self._photos_key()
        own = self.own_name() if self.own.value else ""
        return None if key is None else Asked(self.names, own, key)

    def why_not(self) -> str:
        """Why nothing can be compared now; "" where something can."""
        count = len(self.names) + bool(self.own.value and self.own_name())
        if count < 2:
            return "Tick one model more: a comparison takes two."
        if count > MAX_COMPARED:
            return f"At most {MAX_COMPARED} models: take one away."
        try:
            check_one_kind({name: task_of_name(name) for name in self.names})
        except ValueError as error:
            return str(error)
        return "" if self._photos_key() is not None else "Choose a photo first."

    def _photos_key(self) -> tuple[Any, ...] | None:
        """Tells one choice of photos from another; None while there is none."""
        session = self.session
        if self.source.value == SCREEN:
            return None if session.image is None else (SCREEN, id(session.image), session.image_name)
        if self.source.value == GALLERY:
            return (GALLERY, id(self._gallery), *self.several.value) if self.several.value else None
        return (FOLDER, self.folder.value.strip()) if self.folder.value.strip() else None

    def models(self, asked: Asked, opened: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """({name: name or a model that is open already}, lines that define `models`).

        opened: models by name that an earlier comparison has opened
        """
        session, kept = self.session, dict(opened)
        as_published = session.labels is None and session.input_size is None
        if session.model_source and session.model is not None and as_published:
            kept[session.model_source] = session.model
        models: dict[str, Any] = {name: kept.get(name, name) for name in asked.names}
        if not asked.own:
            return models, [f"models = {literal(list(asked.names))}"]
        models[asked.own] = session.model
        pairs = [f"{literal(name)}: {literal(name)}" for name in asked.names]
        pairs.append(f"{literal(asked.own)}: dash.session.model")
        return models, [f"models = {{{', '.join(pairs)}}}"]

    def photos(self) -> tuple[Any, list[str], str]:
        """(what `compare` takes, lines that define `photos`, in words)."""
        session = self.session
        if self.source.value == SCREEN:
            about, photo = f"the photo {session.image_name}", bundled_photo(session.image_source)
            if photo is not None:
                return photo, [BUNDLED, f"photos = bundled[{literal(photo.name)}]"], about
            *first, last = photo_lines(session)
            lines = [*first, last.replace("photo = ", "photos = ", 1)]
            return {session.image_name: session.image}, lines, about
        if self.source.value == GALLERY:
            chosen = [session.gallery[index] for index in self.several.value]
            photos = {title: bundled_photo(source) or source for title, source in chosen}
            return photos, chosen_lines(chosen), f"{counted(len(chosen), 'photo')} of the gallery"
        folder = self.folder.value.strip()
        return folder, [f"photos = {literal(folder)}"], f"the photos in {folder}"

    def changes_since(self, shown: Asked) -> list[str]:
        """What else would be compared now, in clauses; none where it would be the same, or nothing."""
        asked, changes = self.wanted(), []
        if asked is None or asked == shown:
            return []
        if asked.photos != shown.photos:
            changes.append("other photos are chosen now" if asked.photos[0] != SCREEN else
                           f"the photo on the screen is {self.session.image_name} now")
        if (asked.names, asked.own) != (shown.names, shown.own):
            changes.append("other models are chosen now")
        return changes


def at_most(width: int) -> W.Layout:
    """As wide as this, in pixels, or as the page is."""
    return W.Layout(width=f"min({width}px, 100%)")


def line(children: Sequence[W.Widget]) -> W.HBox:
    box = W.HBox(children)
    box.add_class("vx-line")
    return box
