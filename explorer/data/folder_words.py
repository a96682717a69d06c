"""The words that folders are called by: a split's, a class's."""

from __future__ import annotations

import re
import unicodedata

from explorer.data.folders import printable

ROLES = {
    "train": "train training trn learn learning".split(),
    "val": "val valid validation validate validating dev development eval evaluation".split(),
    "test": "test testing tst holdout heldout".split(),
}
# What folders of photos are called, and of the masks that belong to them.
PHOTOS = ("images", "JPEGImages", "imgs", "photos", "img", "image")
MASKS = ("masks", "mask", "SegmentationClass", "annotations", "labels", "gt", "instances")
# What stands behind the photo's name in that of its mask.
ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "-mask", "_seg", "_segmentation")
# A split is called so, with nothing more than one of these: "train_set", "Test Images", "val2017".
_BESIDE = r"(set|data|dataset|images?|imgs?|photos?|pictures?|pics?|split|samples?|\d+)"
_ROLE = re.compile(rf"(?P<role>{'|'.join(word for words in ROLES.values() for word in words)}){_BESIDE}*")
_NEUTRAL = re.compile(f"{_BESIDE}+")


def role_of(name: str) -> tuple[str, str] | None:
    """("train", "val" or "test", the words beside it) of a folder that is called like a split; else None.

    "Training_Set" and "train2017" are ("train", ""); "seg_test" is ("test", "seg").
    """
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", class_name(name)).casefold())
    words = re.sub(r"\b(hold|held) out\b", "holdout", " ".join(filter(None, words))).split()
    found = [(_ROLE.fullmatch(word), word) for word in words]
    roles = [match["role"] for match, _ in found if match]
    if len(roles) != 1:
        return None
    rest = " ".join(word for match, word in found if not match and not _NEUTRAL.fullmatch(word))
    return next(role for role, spellings in ROLES.items() if roles[0] in spellings), rest


def class_name(folder: str) -> str:
    """A class's name of its folder's: composed letters (NFC; macOS takes them apart), no space around it."""
    return unicodedata.normalize("NFC", printable(folder)).strip()
