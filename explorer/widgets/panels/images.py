"""Photos: the bundled ones, and the reader's own."""

from __future__ import annotations

import os
from itertools import chain, count
from typing import Any

import ipywidgets as W

from explorer.widgets.gallery import Gallery, thumbnail_jpeg
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.gallery import PhotoGallery
from explorer.widgets.parts.image_input import ImageInput
from explorer.widgets.session import Session
from explorer.widgets.snippets import photo_lines

MAX_THUMBNAILS = 60  # about 4 kB each, sent once
OPEN, SHUT = "All photos", "One row"
LARGEST = 1600       # pixels on the longer side of an exported photo


class ImagesPanel(Panel):
    title = "Photo"
    draw_on = ("gallery", "image_name", "busy")
    guide = """
        <p><b>What you see.</b> The photos to choose from. Drop one of your own, paste it, or take one with
        the camera: it goes to the Python that runs this notebook, and nowhere else. It is turned upright as
        its camera said, and its colours are taken as they are stored.</p>
        <p><b>What it does not prove.</b> How a model does on a few photos says little about how it does on
        yours. Most models here were trained on ImageNet: a thousand classes, among them 118 breeds of dog
        and no giraffe. New photos that were collected in the very same way cost such models 11 to 14 points
        of accuracy (<a href="https://arxiv.org/abs/1902.10811">Recht and others, 2019</a>).</p>
        <p><b>To read.</b> <a href="https://arxiv.org/abs/1409.0575">Russakovsky and others, 2015: ImageNet
        Large Scale Visual Recognition Challenge</a>.</p>"""

    def __init__(self, session: Session):
        self.note = W.HTML()
        self.gallery, self.input = PhotoGallery(layout=self.note.layout), ImageInput(layout=self.note.layout)
        self.fold = W.Button(description=OPEN, tooltip="All photos at once, or one row of them",
                             layout=W.Layout(width="auto"))
        self.fold.add_class("vx-open")
        self._own: dict[str, bytes] = {}    # the reader's own that are being opened, by their titles
        self._shown: Gallery | None = None  # the photos whose small pictures the page has
        super().__init__(session, [self.gallery, self.note, self.input], beside=[self.fold])
        self.add_class("vx-images")
        self.note.add_class("vx-images-note")
        self.input.add_class("vx-images-own")
        self.gallery.on_pick(lambda index: self.tell(self._pick, index))
        self.input.on_image(self.take)
        self.fold.on_click(lambda _: self.tell(self._unfold, self.fold.description == OPEN))
        self._unfold(False)

    def _unfold(self, whole: bool) -> None:
        """One row of photos, or all of them."""
        self.fold.description = SHUT if whole else OPEN
        (self.remove_class if whole else self.add_class)("vx-one-row")

    def take(self, name: str, data: bytes) -> None:
        """A photo of the reader's own: it is opened, and joins the others once it could be."""
        with self.session.lock:
            title = self._title(name, data)
            self._own[title] = data
            self.session.open_image(data, title)

    def _title(self, name: str, data: bytes) -> str:
        """Its name, with a number where another photo has that: all from a camera are called the same."""
        taken = {**dict(self.session.gallery), **self._own}
        titles = chain([name], (f"{name} ({number})" for number in count(2)))
        return next(title for title in titles if title not in taken or
                    isinstance(taken[title], bytes) and taken[title] == data)

    def _join(self, name: str) -> None:
        """A photo of one's own is on the screen: it stays at hand."""
        data = self._own.pop(name)
        before = self.session.gallery
        if name in dict(before):
            return
        if len(before) >= MAX_THUMBNAILS:
            self.input.say(f"{name} is shown, but not kept among the photos: more than {len(before)} do not "
                           "fit there.", error=False)
            return
        self.gallery.add(name, thumbnail_jpeg(data))
        self._shown = Gallery([*before, (name, data)]).known_by(before.places)
        self.session.gallery = self._shown

    def _show_gallery(self) -> None:
        """Small pictures of the first photos; the session keeps those that can be opened."""
        from explorer.data.images import ImageError

        pictures, kept, broken = [], [], []
        for title, source in self.session.gallery[:MAX_THUMBNAILS]:
            try:
                pictures.append((title, thumbnail_jpeg(source)))
                kept.append((title, source))
            except ImageError as error:
                broken.append(str(error))
        self.gallery.show(pictures)
        self.note.value = notes_html(broken)
        self._shown = Gallery(kept).known_by(self.session.gallery.places)
        self.session.gallery = self._shown

    def _pick(self, index: int) -> None:
        title, source = (self._shown or self.session.gallery)[index]
        self.session.open_image(source, title)

    def draw(self) -> None:
        """Mark the photo on the screen;
        the gallery itself marks a pick, until it is clear what became of it.
        """
        if self.session.gallery is not self._shown:
            self._show_gallery()
        if self.session.busy:
            return
        if self.session.image_name in self._own:
            self._join(self.session.image_name)
        wanted = self.session.photo_asked_for  # the others could not be opened, or gave way to it
        self._own = {title: data for title, data in self._own.items() if title == wanted}
        titles = [title for title, _ in self.session.gallery]
        name = self.session.image_name
        self.gallery.mark(titles.index(name) if name in titles else -1)

    # --- code and figure ---

    def code(self) -> str:
        lines = photo_lines(self.session)
        return "\n".join(["import explorer", "", *lines, "explorer.load_image(photo)"]) if lines else ""

    def figure(self) -> Any:
        from explorer.display.draw import thumbnail

        return None if self.session.image is None else thumbnail(self.session.image, LARGEST)

    def heading(self) -> str:
        return self.session.image_name or self.called

    def caption(self) -> str:
        """Also who took a bundled photo: it may not be shown without."""
        from explorer.data.samples import sample_photos

        image, source = self.session.image, self.session.image_source
        parts = [f"Photo: {self.session.image_name}"]
        parts += [f"{image.width} × {image.height} pixels"] if image is not None else []
        parts += [f"{photo.credit}, {photo.licence} ({photo.source})" for photo in sample_photos()
                  if source is not None and os.fspath(photo) == os.fspath(source)]
        return ". ".join(parts) + "."
