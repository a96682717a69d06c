"""Where photos lie that nobody has saved yet: working folders, which outlive a kernel."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from explorer.data.folders import DataError
from explorer.data.shelf_files import is_ours, read_classes
from explorer.files import OLD, is_dead

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-\d{6}-(?P<pid>\d{1,10})(-\d+)?")
_SAVED = ".saved"  # in a working folder whose photos are saved elsewhere
_guard = threading.Lock()
_used: set[Path] = set()  # by shelves of this process


@dataclass(frozen=True)
class Former:
    """A working folder that nobody uses any more. at: when its last photo was written (seconds, Unix)."""

    folder: Path
    classes: int
    photos: int
    at: float


def homes_root() -> Path:
    """Where working folders are: `explorer/collected` in the user's folder for data."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    return Path(os.path.abspath(data / "explorer" / "collected"))


def new_home() -> Path:
    """A working folder that nobody else uses; it is not made before there is a photo for it."""
    with _guard:
        stem, number = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}", 1
        home = homes_root() / stem
        while home in _used or os.path.lexists(home):
            number += 1
            home = homes_root() / f"{stem}-{number}"
        _used.add(home)
        return home


def take_home(home: Path) -> None:
    """Use a working folder, so that it is offered to nobody else in this process."""
    with _guard:
        _used.add(home)


def leave_home(home: Path) -> None:
    """Use it no more: it is offered again where it holds photos."""
    with _guard:
        _used.discard(home)


def discard_home(home: Path) -> None:
    """Delete a working folder whose photos are saved elsewhere: what explorer wrote there, nothing else."""
    leave_home(home)
    if home.parent != homes_root() or home.is_symlink():
        return
    with suppress(OSError, DataError):
        (home / _SAVED).unlink(missing_ok=True)
        for folder in [one for one in home.iterdir() if one.is_dir() and not one.is_symlink()]:
            for file in list(folder.iterdir()):
                if is_ours(file):
                    file.unlink()
            with suppress(OSError):
                folder.rmdir()
        home.rmdir()


def discard_later(home: Path) -> None:
    """As `discard_home`, but when this process is over and another one collects: something reads the photos
    there still.
    """
    if home.parent == homes_root() and not home.is_symlink():
        with suppress(OSError):
            (home / _SAVED).touch()


def last_home() -> Former | None:
    """The newest working folder with photos that no living kernel uses; None where there is none."""
    with suppress(OSError):
        found = sorted((home for home in homes_root().iterdir()
                        if (name := _NAME.fullmatch(home.name)) and home not in _used
                        and not home.is_symlink() and _is_left(home, int(name["pid"]))), reverse=True)
        for home in found:
            if (home / _SAVED).exists():
                discard_home(home)
                continue
            with suppress(DataError, OSError):
                files = [file for _, files in read_classes(home)[0] for file in files]
                if files:
                    classes = sum(bool(files) for _, files in read_classes(home)[0])
                    return Former(home, classes, len(files), max(file.stat().st_mtime for file in files))
    return None


def _is_left(home: Path, pid: int) -> bool:
    """Whether its kernel is gone: in a container another process soon has the number, so days count too."""
    return is_dead(pid) or time.time() - home.stat().st_mtime > OLD
