"""Other libraries' names for the same tensors: each family's file maps them to ours, in its `KEY_MAPS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from explorer.models.catalog import family_module

if TYPE_CHECKING:
    from torch import Tensor


def convert(name: str, state_dict: Mapping[str, Tensor], source: str = "timm") -> dict[str, Tensor]:
    """A foreign state dict with our parameter names.

    name: the architecture;  source: "timm", "torchvision" or another in the `KEY_MAPS` of the family's file
    Raises ValueError for a source that the family does not know.
    """
    if source == "timm":  # our keys are timm's
        return dict(state_dict)
    maps = getattr(family_module(name), "KEY_MAPS", {})
    if source not in maps:
        raise ValueError(f"No key map from {source!r} for {name!r}. Known: {', '.join(['timm', *maps])}.")
    return maps[source](dict(state_dict), name)


def recognise(name: str, state: dict[str, Tensor], expected: set[str]) -> dict[str, Tensor]:
    """The state dict with our keys, whoever wrote it: the family's key map under which most names fit."""
    if expected <= state.keys():
        return state
    best = state
    for source in getattr(family_module(name), "KEY_MAPS", {}):
        try:
            mapped = convert(name, state, source)
        except (KeyError, IndexError, ValueError, RuntimeError):
            continue  # written by somebody else
        if len(expected & mapped.keys()) > len(expected & best.keys()):
            best = mapped
    return best
