"""What the classes are called. No torch: the names are one text file, one class a line, in index order."""

from __future__ import annotations

from functools import cache
from pathlib import Path


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
