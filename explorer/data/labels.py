"""What the classes are called. No torch: the names are one text file, one class a line, in index order."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from explorer.display.words import natural_key


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 names of ImageNet-1k (ILSVRC 2012) in index order, as torchvision publishes them.

    Four names are made clearer, because two birds, machines, dogs and jackets share a word:
    134 "crane (bird)", 517 "crane (machine)", 264 "Cardigan (dog)", 474 "cardigan (jacket)".
    """
    return tuple((Path(__file__).parent / "imagenet1k.txt").read_text(encoding="utf-8").splitlines())


def labels_for(num_classes: int) -> tuple[str, ...]:
    """Names for a head of `num_classes`: ImageNet's for 1000, otherwise "class 0", "class 1", ..."""
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: expected 0 or more.")
    if num_classes == 1000:
        return imagenet_labels()
    return tuple(f"class {index}" for index in range(num_classes))


def class_key(label: str) -> str:
    """What two spellings of one class name have in common: "School_Bus" is "school bus"."""
    return " ".join(unicodedata.normalize("NFC", label).replace("_", " ").split()).casefold()


def match_names(own: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    """For each of their names the index of the own class that is called so; None where none or several are.

    A name stands for itself. Where nothing is spelled exactly so, case, spaces and `_` make no difference
    (`class_key`), as long as that leaves one class on either side.
    """
    if list(own) == list(theirs):
        return list(range(len(own)))
    exact, count = {name: i for i, name in enumerate(own)}, Counter(own)
    keys, own_count = {class_key(name): i for i, name in enumerate(own)}, Counter(map(class_key, own))
    found: list[int | None] = []
    their_count = Counter(map(class_key, theirs))
    for name in theirs:
        key = class_key(name)
        if count[name] == 1:
            found.append(exact[name])
        elif not count[name] and own_count[key] == their_count[key] == 1:
            found.append(keys[key])
        else:
            found.append(None)
    taken = Counter(found)
    return [place if place is None or taken[place] == 1 else None for place in found]


def order_note(names: Sequence[str]) -> str:
    """A sentence where numbers in the names make the alphabet's order another one than people's; else ""."""
    by_letters, counted = sorted(names, key=str.lower), sorted(names, key=natural_key)
    if list(names) != sorted(names) or by_letters == counted:
        return ""
    first = next(i for i, (name, other) in enumerate(zip(by_letters, counted)) if name != other)
    return (f"The classes are in the order of the alphabet, where {by_letters[first]!r} comes before "
            f"{counted[first]!r}: a model that was trained with them in the order of their numbers means "
            "other classes. Its names settle it: explorer.wrap(model, labels=[...]).")
