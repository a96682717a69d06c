"""Photos: the bundled ones, and the reader's own."""

from __future__ import annotations

import io
import os
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.gallery import PhotoGallery
from explorer.widgets.parts.image_input import ImageInput
from explorer.widgets.session import Session
from explorer.widgets.snippets import photo_lines

MAX_THUMBNAILS = 60  # about 4 kB each, sent once
LARGEST = 1600       # pixels on the longer side of an exported photo


def gallery(images: Any) -> list[tuple[str, Any]]:
    """(title, source) of each photo in the gallery: the bundled ones, or those the user gave.

    images: None, a folder (with those in it), one source, or a list of sources as `load_image` takes them.
    Raises ValueError for a folder without pictures, and for an empty path.
    """
    from explorer.data.collection import is_many
    from explorer.data.folders import PICTURE_SUFFIXES, find_pictures

    if images is None:
        from explorer.data.samples import sample_photos

        return [(photo.title, photo.path) for photo in sample_photos()]
    if isinstance(images, (str, Path)) and (folder := given_path(images, "images")).is_dir():
        found, _ = find_pictures(folder)
        if not found:
            raise ValueError(f"The folder '{images}' holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}).")
        images = found
    images = list(images) if is_many(images) else [images]
    titles = [_title(source, number) for number, source in enumerate(images, 1)]
    twice = {title for title in titles if titles.count(title) > 1}
    return [(f"{title} ({number})" if title in twice else title, source)
            for number, (title, source) in enumerate(zip(titles, images, strict=True), 1)]


def _title(source: Any, number: int) -> str:
    if isinstance(source, (str, Path)):
        return Path(source).stem
    title = getattr(source, "title", None)  # bundled photos have one; so do bytes, but theirs is a method
    return title if isinstance(title, str) else f"photo {number}"


def thumbnail_jpeg(source: Any, side: int = 96) -> bytes:
    """A small square JPEG from the middle of a photo. Raises ImageError for what is no picture."""
    from PIL import ImageOps

    from explorer.data.images import load_image

    small = ImageOps.fit(load_image(source), (side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


class ImagesPanel(Panel):
    title = "Photo"
    draw_on = ("image_name", "busy")
    guide = """
        <p><b>What you see.</b> The photos to choose from. Drop one of your own, paste it, or take one with the camera: it
        goes to the Python that runs this notebook, and nowhere else. It is turned upright as its camera said, and its
        colours are taken as they are stored.</p>
        <p><b>What it does not prove.</b> How a model does on a few photos says little about how it does on yours. Most
        models here were trained on ImageNet: a thousand classes, among them 118 breeds of dog and no giraffe. New photos
        that were collected in the very same way cost such models 11 to 14 points of accuracy
        (<a href="https://arxiv.org/abs/1902.10811">Recht and others, 2019</a>).</p>
        <p><b>To read.</b> <a href="https://arxiv.org/abs/1409.0575">Russakovsky and others, 2015: ImageNet Large Scale
        Visual Recognition Challenge</a>.</p>"""

    def __init__(self, session: Session, photos: list[tuple[str, Any]]):
        """photos: (title, source) of each, as `gallery` gives them."""
        self.photos = photos
        self.gallery = PhotoGallery()
        self.input = ImageInput()
        self.note = W.HTML()
        self.gallery.show(self._thumbnails())
        session.photos = self.photos
        super().__init__(session, [self.gallery, self.note, self.input])
        self.add_class("vx-images")
        self.gallery.on_pick(self._pick)
        self.input.on_image(lambda name, data: session.open_image(data, name))

    def _thumbnails(self) -> list[tuple[str, bytes]]:
        from explorer.data.images import ImageError

        shown, broken = [], []
        for title, source in self.photos[:MAX_THUMBNAILS]:
            try:
                shown.append((title, thumbnail_jpeg(source)))
            except ImageError as error:
                broken.append((title, str(error)))
        bad = {title for title, _ in broken}
        self.photos = [(title, source) for title, source in self.photos[:MAX_THUMBNAILS] if title not in bad]
        self.note.value = "".join(f'<div class="vx-note">{escape(text)}</div>' for _, text in broken)
        return shown

    def _pick(self, index: int) -> None:
        title, source = self.photos[index]
        self.session.open_image(source, title)

    def draw(self) -> None:
        """Mark the photo on the screen; the gallery itself marks a pick, until it is clear what became of it."""
        if self.session.busy:
            return
        titles = [title for title, _ in self.photos]
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
