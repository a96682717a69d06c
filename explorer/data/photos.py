"""Many photos, by whatever way they are given, as a `Collection`: in order, each with its name.

    collect("holiday/"), collect("flowers5"), collect(["a.jpg", array]), collect(open_data("pets"))
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.collection import describe, is_many
from explorer.data.datasets import BUNDLED, labelled, open_data
from explorer.data.folders import printable
from explorer.data.images import load_image
from explorer.data.photo_sets import Joined, PhotoSet, Splits, check_given, joined
from explorer.data.places.place_set import PlaceSet, PlaceSplits
from explorer.files import given_path


@dataclass(frozen=True)
class Collection:
    """Photos in their order, by whatever way they were given.

    files: the path of each, None where it has none;  labels: one class index each, or None
    held_out: for each photo whether it belongs to the part to judge by; None where nobody has split them
    """

    names: tuple[str, ...]
    open_one: Callable[[int], Image.Image] = field(repr=False)
    files: tuple[Path | None, ...] = ()
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    held_out: tuple[bool, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)


def collect(photos: Any) -> Collection:
    """What `run_folder` takes, as a Collection. Raises ValueError where there are no photos."""
    if isinstance(photos, Collection):
        return photos
    if isinstance(photos, Splits):
        return _both(photos.train, photos.val)
    if isinstance(photos, PhotoSet):
        return _of_photo_set(photos)
    if isinstance(photos, PlaceSplits):
        photos = photos.part("all")
    if isinstance(photos, PlaceSet):  # what is where in them is no label of the photo
        return Collection(photos.names, photos.open_one, photos.files or (None,) * len(photos))
    if isinstance(photos, str) and photos in BUNDLED:
        return collect(open_data(photos))
    if isinstance(photos, (str, os.PathLike)):
        path = given_path(photos, "photos")
        if path.is_dir():
            return _of_folder(path)
        if not path.is_file():
            raise ValueError(f"There is no folder '{path}'. Give a folder with photos, a list of photos, or "
                             f"one of the names {', '.join(BUNDLED)}.")
        photos = [path]
    if isinstance(photos, np.ndarray) and photos.ndim == 4:  # a stack of photos
        return _of_list(list(photos))
    check_given(photos)
    return _of_list(list(photos) if is_many(photos) else [photos])


def _of_list(items: list[Any]) -> Collection:
    if not items:
        raise ValueError("There are no photos in this list: give some, or a folder.")
    files = tuple(Path(os.fspath(item)).expanduser() if isinstance(item, (str, os.PathLike)) else None
                  for item in items)
    short = [f"image {number}" if file is None else file.name for number, file in enumerate(files, 1)]
    count = Counter(short)
    names = tuple(name if count[name] == 1 or file is None else str(file) for name, file in zip(short, files))
    return Collection(names, lambda i: load_image(items[i]), files)


def _of_photo_set(photos: PhotoSet) -> Collection:
    files = photos.files or (None,) * len(photos)
    # A photo with several classes at once, or with numbers, has no one label; its features are worth as much.
    labels = photos.labels if photos.kind == "one" else None
    return Collection(photos.names, photos.open_one, files, labels, () if labels is None else photos.classes)


def _both(train: PhotoSet, val: PhotoSet) -> Collection:
    first, second = _of_photo_set(train), _of_photo_set(val)

    labels = None if first.labels is None or second.labels is None else first.labels + second.labels
    twice = {*first.names} & {*second.names}
    names = (*(f"train/{n}" if n in twice else n for n in first.names),
             *(f"val/{n}" if n in twice else n for n in second.names))
    return Collection(names, Joined(train, val), first.files + second.files, labels,
                      () if labels is None else first.classes,
                      (False,) * len(train) + (True,) * len(val))


def _of_folder(folder: Path) -> Collection:
    """With labels where all photos have one, as `describe` says, of two classes at least; else without."""
    described = describe(folder)
    if not described.photos:
        raise ValueError(f"'{folder}' holds no photos, nor do its subfolders: give a folder with some.")
    if len(described.classes) > 1 and sum(map(len, described.parts)) == len(described.photos):
        learnt, *judged = (labelled(described, part.role) for part in described.parts)
        if judged and "train" in described.splits:
            return _both(learnt, reduce(joined, judged))
        return _of_photo_set(labelled(described))
    names = tuple(printable(file.relative_to(folder).as_posix()) for file in described.photos)
    return Collection(names, lambda i: load_image(described.photos[i]), described.photos)
