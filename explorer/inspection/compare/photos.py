"""The photos that a comparison is of, with their right classes where somebody knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.data.collection import describe, folder_of, is_many
from explorer.data.datasets import BUNDLED, labelled, open_data
from explorer.data.images import load_image
from explorer.data.labels import class_key, imagenet_labels
from explorer.data.photo_sets import PhotoSet, Splits
from explorer.data.photos import Collection, collect
from explorer.data.places.place_set import PlaceSet, PlaceSplits
from explorer.inspection.compare.joining import distinct


@dataclass(frozen=True)
class ComparedPhotos:
    """Photos to be opened one at a time. truth: the keys of each one's right classes, empty where unknown."""

    source: Collection
    truth: tuple[frozenset[str], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[tuple[str, Callable[[], Any], frozenset[str]]]:
        for index, (name, truth) in enumerate(zip(self.source.names, self.truth)):
            yield name, lambda index=index: self.source.open_one(index), truth

    @classmethod
    def of(cls, images: Any) -> ComparedPhotos:
        """Whatever `compare` takes. Raises ValueError where there is no photo."""
        notes: tuple[str, ...] = ()
        if isinstance(images, str) and images in BUNDLED:
            images = open_data(images)
        folder = folder_of(images)
        if folder is not None:
            images, notes = _in_folder(folder)
        if isinstance(images, Splits):
            notes = (f"The photos are those that {images.name} keeps to judge by.", *images.notes)
            images = images.val
        if isinstance(images, PlaceSplits):
            notes = (f"The photos are those that {images.name} keeps to judge by.", *images.notes)
            images = images.val
        if isinstance(images, PlaceSet):
            told = "What is where in the photos is known: explorer.evaluate judges each model by it."
            photos = cls(collect(images), (frozenset(),) * len(images), (*notes, told))
        elif isinstance(images, PhotoSet):
            photos = cls._of_set(images, notes)
        elif isinstance(images, Mapping):
            photos = cls._of_list(list(images.values()), notes, names=tuple(map(str, images)))
        else:
            photos = cls._of_list(list(images) if is_many(images) else [images], notes)
        if not len(photos):
            raise ValueError("There is no photo to compare the models with: give one, "
                             "a list of them or a folder.")
        return photos

    @classmethod
    def _of_set(cls, photos: PhotoSet, notes: tuple[str, ...]) -> ComparedPhotos:
        labels = [label if isinstance(label, tuple) else (label,) for label in photos.labels]
        truth = tuple(frozenset(class_key(photos.classes[i]) for i in label) for label in labels)
        return cls(collect(photos), truth, notes)

    @classmethod
    def _of_list(
        cls, images: list[Any], notes: tuple[str, ...], names: tuple[str, ...] = ()
    ) -> ComparedPhotos:
        """A list has no labels, but the bundled photos say what they show."""
        names = names or tuple(_name(image, number) for number, image in enumerate(images, 1))
        names = distinct(names, numbered="{} ({})", fold=False)
        files = tuple(Path(os.fspath(image)).expanduser() if isinstance(image, (str, os.PathLike)) else None
                      for image in images)
        labels = imagenet_labels()
        truth = tuple(frozenset(class_key(labels[i]) for i in getattr(image, "imagenet_indices", ()))
                      for image in images)
        return cls(Collection(names, lambda i: load_image(images[i]), files), truth, notes)


def _in_folder(folder: Path) -> tuple[Any, tuple[str, ...]]:
    """(labelled photos where there is one folder a class, else the list of files; notes)."""
    described = describe(folder)
    if described.splits and not described.problem:
        return open_data(folder), ()
    if described.parts and not any(file.parent == folder for file in described.photos):
        return labelled(described), described.sentences
    # A folder of photos with folders in it is looked at whole: nothing is left out for having no class.
    unclear = (described.problem,) if any(file.parent != folder
                                          for file in described.photos) and not described.parts else ()
    return list(described.photos), (*(str(one) for one in described.left_out if not one.photos), *unclear)


def _name(image: Any, number: int) -> str:
    title = getattr(image, "title", None)
    if isinstance(title, str):
        return title
    if isinstance(image, (str, os.PathLike)):
        return Path(image).name
    return f"photo {number}"
