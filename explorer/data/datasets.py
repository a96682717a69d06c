"""Photos with labels: a folder, a bundled set, CIFAR-10 or somebody's own dataset, behind one small interface.

    splits = open_data("flowers5")                # bundled; also "cifar10", a folder, a pair of datasets
    splits.train.classes                          # ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
    photo, label = splits.train[0]                # (PIL image, class index)
    splits.notes                                  # what was left out, and why

A folder holds one folder a class, with or without `train/` and `val/` above them. Without them a share of each class
is held out, drawn by `seed`: the same seed gives the same split on every computer.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from explorer._threads import thread_count
from explorer.files import given_path

from .folders import find_pictures
from .images import ImageError, load_image
from .samples import assets_dir

BUNDLED = ("flowers5", "flowers5_nano")
TRAIN_NAMES, VAL_NAMES = ("train", "training"), ("val", "valid", "validation", "test")
NAMED = 5  # how many files a note names; the rest it counts


class DataError(ValueError):
    """Data that can't be learnt from; the message is one sentence with what to do next."""


Label = int | tuple[int, ...]  # one class, or all that a photo shows (multi-label)


@dataclass(frozen=True)
class PhotoSet(Sequence):
    """Photos with their labels. `photos[i]` opens one: (upright RGB image, label). Also a PyTorch dataset.

    classes: names in index order; labels: one class index a photo, or a tuple of them (`multi_label`)
    names:   what to call each photo, for its file a path below the folder
    open_one: index -> PIL image; raises ImageError for a broken one
    files:   the path of each photo, empty where they have none
    """

    classes: tuple[str, ...]
    labels: tuple[Label, ...]
    names: tuple[str, ...]
    open_one: Callable[[int], Image.Image] = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, Label]:
        return self.open_one(range(len(self))[index]), self.labels[index]

    @property
    def multi_label(self) -> bool:
        return any(isinstance(label, tuple) for label in self.labels)

    def subset(self, indices: Sequence[int]) -> PhotoSet:
        """The photos at `indices`, in that order."""
        chosen = tuple(indices)
        return PhotoSet(self.classes, tuple(self.labels[i] for i in chosen), tuple(self.names[i] for i in chosen),
                        lambda i: self.open_one(chosen[i]), tuple(self.files[i] for i in chosen) if self.files else ())

    def counts(self) -> dict[str, int]:
        """Photos of each class."""
        found = Counter(i for label in self.labels for i in (label if isinstance(label, tuple) else (label,)))
        return {name: found[i] for i, name in enumerate(self.classes)}

    def __repr__(self) -> str:
        return f"PhotoSet({len(self)} photos, {len(self.classes)} classes)"


@dataclass(frozen=True)
class Splits:
    """What to learn from and what to judge by. notes: sentences on what was left out, and how it was split."""

    name: str
    train: PhotoSet
    val: PhotoSet
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    def __repr__(self) -> str:
        return f"Splits({self.name!r}, {len(self.train)} to learn from, {len(self.val)} to judge by, " \
               f"{len(self.classes)} classes)"


def open_data(data: Any, *, val_share: float = 0.2, seed: int = 0) -> Splits:
    """Splits of anything that `finetune` takes.

    data: "flowers5", "flowers5_nano" (bundled), "cifar10"; a folder of class folders, with or without train/ and val/;
          a PyTorch dataset of (picture, class index), which is split; a pair of folders, datasets or PhotoSets (train, val)
    val_share, seed: how much of each class is held out where nobody has split, and by which draw

    Pictures are opened later; what is no picture by its name is counted in the notes. Raises DataError for a folder
    without class folders, an unknown name, classes that differ between the two parts, or a part without photos.
    """
    if isinstance(data, Splits):
        return data
    if not 0 < val_share < 1:
        raise DataError(f"val_share is {val_share}: give the share to hold out, such as 0.2.")
    if isinstance(data, tuple | list) and len(data) == 2:
        return _pair(*data)
    if isinstance(data, str) and data in BUNDLED:
        return _from_folder(assets_dir() / "data" / data, data, val_share, seed)
    if isinstance(data, str) and data.lower() in ("cifar10", "cifar-10"):
        return cifar10()
    if isinstance(data, (str, os.PathLike)):
        folder = given_path(data, "data")
        if not folder.is_dir():
            raise DataError(f"There is no folder '{folder}'. Give a folder of class folders, or one of the names "
                            f"{', '.join(BUNDLED)}, cifar10.")
        return _from_folder(folder, folder.name, val_share, seed)
    photos = as_photos(data)
    return _held_out(type(data).__name__, photos, val_share, seed, ())


