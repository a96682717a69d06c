"""What a run strives for, as the loop asks for it: whatever is learnt, classes, numbers, boxes or masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor, nn

from explorer.training.loop.measures import Measure

Batches = Iterable[tuple[Any, Any]]  # (inputs, targets), of each as many as there are photos


class Passed(NamedTuple):
    """One batch through the network. loss: its mean over the photos, with the way back;  figure: the sum of
    what the measure is the mean of, 0 where batches have none;  parts: those whose sum the loss is, {} of
    one piece
    """

    loss: Tensor
    figure: float = 0.0
    parts: dict[str, Tensor] = {}


class Judged(NamedTuple):
    """All photos to judge by: their mean loss, their figure, and the parts of that loss."""

    loss: float
    figure: float
    parts: dict[str, float] = {}


class Aim(ABC):
    """The loss that is lowered, the figure that is shown beside it, and which epoch is the best."""

    #: Whether a batch that is learnt from in pieces, for want of memory, gives the very same step.
    same_in_pieces = True

    @property
    def beside(self) -> nn.Module | None:
        """What learns beside the network, is no part of it, and goes with the run; None: nothing."""
        return None

    @property
    def looks_inside(self) -> bool:
        """Whether the loss takes the maps of stages, so that a stand-in for a frozen part won't do."""
        return False

    @property
    @abstractmethod
    def measure(self) -> Measure:
        """The figure that a run is judged by."""

    def through(self, network: nn.Module, inputs: Any, targets: Any, place: dict[str, Any]) -> Any:
        """A batch through the network, for whoever wants no loss of it; what it gives."""
        return network(inputs.to(**place))

    @abstractmethod
    def passed(self, network: nn.Module, inputs: Any, targets: Any, place: dict[str, Any]) -> Passed:
        """A batch through the network. place: device and dtype of the inputs"""

    @abstractmethod
    def judged(self, network: nn.Module, batches: Batches, place: dict[str, Any]) -> Judged:
        """The photos to judge by through the network, in evaluation mode and without gradients."""

    @abstractmethod
    def better(self, figure: float, loss: float, than: tuple[float, float]) -> bool:
        """Whether one epoch's (figure, loss) of the validation photos beats another's."""

    @abstractmethod
    def figures(self, value: float, prefix: str = "") -> dict[str, float | None]:
        """The fields of an event. prefix: "val_" of the photos to judge by"""
