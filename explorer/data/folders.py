"""The picture files of a folder, in the order a person expects."""

from __future__ import annotations

import re
from pathlib import Path

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .jpe .png .gif .bmp .dib .webp .avif .heic .heif .tif .tiff .jp2 .ppm .pgm .pbm .tga "
    ".ico .qoi".split()
)


def find_pictures(folder: Path) -> tuple[list[Path], int]:
    """(the picture files in a folder and its subfolders in natural order, how many other files there are).

    Files and folders whose name begins with a dot are neither.
    """
    files = [file for file in folder.rglob("*")
             if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    pictures.sort(key=lambda file: natural(file.relative_to(folder).as_posix()))
    return pictures, len(files) - len(pictures)


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts "photo2" before "photo10"."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name.lower())]
