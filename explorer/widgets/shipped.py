"""The trained networks for boxes and masks that travel with explorer, with photos whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.data.places.place_set import PlaceSet


@dataclass(frozen=True)
class Shipped:
    """model: the name that opens it with its weights;  called: "the blood-cell detector"
    photos: a few that it has not learnt from, with their boxes or masks
    """

    model: str
    called: str
    photos: PlaceSet


def shipped_for(task: str) -> Shipped | None:
    """What travels with explorer for "detection" or "segmentation"; None where this copy has nothing."""
    return None
