"""Looking at photos before learning from them: those that can't be read, and those that are there twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from PIL import Image

from explorer._threads import thread_count
from explorer.data.datasets import checked_splits
from explorer.data.folders import NAMED
from explorer.data.images import ImageError
from explorer.data.labels import match_names
from explorer.data.photo_sets import PhotoSet, Splits
from explorer.data.places.place_set import PlaceSplits
from explorer.data.reading import photo_threads


def broken_photos(photos: PhotoSet, *, threads: int | None = None) -> dict[int, str]:
    """{index: the sentence} of the photos that can't be opened. Opens each one, in several threads."""

    def check(index: int) -> str:
        try:
            photos.open_one(index)
        except ImageError as error:
            return str(error)
        return ""

    with photo_threads(thread_count(threads, 8)) as pool:
        return {i: sentence for i, sentence in enumerate(pool.map(check, range(len(photos)))) if sentence}


OneKind = TypeVar("OneKind", Splits, PlaceSplits)


def ordered_as(classes: Sequence[str], splits: OneKind) -> OneKind:
    """The splits with their classes in this order and spelling, where they are the same by name; else as they
    are.

    A model that was trained elsewhere has an order of its own, and its classifier goes by that.
    """
    places = match_names(classes, splits.classes)
    if len(classes) != len(splits.classes) or None in places:
        return splits
    return replace(splits, train=splits.train.with_classes(classes), val=splits.val.with_classes(classes))


def named_as(classes: Sequence[str], splits: PlaceSplits) -> PlaceSplits:
    """The splits with these names for as many classes that nobody has named, as of masks that are black and
    white; else as they are. A note says so.
    """
    if splits.train.named or len(classes) != len(splits.classes):
        return splits
    named = ", ".join(classes)
    note = f"The data has no names for its classes: they are called as the model's, in their order ({named})."
    train, val = (replace(part, classes=tuple(classes), named=True) for part in (splits.train, splits.val))
    return replace(splits, train=train, val=val, notes=(*splits.notes, note))


def without_broken(splits: Splits) -> Splits:
    """The splits without photos that can't be opened, each of them named in the notes (the first few of
    many).
    """
    parts, notes = [], list(splits.notes)
    for photos in (splits.train, splits.val):
        broken = broken_photos(photos)
        notes += [f"Left out, {photos.names[i]}: {sentence}" for i, sentence in list(broken.items())[:NAMED]]
        if len(broken) > NAMED:
            notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened.")
        parts.append(photos.subset([i for i in range(len(photos)) if i not in broken]) if broken else photos)
    return checked_splits(replace(splits, train=parts[0], val=parts[1], notes=tuple(notes)))


def duplicates(splits: Splits) -> list[tuple[str, str]]:
    """(name in train, name in val) of photos that are in both, pixel for pixel: such a photo judges nothing.
    """
    import hashlib

    def key(photo: Image.Image) -> bytes:
        return hashlib.sha256(repr(photo.size).encode() + photo.tobytes()).digest()

    def keys(photos: PhotoSet) -> list[bytes]:
        with photo_threads(thread_count(None, 8)) as pool:
            return list(pool.map(lambda i: key(photos.open_one(i)), range(len(photos))))

    learnt = {k: name for k, name in zip(keys(splits.train), splits.train.names)}
    return [(learnt[k], name) for k, name in zip(keys(splits.val), splits.val.names) if k in learnt]
