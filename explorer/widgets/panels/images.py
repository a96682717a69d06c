"""Photos: the bundled ones, and the reader's own."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.gallery import PhotoGallery
from explorer.widgets.parts.image_input import ImageInput
from explorer.widgets.session import Session

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
MAX_THUMBNAILS = 60  # about 4 kB each, sent once


def gallery(images: Any) -> list[tuple[str, Any]]:
    """(title, source) of each photo in the gallery: the bundled ones, or those the user gave.

    images: None, a folder, one source, or a list of sources as `load_image` takes them.
    Raises ValueError for a folder without pictures.
    """
    if images is None:
        from explorer.data.samples import sample_photos

        return [(photo.title, photo.path) for photo in sample_photos()]
    if isinstance(images, (str, Path)) and Path(images).is_dir():
        found = sorted(p for p in Path(images).iterdir() if p.suffix.lower() in PICTURES)
        if not found:
            raise ValueError(f"The folder '{images}' holds no pictures ({', '.join(sorted(PICTURES))}).")
        images = found
    if isinstance(images, Iterator) and not hasattr(images, "read"):  # a generator; an open file is one photo
        images = list(images)
    if isinstance(images, (str, bytes, Path)) or not isinstance(images, Sequence):
        images = [images]
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

    def __init__(self, session: Session, photos: list[tuple[str, Any]]):
        """photos: (title, source) of each, as `gallery` gives them."""
        self.photos = photos
        self.gallery = PhotoGallery()
        self.input = ImageInput()
        self.note = W.HTML()
        self.gallery.show(self._thumbnails())
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
