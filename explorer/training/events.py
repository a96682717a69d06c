"""What a run tells while it goes: the loop emits these, and whoever listens draws, prints, records or stops.

Each event is plain data; `as_dict` is what the history file holds, one JSON line an event.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    kind: ClassVar[str] = "event"

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Started(Event):
    """The run begins, or goes on behind `step` steps. batches: of one epoch; learns: trainable numbers."""

    kind: ClassVar[str] = "started"
    epochs: int
    batches: int
    step: int
    learns: int
    cached: bool


@dataclass(frozen=True)
class Progress(Event):
    """Something that comes before the first batch, such as caching features: `done` of `total`."""

    kind: ClassVar[str] = "progress"
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Batch(Event):
    """One batch was learnt from. step: optimizer steps so far; loss, top1: of this batch, before the step."""

    kind: ClassVar[str] = "batch"
    epoch: int
    batch: int
    step: int
    loss: float
    top1: float
    lr: float
    examples_per_second: float


@dataclass(frozen=True)
class Epoch(Event):
    """One epoch is over. loss, top1: means over its batches while learning; val_*: judged afterwards."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    loss: float
    top1: float
    val_loss: float
    val_top1: float
    lr: float
    seconds: float
    best: bool


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint that `resume=True` goes on from is on the disk."""

    kind: ClassVar[str] = "saved"
    epoch: int
    step: int
    path: str


@dataclass(frozen=True)
class Note(Event):
    """A sentence that a reader of the result must know: a photo left out, a batch split for want of memory."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Stopped(Event):
    """Asked to stop, between two batches. reason: "asked", or "no better" of early stopping."""

    kind: ClassVar[str] = "stopped"
    epoch: int
    step: int
    reason: str


@dataclass(frozen=True)
class Finished(Event):
    """The last epoch is over; the best one's weights are in the model."""

    kind: ClassVar[str] = "finished"
    epochs: int
    best_epoch: int
    val_top1: float
    seconds: float
