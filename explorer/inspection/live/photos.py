"""The photos that travel in a live page: small, without loss, without what else stands in a file.

    photos_for(None)               # a handful of explorer's own
    photos_for("holiday/")         # or of a folder, a list, a name

They are stored without loss (WebP, where Pillow has it, else PNG), so that a browser reads the very pixels
that torch was asked about. Made anew from pixels, they hold no place, no name of a camera, no comment.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, features

from explorer.data.images import ImageError, load_image
from explorer.data.photos import collect
from explorer.data.samples import WITH_PLACES, SamplePhoto, sample_photos

#: Of explorer's own, in different shapes, of things that ImageNet has classes for.
CHOSEN = ("cat_chelsea", "dog_beagle", "daisy", "espresso", "school_bus", "banana_pomegranate")
MOST = 12  # photos in a page
LONGEST = 480  # pixels of a photo's longer side


@dataclass(frozen=True)
class PagePhoto:
    """A photo in the page.

    title:   what it is called;  credit, licence: of a bundled photo, else ""
    picture: upright RGB, as it is in the page;  file: its bytes;  kind: their MIME type
    """

    title: str
    credit: str
    licence: str
    picture: Image.Image
    file: bytes
    kind: str


def photos_for(given: Any) -> tuple[list[PagePhoto], str]:
    """(what was given as photos, a sentence on what was left out or ""). None: a handful of explorer's own.

    given: a photo, a list of them, a folder, the name of a bundled data set; names of bundled photos too.
           Of more than `MOST` as many, evenly spaced
    Raises ImageError, ValueError or TypeError for what holds no photos.
    """
    own = {photo.name: photo for name in (*WITH_PLACES, "photos") for photo in sample_photos(name)}
    if given is None:
        return [_page_photo(own[name].path, own[name]) for name in CHOSEN], ""
    if isinstance(given, str) and given in own:
        given = [given]
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        given = [own.get(one, one) if isinstance(one, str) else one for one in given]
    found = collect(given)
    at = [round(i * (len(found) - 1) / (MOST - 1)) for i in range(MOST)] if len(found) > MOST else \
        range(len(found))
    by_path = {os.path.realpath(photo.path): photo for photo in own.values()}
    photos = []
    for index in at:
        file = found.files[index]
        known = by_path.get(os.path.realpath(file)) if file else None
        photos.append(_page_photo(found.open_one(index), known, title=Path(found.names[index]).name))
    left_out = f"{MOST} of {len(found)} photos are in this page, evenly chosen." if len(found) > MOST else ""
    return photos, left_out


def _page_photo(source: Any, known: SamplePhoto | None, title: str = "") -> PagePhoto:
    picture = load_image(source)
    if getattr(picture, "values", None) is not None:
        raise ImageError("A live page shows photos, and this is a picture of bands: give photos.")
    if max(picture.size) > LONGEST:
        shrink = max(picture.size) / LONGEST
        size = [max(1, round(side / shrink)) for side in picture.size]
        picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    kind = "webp" if features.check("webp") else "png"
    picture = Image.frombytes("RGB", picture.size, picture.tobytes())  # without what came along in its file
    picture.save(file, kind, **({"lossless": True, "quality": 80, "method": 5} if kind == "webp" else
                                {"optimize": True}))
    return PagePhoto(known.title if known else title, known.credit if known else "",
                     known.licence if known else "", picture, file.getvalue(), f"image/{kind}")
