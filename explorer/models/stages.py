"""The stages of a backbone: what each is called, where it ends, and how they are chosen by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One stop on the way through a backbone.

    name:      what people call it, e.g. "layer1" or "stem"
    module:    dotted path of the module whose output it is, e.g. "act1"
    channels:  C of its map [B, C, H/reduction, W/reduction]
    reduction: how many input pixels one step on the map covers (the total stride)
    call:      which call of that module in a pass, from 1: a net may use one pooling several times
    """

    name: str
    module: str
    channels: int
    reduction: int
    call: int = 1


class FeatureInfo(Sequence):
    """The stages of a model as timm describes them: a list of dicts with three columns to ask for.

    >>> model.feature_info.channels()
    [64, 256, 512, 1024, 2048]
    """

    def __init__(self, stages: Sequence[Stage], out_indices: Sequence[int] | None = None):
        self.stages = tuple(stages)
        self.out_indices = tuple(range(len(self.stages)) if out_indices is None else out_indices)

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        stage = self.stages[index]
        return {"num_chs": stage.channels, "reduction": stage.reduction, "module": stage.module}

    def _column(self, field: str, index: int | Sequence[int] | None):
        if isinstance(index, int):
            return getattr(self.stages[index], field)
        chosen = self.out_indices if index is None else index
        return [getattr(self.stages[i], field) for i in chosen]

    def channels(self, index: int | Sequence[int] | None = None):
        """Channels of the selected stages (all `out_indices` without an index)."""
        return self._column("channels", index)

    def reduction(self, index: int | Sequence[int] | None = None):
        """Total stride of the selected stages, in input pixels."""
        return self._column("reduction", index)

    def module_name(self, index: int | Sequence[int] | None = None):
        """Dotted module path of the selected stages."""
        return self._column("module", index)

    def get_dicts(self, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The selected stages as dicts, restricted to `keys` where given."""
        return [{k: v for k, v in self[i].items() if keys is None or k in keys} for i in self.out_indices]

    def __repr__(self) -> str:
        rows = ", ".join(f"{s.name} {s.channels}ch /{s.reduction}" for s in self.stages)
        return f"FeatureInfo({rows})"


def resolve_indices(
    indices: int | Sequence[int] | None, count: int, name: str = "out_indices"
) -> tuple[int, ...]:
    """Stage indices as non-negative numbers, in the order asked for.

    None means all `count` stages, an int n the last n, negative numbers count from the end.
    Raises IndexError with the valid range, TypeError for what are no whole numbers.
    """
    if indices is None:
        return tuple(range(count))
    if isinstance(indices, Integral) and not isinstance(indices, bool):
        if not 1 <= indices <= count:
            raise IndexError(f"Asked for the last {indices} stages; this model has {count}, so give 1 to "
                             f"{count}.")
        return tuple(range(count - int(indices), count))
    is_row = isinstance(indices, Iterable) and not isinstance(indices, bytes)
    if not is_row or not all(isinstance(index, Integral) for index in indices):
        raise TypeError("Stages are chosen by numbers, such as (1, 3) or the int 2 for the last two; got "
                        f"{indices!r}.")
    chosen = []
    if not count:
        raise IndexError("This model has no stages: none of its layers gives a map that could be chosen.")
    for index in indices:
        if not -count <= index < count:
            raise IndexError(
                f"Stage index {index} is outside this model's {count} stages: use {-count} to {count - 1}."
            )
        chosen.append(int(index) % count)
    if not chosen:
        raise IndexError(f"No stage was asked for: {name} is empty. Use numbers from 0 to {count - 1}.")
    return tuple(chosen)
