"""What a run tells while it goes: the loop emits these, and whoever listens draws, prints, records or stops.

Each event is plain data; `as_dict` is what the history file holds, one JSON line an event.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from explorer.training.loop.measures import MEASURES, TOP1, Measure


@dataclass(frozen=True)
class Event:
    kind: ClassVar[str] = "event"

    def as_dict(self) -> dict[str, Any]:
        """Its fields; one that is None does not apply, and is left out."""
        return {"kind": self.kind, **{key: value for key, value in asdict(self).items() if value is not None}}

    @property
    def measure(self) -> Measure:
        """What the run is judged by beside its loss."""
        for measure in MEASURES:
            if any(getattr(self, key, None) is not None for key in (measure.key, measure.judged)):
                return measure
        return TOP1


@dataclass(frozen=True)
class Started(Event):
    """The run begins, or goes on behind `step` steps: `epoch` epochs, and `batch` batches of the next.

    batches: of one epoch;  learns: trainable numbers;  cached: whether each photo was looked at once only
    """

    kind: ClassVar[str] = "started"
    epochs: int
    batches: int
    step: int
    learns: int
    cached: bool
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Progress(Event):
    """Something that comes before the first batch, such as caching features: `done` of `total`."""

    kind: ClassVar[str] = "progress"
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Batch(Event):
    """One batch was learnt from. step: optimizer steps so far; loss, top1: of this batch, before the step.

    Of numbers top1 is None, and mae the mean absolute error in their own unit; of several the mean of these.
    Of boxes and masks both are None: only the photos to judge by have a figure.
    parts: of the loss, where it is a sum of several
    """

    kind: ClassVar[str] = "batch"
    epoch: int
    batch: int
    step: int
    loss: float
    top1: float | None
    lr: float
    examples_per_second: float
    mae: float | None = None
    parts: dict[str, float] | None = None


@dataclass(frozen=True)
class Epoch(Event):
    """One epoch is over. loss, top1: means over its batches while learning; val_*: judged afterwards.

    Of numbers mae and val_mae in place of top1 and val_top1, as in `Batch`; of boxes val_ap50, the mean
    average precision at IoU 0.5, of masks val_miou, their mean IoU.
    parts, val_parts: of loss and val_loss, where these are sums of several
    """

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    loss: float
    top1: float | None
    val_loss: float
    val_top1: float | None
    lr: float
    seconds: float
    best: bool
    mae: float | None = None
    val_mae: float | None = None
    val_ap50: float | None = None
    val_miou: float | None = None
    parts: dict[str, float] | None = None
    val_parts: dict[str, float] | None = None


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint that `resume=True` goes on from is on the disk."""

    kind: ClassVar[str] = "saved"
    epoch: int
    step: int
    path: str


@dataclass(frozen=True)
class Note(Event):
    """A sentence that a reader of the result must know: a photo left out, a batch too large for memory."""

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
    val_top1: float | None
    seconds: float
    val_mae: float | None = None
    val_ap50: float | None = None
    val_miou: float | None = None