# --- folders --------------------------------------------------------------------------------------------------


def photos_in(folder: str | os.PathLike, classes: Sequence[str] | None = None) -> tuple[PhotoSet, tuple[str, ...]]:
    """(the photos of a folder that holds one folder a class, notes). Classes are in the order of their names.

    classes: what they must be called, where that is known. Raises DataError for a folder without class folders.
    """
    folder = given_path(folder, "folder")
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise DataError(f"'{folder}' holds no class folders. Put the photos of each class into a folder with its name.")
    if classes is not None and set(found) - set(classes):
        strange = ", ".join(sorted(set(found) - set(classes))[:NAMED])
        raise DataError(f"'{folder}' has classes that are unknown elsewhere ({strange}): expected {', '.join(classes)}.")
    files, labels, others = [], [], 0
    names = tuple(classes or found)
    for index, name in enumerate(names):
        pictures, rest = find_pictures(folder / name) if (folder / name).is_dir() else ([], 0)
        files += pictures
        labels += [index] * len(pictures)
        others += rest
    photos = tuple(files)
    notes = (f"{others} file{'s' * (others != 1)} in '{folder.name}' "
             f"{'are no pictures' if others != 1 else 'is no picture'} by name: left out.",) if others else ()
    return PhotoSet(names, tuple(labels), tuple(p.relative_to(folder).as_posix() for p in photos),
                    lambda i: load_image(photos[i]), photos), notes


def _from_folder(folder: Path, name: str, val_share: float, seed: int) -> Splits:
    train = next((folder / n for n in TRAIN_NAMES if (folder / n).is_dir()), None)
    val = next((folder / n for n in VAL_NAMES if (folder / n).is_dir()), None)
    if train is None:
        photos, notes = photos_in(folder)
        return _held_out(name, photos, val_share, seed, notes)
    photos, notes = photos_in(train)
    if val is None:
        return _held_out(name, photos, val_share, seed, notes)
    judged, more = photos_in(val, photos.classes)
    return _checked(Splits(name, photos, judged, notes + more))


def _held_out(name: str, photos: PhotoSet, val_share: float, seed: int, notes: tuple[str, ...]) -> Splits:
    """A share of each class, drawn by `seed`, is kept to judge by: at least one photo where there are two."""
    members: dict[Label, list[int]] = {}
    for index, label in enumerate(photos.labels):
        members.setdefault(label, []).append(index)
    draw, kept = random.Random(seed), set()
    for label in sorted(members, key=str):
        group = members[label]
        draw.shuffle(group)
        kept.update(group[:max(round(val_share * len(group)), int(len(group) > 1))])
    note = f"{len(kept)} of {len(photos)} photos are held out to judge by: a share of {val_share:g} of each class, seed {seed}."
    learnt = [i for i in range(len(photos)) if i not in kept]
    return _checked(Splits(name, photos.subset(learnt), photos.subset(sorted(kept)), (*notes, note)))


def _checked(splits: Splits) -> Splits:
    for photos, purpose in ((splits.train, "learn from"), (splits.val, "judge by")):
        if not len(photos):
            raise DataError(f"'{splits.name}' has no photos to {purpose}. Add some, or give two folders (train, val).")
    if len(splits.classes) < 2:
        raise DataError(f"'{splits.name}' has one class, {splits.classes[0]!r}: there is nothing to tell apart. Add another folder.")
    if splits.train.classes != splits.val.classes:
        raise DataError(f"The two parts of '{splits.name}' have different classes: {', '.join(splits.train.classes[:NAMED])} and "
                        f"{', '.join(splits.val.classes[:NAMED])}. Name the folders alike.")
    return splits


# --- other people's datasets ----------------------------------------------------------------------------------


def _pair(train: Any, val: Any) -> Splits:
    notes: tuple[str, ...] = ()
    parts, classes = [], None
    for part in (train, val):
        if isinstance(part, (str, os.PathLike)):
            photos, more = photos_in(part, classes)
            notes += more
        else:
            photos = as_photos(part)
        classes = classes or photos.classes
        parts.append(photos)
    name = Path(train).name if isinstance(train, (str, os.PathLike)) else type(train).__name__
    return _checked(Splits(name, *parts, notes))


