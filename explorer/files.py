"""Paths that a person gives, and files that are written whole or not at all.

    folder = given_path("~/runs/flowers", "run_dir")          # the home folder; "" is refused in a sentence
    user_cache("features")                                    # what can be worked out again: ~/.cache
    write_whole(folder / "run.json", lambda beside: beside.write_text("{}"))

Whatever explorer writes goes through `write_whole`: a reader finds the old file or the new one, a full disk
is one kind of error, and what a killed process left behind is recognised by its name (`remove_stale`).
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
OLD = 24 * 3600.0      # seconds after which nobody writes at the same file any more
PROBE = 1024**2        # bytes that tell a full disk from another trouble
_BESIDE = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d{1,10})(-\d+)?")
_number = itertools.count()
_writing: set[Path] = set()  # what this process has begun


class DiskError(OSError):
    """A file can't be written; the message says which, why, and what to do. errno: the system's number."""

    def __init__(self, path: Path, reason: OSError):
        super().__init__(reason.errno, reason.strerror or str(reason) or type(reason).__name__, str(path))
        self.path = path

    def __str__(self) -> str:
        where, why = self.path.parent, self.strerror
        if self.errno in FULL:
            return f"The disk is full: make room for '{self.path.name}' in '{where}' ({why})."
        if self.errno in FORBIDDEN:
            return f"'{self.path.name}' can't be written in '{where}' ({why}): " \
                   "give a folder in which you may write."
        if self.errno in (errno.ENOENT, errno.ENOTDIR):
            return f"There is no folder '{where}' to write '{self.path.name}' into ({why}): " \
                   "give one that is there."
        return f"'{self.path}' can't be written ({why}): give another place."


def given_path(path: str | os.PathLike, name: str = "path") -> Path:
    """The path that a person gave as the argument `name`, with ~ as the home folder.

    Raises TypeError for what is no path, ValueError for an empty one: `Path("")` would be the current folder.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TypeError(f"{name} is a {type(path).__name__}: give a path as text, such as 'my folder'.")
    if not text.strip() or "\0" in text:
        raise ValueError(f"{name} is {text!r}: give a path, such as 'my folder' ('.' is the folder you are "
                         "in).")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody who is not known here
        raise ValueError(f"{name} is {text!r}: there is no such user here. Give the whole path.") from None


def user_cache(*inside: str) -> Path:
    """Where explorer keeps what it can get or work out again: `explorer` in the user's cache folder, or a
    folder in it. Raises RuntimeError where neither XDG_CACHE_HOME nor a home folder is known.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "explorer", *inside).expanduser()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Any OSError of the `with` block becomes a DiskError about `path`."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        raise DiskError(path, error) from error


def make_folder(folder: Path) -> Path:
    """The folder, made with those above it where it is not there. Raises DiskError where that can't be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside `path`, then put it in its place in one step.

    write: called with the path to write to. The file gets the mode of any new file, whatever `write` gave it.
    A reader finds the old file or the new one. A pipe or a device is written to as it is.
    Raises DiskError where it can't be written; what was there before stays.
    """
    path = Path(path)
    with writing(path):
        special = (path.exists() and not path.is_file()) or \
            path.is_relative_to("/dev") or path.is_relative_to("/proc")
        if special:
            write(path)
            return
        target = Path(os.path.realpath(path))  # behind a link, which stays one
    beside = target.with_name(f".{target.name}.{os.getpid()}-{next(_number)}")
    _writing.add(beside)
    try:
        with writing(path):
            with beside.open("xb"):
                mode = beside.stat().st_mode & 0o777  # the umask's, asked without changing it
            try:
                write(beside)
            except OSError:
                raise
            except Exception as error:
                reason = _disks_reason(error, beside)
                if reason is None:
                    raise
                raise DiskError(path, reason) from error
            beside.chmod(mode)  # safetensors makes a file of its own, for its owner alone
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, target)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        _writing.discard(beside)


def write_new(path: Path, data: bytes) -> bool:
    """Write a file whole, or not at all; False, and nothing is written, where there is one of that name.

    Raises DiskError.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{next(_number)}")
    _writing.add(Path(os.path.realpath(beside)))  # or another reader of the folder takes it for a dead one's
    try:
        with writing(path):
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(beside, path, follow_symlinks=False)
            except FileExistsError:
                return False
            except (OSError, NotImplementedError):  # a disk without hard links
                if os.path.lexists(path):
                    return False
                os.rename(beside, path)
            return True
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        _writing.discard(Path(os.path.realpath(beside)))


def check_free(path: Path, is_ours: Callable[[Path], bool], writer: str) -> None:
    """Whether a file may be written there, in place of one that the same function has written before.

    is_ours: says of a file that is there and not empty whether it has;  writer: what that function is called
    Raises FileExistsError where anything else is, DiskError where there is no folder for the file.
    """
    if path.exists() or path.is_symlink():
        if not path.is_file():
            raise FileExistsError(f"'{path}' is there, and is no file: give a name that is free.")
        if path.stat().st_size and not is_ours(path):
            raise FileExistsError(f"'{path}' is there, and {writer} did not write it: give a name that is "
                                  "free, or delete it first.")
    elif not path.parent.is_dir():
        raise DiskError(path, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))


def write_text(path: Path, text: str) -> None:
    """Write a text whole, as UTF-8 and with its own line ends. Raises DiskError."""
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8", newline=""))


def _disks_reason(error: Exception, beside: Path) -> OSError | None:
    """What the disk says to a library's own error; None for one that has nothing to do with the disk.

    safetensors names the system's number, torch says only that writing failed: then the disk is asked.
    """
    if numbered := re.search(r"\(os error (\d+)\)", str(error)):
        return OSError(int(numbered[1]), os.strerror(int(numbered[1])))
    try:
        with beside.open("ab") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as reason:
        return reason
    return OSError(errno.EIO, "the write failed") if "PytorchStreamWriter" in str(error) else None


def beside_folder(folder: Path, name: str) -> Path:
    """A new folder in `folder` for files that will take their places together; `remove_stale` knows it."""
    made = Path(os.path.realpath(folder), f".{name}.{os.getpid()}-{next(_number)}")
    with writing(made):
        made.mkdir()
    _writing.add(made)
    return made


def discard_folder(made: Path) -> None:
    """Take away what `beside_folder` made."""
    import shutil  # not above: it brings every way to pack along

    shutil.rmtree(made, ignore_errors=True)
    _writing.discard(made)


def remove_stale(folder: Path, names: str) -> None:
    """Delete what processes that are dead by now had begun to write in `folder`, and nothing else.

    names: a regular expression of the names that explorer itself writes there
    """
    with suppress(OSError):
        for path in list(Path(os.path.realpath(folder)).glob(".*")):
            found = _BESIDE.fullmatch(path.name)
            if not found or not re.fullmatch(names, found["name"]) or path in _writing:
                continue
            with suppress(OSError):
                if not is_dead(int(found["pid"])) and time.time() - path.lstat().st_mtime < OLD:
                    continue
                if path.is_dir() and not path.is_symlink():
                    import shutil

                    shutil.rmtree(path)
                else:
                    path.unlink()


def is_dead(pid: int) -> bool:
    """Whether no process of this computer has that number; False where it can't be told."""
    if pid == os.getpid():  # another process had this number, and what this one writes is in `_writing`
        return True
    if os.name == "nt":  # there, signal 0 would end it
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
