"""The notebooks in a folder of one's own: copied there, never over what a person has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from explorer import __version__
from explorer.cli.printing import CommandError
from explorer.files import write_text, write_whole, writing

RECORD = ".vision-explorer.json"  # beside the copies: what was copied, to tell whether a person changed it


def folder_for(wanted: Path | None, name: str, *, how: str) -> Path:
    """The folder to copy to, made where it is not there.

    wanted: what a person asked for; None for a folder `name` here, or at home where this one is read-only
    how:    the words by which another folder is named
    Raises CommandError where nothing may be written.
    """
    folder = wanted or Path(name)
    for at_home in (False, True) if wanted is None else (False,):
        try:
            folder = Path.home() / name if at_home else folder
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".write-test-{os.getpid()}"
            probe.touch()  # os.access does not know about read-only disks and Windows' permissions
            probe.unlink()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            continue
        except RuntimeError:  # a container's user, of whom the system knows no home
            reason = "no home folder is known"
            continue
        return folder.resolve()
    raise CommandError(f"Can't write in {folder} ({reason}). Name another folder with {how}.")


def copy_notebooks(source: Path, folder: Path, *, without: Collection[str] = (),
                   edits: Mapping[str, Callable[[str], str]] | None = None) -> list[str]:
    """Copy the files of `source` into `folder`; a file that a person has changed is kept.

    Where explorer has a newer version of such a file, it is written beside it under another name. A link or a
    folder in the place of a file is of a person's making, too: nothing is written where a link leads.
    without: names of files that stay behind; one that is in `folder` from before is removed, unless a person
             has changed it
    edits:   name of a file -> what makes the text that is copied of the text in `source`
    Returns what a person should know about the files that were kept or removed, as sentences.
    """
    record_file = folder / RECORD
    if os.path.lexists(record_file) and (record_file.is_symlink() or not record_file.is_file()):
        raise CommandError(f"'{record_file}' is not a file of explorer's making: rename or delete it.")
    record = _read_record(record_file)  # file -> SHA-256 of the version that was copied
    sentences = []
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        relative = path.relative_to(source)
        if any(part.startswith((".", "__")) for part in relative.parts):
            continue  # .ipynb_checkpoints, __pycache__
        name, target = relative.as_posix(), folder / relative
        content = path.read_bytes()
        if edits and name in edits:
            content = edits[name](content.decode("utf-8")).encode("utf-8")
        shipped, present = _sha256(content), _sha256(target.read_bytes()) if target.is_file() else None
        if name in without:
            sentences += _left_out(target, (shipped, record.get(name)))
            continue
        own = target.is_symlink() or (present is None and os.path.lexists(target))
        if present == shipped or (present in (None, record.get(name)) and not own):  # as explorer wrote it
            if present != shipped:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(target, content)
            record[name] = shipped
        elif record.get(name) == shipped:
            sentences.append(f"You have changed {name}: it is kept. Rename or delete it to start afresh.")
        else:
            beside = _write_beside(content, target, shipped)
            sentences.append(f"You have changed {name}: it is kept. "
                             f"The new version is {beside.name} beside it.")
    write_text(record_file, json.dumps(record, indent=1))
    return sentences


def _left_out(target: Path, known: Collection[str | None]) -> list[str]:
    """Take away what was copied before, beside it too; a sentence for each that was there, or still is.

    known: SHA-256 of what explorer wrote. Another file is a person's, and stays
    """
    stem, suffix = target.stem, target.suffix
    beside = [*target.parent.glob(f"{stem}-*{suffix}"),
              *target.parent.glob(f".ipynb_checkpoints/{stem}-*{suffix}")]
    sentences = []
    for path in [target, *sorted(beside)]:
        if not os.path.lexists(path):
            continue
        name = path.relative_to(target.parent).as_posix()
        if path.is_file() and not path.is_symlink() and _sha256(path.read_bytes()) in known:
            with writing(path):
                path.unlink()
            sentences.append(f"{name} was there from before, unchanged: it is removed.")
        else:
            sentences.append(f"{name} is still there from before, and not as explorer wrote it: it is kept. "
                             "Delete it before you hand out the folder.")
    return sentences


def _write_beside(content: bytes, target: Path, shipped: str) -> Path:
    """Write `content` next to `target` under the first name that is free, or that already holds just this."""
    number = 1
    while True:
        suffix = f"-{__version__}" + (f"-{number}" if number > 1 else "")
        beside = target.with_stem(target.stem + suffix)
        if not os.path.lexists(beside):
            _write(beside, content)
        if beside.is_file() and _sha256(beside.read_bytes()) == shipped:
            return beside
        number += 1


def _read_record(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no record: then every file that differs counts as changed, and is kept
    return record if isinstance(record, dict) else {}


def _write(target: Path, content: bytes) -> None:
    write_whole(target, lambda new: new.write_bytes(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
