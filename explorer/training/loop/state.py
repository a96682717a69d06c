"""Where a run is: all that a later one needs to go on from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

NONE_YET = (-1.0, math.inf)  # the best (figure, loss) before the first epoch

@dataclass
class State:
    """What changes while a run learns, and nothing else. `network` is what learns."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None  # the averaged weights (EMA, SWA), where wanted
    beside: nn.Module | None = None  # what learns too and is no part of it, such as the regressors of hints
    #: the same network for passes, with a faster frozen part; None: itself
    through: nn.Module | None = None
    epoch: int = 0
    batch: int = 0  # of this epoch, that are learnt from
    step: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # loss, figure, photos of this epoch
    part_sums: dict[str, float] = field(default_factory=dict)  # of the parts of the loss, as `sums`
    best_epoch: int = -1
    best: tuple[float, float] = NONE_YET  # (figure, loss) of the photos to judge by
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    # while the best ones are in the network, after a stop
    last_weights: dict[str, Tensor] = field(default_factory=dict)
    pieces: int = 1  # a batch is learnt from in so many pieces, for want of memory
    # of a step whose batches were not all there at a stop
    gradients: dict[str, Tensor] = field(default_factory=dict)

    @property
    def passing_network(self) -> nn.Module:
        return self.network if self.through is None else self.through

    @property
    def averaged(self) -> nn.Module | None:
        """The network with averaged weights; None where there are none, or none yet."""
        average = self.average
        return average.module if average is not None and average.n_averaged else None

    @property
    def judged_network(self) -> nn.Module:
        return self.passing_network if self.averaged is None else self.average

    def judged_weights(self) -> dict[str, Tensor]:
        """Those of `judged_network`. The averaged ones are named as in `network` too."""
        return (self.network if self.averaged is None else self.averaged).state_dict()

    def add(self, loss: float, figure: float, count: int, seconds: float, parts: dict[str, float]) -> None:
        """One batch of `count` photos: its mean loss, the sum of its figure, what it took, and the parts of
        the loss.
        """
        self.seconds += seconds
        for name, value in parts.items():
            self.part_sums[name] = self.part_sums.get(name, 0.0) + value * count
        for i, value in enumerate((loss * count, figure, count)):
            self.sums[i] += value

    def keep_as_best(self, figure: float, loss: float) -> None:
        """The weights as they are now are the best so far, by this figure and validation loss."""
        self.best, self.best_epoch = (figure, loss), self.epoch
        weights = self.judged_weights()
        self.best_weights = {key: value.detach().cpu().clone() for key, value in weights.items()}

    def end_epoch(self) -> tuple[float, float, dict[str, float]]:
        """Go to the next epoch; the (mean loss, mean figure, parts of the loss) of the one that is over."""
        loss, figure, count = self.sums
        parts = {name: value / max(count, 1) for name, value in self.part_sums.items()}
        self.epoch, self.batch, self.sums, self.part_sums = self.epoch + 1, 0, [0.0, 0.0, 0.0], {}
        return loss / max(count, 1), figure / max(count, 1), parts

    # --- around a stop ----------------------------------------------------------------------------------

    def gradients_now(self) -> dict[str, Tensor]:
        """What the batches so far have added to a step that is not made yet, by the parameter's name."""
        return {name: p.grad for name, p in self._learning() if p.grad is not None}

    def _learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.network.named_parameters()
        if self.beside is not None:
            yield from self.beside.named_parameters(prefix="beside:")

    def put_gradients_aside(self) -> None:
        """Out of the network, so that nobody who uses it after a stop adds to them."""
        self.gradients = self.gradients_now()
        for _, parameter in self._learning():
            parameter.grad = None

    def take_gradients_back(self) -> None:
        """Begin where the stop was, whatever was done to the network since then."""
        for name, parameter in self._learning():
            gradient = self.gradients.get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter)
        self.gradients = {}

    def show_best(self) -> bool:
        """The best weights into the network, for whoever uses it now; False where no epoch was over."""
        if self.best_weights:
            last = self.network.state_dict()
            self.last_weights = {key: value.detach().clone() for key, value in last.items()}
            self.network.load_state_dict(self.best_weights)
        return bool(self.best_weights)

    def go_on(self) -> None:
        """Take the weights and gradients of the last step back, after a stop."""
        if self.last_weights:
            self.network.load_state_dict(self.last_weights)
            self.last_weights = {}
        self.take_gradients_back()
