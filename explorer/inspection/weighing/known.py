"""What is known of the photos by which members are weighed: a class each, several, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from explorer.data.datasets import as_photos, is_table, open_data, photos_of
from explorer.data.folders import DataError
from explorer.data.labels import match_names
from explorer.data.photo_sets import PhotoSet, Splits, of_what
from explorer.data.photo_tables import read_table, read_table_for
from explorer.data.photos import Collection, collect
from explorer.data.table_columns import PhotoTable
from explorer.display.words import counted
from explorer.models.outputs import KINDS, Outputs


@dataclass(frozen=True)
class Known:
    """photos: whose one label is its place in `truth`
    truth:  [N] the right class of each; of photos with several at once [N, K] of 0 and 1; of numbers [N, K]
            in the unit of the raw scores, float64. Classes and numbers in the order of the model's
    notes:  sentences
    """

    photos: Collection
    truth: Tensor
    notes: tuple[str, ...] = ()


def known(photos: Any, outputs: Outputs) -> Known:
    """Whatever `fit_weights` takes, by the classes or numbers of a model.

    Raises DataError for photos without them, with others, or of another kind.
    """
    photos, notes = _opened(photos, outputs)
    if isinstance(photos, PhotoSet) and (outputs.numbers or outputs.several and photos.multi_label):
        truth = _numbers(photos, outputs) if outputs.numbers else _several(photos, outputs)
        return Known(_numbered(collect(photos)), truth, notes)
    kind = photos.val.kind if isinstance(photos, Splits) else getattr(photos, "kind", "one")
    if kind != "one":
        raise DataError(f"The members tell {KINDS[outputs.kind]}, and the photos are of {KINDS[kind]}: give "
                        "photos with one class each.")
    found = collect(photos)
    if found.labels is None:
        raise DataError("photos has no classes: give a folder with one folder for each class, or a data set "
                        "whose photos have labels.")
    places = _places(found.classes, outputs)
    return Known(_numbered(found), torch.tensor(places)[list(found.labels)], notes)


def _opened(photos: Any, outputs: Outputs) -> tuple[Any, tuple[str, ...]]:
    """(a PhotoSet where photos have several classes or numbers each, else what `collect` takes; notes)."""
    wanted, notes = "numbers" if outputs.numbers else None, ()
    if is_table(photos):
        names = outputs.labels if outputs.named else ()
        table = photos if isinstance(photos, PhotoTable) else \
            read_table_for(photos, names) if outputs.numbers else read_table(photos)
        split = bool({"val", "test"} & {*table.roles})
        photos, notes = open_data(table, outputs=wanted) if split else photos_of(table), table.notes
    elif isinstance(photos, tuple) and len(photos) == 2 and (outputs.numbers or outputs.several):
        photos = open_data(photos, outputs=wanted)
    elif not isinstance(photos, (str, Mapping, Splits)) and hasattr(photos, "__getitem__") and (
            outputs.numbers or outputs.several):
        photos = as_photos(photos, wanted)
    if isinstance(photos, Splits) and photos.val.kind != "one":
        photos, notes = photos.val, (f"By the {counted(len(photos.val), 'photo')} of the val part.", *notes)
    if outputs.numbers and not (isinstance(photos, PhotoSet) and photos.numbers):
        has = of_what(photos) if isinstance(photos, PhotoSet) else "no numbers"
        raise DataError(f"The members give numbers ({', '.join(outputs.labels[:5])}), and the photos have "
                        f"{has}: give a table with a column of numbers, or a data set of (picture, number).")
    return photos, notes


def _numbered(photos: Collection) -> Collection:
    """The same, where each photo's label is its number: so it is known which ones could be opened."""
    return replace(photos, labels=tuple(range(len(photos))), classes=())


def _places(classes: tuple[str, ...], outputs: Outputs) -> list[int]:
    """The model's index of each class of the photos."""
    places = match_names(outputs.labels, classes) if outputs.named else \
        list(range(len(classes))) if len(classes) == len(outputs) else [None]
    if unknown := [name for name, place in zip(classes, places) if place is None]:
        raise DataError(f"photos has the class {unknown[0][:60]!r}, which the members don't know by name: "
                        f"they know {', '.join(outputs.labels[:5])}, ...")
    return [int(place) for place in places if place is not None]


def _several(photos: PhotoSet, outputs: Outputs) -> Tensor:
    places = _places(photos.classes, outputs)
    truth = torch.zeros(len(photos), len(outputs), dtype=torch.long)
    for row, label in zip(truth, photos.labels):
        row[[places[int(i)] for i in (label if isinstance(label, tuple) else (label,))]] = 1
    return truth


def _numbers(photos: PhotoSet, outputs: Outputs) -> Tensor:
    truth = torch.tensor(photos.labels, dtype=torch.float64).reshape(len(photos), -1)
    if truth.shape[1] != len(outputs):
        raise DataError(f"The members give {len(outputs)} numbers ({', '.join(outputs.labels[:5])}), and the "
                        f"photos have {of_what(photos)}.")
    if outputs.named and None not in (places := match_names(photos.classes, outputs.labels)):
        truth = truth[:, [int(place) for place in places if place is not None]]
    if outputs.std:
        truth = (truth - truth.new_tensor(outputs.mean)) / truth.new_tensor(outputs.std)
    return truth
