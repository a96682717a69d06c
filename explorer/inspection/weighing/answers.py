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
from torch.nn import functional as F

from explorer.display.words import counted
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look.model import outputs_of
from explorer.inspection.look.passes import Stopped
from explorer.inspection.weighing.known import known
from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import read_weights
from explorer.models.ensembles.combining import combination, combine_scores
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.stacked_model import StackedModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import look_through


@dataclass(frozen=True, eq=False)
class MemberAnswers:
    """The members' raw scores for N photos.

    names:  of the members;  photos: what each photo is called
    logits: [M, N, W], in the order of the first member's classes
    truth:  [N] the right class of each photo; of photos with several [N, K] of 0 and 1; of numbers [N, K] the
            right ones, in the unit of the raw scores
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
        """Raw scores [N, W] of all members together, with other weights, or combined in another way, as
        `explorer.Ensemble` takes both. Raises ValueError for weights or a way that are none.
        """
        how = self.combine if combine is None else combination(combine)
        read = read_weights(weights, self.names, self.logits.shape[-1])
        return combine_scores(list(self.logits), self.outputs, how, read)

    def probabilities(self, weights: Any = None, combine: str | None = None) -> Tensor:
        """[N, K] of the ensemble with these weights. Raises ValueError for numbers, which have none."""
        return self.outputs.probabilities(self.combined(weights, combine))

    @property
    def figure(self) -> str:
        """What `score` is: "right", "all classes right" or "mean absolute error"."""
        return "mean absolute error" if self.outputs.numbers else "right" if self.truth.ndim == 1 else \
            "all classes right"

    def score(self, weights: Any = None, combine: str | None = None) -> float:
        """How good the ensemble is with these weights: the share of photos whose likeliest class is the right
        one; of those with several classes, the share with every yes and no right; of numbers the mean
        absolute error in their own unit.
        """
        return self._score(self.combined(weights, combine))

    def accuracy(self, weights: Any = None, combine: str | None = None) -> float:
        """`score` of classes, 0 to 1. Raises ValueError for numbers, which have none."""
        if self.outputs.numbers:
            raise ValueError("These members give numbers, which are not right or wrong: ask for `score`, the "
                             "mean absolute error.")
        return self.score(weights, combine)

    def loss(self, weights: Any = None, combine: str | None = None) -> float:
        """The mean negative log-likelihood of what is right, of several classes the mean over them; of
        numbers the mean squared error, in the unit of the raw scores.
        """
        return self.loss_of(self.combined(weights, combine))

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each member alone."""
        return tuple(self._score(one) for one in self.logits)

    @property
    def losses(self) -> tuple[float, ...]:
        """The loss of each member alone."""
        return tuple(self.loss_of(one) for one in self.logits)

    @property
    def targets(self) -> Tensor:
        """The truth as the loss wants it: of several classes [N, K], also where a photo has one."""
        several = self.outputs.several and self.truth.ndim == 1
        return F.one_hot(self.truth, len(self.outputs)) if several else self.truth

    def _score(self, raw: Tensor) -> float:
        if self.outputs.numbers:
            off = self.outputs.values(raw.double()) - self.outputs.values(self.truth)
            return float(off.abs().mean())
        if self.truth.ndim == 1:
            return float((self.outputs.likeliest(raw) == self.truth).double().mean())
        return float(((raw > 0) == self.truth.bool()).all(1).double().mean())

    def loss_of(self, raw: Tensor) -> float:
        """`loss` of raw scores [N, W] that are combined already."""
        raw = raw.double()
        if self.outputs.numbers:
            return float(F.mse_loss(raw, self.truth))
        if self.outputs.several:
            return float(F.binary_cross_entropy_with_logits(raw, self.targets.double()))
        right = self.outputs.log_probabilities(raw).gather(1, self.truth[:, None])
        return float(-right.mean())


def as_ensemble(model: Any) -> EnsembleModel:
    """The ensemble itself, seen through torch's wrappers. Raises TypeError for another model."""
    inner = look_through(model) if isinstance(model, nn.Module) else model
    if isinstance(inner, StackedModel):
        raise TypeError("model is a stack, whose meta learner weighs the members: expected an ensemble of "
                        "classifiers, as explorer.Ensemble(models) gives it.")
    if not isinstance(inner, EnsembleModel):
        raise TypeError(f"model is a {type(inner).__name__}: expected an ensemble of classifiers, as "
                        "explorer.Ensemble(models) gives it.")
    inner.notice_head()
    return inner


def member_answers(
    model: VisionModel, photos: Any, *, batch_size: int = 32, cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> MemberAnswers:
    """What each member says of photos whose classes or numbers are known; see `run_folder`, whose cache keeps
    it.

    Of photos with a val part these alone count. Raises TypeError for what is no ensemble of classifiers,
    DataError for photos without classes, or with others than the members know, ValueError, with its name, for
    a member whose scores are no numbers.
    """
    model = as_ensemble(model)
    outputs = outputs_of(model)
    there = known(photos, outputs)
    notes, rows = [*there.notes], []
    features = None
    count = len(model.names)
    for number, member in enumerate(model.members):
        def heard(done: int, total: int, number: int = number) -> None:
            if on_progress is not None:
                on_progress(number * total + done, count * total)

        features = run_folder(member, there.photos, batch_size=batch_size, cache_dir=cache_dir,
                              on_progress=heard, should_stop=should_stop)
        if not features.complete:
            raise Stopped("Stopped before every member had seen the photos: nothing is fitted.")
        raw = torch.from_numpy(np.array(features.logits))
        _check_finite(raw, model.names[number], features.names)
        rows.append(model.alignments[number](raw))
    assert features is not None and features.labels is not None
    truth = there.truth[features.labels]
    kept = torch.ones(len(truth), dtype=torch.bool)
    if features.held_out is not None and bool(features.held_out.any()):
        kept = features.held_out
        notes.append(f"By the {counted(int(kept.sum()), 'photo')} of the val part.")
    notes += [f"Left out, {name}: {why}" for name, why in features.problems[:5]]
    chosen = kept.nonzero()[:, 0].tolist()
    return MemberAnswers(model.names, tuple(features.names[i] for i in chosen),
                         torch.stack(rows)[:, chosen], truth[chosen], outputs, model.combine, tuple(notes))


def _check_finite(raw: Tensor, member: str, photos: tuple[str, ...]) -> None:
    bad = (~torch.isfinite(raw).flatten(1).all(1)).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"The member {member} gives scores that are no numbers (NaN or infinite) for "
                         f"{len(bad)} of {counted(len(raw), 'photo')}, such as '{photos[bad[0]]}': its "
                         "weights are broken. Leave it out.")
