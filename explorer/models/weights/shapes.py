"""What the shapes of tensors tell of their network: its classes, the channels of its photos, its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from explorer.models.weights.reading import Checkpoint, as_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.blank import Room
    from explorer.models.contract import VisionModel


class Rows(NamedTuple):
    """How the first dimension of a tensor follows from the number of classes: `each` a class, and `more`.

    A classifier has one row a class; a detector with nine anchors at a place has nine; one that also answers
    whether there is anything at all, and where, has rows beside those.
    """

    each: int
    more: int = 0

    def classes(self, rows: int) -> int:
        """How many classes so many rows are of; 0 where it does not come out even."""
        count, rest = divmod(rows - self.more, self.each)
        return 0 if rest else max(count, 0)


class Head(NamedTuple):
    """What only a classifier has, in a model's own names.

    names: its tensors, norms that go with it included
    sized: those whose first dimension follows from the number of classes, and how
    parts: the modules that hold them, with a dot behind: "head.", "fc."
    """

    names: frozenset[str]
    sized: Mapping[str, Rows]
    parts: tuple[str, ...]

    def classes(self, state: Mapping[str, Tensor]) -> int:
        """How many classes the classifier in `state` knows; 0 where it has none."""
        return max(
            (rows.classes(state[name].shape[0]) for name, rows in self.sized.items()
             if name in state and state[name].ndim), default=0
        )

    def is_part(self, name: str) -> bool:
        """Whether a tensor belongs to a classifier, be it one of another make ("fc.1.weight" for
        "fc.weight")."""
        return name in self.names or name.startswith(self.parts)


def head_of(body: Mapping[str, Tensor], whole: Mapping[str, Tensor], classes: int) -> Head:
    """The head of a network, from its tensors without a classifier and with one of `classes`.

    No other layer may be as wide, or a multiple of it wider.
    """
    bare, full = ({name: value.shape for name, value in state.items()} for state in (body, whole))
    names = frozenset(name for name, shape in full.items() if bare.get(name) != shape)
    sized: dict[str, Rows] = {}
    for name in full:
        if name in names and full[name]:
            more = bare[name][0] if bare.get(name) else 0
            each, rest = divmod(full[name][0] - more, classes)
            if each > 0 and not rest:
                sized[name] = Rows(each, more)
    holders = {name.rpartition(".")[0] for name in sized}
    parts = tuple(
        f"{path}." for path in holders if path and not any(name.startswith(f"{path}.") for name in bare)
    )
    return Head(names, sized, parts)


def channels_of(model: VisionModel, state: Mapping[str, Tensor]) -> int:
    """How many channels of a photo the trained first layer reads.

    The model's own number if it is not told.
    """
    name, own = next(
        ((name, value) for name, value in model.state_dict().items() if value.ndim == 4), ("", None)
    )
    given = state.get(name)
    if own is None or given is None or given.ndim != 4 or given.shape[0] != own.shape[0]:
        return model.in_chans
    channels, rest = divmod(
        given.shape[1] * model.in_chans, own.shape[1]
    )  # a stem may fold pixels into channels
    return channels if channels and not rest else model.in_chans


def room_for(found: Checkpoint | Mapping[str, Tensor]) -> Room:
    """How large a network that a stranger describes may be: in proportion to the tensors beside it."""
    from explorer.models.blank import Room

    tables = as_checkpoint(found).tables.values()
    return Room(
        tensors=4 * max(map(len, tables)) + 1000,
        numbers=4 * max(sum(value.numel() for value in table.values()) for table in tables) + 2**24,
    )


def rows_in(found: Checkpoint | Mapping[str, Tensor]) -> set[int]:
    """The first dimensions of all tensors: a classifier of so many classes has one of them."""
    return {
        value.shape[0]
        for table in as_checkpoint(found).tables.values()
        for value in table.values()
        if value.ndim
    }
