"""Photos with labels: a folder, a bundled set, CIFAR-10 or somebody's own dataset, read alike.

    splits = open_data("flowers5")                # bundled; also "cifar10", a folder, a pair of datasets
    splits.train.classes                          # ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
    photo, label = splits.train[0]                # (PIL image, class index)
    splits.notes                                  # what was left out, and why

A folder holds one folder a class, with or without `train/` and `val/` above them. Without them a share of
each class is held out, drawn by `seed`: the same seed gives the same split on every computer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.data.bursts import burst_notes, held_back, of_one_burst, units_of
from explorer.data.collection import ARCHIVES, describe, existing_folder
from explorer.data.folder_description import FolderDescription
from explorer.data.folder_words import role_of
from explorer.data.folders import NAMED, DataError, is_picture, listed
from explorer.data.number_rows import numbers_of_rows, spread_over, tells_numbers
from explorer.data.photo_sets import FromFiles, PhotoSet, Splits, check_given, of_what
from explorer.data.photo_tables import read_table
from explorer.data.rows import FromDataset, Label, labels_of_rows
from explorer.data.samples import assets_dir
from explorer.data.table_cells import is_frame
from explorer.data.table_columns import PhotoTable
from explorer.files import given_path, user_cache

BUNDLED = ("flowers5", "flowers5_nano")


def has_classes_alone(data: Any) -> bool:
    """Whether these are photos with classes or numbers, which say nothing of boxes or masks."""
    return isinstance(data, PhotoSet | Splits | PhotoTable) or \
        isinstance(data, str) and data in (*BUNDLED, "cifar10", "cifar-10")


def check_for_places(data: Any, task: str) -> None:
    """Raise DataError for photos with classes or numbers, where boxes or masks are needed.

    task: "detection" or "segmentation"
    """
    if has_classes_alone(data):
        wanted = "boxes" if task == "detection" else "masks"
        photos = data.train if isinstance(data, Splits) else data
        has = of_what(photos) if isinstance(photos, PhotoSet) else "classes or numbers"
        called = f"'{data}'" if isinstance(data, str) else "The data"
        raise DataError(f"{called} has {has}, and this model finds {wanted}: give photos with {wanted}.")


def open_data(data: Any, *, val_share: float = 0.2, seed: int = 0, outputs: str | None = None) -> Splits:
    """Splits of anything that `finetune` takes.

    data: "flowers5", "flowers5_nano" (bundled), "cifar10"; a folder, read as `describe` says: class folders,
          with or without train/ and val/; a PyTorch dataset of (picture, class), which is split; a pair of
          folders, datasets or PhotoSets (train, val), or a dict of them, by the names of the splits; a table
          of files and numbers or class names (a CSV file, a pandas DataFrame, `read_table(...)`), or a pair
          of them; a dataset of (picture, number or row of numbers)
    outputs: what is to be learnt, where that can't be seen: "numbers" reads whole numbers as numbers, not as
             class indices
    val_share, seed: how much of each class is held out where nobody has split, and by which draw. Photos of
             one burst (files `burst-<n>-<k>.jpg` of a folder) are never split: see `explorer.data.bursts`

    Pictures are opened later; what is left out, and why, is in the notes. Raises DataError for what can't be
    learnt from: a folder without class folders, an unknown name, classes that differ between the two parts,
    labels that mean no class.
    """
    if isinstance(data, Splits):
        return data
    if not 0 < val_share < 1:
        raise DataError(f"val_share is {val_share}: give the share to hold out, such as 0.2.")
    if isinstance(data, Mapping):
        return _by_name(data, val_share, seed, outputs)
    # Two rows are no pair of datasets.
    rows = isinstance(data, list) and all(isinstance(row, tuple | Mapping) for row in data)
    if isinstance(data, tuple | list) and len(data) == 2 and not rows:
        return _pair(*data, outputs)
    if isinstance(data, str) and data in BUNDLED:
        return _from_folder(describe(assets_dir() / "data" / data), data, val_share, seed)
    if isinstance(data, str) and data.lower() in ("cifar10", "cifar-10"):
        return cifar10()
    if is_table(data):
        return _from_table(data if isinstance(data, PhotoTable) else read_table(data, outputs=outputs),
                           val_share, seed)
    if isinstance(data, (str, os.PathLike)):
        folder = existing_folder(data, "data", f", or one of the names {', '.join(BUNDLED)}, cifar10")
        return _from_folder(describe(folder), folder.name or folder.resolve().name, val_share, seed)
    photos = as_photos(data, outputs)
    return _held_out(type(data).__name__, photos, val_share, seed, _gaps(photos))


# --- tables -------------------------------------------------------------------------------------------------


def is_table(data: Any) -> bool:
    """Whether it is a table of photos, or the file of one."""
    if isinstance(data, PhotoTable) or is_frame(data):
        return True
    if not isinstance(data, (str, os.PathLike)) or not os.path.isfile(os.path.expanduser(data)):
        return False
    # whoever wants a folder says what these are
    return Path(data).suffix.lower() not in ARCHIVES and not is_picture(os.fspath(data))


def photos_of(table: PhotoTable, *roles: str) -> PhotoSet:
    """The photos of a table; roles: of these splits alone."""
    chosen = [i for i, role in enumerate(table.roles) if not roles or role in roles]
    files = tuple(table.files[i] for i in chosen)
    return PhotoSet(table.classes, tuple(table.labels[i] for i in chosen),
                    tuple(table.names[i] for i in chosen), FromFiles(files), files, table.kind == "numbers")


def _from_table(table: PhotoTable, val_share: float, seed: int) -> Splits:
    there, notes = set(table.roles), table.notes
    if there & {"val", "test"} and "train" not in there:
        raise DataError(f"'{table.name}' has no row whose split is train: there is nothing to learn from.")
    judged = next((role for role in ("val", "test") if role in there), None)
    if judged is None:
        return _held_out(table.name, photos_of(table), val_share, seed, notes)
    if {"val", "test"} <= there:
        notes += (f"{table.roles.count('test')} photos are for a test: not learnt from, nor judged by "
                  "meanwhile.",)
    return checked_splits(Splits(table.name, photos_of(table, "train"), photos_of(table, judged), notes))


# --- folders ------------------------------------------------------------------------------------------------


def photos_in(folder: str | os.PathLike,
              classes: Sequence[str] | None = None) -> tuple[PhotoSet, tuple[str, ...]]:
    """(the photos of a folder that holds one folder a class, notes). Classes are in the order of their names.

    classes: what they must be called, where that is known. Raises DataError for a folder without class
    folders, or one that holds several parts.
    """
    described = describe(folder)
    if not described.parts:
        raise DataError(described.problem)
    if described.splits:
        parts = ", ".join(f"'{path}'" for path in described.splits.values())
        raise DataError(f"'{folder}' holds {listed(list(described.splits))}: give one of its folders, "
                        f"{parts}.")
    photos = labelled(described)
    return photos if classes is None else photos.with_classes(classes, f"'{folder}'"), described.sentences


def labelled(described: FolderDescription, role: str | None = None) -> PhotoSet:
    """The photos of one part of a folder, or of all of them. role: as in `Part`"""
    parts = [part for part in described.parts if role in (None, part.role)]
    several = len(parts) > 1  # told apart by the folder
    names = tuple(f"{described.place(part)}/{name}" if several else name for part in parts
                  for name in part.names)
    files = tuple(file for part in parts for file in part.files)
    return PhotoSet(described.classes, tuple(label for part in parts for label in part.labels), names,
                    FromFiles(files), files)


def _from_folder(described: FolderDescription, name: str, val_share: float, seed: int) -> Splits:
    if described.problem:
        raise DataError(described.problem)
    train = described.part("train") or described.part("all")
    val = described.part("val") or described.part("test")
    if val is None:
        return _held_out(name, labelled(described, train.role), val_share, seed, described.sentences)
    return checked_splits(Splits(name, labelled(described, train.role), labelled(described, val.role),
                           described.sentences,
                           (described.place(train), described.place(val))))


def _held_out(name: str, photos: PhotoSet, val_share: float, seed: int, notes: tuple[str, ...]) -> Splits:
    """A share of each class, drawn by `seed`, is kept to judge by: at least one photo where there are two.

    Of numbers the share is drawn from their whole range. The photos of one burst are never split; they count
    for what the first of them is.
    """
    units = units_of(photos.names, photos.files)
    if photos.numbers:
        drawn = spread_over([photos.labels[unit[0]][0] for unit in units], val_share, random.Random(seed))
        kept = {i for place in drawn for i in units[place]}
        note = (f"{len(kept)} of {len(photos)} photos are held out to judge by: a share of {val_share:g}, "
                f"from the whole range of {photos.classes[0]}, seed {seed}.")
        learnt = [i for i in range(len(photos)) if i not in kept]
        return checked_splits(Splits(name, photos.subset(learnt), photos.subset(sorted(kept)),
                                     (*notes, note, *burst_notes(units))))
    members: dict[Label, list[list[int]]] = {}
    for unit in units:
        members.setdefault(photos.labels[unit[0]], []).append(unit)
    draw, kept = random.Random(seed), set()
    for label in sorted(members, key=str):
        group = members[label]
        draw.shuffle(group)
        kept.update(held_back(group, val_share))
    note = (f"{len(kept)} of {len(photos)} photos are held out to judge by: "
            f"a share of {val_share:g} of each class, seed {seed}.")
    learnt = [i for i in range(len(photos)) if i not in kept]
    if not kept and len(units) < len(photos):
        raise DataError(f"Each class of '{name}' has one burst of photos. Those of one burst are never "
                        "split, so there are none to judge by: add another burst of a class, or give two "
                        "folders (train, val).")
    more = burst_notes(units, of_one_burst(units, photos.labels, photos.classes))
    return checked_splits(Splits(name, photos.subset(learnt), photos.subset(sorted(kept)),
                                 (*notes, note, *more)))


def checked_splits(splits: Splits) -> Splits:
    for photos, purpose in ((splits.train, "learn from"), (splits.val, "judge by")):
        if not len(photos):
            raise DataError(f"'{splits.name}' has no photos to {purpose}. Add some, "
                            "or give two folders (train, val).")
    if splits.train.kind != splits.val.kind:
        raise DataError(f"The two parts of '{splits.name}' are of different kinds: {of_what(splits.train)}, "
                        f"and {of_what(splits.val)}.")
    if len(splits.classes) < 2 and splits.train.kind == "one":
        raise DataError(f"'{splits.name}' has one class, {splits.classes[0]!r}: there is nothing to tell "
                        "apart. Add another folder.")
    if splits.train.classes != splits.val.classes:
        raise DataError(f"The two parts of '{splits.name}' have different classes: "
                        f"{', '.join(splits.train.classes[:NAMED])} and "
                        f"{', '.join(splits.val.classes[:NAMED])}. Name the folders alike.")
    return splits


# --- other people's datasets --------------------------------------------------------------------------------


def _pair(train: Any, val: Any, outputs: str | None = None) -> Splits:
    notes: tuple[str, ...] = ()
    parts: list[PhotoSet] = []
    for part in (train, val):
        classes = parts[0].classes if parts else None
        if is_table(part):
            table = part if isinstance(part, PhotoTable) else read_table(part, outputs=outputs)
            photos, notes = photos_of(table), notes + table.notes
        elif isinstance(part, (str, os.PathLike)):
            photos, more = photos_in(part, classes)
            notes += more
        else:
            photos = as_photos(part, outputs)
        if classes is not None and photos.numbers == parts[0].numbers:
            photos = photos.with_classes(classes)
        parts.append(photos)
    name = Path(train).name if isinstance(train, (str, os.PathLike)) else type(train).__name__
    return checked_splits(Splits(name, *parts, tuple(dict.fromkeys((*notes, *_gaps(parts[0]))))))


def _by_name(data: Mapping[str, Any], val_share: float, seed: int, outputs: str | None = None) -> Splits:
    """A dict of splits, as some libraries keep their sets."""
    roles = {found[0]: part for name, part in data.items()
             if isinstance(name, str) and (found := role_of(name)) is not None}
    if "train" not in roles:
        raise DataError(f"The dict has the keys {listed([str(name) for name in data])}: expected 'train', "
                        "and 'val' or 'test', each with a dataset of (picture, class).")
    val = roles.get("val", roles.get("test"))
    if val is None:
        return open_data(roles["train"], val_share=val_share, seed=seed, outputs=outputs)
    return _pair(roles["train"], val, outputs)


def _gaps(photos: PhotoSet) -> tuple[str, ...]:
    """A note on classes that a dataset names or counts, but has no photos of."""
    missing = [name for name, count in photos.counts().items() if not count]
    return (f"There is no photo of {listed(missing)} to learn from.",) if missing else ()


def as_photos(dataset: Any, outputs: str | None = None) -> PhotoSet:
    """A PhotoSet of a PyTorch dataset of (picture, class), such as torchvision's, or of "image" and "label".

    Its own transform should be left out: explorer prepares the photos for the model. Class names and labels
    come from the dataset where it has them, also through Subset, random_split and ConcatDataset; otherwise
    every item is opened once for its label. Labels are class indices from 0, names, or rows of 0 and 1, one
    a class. Numbers that can be none of these are taken for numbers; outputs="numbers" takes all of them so.
    Raises DataError that names the row for any other.
    """
    if isinstance(dataset, PhotoSet):
        return dataset
    check_given(dataset)
    numbers = outputs == "numbers" or outputs is None and tells_numbers(dataset)
    labels, names = numbers_of_rows(dataset) if numbers else labels_of_rows(dataset)
    called = tuple(f"photo {i}" for i in range(len(labels)))
    return PhotoSet(names, labels, called, FromDataset(dataset), numbers=numbers)


def cifar10(root: str | os.PathLike | None = None, *, download: bool = True) -> Splits:
    """CIFAR-10 in its original layout (`cifar-10-batches-py`): a copy in `root`, `./data` or explorer's
    cache, or a download.

    Its files are pickles. They are read only where their MD5 is the published one, which torchvision checks.
    Raises DataError with what to do where there is no copy and no network. 60,000 photos of 32 x 32 pixels,
    10 classes.
    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    from torchvision.datasets import CIFAR10

    places = [given_path(root, "root")] if root is not None else [Path("data"), user_cache()]
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
            f"CIFAR-10 is not on this computer and could not be downloaded ({str(error)[:100]}). "
            f"Connect to the internet once, or unpack cifar-10-python.tar.gz into '{where}'. "
            "Without a network: 'flowers5' is bundled."
        ) from error
    return Splits("cifar10", train, val)
