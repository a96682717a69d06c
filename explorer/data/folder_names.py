"""A class's name as a folder's: what any computer can write, and what nobody takes for anything else."""

from __future__ import annotations

import re
import unicodedata

from explorer.data.folder_words import MASKS, PHOTOS, role_of
from explorer.data.folders import CLUTTER

LONGEST = 60      # characters of a name
MOST_BYTES = 180  # of it as UTF-8: some disks allow 255 with all that is written beside it
NO_NAME = "Class"

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]+')  # what Windows or a path does not allow
# of Windows
_DEVICES = re.compile(r"(con|prn|aux|nul|con(in|out)\$|(com|lpt)[\d¹²³])(\s*\..*)?", re.IGNORECASE)


def folder_name(name: str) -> str:
    """The name of a class's folder, of whatever a person or a stranger's file called it.

    It stays in its folder ("../x" is "-x"), is not hidden, and Windows, macOS and Linux can all write it.
    Raises ValueError for a name that means another thing among folders of photos: a split, masks.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    text = "".join(" " if character.isspace() else character for character in text)
    text = "".join(character for character in text if character.isprintable())
    text = _trimmed(_FORBIDDEN.sub("-", text))[:LONGEST]
    while len(text.encode("utf-8")) > MOST_BYTES:
        text = text[:-1]
    text = _trimmed(text)
    if not text:
        return NO_NAME
    if _DEVICES.fullmatch(text) or text.lower() in CLUTTER:
        text = f"class {text}"
    _check_meaning(text)
    return text


def same_name(one: str, other: str) -> bool:
    """Whether two folders of these names would be one on some computer: capitals do not tell them apart."""
    return _folded(one) == _folded(other)


def free_name(name: str, taken: list[str]) -> str:
    """The name, with a number behind it where it is taken: "Class 3" beside "Class" and "Class 2"."""
    number, found = 2, name
    while any(same_name(found, one) for one in taken):
        found, number = f"{name} {number}", number + 1
    return found


def _trimmed(text: str) -> str:
    return " ".join(text.split()).strip(". ")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_meaning(name: str) -> None:
    role = role_of(name)
    if role is not None and not role[1]:
        raise ValueError(f"A class can't be called {name!r}: folders of that name hold a part of the photos "
                         "of all classes. Add a word, such as what kind it is.")
    if any(same_name(name, one) for one in (*PHOTOS, *MASKS)):
        raise ValueError(f"A class can't be called {name!r}: folders of that name hold photos or masks of "
                         "all classes. Add a word, such as what is to be seen.")
