"""Photos that wait, open: the look for broken ones opens all, and the first that learns from one need not do
so again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from explorer.data.photo_sets import PhotoSet, Splits

ONCE_BYTES = 256 * 1024**2  # that they take, at most


class AskedToStop(Exception):
    """In the middle of the look at all photos."""


def opened_once(splits: Splits, *, room: int = ONCE_BYTES,
                asked_to_stop: Callable[[], bool] = lambda: False) -> Splits:
    """The same photos, of which each one's first opening serves the second too, while those that wait take
    `room` bytes.

    asked_to_stop: once it says True, the first opening of a photo raises AskedToStop
    """
    shared = _Room(room)

    def part(photos: PhotoSet) -> PhotoSet:
        return replace(photos, open_one=_OpenedOnce(photos.open_one, shared, asked_to_stop))

    return replace(splits, train=part(splits.train), val=part(splits.val))


class _Room:
    """Bytes that photos may take which wait, open. A copy has all of them: no photo waits there."""

    def __init__(self, size: int):
        self.size = self.left = size
        self.guard = threading.Lock()

    def __reduce__(self):
        return _Room, (self.size,)


class _OpenedOnce:
    """Opens photos; the first opening of each is kept for the second. A copy begins with none, and is not
    stopped.
    """

    def __init__(self, open_one: Callable[[int], Image.Image], room: _Room,
                 asked_to_stop: Callable[[], bool] = lambda: False):
        self.open_one, self.room, self.asked_to_stop = open_one, room, asked_to_stop
        self.waiting: dict[int, Image.Image] = {}
        self.seen: set[int] = set()

    def __reduce__(self):
        return _OpenedOnce, (self.open_one, self.room)

    def __call__(self, index: int) -> Image.Image:
        room = self.room
        with room.guard:
            photo = self.waiting.pop(index, None)
            if photo is not None:
                room.left += _bytes_of(photo)
                return photo
        if index not in self.seen and self.asked_to_stop():
            raise AskedToStop
        photo = self.open_one(index)
        with room.guard:
            if index not in self.seen and _bytes_of(photo) <= room.left:
                self.waiting[index] = photo
                room.left -= _bytes_of(photo)
            self.seen.add(index)
        return photo


def _bytes_of(photo: Image.Image) -> int:
    return photo.width * photo.height * len(photo.getbands())
