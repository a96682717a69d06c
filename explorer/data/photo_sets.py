"""Photos with their classes or numbers, and what one learns from beside what one is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.data.folders import NAMED, DataError, listed
from explorer.data.images import load_image
from explorer.data.labels import match_names
from explorer.data.rows import Label


@dataclass(frozen=True)
class PhotoSet(Sequence):
    """Photos with their labels. `photos[i]` opens one: (upright RGB image, label). Also a PyTorch dataset.

    classes: names in index order; labels: one class index a photo, or a tuple of them (`multi_label`)
    numbers: True where a photo has numbers in place of classes: then `classes` are their names, and a label
             is a row of them
    names:   what to call each photo, for its file a path below the folder
    open_one: index -> PIL image; raises ImageError for a broken one. What is made here can be pickled
    files:   the path of each photo, empty where they have none
    """

    classes: tuple[str, ...]
    labels: tuple[Label, ...]
    names: tuple[str, ...]
    open_one: Callable[[int], Image.Image] = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    numbers: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, Label]:
        return self.open_one(range(len(self))[index]), self.labels[index]

    @property
    def multi_label(self) -> bool:
        return not self.numbers and any(isinstance(label, tuple) for label in self.labels)

    @property
    def kind(self) -> str:
        """What its labels are: "one" class, "several", or "numbers"."""
        return "numbers" if self.numbers else "several" if self.multi_label else "one"

    def subset(self, indices: Sequence[int]) -> PhotoSet:
        """The photos at `indices`, in that order."""
        chosen = tuple(indices)
        files = tuple(self.files[i] for i in chosen) if self.files else ()
        opens_files = isinstance(self.open_one, FromFiles) and self.open_one.files == self.files
        return PhotoSet(self.classes, tuple(self.labels[i] for i in chosen),
                        tuple(self.names[i] for i in chosen),
                        FromFiles(files) if opens_files else Chosen(self.open_one, chosen), files,
                        self.numbers)

    def with_classes(self, classes: Sequence[str], called: str = "The data") -> PhotoSet:
        """The same photos with the labels that they have among `classes`, told by name in whatever order.

        Raises DataError, in which they are `called` so, where a photo is of none of these classes, or has
        other numbers.
        """
        if tuple(classes) == self.classes:
            return self
        places = match_names(classes, self.classes)
        if self.numbers:
            if None in places or len(places) != len(classes):
                raise DataError(f"{called} has the numbers {listed(self.classes)}: "
                                f"expected {listed(classes)}.")
            order = [places.index(i) for i in range(len(classes))]
            return replace(self, classes=tuple(classes),
                           labels=tuple(tuple(row[i] for i in order) for row in self.labels))
        counts = self.counts()
        if strange := [name for name, place in zip(self.classes, places) if place is None and counts[name]]:
            raise DataError(f"{called} has classes that are unknown elsewhere ({listed(strange)}): expected "
                            f"{listed(classes)}.")
        moved = tuple(tuple(places[i] for i in label) if isinstance(label, tuple) else places[label]
                      for label in self.labels)
        return replace(self, classes=tuple(classes), labels=moved)

    def counts(self) -> dict[str, int]:
        """Photos of each class; of numbers, photos that have each."""
        if self.numbers:
            return dict.fromkeys(self.classes, len(self))
        found = Counter(i for label in self.labels for i in (label if isinstance(label, tuple) else (label,)))
        return {name: found[i] for i, name in enumerate(self.classes)}

    def __repr__(self) -> str:
        return f"PhotoSet({len(self)} photos, {of_what(self)})"


@dataclass(frozen=True)
class FromFiles:
    """Opens the photo of an index from its file."""

    files: tuple[Path, ...] = field(repr=False)

    def __call__(self, index: int) -> Image.Image:
        return load_image(self.files[index])


@dataclass(frozen=True)
class Chosen:
    """Opens some of another's photos, under new indices."""

    open_one: Callable[[int], Image.Image]
    indices: tuple[int, ...] = field(repr=False)

    def __call__(self, index: int) -> Image.Image:
        return self.open_one(self.indices[index])


@dataclass(frozen=True)
class Joined:
    """Opens the photos of one set, and behind its last one those of another."""

    first: PhotoSet
    second: PhotoSet

    def __call__(self, index: int) -> Image.Image:
        cut = len(self.first)
        return self.first.open_one(index) if index < cut else self.second.open_one(index - cut)


@dataclass(frozen=True)
class Splits:
    """What to learn from and what to judge by.

    notes:   sentences on what was left out, and how it was split
    folders: the names of the two folders, where somebody has split the photos into folders; else ""
    """

    name: str
    train: PhotoSet
    val: PhotoSet
    notes: tuple[str, ...] = ()
    folders: tuple[str, str] = ("", "")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    def __repr__(self) -> str:
        return f"Splits({self.name!r}, {len(self.train)} to learn from, {len(self.val)} to judge by, " \
               f"{of_what(self.train)})"


def check_given(photos: Any) -> None:
    """Raise DataError for what is no photos but holds some, such as a run, or the result of `evaluate`."""
    inside = getattr(photos, "data", None)
    if isinstance(inside, PhotoSet | Splits) and not isinstance(photos, PhotoSet | Splits):
        raise DataError(f"Expected photos, not {type(photos).__name__}, which holds some: give its .data.")


def of_what(photos: PhotoSet) -> str:
    """"5 classes", or which numbers."""
    if not photos.numbers:
        return f"{len(photos.classes)} classes"
    names, more = ", ".join(photos.classes[:NAMED]), ", ..." * (len(photos.classes) > NAMED)
    return f"number{'s' * (len(photos.classes) != 1)} {names}{more}"


def joined(first: PhotoSet, second: PhotoSet) -> PhotoSet:
    """Two sets of the same classes, one behind the other."""
    return PhotoSet(first.classes, first.labels + second.labels, first.names + second.names,
                    Joined(first, second),
                    first.files + second.files if first.files and second.files else (), first.numbers)
