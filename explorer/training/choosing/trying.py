"""One trial of a search: settings in, the figure out, told epoch by epoch so that it can be given up early.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.models.contract import VisionModel
from explorer.training.choosing.fold_runs import Opened, asked, fold_runs, run_once
from explorer.training.choosing.learning import Ask, Seen
from explorer.training.choosing.scored import figure_of
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.loop.events import Epoch, Event
from explorer.training.loop.measures import best_of, measure_in
from explorer.training.run.saving import Trained

#: (the figure so far, the loss that goes with it); True from it: give the trial up
Tell = Callable[[float, float], bool]


@dataclass(frozen=True)
class Outcome:
    """figure, loss: of a trial that came to its end;  trained: its run, None where it was one for each fold
    """

    figure: float
    loss: float
    trained: Trained | None = None


class GivenUp(Exception):
    """A trial that was told to be no good."""


class BrokenOff(Exception):
    """A trial in whose middle somebody asked to stop."""


@dataclass(frozen=True)
class Work:
    """What every trial of a search has in common.

    parts: the photos that each fold judges; None: one run, which is judged by the data's own held-out part
    by:    "accuracy" (of numbers the mean absolute error) or "loss"
    seen:  what frozen bodies saw, by model, for the next trial with it
    """

    data: Opened
    model: VisionModel | str
    fixed: dict[str, Any]
    parts: Sequence[Sequence[int]] | None
    by: str
    pretrained: bool
    device: Any
    should_stop: Ask | None
    seen: dict[Any, Seen | None] = field(default_factory=dict)

    def try_out(self, settings: dict[str, Any], tell: Tell) -> Outcome:
        """Teach and judge. Raises GivenUp, BrokenOff, and whatever goes wrong in the run."""
        settings = {**self.fixed, **settings}
        model = settings.pop("model", self.model)
        it = asked(model, self.data.photos, self.data.name,
                   pretrained=bool(settings.pop("pretrained", self.pretrained)),
                   input_size=settings.pop("input_size", None), device=self.device, settings=settings,
                   should_stop=self.should_stop, seen_by=self.seen)
        if self.should_stop is not None and self.should_stop():
            raise BrokenOff
        return self._one(it, tell) if self.parts is None else self._folds(it, self.parts, tell)

    def _one(self, it: Any, tell: Tell) -> Outcome:
        """By the best epoch, as `finetune` keeps it."""
        def hear(event: Event) -> None:
            if isinstance(event, Epoch) and tell(*self._figures(event.as_dict())):
                raise GivenUp

        count = len(self.data.photos)
        done = run_once(it, range(self.data.cut), range(self.data.cut, count), last=False, hear=hear,
                        should_stop=self.should_stop)
        best = best_of(done.history)
        if done.stopped or best is None:
            raise BrokenOff
        return Outcome(*self._figures(best), done.trained)

    def _folds(self, it: Any, parts: Sequence[Sequence[int]], tell: Tell) -> Outcome:
        """The mean over folds, each by the last epoch."""
        values, losses = [], []
        for run in fold_runs(it, parts, should_stop=self.should_stop):
            loss = run.result.loss if isinstance(run.result, Evaluation) else run.history[-1]["val_loss"]
            values.append(loss if self.by == "loss" else figure_of(run.result)[1])
            losses.append(loss)
            if tell(statistics.fmean(values), statistics.fmean(losses)) and len(values) < len(parts):
                raise GivenUp
        if len(values) < len(parts):
            raise BrokenOff
        return Outcome(statistics.fmean(values), statistics.fmean(losses))

    def _figures(self, row: dict[str, Any]) -> tuple[float, float]:
        loss = float(row["val_loss"])
        return (loss if self.by == "loss" else float(row[measure_in(row).judged])), loss
