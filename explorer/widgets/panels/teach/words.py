"""What the collecting half of Teach says."""

from __future__ import annotations

import time
from pathlib import Path

from explorer.data.class_shelf import ClassShelf
from explorer.data.shelf_homes import Former, homes_root
from explorer.display.words import counted

CAMERA_OFF = ("The camera is off. Its pictures go to the Python that runs this notebook, and nowhere else; "
              "those that you collect are kept in a folder there.")
NOTHING_LEARNT = "Nothing has learnt your classes yet: collect photos of two, and press Learn."


def home_text(shelf: ClassShelf) -> str:
    """Where the photos lie."""
    if shelf.folder.parent != homes_root():
        return f"Every photo is in '{shelf.folder}' as soon as it is taken."
    if not len(shelf):
        return ""
    return "Photos are on the disk as soon as they are taken; save them to choose where."


def loaded_text(shelf: ClassShelf, left: Path | None) -> str:
    """What came with a folder, and what of it is not taken. left: where photos are that were there before"""
    count, classes = len(shelf), sum(map(bool, shelf.counts.values()))
    what = f"{counted(count, 'photo')} of {counted(classes, 'class', 'es')}"
    before = [f"What was here before is in '{left}'."] if left is not None else []
    return " ".join([f"{what} {'is' if count == 1 else 'are'} here.", *before, *shelf.left_out])


def offer_text(former: Former) -> str:
    """What another session has collected."""
    day = time.strftime("%d %B %Y, %H:%M", time.localtime(former.at)).lstrip("0")
    what = f"{counted(former.classes, 'class', 'es')}, {counted(former.photos, 'photo')}"
    return f"You collected {what} on {day}, and did not save them."
