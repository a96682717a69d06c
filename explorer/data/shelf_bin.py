"""What was taken away from a shelf of classes last: it lies in a hidden folder, until something else does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.data.shelf_files import ShelfPhoto, is_ours
from explorer.display.words import counted
from explorer.files import DiskError, make_folder, writing

BIN = ".removed"  # in the shelf's folder


@dataclass(frozen=True)
class Removed:
    """A whole class, or one photo of it. place: where it was among the others"""

    place: int
    name: str
    photos: tuple[ShelfPhoto, ...]
    whole: bool

    def __str__(self) -> str:
        if not self.whole:
            return f"A photo of “{self.name}” was removed."
        return f"“{self.name}” with {counted(len(self.photos), 'photo')} was removed."


def put_away(home: Path, photos: Sequence[ShelfPhoto]) -> None:
    """Move photos into the bin of the shelf in `home`; all of them, or none. Raises DiskError."""
    if not photos:
        return
    bin, moved = make_folder(home / BIN), []
    try:
        for photo in photos:
            if os.path.lexists(photo.path):
                with writing(photo.path):
                    os.replace(photo.path, bin / f"{photo.key}.jpg")
                moved.append(photo)
    except DiskError:
        for photo in moved:
            with suppress(OSError):
                os.replace(bin / f"{photo.key}.jpg", photo.path)
        raise


def take_back(home: Path, photos: Sequence[ShelfPhoto], folder: Path) -> list[ShelfPhoto]:
    """Move photos from the bin into `folder`, as far as they are there still. Raises DiskError."""
    back = []
    for photo in photos:
        kept, path = home / BIN / f"{photo.key}.jpg", folder / photo.path.name
        if kept.is_file() and not os.path.lexists(path):
            with writing(path):
                os.replace(kept, path)
            back.append(replace(photo, path=path))
    return back


def empty_bin(home: Path) -> None:
    """Delete what lies in the bin, of what a shelf has written."""
    bin = home / BIN
    with suppress(OSError):
        if not bin.is_symlink():
            for file in list(bin.iterdir()):
                if is_ours(file):
                    file.unlink()
            bin.rmdir()
