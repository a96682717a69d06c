"""What each member of an ensemble said of the same photos, kept, so that weights can be tried without a pass.

    said = member_answers(team, "flowers5")
    said.accuracy([0.5, 0.3, 0.2])            # of the ensemble with these weights: no network runs
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.data.folders import DataError
from explorer.data.labels import match_names
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look.model import outputs_of
from explorer.inspection.look.passes import Stopped
from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import read_weights
from explorer.models.ensembles.combining import combine_scores
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import look_through


@dataclass(frozen=True, eq=False)
class MemberAnswers:
    """The members' raw scores for N photos.

    names:  of the members;  photos: what each photo is called
    logits: [M, N, W], in the order of the first member's classes;  truth: [N] the right class of each
    outputs: what the scores mean;  combine: how the ensemble combines them;  notes: what a reader must know
    """

    names: tuple[str, ...]
    photos: tuple[str, ...]
    logits: Tensor
    truth: Tensor
    outputs: Outputs
    combine: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.photos)

    def combined(self, weights: Any = None, combine: str | None = None) -> Tensor:
        """Raw scores [N, W] of all members together, with other weights, or combined in another way."""
        read = read_weights(weights, self.names, self.logits.shape[-1])
        return combine_scores(list(self.logits), self.outputs, combine or self.combine, read)

    def probabilities(self, weights: Any = None, combine: str | None = None) -> Tensor:
        """[N, K] of the ensemble with these weights."""
        return self.outputs.probabilities(self.combined(weights, combine))

    def accuracy(self, weights: Any = None, combine: str | None = None) -> float:
        """The share of photos whose likeliest class is the right one, 0 to 1."""
        return self._share(self.combined(weights, combine))

    def loss(self, weights: Any = None, combine: str | None = None) -> float:
        """The mean negative log-likelihood of the right classes."""
        return self._loss(self.combined(weights, combine))

    @property
    def scores(self) -> tuple[float, ...]:
        """The accuracy of each member alone."""
        return tuple(self._share(one) for one in self.logits)

    @property
    def losses(self) -> tuple[float, ...]:
        """The mean negative log-likelihood by each member alone."""
        return tuple(self._loss(one) for one in self.logits)

    def _share(self, raw: Tensor) -> float:
        return float((self.outputs.likeliest(raw) == self.truth).double().mean())

    def _loss(self, raw: Tensor) -> float:
        right = self.outputs.log_probabilities(raw.double()).gather(1, self.truth[:, None])
        return float(-right.mean())


def as_ensemble(model: Any) -> EnsembleModel:
    """The ensemble itself, seen through torch's wrappers. Raises TypeError for another model."""
    inner = look_through(model) if isinstance(model, nn.Module) else model
    if not isinstance(inner, EnsembleModel):
        raise TypeError(f"model is a {type(inner).__name__}: expected an ensemble of classifiers, as "
                        "explorer.Ensemble(models) gives it.")
    inner.notice_head()
    return inner


def member_answers(
    model: VisionModel, photos: Any, *, batch_size: int = 32, cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> MemberAnswers:
    """What each member says of photos whose classes are known; see `run_folder`, whose cache keeps it.

    Of photos with a val part these alone count. Raises TypeError for what is no ensemble of classifiers,
    DataError for photos without classes, or with others than the members know.
    """
    model = as_ensemble(model)
    outputs = outputs_of(model)
    if outputs.numbers or outputs.several:
        raise ValueError("The members of this model don't tell one class of several: give the weights "
                         "yourself, explorer.Ensemble(models, weights=[...]).")
    rows, notes = [], []
    features = None
    count = len(model.names)
    for number, member in enumerate(model.members):
        def heard(done: int, total: int, number: int = number) -> None:
            if on_progress is not None:
                on_progress(number * total + done, count * total)

        features = run_folder(member, photos, batch_size=batch_size, cache_dir=cache_dir,
                              on_progress=heard, should_stop=should_stop)
        if not features.complete:
            raise Stopped("Stopped before every member had seen the photos: nothing is fitted.")
        rows.append(model.alignments[number](torch.from_numpy(np.array(features.logits))))
    assert features is not None
    if features.labels is None:
        raise DataError("photos has no classes: give a folder with one folder for each class, or a data set "
                        "whose photos have labels.")
    places = match_names(outputs.labels, features.classes) if outputs.named else \
        list(range(len(features.classes))) if len(features.classes) == len(outputs) else [None]
    if unknown := [name for name, place in zip(features.classes, places) if place is None]:
        raise DataError(f"photos has the class {unknown[0][:60]!r}, which the members don't know by name: "
                        f"they know {', '.join(outputs.labels[:5])}, ...")
    truth = torch.tensor(places)[features.labels]
    kept = torch.ones(len(truth), dtype=torch.bool)
    if features.held_out is not None and bool(features.held_out.any()):
        kept = features.held_out
        notes.append(f"By the {int(kept.sum())} photos of the val part.")
    notes += [f"Left out, {name}: {why}" for name, why in features.problems[:5]]
    chosen = kept.nonzero()[:, 0].tolist()
    return MemberAnswers(model.names, tuple(features.names[i] for i in chosen),
                         torch.stack(rows)[:, chosen], truth[chosen], outputs, model.combine, tuple(notes))
