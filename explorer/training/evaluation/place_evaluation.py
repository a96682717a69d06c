"""What the evaluations of boxes and of masks share: how they are kept, and how they show themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from PIL import Image

from explorer.data.places.place_set import PlaceSet
from explorer.display.html import RichRepr
from explorer.training.evaluation.figures import Throughput, plain
from explorer.training.evaluation.place_figures import PhotoOfBoxes, PhotoOfMasks, photo_index


class Told(TypedDict, total=False):
    """What both kinds of evaluation are told, whatever was found."""

    names: Sequence[str]
    files: Sequence[Path]
    notes: Sequence[str]
    broken: Sequence[tuple[str, str]]
    model_name: str
    data_name: str
    split: str
    throughput: Throughput | None
    data: PlaceSet | None


class PlaceEvaluation(RichRepr):
    """Names, notes and photos of an evaluation; a kind of it adds its figures and the words for them."""

    def __init__(
        self, classes: Sequence[str], count: int, *, names: Sequence[str] = (), files: Sequence[Path] = (),
        notes: Sequence[str] = (), broken: Sequence[tuple[str, str]] = (), model_name: str = "model",
        data_name: str = "data", split: str = "all", throughput: Throughput | None = None,
        data: PlaceSet | None = None,
    ):
        self.classes = tuple(classes)
        self.names = tuple(names) or tuple(f"photo {i}" for i in range(count))
        self.files, self.notes, self.broken = tuple(files), tuple(notes), tuple(broken)
        self.model_name, self.data_name, self.split = model_name, data_name, split
        self.throughput, self.data = throughput, data

    def __len__(self) -> int:
        return len(self.names)

    def file_of(self, index: int) -> str:
        """The path of a photo, "" where it has none. Raises ValueError for one that there is not."""
        return str(self.files[photo_index(index, len(self))]) if self.files else ""

    def open_photo(self, row: PhotoOfBoxes | PhotoOfMasks | int) -> Image.Image:
        """A photo, by its row or its place. Raises ImageError where it can't be opened any more, ValueError
        without `data`.
        """
        if self.data is None:
            raise ValueError("This evaluation holds no photos: it was made of figures alone.")
        return self.data.open_one(photo_index(row, len(self)))

    # --- what a kind of it adds ---------------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        """Its figures, for `as_dict`."""
        raise NotImplementedError

    @staticmethod
    def _report() -> ModuleType:
        """The words for them: `headline`, `as_text`, `as_html`."""
        raise NotImplementedError

    # --- to keep, to look at ------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None where not defined."""
        return plain({
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self),
            "classes": list(self.classes), **self._figures(),
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken],
            "notes": list(self.notes),
        })

    def to_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1)

    def __repr__(self) -> str:
        said = self._report().headline(self)
        return f"{type(self).__name__}({self.model_name!r}, {self.data_name!r}, {said})"

    def __str__(self) -> str:
        return self._report().as_text(self)

    def _repr_html_(self) -> str:
        return self._report().as_html(self)
