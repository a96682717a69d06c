"""The picture files of a folder, in the order a person expects, and what lies there besides.

    tree, left_out = read_folder("pets")          # one walk; no file is opened
    [str(one) for one in left_out]                # ["notes.txt is left out: no picture by name.", ...]
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from explorer.display.words import natural_key


class DataError(ValueError):
    """Data that can't be learnt from; the message is one sentence with what to do next."""


PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .jpe .png .gif .bmp .dib .webp .avif .heic .heif .tif .tiff .jp2 .ppm .pgm .pbm .tga "
    ".ico .qoi".split()
)
NAMED = 5  # how many files a sentence names; the rest it counts

NO_PICTURE, HIDDEN = "no picture by name", "hidden (a name that begins with a dot)"
AGAIN = "a link to a folder that is read already"
SYSTEM = "kept there by the operating system"
# What programs leave in folders of photos, by its name in small letters; much of it is second copies of them.
CLUTTER = {
    "__macosx": "what macOS adds to an archive",
    ".ipynb_checkpoints": "copies that Jupyter keeps of what it opened",
    "__pycache__": "what Python keeps",
    **dict.fromkeys(("thumbs.db", "desktop.ini", ".ds_store", "ehthumbs.db", "icon\r", "@eadir", "#recycle",
                     "$recycle.bin", ".trash", "system volume information", "lost+found", ".spotlight-v100",
                     ".fseventsd"), SYSTEM),
}


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its name."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def why_passed_over(name: str) -> str:
    """Why nobody looks at a file or folder of this name; "" for one that counts."""
    return CLUTTER.get(name.lower()) or (HIDDEN if name.startswith(".") else "")


@dataclass(frozen=True)
class LeftOut:
    """Files or folders that are not taken, and why.

    names: the first few;  count: of how many
    photos: whether they are, or hold, photos: such that have no class, or are of no part
    """

    why: str
    names: tuple[str, ...]
    count: int
    photos: bool = False

    def __str__(self) -> str:
        return f"{listed(self.names, self.count)} {'is' if self.count == 1 else 'are'} left out: {self.why}."


class Remains:
    """Collects what is left out: a reason, how often, and the first names of each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[str], int, bool]] = {}

    def add(self, why: str, name: str, *, photos: bool = False) -> None:
        names, before, _ = self._found.get(why, ([], 0, photos))
        if len(names) < NAMED:
            names.append(name)
        self._found[why] = names, before + 1, photos

    def count(self, why: str) -> int:
        return self._found.get(why, ((), 0))[1]

    def all(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(why, tuple(names), count, photos)
                     for why, (names, count, photos) in self._found.items())


@dataclass
class Branch:
    """A folder that was read: its picture files and its subfolders, by name."""

    path: str
    pictures: list[str] = field(default_factory=list)
    below: dict[str, Branch] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return printable(os.path.basename(self.path))

    def files(self) -> list[str]:
        """The paths of all pictures in it and below, in natural order."""
        places = ((natural_key(below(self.path, path)), path) for path in self.all())
        return [path for _, path in sorted(places)]

    def all(self) -> Iterator[str]:
        """The paths of all pictures in it and below, in no order."""
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            yield from (os.path.join(branch.path, name) for name in branch.pictures)
            waiting += branch.below.values()

    def holds_any(self) -> bool:
        return next(self.all(), None) is not None


def read_folder(folder: str | os.PathLike) -> tuple[Branch, Remains]:
    """(what is in a folder and its subfolders, what is left out and why), from one walk that opens no file.

    Links are followed, each folder is read once: what leads there a second time, such as a loop of links, is
    left out. Raises DataError where the folder itself can't be read.
    """
    start = os.path.join(os.fspath(folder), "").rstrip(os.sep) or os.sep
    tree, remains = Branch(start), Remains()
    read: set[tuple[int, int]] = set()
    waiting, links = [tree], []
    while waiting or links:
        # Links come last: what lies in the folder itself is called by its own place.
        branch = waiting.pop() if waiting else links.pop(0)
        try:
            facts = os.stat(branch.path)
            if (place := (facts.st_dev, facts.st_ino)) in read:
                remains.add(AGAIN, below(start, branch.path))
                continue
            read.add(place)
            with os.scandir(branch.path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if branch is tree:
                shown, why = printable(start), error.strerror or error
                raise DataError(f"The folder '{shown}' can't be read: {why}.") from None
            remains.add(f"can't be read ({error.strerror or error})", below(start, branch.path))
            continue
        for entry in found:
            name = entry.name
            why = why_passed_over(name)
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder = is_file = False
            if why:
                remains.add(why, below(start, entry.path))
            elif is_folder:
                branch.below[name] = Branch(entry.path)
                (links if entry.is_symlink() else waiting).append(branch.below[name])
            elif not is_file:
                strange = "a link that leads nowhere" if entry.is_symlink() else "neither a file nor a folder"
                remains.add(strange, below(start, entry.path))
            elif is_picture(name):
                branch.pictures.append(name)
            else:
                remains.add(NO_PICTURE, below(start, entry.path))
    return tree, remains


def find_pictures(folder: Path) -> tuple[list[Path], int]:
    """(the picture files in a folder and its subfolders in natural order, how many other files there are).

    Files and folders whose name begins with a dot, and what programs leave there (`CLUTTER`), are neither.
    Raises DataError where the folder can't be read.
    """
    tree, remains = read_folder(folder)
    return [Path(path) for path in tree.files()], remains.count(NO_PICTURE)


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 (surrogates, in Python) become question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")


def listed(names: Sequence[str], count: int | None = None) -> str:
    """"a, b and c"; "a, b, c, d, e and 7 more" of many.

    count: how many there are, where `names` are the first of them
    """
    count = len(names) if count is None else count
    shown = list(map(printable, names[:NAMED]))
    if count > len(shown):
        return f"{', '.join(shown)} and {count - len(shown)} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def below(start: str, path: str) -> str:
    """A path in the folder `start` as a person names it: from there on, with slashes."""
    return path[len(start.rstrip(os.sep)) + 1:].replace(os.sep, "/")
