"""The photos and notebooks that come with explorer, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent  # .../explorer


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


def sample_photos() -> list[SamplePhoto]:
    """The bundled photos, in the order of `assets/photos/photos.csv`."""
    folder = assets_dir() / "photos"
    with open(folder / "photos.csv", encoding="utf-8", newline="") as file:
        return [_sample_photo(folder, row) for row in csv.DictReader(file)]


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
