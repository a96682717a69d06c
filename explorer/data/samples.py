"""The photos and notebooks that come with explorer, found in a checkout and in an installed wheel alike.

    sample_photos()           # the 26 photos of everyday things
    sample_photos("bccd")     # blood cells, whose true boxes are in sample_places("bccd")
    sample_photos("nuclei")   # nuclei of cells, whose true masks are in sample_places("nuclei")
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.arguments import shown

if TYPE_CHECKING:
    from explorer.data.photo_sets import PhotoSet
    from explorer.data.places.place_set import PlaceSet

_PACKAGE = Path(__file__).resolve().parent.parent  # .../explorer

#: Where the photos of a name lie in `assets/`. Those with boxes or masks are none that the networks which
#: come with explorer have learnt from.
_FOLDERS = {"photos": "photos", "bccd": "data/bccd_samples", "nuclei": "data/nuclei_samples"}
#: Of these it is known what is where in them.
WITH_PLACES = ("bccd", "nuclei")


@dataclass(frozen=True)
class SamplePhoto:
    """A bundled photo.

    imagenet_indices: the ImageNet-1k classes that are a right answer; empty where there is none
    source: the web page of the photo, or the package that it was taken from

    Stands for its path wherever a path is taken: `load_image(sample_photos()[0])`.
    """

    name: str
    path: Path
    title: str
    credit: str
    licence: str
    source: str
    imagenet_indices: tuple[int, ...]

    def __fspath__(self) -> str:
        return str(self.path)


def assets_dir() -> Path:
    """The folder with `photos/`. Raises FileNotFoundError if this installation lacks it."""
    return _shipped("assets")


def notebooks_dir() -> Path:
    """The folder with `tour.ipynb`. Raises FileNotFoundError if this installation lacks it."""
    return _shipped("notebooks")


def sample_photos(name: str = "photos") -> list[SamplePhoto]:
    """The bundled photos of a name, in the order of its `photos.csv`.

    name: "photos", of everyday things; "bccd", blood cells; "nuclei", nuclei of cells under the microscope.
          What is where in the last two says `explorer.data.sample_places`
    Raises ValueError for another name.
    """
    folder = _folder(name)
    with open(folder / "photos.csv", encoding="utf-8", newline="") as file:
        return [_sample_photo(folder, row) for row in csv.DictReader(file)]


def sample_places(name: str) -> PlaceSet:
    """The photos of `sample_photos(name)`, in the same order, with what is where in them.

    name: "bccd", with the boxes of red and white blood cells and platelets; "nuclei", with masks of 0 for the
          background and 1 for nuclei
    Raises ValueError for another name.
    """
    from explorer.data.places.coco import read_coco
    from explorer.data.places.mask_folders import class_names_beside, read_masks

    if name == "photos":
        raise ValueError("Nobody has said what is where in 'photos': choose 'bccd' or 'nuclei'.")
    folder = _folder(name)
    if (boxes := folder / "boxes.json").is_file():
        places = read_coco(boxes, "detection")
    else:
        classes = class_names_beside(folder, folder / "masks")
        places = read_masks(folder / "images", folder / "masks", start=folder, names=classes)
    order = [photo.path for photo in sample_photos(name)]
    return replace(places.subset([places.files.index(path) for path in order]), name=name)


def labelled_photos() -> PhotoSet:
    """The bundled photos of which one class of ImageNet-1k alone is a right answer, with that class.

    They are few: enough to see how a figure comes about, not to trust it.
    """
    from explorer.data.labels import imagenet_labels
    from explorer.data.photo_sets import FromFiles, PhotoSet

    photos = [photo for photo in sample_photos() if len(photo.imagenet_indices) == 1]
    indices = sorted({photo.imagenet_indices[0] for photo in photos})
    files = tuple(photo.path for photo in photos)
    return PhotoSet(tuple(imagenet_labels()[index] for index in indices),
                    tuple(indices.index(photo.imagenet_indices[0]) for photo in photos),
                    tuple(photo.title for photo in photos), FromFiles(files), files)


def _folder(name: str) -> Path:
    if not isinstance(name, str) or name not in _FOLDERS:
        raise ValueError(f"name is {shown(name)}: expected one of {', '.join(_FOLDERS)}.")
    return assets_dir() / _FOLDERS[name]


def _sample_photo(folder: Path, row: dict[str, str]) -> SamplePhoto:
    return SamplePhoto(
        name=Path(row["file"]).stem,
        path=folder / row["file"],
        title=row["title"],
        credit=row["credit"],
        licence=row["licence"],
        source=row["source"],
        # "281 tabby / 282 tiger cat" -> (281, 282)
        imagenet_indices=tuple(int(index) for index in re.findall(r"(?:^|/ )(\d+)", row["imagenet1k"])),
    )


def _shipped(name: str) -> Path:
    """`explorer/_NAME` in a wheel; `NAME` beside the package in a checkout (known by its pyproject.toml)."""
    installed, checkout = _PACKAGE / f"_{name}", _PACKAGE.parent / name
    if installed.is_dir():
        return installed
    if checkout.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return checkout
    raise FileNotFoundError(
        f"explorer's {name} are neither in {installed} nor in {checkout}: "
        "install explorer again with pip, or run it from a complete checkout."
    )
