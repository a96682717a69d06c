"""The files of a shelf of classes: their names, the mark inside, writing one, reading a folder."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from explorer.data.bursts import FRAME
from explorer.data.folders import HIDDEN, NO_PICTURE, DataError, Remains, is_picture, printable
from explorer.data.folders import why_passed_over as passed_over
from explorer.data.images import load_image
from explorer.display.words import natural_key
from explorer.files import beside_folder, discard_folder, make_folder, remove_stale, writing

MOST_PIXELS = 2**24  # of a photo that is taken in
QUALITY = 95         # of a JPEG that is made of another format
MARK = b"explorer: collected"
HEAD = 2**16         # bytes of a file in which its mark stands
NO_TEXT = "a name that is no text"
BIN = "removed"      # in the name of the folder of what was taken away last: see `beside_folder`
LINK, DEEPER = "a link, and none is followed", "a folder in a class folder"
LOOSE = "beside the class folders, so of no class"


@dataclass(frozen=True)
class ShelfPhoto:
    """key: tells it from all others of its shelf;  path: its file, as long as its class has that name
    burst: the photos of one number were taken in one go;  own: whether the shelf has written the file
    """

    key: int
    path: Path
    burst: int
    own: bool


def photo_name(burst: int, number: int) -> str:
    """ "burst-0003-007.jpg": the seventh frame of the third burst."""
    return f"burst-{burst:04d}-{number:03d}.jpg"


def marked_jpeg(data: bytes) -> bytes:
    """A picture file as a JPEG with the mark of a shelf inside; its pixels are those of `load_image`.

    data: not to be trusted. Raises ImageError for what is no picture or a too large one.
    """
    image = load_image(data, max_pixels=MOST_PIXELS)
    data = bytes(data)
    if data[:3] != b"\xff\xd8\xff":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        data = buffer.getvalue()
    start = 2
    if data[2:4] == b"\xff\xe0":  # what says that it is a JPEG file comes first
        start = 4 + int.from_bytes(data[4:6], "big")
    comment = b"\xff\xfe" + (len(MARK) + 2).to_bytes(2, "big") + MARK
    return data[:start] + comment + data[start:]


def is_ours(path: Path) -> bool:
    """Whether a shelf has written the file: a real one, no link, with the mark where it is written."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                start = file.read(HEAD)
            after = 4 + int.from_bytes(start[4:6], "big") if start[2:4] == b"\xff\xe0" else 2
            return start[:2] == b"\xff\xd8" and start[after + 4:after + 4 + len(MARK)] == MARK
    return False


def copy_whole(classes: Mapping[str, Sequence[Path]], target: Path) -> None:
    """Copy the files of each class into a folder of its name in `target`, whole or not at all; a class
    without any gets no folder. target: not there, or empty. Raises DiskError.
    """
    remove_stale(make_folder(target.parent), re.escape(target.name))  # of a kernel that has died
    beside = beside_folder(target.parent, target.name)
    try:
        for name, files in classes.items():
            if files:
                make_folder(beside / name)
            for file in files:
                copy = beside / name / file.name
                with writing(copy):
                    shutil.copyfile(file, copy, follow_symlinks=False)
        with writing(target):
            if target.is_dir():
                target.rmdir()
            beside.rename(target)
    finally:
        discard_folder(beside)


def read_classes(home: Path) -> tuple[list[tuple[str, list[Path]]], Sequence[str]]:
    """([(class, its picture files in natural order)] in natural order, sentences on what is left out).

    Raises DataError where the folder can't be read, or the classes are deeper inside.
    """
    remains, classes = Remains(), []
    remove_stale(home, BIN)
    for entry in _entries(home):
        if _refused(entry, entry.name, remains):
            continue
        if not entry.is_dir(follow_symlinks=False):
            if is_picture(entry.name):
                remains.add(LOOSE, entry.name, photos=True)
            else:
                remains.add(NO_PICTURE, entry.name)
            continue
        remove_stale(Path(entry.path), FRAME.pattern)
        files = []
        for inner in _entries(Path(entry.path)):
            place = f"{entry.name}/{inner.name}"
            if _refused(inner, place, remains):
                continue
            if inner.is_dir(follow_symlinks=False):
                remains.add(DEEPER, place)
            elif is_picture(inner.name) and inner.is_file(follow_symlinks=False):
                files.append(Path(inner.path))
            else:
                remains.add(NO_PICTURE, place)
        classes.append((entry.name, files))
    left = remains.all()
    deeper = next((one.names[0] for one in left if one.why == DEEPER), "")
    if deeper and not any(files for _, files in classes):
        shown, inside = printable(str(home)), deeper.partition("/")[0]
        raise DataError(f"'{shown}' has no photos in its folders, but folders in folders: give the one whose "
                        f"folders are the classes, such as '{Path(shown, inside)}'.")
    return classes, [str(one) for one in left if one.why != HIDDEN]


def _refused(entry: os.DirEntry[str], place: str, remains: Remains) -> bool:
    why = passed_over(entry.name) or (LINK if entry.is_symlink() else "") or \
        ("" if printable(entry.name) == entry.name else NO_TEXT)
    if why:
        remains.add(why, place)
    return bool(why)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: natural_key(printable(entry.name)))
    except OSError as error:
        shown = printable(str(folder))
        raise DataError(f"The folder '{shown}' can't be read: {error.strerror or error}.") from None
