"""Which photos are embedded: the bundled flowers, those of the gallery, or a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.files import given_path
from explorer.widgets.gallery import Gallery
from explorer.widgets.panels.photo_code import all_bundled
from explorer.widgets.snippets import literal

FLOWERS, GALLERY, FOLDER = "flowers5", "the gallery", "a folder"
DATA = {"flowers5: five flowers, bundled": FLOWERS, "the photos of the gallery": GALLERY,
        "a folder of your own": FOLDER}


@dataclass(frozen=True)
class Source:
    """Photos as `explorer.embed` takes them, Python for them, and what they are called."""

    photos: Any
    expression: str
    title: str


def source_of(kind: str, folder: str, gallery: Gallery) -> Source:
    """The photos that are asked for. Raises ValueError where none are named."""
    if kind == FLOWERS:
        return Source(FLOWERS, literal(FLOWERS), FLOWERS)
    if kind == FOLDER:
        if not folder.strip():
            raise ValueError("Type the path of a folder with photos; with one folder a class they can be "
                             "probed, too.")
        path = str(given_path(folder.strip(), "the folder"))
        return Source(path, literal(path), Path(path).name)
    if not gallery:
        raise ValueError("The gallery has no photos: choose others beside 'Photos'.")
    if all_bundled(gallery):
        return Source(collection(gallery), "explorer.sample_photos()", "the bundled photos")
    expression = "[source for _, source in dash.session.gallery]"
    return Source(collection(gallery), expression, "the gallery's photos")


def collection(gallery: Gallery) -> Any:
    """The gallery as an `explorer.inspection.features.store.Collection`, under its titles."""
    from explorer.data.images import load_image
    from explorer.data.photos import Collection

    files = tuple(Path(source) if isinstance(source, (str, Path)) else None for _, source in gallery)
    titles = tuple(title for title, _ in gallery)
    return Collection(titles, lambda index: load_image(gallery[index][1]), files)
