"""One short run among many, followed here and now: its model, its history, and nothing left behind.

What a frozen body sees is the same in every fold and with every learning rate: it looks at each photo once
for all runs (`look_once`), and a run of its head takes a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.data.transforms import resolve_data_config
from explorer.inspection.look.faster import stand_in
from explorer.inspection.look.model import evaluating
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import read_outputs
from explorer.training.loop.events import Epoch, Event, Note, Stopped
from explorer.training.loop.features import Classifier, cache_features
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import FeatureSource
from explorer.training.loop.team import Alone
from explorer.training.run.plan import Plan
from explorer.training.run.saving import Trained
from explorer.training.run.training import Training, threads_for

Hear = Callable[[Event], None]
Ask = Callable[[], bool]


@dataclass(frozen=True)
class Learnt:
    """What came of a run. model: as the run left it;  history: a dict an epoch, as `Run.history`
    stopped: whether it was asked to stop before its end;  trained: what there is to save of it
    """

    stopped: bool
    trained: Trained

    @property
    def model(self) -> VisionModel:
        return self.trained.model

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.trained.history

    @property
    def notes(self) -> list[str]:
        return self.trained.notes


@dataclass(frozen=True)
class Seen:
    """What a frozen body saw of photos: vectors [N, D], in the photos' order; and of which parts a run
    consists.
    """

    vectors: Tensor
    train: Sequence[int] = ()
    val: Sequence[int] = ()

    def parts(self, train: Sequence[int], val: Sequence[int]) -> Seen:
        """The same vectors for a run that learns from some of the photos and judges by others."""
        return Seen(self.vectors, train, val)


@dataclass(frozen=True)
class LastCounts(Objective):
    """As far as this tells, every epoch is better than the one before: the last one's weights stay, and the
    photos to judge by choose nothing.
    """

    def better(self, figure: float, loss: float, than: tuple[float, float]) -> bool:
        return True


class ShortTraining(Training):
    """seen: what the frozen body saw, where it has looked already;  last: whether the last epoch's weights
    stay, not the best one's
    """

    seen: Seen | None = None
    last: bool = False

    def prepare(self, threads: int, asked_to_stop: Ask) -> Generator[Event, None, None]:
        if self.seen is None:
            yield from super().prepare(threads, asked_to_stop)
        else:
            yield from self._from_vectors(self.seen)
        if self.last and self.objective is not None:
            settings = {each.name: getattr(self.objective, each.name) for each in fields(Objective)}
            self.objective = LastCounts(**settings)

    def _from_vectors(self, seen: Seen) -> Generator[Event, None, None]:
        """As `prepare`, without a photo."""
        recipe, model = self.recipe, self.model
        self.objective = Objective(read_outputs(model.config, model.num_classes), recipe.loss or "mse",
                                   recipe.label_smoothing, self._class_weights())
        targets = [self.objective.targets(part.labels) for part in (self.data.train, self.data.val)]
        self.source = FeatureSource(seen.vectors[list(seen.train)][None], targets[0],
                                    seen.vectors[list(seen.val)], targets[1], recipe, self.team)
        model.eval()
        self.state = self._state_of(Classifier(model))
        yield from self._keep(0)


def learn(plan: Plan, *, seen: Seen | None = None, last: bool = False, hear: Hear | None = None,
          should_stop: Ask | None = None) -> Learnt:
    """Follow a run that was planned to its end, in this thread. Whatever goes wrong in it is raised.

    seen: what the frozen body saw of the plan's photos;  last: keep the last epoch's weights, whatever the
          photos to judge by say;  hear: called with each event, and may raise
    """
    work = ShortTraining.of(plan)
    work.seen, work.last = seen, last
    report = plan.net.load_report
    history, notes, stopped = [], [], False
    with closing(plan.claim.around(work.events(should_stop or (lambda: False)))) as events:
        for event in events:
            if isinstance(event, Epoch):
                history.append({key: value for key, value in event.as_dict().items() if key != "kind"})
            elif isinstance(event, Note):
                notes.append(event.text)
            elif isinstance(event, Stopped):
                stopped = event.reason == "asked"
            if hear is not None:
                hear(event)
    trained = Trained(plan.name, plan.net, plan.splits.classes, plan.recipe, history, notes, work.data,
                      report.source if report is not None else "random weights", work.kept)
    return Learnt(stopped, trained)


def look_once(model: VisionModel, photos: PhotoSet, recipe: Recipe, *,
              on_progress: Callable[[int, int], None] | None = None,
              should_stop: Ask | None = None) -> Seen | None:
    """What the model's frozen body sees of each photo; None where a run of this recipe learns more than the
    head, sees each photo more than once, or needs more than one vector, and where it was asked to stop.
    """
    if not recipe.cached or recipe.view_count > 1:
        return None
    with threads_for(recipe) as threads:
        model.eval()
        with evaluating(model):
            body = stand_in(model)
        objective = Objective(read_outputs(model.config, model.num_classes))
        looking = cache_features(model, body, photos, photos.subset([0]),
                                 resolve_data_config({}, model=model), recipe, objective, team=Alone(),
                                 threads=threads, asked_to_stop=should_stop or (lambda: False))
        while True:
            try:
                done, _ = next(looking)
            except StopIteration as end:
                return None if end.value is None else Seen(end.value.views[0])
            if on_progress is not None:
                on_progress(min(done, len(photos)), len(photos))


def scores_from(model: VisionModel, vectors: Tensor) -> Tensor:
    """Raw scores [N, W] on the CPU of vectors [N, D] in front of the classifier."""
    with evaluating(model), torch.inference_mode():
        found = [model.forward_classifier(part.to(**parameter_place(model))).float().cpu()
                 for part in vectors.split(1024)]
    return torch.cat(found).clone()
