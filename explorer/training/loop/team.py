"""Who learns: one process, or several that share every batch. The loop asks both the same few things.

`Alone` is the one process; `explorer.training.loop.workers` has the several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from explorer.training.loop.aim import Aim, Batches, Judged
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.state import State
from explorer.training.loop.steps import Added, judge, learn

Items = TypeVar("Items", Sequence, Tensor)


class Learnt(NamedTuple):
    """Of a whole batch, however many had a share: its mean loss, the sum of its figure, its photos, and the
    parts of its loss.
    """

    loss: float
    figure: float
    count: int
    parts: dict[str, float] = {}


class Team(Protocol):
    """A process's place among those that learn together. All of them ask the same things in the same order.

    rank: 0 .. world - 1 of this one, among `world` processes
    writes: whether it is the one that keeps checkpoints and tells the events
    """

    rank: int
    world: int

    @property
    def writes(self) -> bool:
        """True for one of them."""

    def share(self, items: Items) -> Items:
        """This process's part of a batch, which may be empty."""

    def any(self, flag: bool) -> bool:
        """Whether it is so for one process at least: all get the same answer, and act together."""

    def gather(self, parts: Sequence[Tensor], places: Sequence[range], count: int) -> Tensor:
        """The rows [n, D] of each process, and their places among all -> all rows [count, D], on the CPU."""

    def average_statistics(self, state: State) -> None:
        """Give all the mean of their BatchNorm statistics: before these judge, or are kept."""

    def learn(self, state: State, inputs: Any, targets: Any, recipe: Recipe, place: dict[str, Any],
              objective: Aim) -> Learnt:
        """Add the gradient of a whole batch, of which these are the process's share."""

    def judge(self, state: State, batches: Batches, place: dict[str, Any], objective: Aim) -> Judged:
        """All photos to judge by, of which these are the process's share."""


class Alone:
    """One process: its share is everything, and what it says is agreed."""

    rank, world, writes = 0, 1, True

    def share(self, items: Items) -> Items:
        return items

    def any(self, flag: bool) -> bool:
        return flag

    def gather(self, parts: Sequence[Tensor], places: Sequence[range], count: int) -> Tensor:
        return torch.cat(list(parts))

    def average_statistics(self, state: State) -> None:
        """There are no others."""

    def learn(self, state: State, inputs: Any, targets: Any, recipe: Recipe, place: dict[str, Any],
              objective: Aim) -> Learnt:
        """A batch that does not fit into the memory is learnt from in pieces, and so are those after it."""
        added = Added(*learn(state.passing_network, inputs, targets, recipe, place, objective, state.pieces))
        state.pieces = added.pieces
        return Learnt(added.loss, added.figure, len(inputs), added.parts)

    def judge(self, state: State, batches: Batches, place: dict[str, Any], objective: Aim) -> Judged:
        return Judged(*judge(state.judged_network, batches, place, objective))
