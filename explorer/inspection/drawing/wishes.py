"""What a picture is drawn for: the score of a class, a number, or a channel of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from explorer.inspection.look.model import model_name, not_pooled
from explorer.inspection.look.spots import Source, channel_of, layout_of
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs


class Wish(Protocol):
    """What is to grow.

    model: the network that is asked;  words: what is drawn for;  measure: what `value` is;  called: how a
    sentence about that begins;  falls: whether it is to fall instead, as a loss
    """

    @property
    def model(self) -> VisionModel: ...
    @property
    def words(self) -> str: ...
    @property
    def measure(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def falls(self) -> bool: ...

    def value(self, inputs: Tensor) -> Tensor:
        """Inputs of a pass [1, C, H, W] -> a number that leads back to them."""
        ...


@dataclass(frozen=True)
class ClassWish:
    """A class, or a number of a network that gives numbers; index: which."""

    model: VisionModel
    outputs: Outputs
    index: int
    falls = False

    @property
    def label(self) -> str:
        return self.outputs.labels[self.index]

    @property
    def words(self) -> str:
        return f"the {self.outputs.noun} {self.label!r}"

    @property
    def measure(self) -> str:
        return "the number" if self.outputs.numbers else "the score (logit)"

    @property
    def called(self) -> str:
        return f"The score of {self.words}"

    def value(self, inputs: Tensor) -> Tensor:
        """The score itself and not its share: a share also grows as the others fall."""
        return self.outputs.evidence(self.raw(inputs))[0, self.index]

    def raw(self, inputs: Tensor) -> Tensor:
        """All scores [1, W]."""
        raw = self.model(inputs)
        if raw.ndim != 2:
            raise not_pooled(raw)
        return raw.float()


@dataclass(frozen=True)
class ChannelWish:
    """A channel of what a stage or a module gives, at all places alike."""

    source: Source
    channel: int
    falls = False

    @property
    def model(self) -> VisionModel:
        return self.source.model

    @property
    def words(self) -> str:
        return f"channel {self.channel} of {self.source.name}"

    @property
    def measure(self) -> str:
        return "the channel's mean"

    @property
    def called(self) -> str:
        return f"The mean of {self.words}"

    def value(self, inputs: Tensor) -> Tensor:
        found: Any = self.source.run(self.model, inputs, lambda tensor: self._mean(tensor, inputs))
        if found is None:
            raise ValueError(f"{self.source.name} of {model_name(self.model)} gives no tensor in a pass, or "
                             "is not run in one: ask for a stage, or for another module.")
        return found

    def _mean(self, tensor: Tensor, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[-2:]
        layout = layout_of(tuple(tensor.shape), (height, width))
        if layout is None and tensor.ndim != 2:
            raise ValueError(f"{self.source.name} of {model_name(self.model)} gives "
                             f"{list(tensor.shape[1:])} for a picture, neither a map nor a vector: ask for a "
                             "stage, or for another module.")
        channels = tensor.shape[1 if layout is None or layout.order == "NCHW" else -1]
        check_channel(self.source.name, self.channel, channels)
        return channel_of(tensor, layout, self.channel).float().mean()


def check_channel(name: str, channel: int, channels: int) -> None:
    """Raise ValueError for a channel that a map has not."""
    if channel >= channels:
        raise ValueError(f"channel is {channel}: {name} has {channels} channel{'s' * (channels != 1)}, "
                         f"counted from 0, so channel is from 0 to {channels - 1}.")
