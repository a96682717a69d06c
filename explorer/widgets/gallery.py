"""The gallery: the photos that a reader has at hand, under their titles, and small pictures of them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import given_path

if TYPE_CHECKING:
    from explorer.data.places.place_set import PlaceSet


class Gallery(tuple[tuple[str, Any], ...]):
    """(title, source) of each photo, in their order;
    a source is what `load_image` takes, a title is there once.

    places: the `PlaceSet` that knows the boxes or masks of these photos, None where nobody does
    """

    places: PlaceSet | None = None

    def known_by(self, places: PlaceSet | None) -> Gallery:
        """These photos, with the set that knows what is where in them."""
        self.places = places
        return self


NO_PHOTOS = Gallery()
START = "Beagle"  # does not fill the frame, and two good networks disagree about it


def gallery(images: Any) -> Gallery:
    """What a reader gave as the photos to choose from; the bundled ones where that is None.

    images: None, a folder (with those in it), one source, a list of sources as `load_image` takes them, or a
            `PlaceSet` of photos in files, whose boxes or masks the tabs Detect and Segment draw
    Raises ValueError for a folder without pictures, and for an empty path.
    """
    if isinstance(images, Gallery):
        return images
    from explorer.data.collection import is_many
    from explorer.data.folders import PICTURE_SUFFIXES, find_pictures

    if images is None:
        from explorer.data.samples import sample_photos

        return Gallery((photo.title, photo.path) for photo in sample_photos())
    from explorer.data.places.place_set import PlaceSet, PlaceSplits

    if isinstance(images, PlaceSplits):
        images = images.part("all")
    if isinstance(images, PlaceSet):
        if len(images.files) != len(images) or not len(images):
            raise ValueError("The photos of this data set lie in no files: give images= the photos "
                             "themselves, and the tab Detect or Segment the data set.")
        return gallery([*images.files]).known_by(images)
    if isinstance(images, (str, Path)) and (folder := given_path(images, "images")).is_dir():
        found, _ = find_pictures(folder)
        if not found:
            suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
            raise ValueError(f"The folder '{images}' holds no pictures ({suffixes}).")
        images = found
    images = list(images) if is_many(images) else [images]
    titles = [_title(source, number) for number, source in enumerate(images, 1)]
    twice = {title for title in titles if titles.count(title) > 1}
    return Gallery((f"{title} ({number})" if title in twice else title, source)
                   for number, (title, source) in enumerate(zip(titles, images, strict=True), 1))


def first_photo(photos: Gallery) -> tuple[str, Any]:
    """(title, source) of the photo to begin with: of the bundled ones the one whose heat map says most, of
    others the first.
    """
    return next((photo for photo in photos if photo[0] == START), photos[0])


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


def same_file(source: Any, other: Any) -> bool:
    """Whether both are paths, and the same one."""
    paths = all(isinstance(one, (str, os.PathLike)) for one in (source, other))
    return paths and os.fspath(source) == os.fspath(other)