def as_photos(dataset: Any) -> PhotoSet:
    """A PhotoSet of a PyTorch dataset of (picture, class index), such as torchvision's.

    Its own transform should be left away: explorer prepares the photos for the model. Class names come from `classes`,
    labels from `targets` or `labels` where the dataset has them; otherwise every item is opened once for its label.
    """
    if isinstance(dataset, PhotoSet):
        return dataset
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise DataError(f"Expected a folder, a name or a dataset of (picture, class index), not {type(dataset).__name__}.")
    given = getattr(dataset, "targets", None)
    given = getattr(dataset, "labels", None) if given is None else given
    labels = _labels(given if given is not None and len(given) == len(dataset) else
                     [dataset[i][1] for i in range(len(dataset))])
    highest = max((max(label) if isinstance(label, tuple) else label for label in labels), default=-1)
    names = getattr(dataset, "classes", None) or [f"class {i}" for i in range(highest + 1)]
    if highest >= len(names):
        raise DataError(f"{type(dataset).__name__} has the label {highest} and {len(names)} class names: labels count from 0.")

    def open_one(index: int) -> Image.Image:
        return load_image(dataset[index][0])

    return PhotoSet(tuple(map(str, names)), labels, tuple(f"photo {i}" for i in range(len(labels))), open_one)


def _labels(given: Iterable[Any]) -> tuple[Label, ...]:
    """Whole numbers, or tuples of them; a row of 0 and 1 is taken for the classes that a photo shows."""
    labels: list[Label] = []
    for label in given.tolist() if hasattr(given, "tolist") else given:
        label = label.tolist() if hasattr(label, "tolist") else label
        if isinstance(label, int):
            labels.append(label)
        elif isinstance(label, (list, tuple)) and all(value in (0, 1) for value in label):
            labels.append(tuple(i for i, value in enumerate(label) if value))
        else:
            raise DataError(f"A label is {label!r}: expected a class index, or a row of 0 and 1, one a class.")
    return tuple(labels)


def cifar10(root: str | os.PathLike | None = None, *, download: bool = True) -> Splits:
    """CIFAR-10 in its original layout (`cifar-10-batches-py`): a copy in `root`, `./data` or explorer's cache, or a download.

    Its files are pickles. They are read only where their MD5 is the published one, which torchvision checks. Raises
    DataError with what to do where there is no copy and no network. 60,000 photos of 32 x 32 pixels, 10 classes.
    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    from torchvision.datasets import CIFAR10

    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "explorer").expanduser()
    places = [given_path(root, "root")] if root is not None else [Path("data"), cache]
    for place in places:
        try:
            train, val = (as_photos(CIFAR10(place, train=train)) for train in (True, False))
            return Splits("cifar10", train, val)
        except (RuntimeError, OSError):  # not there, or not whole
            continue
    where = places[-1]
    try:
        if not download:
            raise OSError("downloading is switched off")
        train, val = (as_photos(CIFAR10(where, train=train, download=True)) for train in (True, False))
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"CIFAR-10 is not on this computer and could not be downloaded ({str(error)[:100]}). Connect to the internet once, or "
            f"unpack cifar-10-python.tar.gz into '{where}'. Without a network: 'flowers5' is bundled."
        ) from error
    return Splits("cifar10", train, val)


# --- looking before learning ------------------------------------------------------------------------------------


def broken_photos(photos: PhotoSet, *, threads: int | None = None) -> dict[int, str]:
    """{index: the sentence} of the photos that can't be opened. Opens each one, in several threads."""

    def check(index: int) -> str:
        try:
            photos.open_one(index)
        except ImageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(thread_count(threads, 8)) as pool:
        return {i: sentence for i, sentence in enumerate(pool.map(check, range(len(photos)))) if sentence}


def without_broken(splits: Splits) -> Splits:
    """The splits without photos that can't be opened, each of them named in the notes (the first few of many)."""
    parts, notes = [], list(splits.notes)
    for photos in (splits.train, splits.val):
        broken = broken_photos(photos)
        notes += [f"Left out, {photos.names[i]}: {sentence}" for i, sentence in list(broken.items())[:NAMED]]
        if len(broken) > NAMED:
            notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened.")
        parts.append(photos.subset([i for i in range(len(photos)) if i not in broken]) if broken else photos)
    return _checked(Splits(splits.name, *parts, tuple(notes)))


def duplicates(splits: Splits) -> list[tuple[str, str]]:
    """(name in train, name in val) of photos that are in both, pixel for pixel: such a photo judges nothing."""
    import hashlib

    def key(photo: Image.Image) -> bytes:
        return hashlib.sha256(repr(photo.size).encode() + photo.tobytes()).digest()

    def keys(photos: PhotoSet) -> list[bytes]:
        with ThreadPoolExecutor(thread_count(None, 8)) as pool:
            return list(pool.map(lambda i: key(photos.open_one(i)), range(len(photos))))

    learnt = {k: name for k, name in zip(keys(splits.train), splits.train.names)}
    return [(learnt[k], name) for k, name in zip(keys(splits.val), splits.val.names) if k in learnt]
