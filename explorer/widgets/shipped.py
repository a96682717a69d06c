"""The trained networks for boxes and masks that travel with explorer, and photos whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from explorer.models.weights.packaged import names_here

if TYPE_CHECKING:
    from explorer.data.places.place_set import PlaceSet

#: By task: the weights' tag, what the network is called, and the name of its photos in `sample_places`.
_KINDS = {"detection": ("bccd", "the blood-cell detector", "bccd"),
          "segmentation": ("nuclei", "the network for cell nuclei", "nuclei")}


@dataclass(frozen=True)
class Shipped:
    """model: the name that opens it with its weights;  called: "the blood-cell detector"
    photos: a few that it has not learnt from, with their boxes or masks
    """

    model: str
    called: str
    photos: PlaceSet


@cache
def shipped_for(task: str) -> Shipped | None:
    """What travels with explorer for "detection" or "segmentation"; None where this copy has nothing."""
    from explorer.data.samples import sample_places

    tag, called, name = _KINDS[task]
    model = next((model for model in names_here(task) if model.endswith(f".{tag}")), None)
    return None if model is None else Shipped(model, called, sample_places(name))
