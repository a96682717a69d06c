"""What was taken away from a shelf of classes last: it lies in a hidden folder, until something else does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.data.shelf_files import BIN, ShelfPhoto, photo_name
from explorer.display.words import counted
from explorer.files import beside_folder, discard_folder, writing


@dataclass(frozen=True)
class Removed:
    """A whole class, or one photo of it. place: where it was among the others
    bin: the folder in which the files are, of this one shelf; None where there is no file
    """

    place: int
    name: str
    photos: tuple[ShelfPhoto, ...]
    whole: bool
    bin: Path | None

    def __str__(self) -> str:
        if not self.whole:
            return f"A photo of “{self.name}” was removed."
        return f"“{self.name}” with {counted(len(self.photos), 'photo')} was removed."

    def take_back(self, folder: Path) -> list[ShelfPhoto]:
        """Move the photos into `folder`, as far as they are there still, each under its name or, where a
        file has that by now, the next one of its burst. All of them, or none. Raises DiskError.
        """
        back: list[tuple[Path, ShelfPhoto]] = []
        try:
            for photo in self.photos if self.bin is not None else ():
                kept = _kept(self.bin, photo)
                if kept.is_file():
                    path = _free(folder / photo.path.name, photo.burst)
                    with writing(path):
                        os.rename(kept, path)
                    back.append((kept, replace(photo, path=path)))
        except OSError:
            _put_back(back)
            raise
        return [photo for _, photo in back]

    def forget(self) -> None:
        """Delete what lies there."""
        if self.bin is not None:
            discard_folder(self.bin)


def put_away(home: Path, photos: Sequence[ShelfPhoto]) -> Path | None:
    """Move photos into a new bin in `home`; all of them, or none. The bin, None where there is no file.
    Raises DiskError.
    """
    there = [photo for photo in photos if os.path.lexists(photo.path)]
    if not there:
        return None
    bin, moved = beside_folder(home, BIN), []
    try:
        for photo in there:
            with writing(photo.path):
                os.replace(photo.path, _kept(bin, photo))
            moved.append((photo.path, replace(photo, path=_kept(bin, photo))))
    except OSError:
        _put_back(moved)
        with suppress(OSError):  # not with what could not be put back
            bin.rmdir()
        raise
    return bin


def _kept(bin: Path, photo: ShelfPhoto) -> Path:
    return bin / f"{photo.key}.jpg"


def _put_back(moved: Sequence[tuple[Path, ShelfPhoto]]) -> None:
    for before, photo in moved:
        with suppress(OSError):
            os.replace(photo.path, before)


def _free(path: Path, burst: int) -> Path:
    """The path; another one of the same burst where there is a file by now."""
    numbers = itertools.count(1)
    while os.path.lexists(path):
        path = path.with_name(photo_name(burst, next(numbers)))
    return path
