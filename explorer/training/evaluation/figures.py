"""What an evaluation is made of: one photo's answer, one class's figures, one curve, one bin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

WORST = 20  # photos in `worst`


@dataclass(frozen=True)
class JudgedPhoto:
    """One photo and what the model made of it.

    index: its place in `probabilities`;  name, file: of the photo; file is "" where it has none
    true, predicted: class names; of several classes (multi-label) all, with commas
    probability: of the predicted class; of several the least sure answer's
    loss: cross-entropy in nats: 0 is sure and right
    """

    index: int
    name: str
    file: str
    true: str
    predicted: str
    probability: float
    loss: float

    @property
    def right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True)
class ClassFigures:
    """One class. precision: of the photos given this name, how many have it; recall: of the photos that have
    it, how many were given it; f1: their harmonic mean; all 0..1, NaN where there is nothing to divide by.
    support: its photos.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Curve:
    """How one class is told from the others, at each threshold. ROC: x is the share of other photos that
    pass, y of its own; area is the chance that a photo of the class gets more than another one. PR: x is
    recall, y precision; area is the average precision.
    """

    x: Tensor
    y: Tensor
    thresholds: Tensor
    area: float


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence is in low..high: how many, the mean confidence, the share that is right (NaN
    without any).
    """

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """Whether 80 % sure means right in 80 of 100. error: the expected calibration error (ECE), the mean
    distance between confidence and share of right answers, weighted by the bins' counts (Guo et al.,
    https://arxiv.org/abs/1706.04599).
    """

    error: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Confused:
    """`count` photos of the class `true` were taken for `predicted`: a share 0..1 of that class."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class Throughput:
    """photos_per_second: with opening and preparing; seconds: altogether; forward_seconds: of these, in the
    network.
    threads: that open photos, and torch's own; device: where the network ran.
    """

    photos_per_second: float
    seconds: float
    forward_seconds: float
    open_threads: int
    torch_threads: int
    device: str


def plain(value: Any) -> Any:
    """NaN becomes None, a tuple a list."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value
