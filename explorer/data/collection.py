"""What a folder means: which photos, which classes, which part is learnt from, and what is left out and why.

    described = describe("pets")                  # a FolderDescription, which shows itself in a notebook
    described.counts                              # {'cat': {'train': 80, 'val': 20}, 'dog': {...}}
    described.splits                              # {'train': Path('pets/Train'), 'val': Path('pets/Test')}
    [str(one) for one in described.left_out]      # ["__MACOSX is left out: what macOS adds ...", ...]
    described.problem                             # why nothing can be learnt from it and what to do, or ""

A folder holds a folder of photos for each class, or such folders in `train/` and `val/`, in any usual
spelling; or photos alone. Where it can be read in two ways, it is not guessed: `problem` says which folder
to give. Photos with boxes or masks (images/ and masks/, or a COCO file beside images/) are no classes, and
`problem` says so. Names and sizes of files are looked at, and the contents of those few that have the same
size; no photo is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.data.folder_description import FolderDescription
from explorer.data.folder_reader import FolderReader
from explorer.data.folders import DataError, printable
from explorer.files import given_path

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


# --- what is given: one photo, many, a folder -----------------------------------------------------------


def folder_of(images: Any) -> Path | None:
    """The folder that is given as the photos to look at; None for anything else.

    An empty path is none: it would be the folder one is in, and `load_image` has the right words for it.
    """
    if not isinstance(images, (str, os.PathLike)) or "\0" in os.fsdecode(images) or not os.fspath(images):
        return None
    try:
        path = Path(images).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError):  # a name too long, or `~nobody`: load_image has the right words for it
        return None


def is_many(images: Any) -> bool:
    """Whether this is a collection of pictures. Files, arrays and bytes iterate too, but are one picture.

    A row of paths in an array, or a column of a table, is many.
    """
    one = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)
    kind = getattr(getattr(images, "dtype", None), "kind", "")  # of an array: O, U and S hold no numbers
    if getattr(images, "ndim", None) == 1 and kind in ("O", "U", "S"):
        return True
    return isinstance(images, Iterable) and not isinstance(images, one) and not hasattr(images, "read") \
        and not hasattr(images, "__array__")


# --- what a folder means ------------------------------------------------------------------------------------


def describe(folder: str | os.PathLike) -> FolderDescription:
    """Which photos and which classes a folder means, what is left out of it, and why.

    folder: one folder a class, or these in a folder to learn from and one to judge by (train, Training,
            train_set; val, valid, dev, test, ...), or photos alone

    What can't be learnt from is described too: `problem` says why. Raises DataError where there is no such
    folder, or it can't be read.
    """
    return FolderReader(existing_folder(folder)).read()


def existing_folder(folder: str | os.PathLike, name: str = "folder", instead: str = "",
                    wanted: str = "a folder of class folders") -> Path:
    """The path of the folder that was given as the argument `name`.

    instead: what else could be given;  wanted: which folder, for the sentence
    Raises DataError, with what to do, for what is no folder, and what `given_path` raises.
    """
    path = given_path(folder, name)
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE):
        raise DataError(f"{printable(str(folder))!r} is a web address: download what is there first, "
                        "then give its folder.")
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:  # a name too long
        raise DataError(f"'{printable(str(path)[:100])} ...' is too long for the path of a folder.") from None
    if is_folder:
        return path
    shown = printable(str(path))
    if is_file and path.suffix.lower() in ARCHIVES:
        raise DataError(f"'{shown}' is an archive: unpack it, and give the folder that comes out.")
    if is_file:
        raise DataError(f"'{shown}' is a file: give {wanted}.")
    raise DataError(f"There is no folder '{shown}'. Give {wanted}{instead}.")
