"""Folders of photos with boxes or masks, told from folders of classes, whose names theirs look like."""

from __future__ import annotations

import os
from pathlib import Path

from explorer.data.folder_words import ENDINGS, MASKS, PHOTOS
from explorer.data.folders import Branch, DataError, listed

COCO_KEYS = (b'"images"', b'"annotations"', b'"categories"')
LOOKED_AT = 4096  # bytes of a JSON file, whose keys stand in front


def check_for_classes(branch: Branch, called: str) -> None:
    """Raise DataError for a folder whose subfolders are no classes: images/ with masks/ that hold files
    that are called as most of the photos are ("a.jpg": "a.png" or "a_mask.png"), or images/ beside a file of
    COCO's.

    called: how the sentence begins
    """
    full = {one.name.casefold(): one for one in branch.below.values() if one.holds_any()}
    photos = next((full[word.casefold()] for word in PHOTOS if word.casefold() in full), None)
    if photos is None:
        return
    masks = [full[word.casefold()] for word in MASKS if word.casefold() in full]
    if len(masks) + 1 < len(full):  # others besides, which may be classes
        return
    if any(_belong(one, photos) for one in masks):
        folders = ", ".join(f"{one.name}/" for one in (photos, *masks))
        raise DataError(f"'{called}' holds photos with masks ({folders}), no classes: it is for a network "
                        "for masks such as unet. For one that tells classes, give a folder of photos for "
                        "each class.")
    if not masks and (files := _coco_files(Path(branch.path))):
        raise DataError(f"'{called}' holds photos with boxes or masks ({photos.name}/, {listed(files)}), no "
                        "classes: it is for a network for boxes such as retinanet, or for masks such as "
                        "unet. For one that tells classes, give a folder of photos for each class.")


def _belong(masks: Branch, photos: Branch) -> bool:
    """Whether more than half of the photos have a mask that is called as they are."""
    called, known = _stems(photos), _stems(masks)
    known |= {stem[:-len(ending)] for stem in known for ending in ENDINGS if stem.endswith(ending)}
    return 2 * len(called & known) > len(called)


def _stems(branch: Branch) -> set[str]:
    """The names of its picture files, below it, without their endings."""
    return {os.path.splitext(os.path.relpath(path, branch.path))[0] for path in branch.all()}


def _coco_files(folder: Path) -> list[str]:
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            with file.open("rb") as opened:
                start = opened.read(LOOKED_AT)
        except OSError:  # one that can't be read says nothing
            continue
        if any(key in start for key in COCO_KEYS):
            found.append(file.name)
    return found
