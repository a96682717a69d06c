"""Trying weights on answers that are there: what another weight changes, without a pass of any network.

    weighing = Weighing(member_answers(team, "flowers5"))
    tried = weighing.weigh([0.5, 0.3, 0.2])
    tried.accuracy, tried.fixed, tried.broken         # against the best member

What does not follow from the weights is worked out once, when the answers come. `weigh` is what a slider
calls each time it moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from explorer.inspection.weighing.answers import MemberAnswers
from explorer.models.ensembles.combining import combination
from explorer.models.ensembles.fitting import fit_simplex
from explorer.models.outputs import KINDS

FEWEST = 4  # photos of which two halves say anything


@dataclass(frozen=True, eq=False)
class Tried:
    """All members together, with some weights.

    said:     [N] the class that they give each photo;  right: [N] whether it is the right one
    accuracy: the share of the right ones;  loss: the mean negative log-likelihood, in nats
    fixed, broken: the photos that they alone, and that the best member alone is right about
    agreement: [M] on which share of the photos they give each member's answer
    raw:      [N, W] their raw scores
    """

    said: Tensor
    right: Tensor
    accuracy: float
    loss: float
    fixed: tuple[int, ...]
    broken: tuple[int, ...]
    agreement: Tensor
    raw: Tensor

    def probability(self, photo: int, outputs: Any) -> float:
        """How sure they are of what they say of a photo, 0 to 1."""
        return float(outputs.probabilities(self.raw[photo].double())[self.said[photo]])


class Weighing:
    """What members said of the same photos, ready for any weights.

    said:   [M, N] the class that each member gives each photo;  right: [M, N] whether it is the right one
    scores, losses: the accuracy, and the mean negative log-likelihood, of each
    best:   the number of the most accurate member, of several the one with the least loss
    agreement: [M, M] on which share of the photos two members give the same answer
    """

    def __init__(self, answers: MemberAnswers):
        """Raises ValueError for no photo, and for members that tell several classes at once or numbers, of
        which none is fixed or broken.
        """
        if (kind := answers.outputs.kind) not in ("one", "yes/no"):
            raise ValueError(f"The members give {KINDS[kind]}, not one class of several: `score` and `loss` "
                             "of the answers judge their weights.")
        if not len(answers):
            raise ValueError("There is no photo to weigh the members by: give some whose classes are known.")
        self.answers = answers
        self.said = torch.stack([answers.outputs.likeliest(raw) for raw in answers.logits])
        self.right = self.said == answers.truth
        self.scores, self.losses = answers.scores, answers.losses
        self.best = min(range(len(self.scores)), key=lambda i: (-self.scores[i], self.losses[i]))
        self.agreement = (self.said[:, None] == self.said[None]).double().mean(-1)

    def __len__(self) -> int:
        return len(self.answers)

    def weigh(self, weights: Any = None, combine: str | None = None) -> Tried:
        """All members together. weights, combine: as `explorer.Ensemble` takes them; None: all the same, and
        as the answers say. Raises ValueError for weights that are none.
        """
        answers = self.answers
        raw = answers.combined(weights, combine)
        said = answers.outputs.likeliest(raw)
        right, best = said == answers.truth, self.right[self.best]
        return Tried(said, right, float(right.double().mean()), answers.loss_of(raw), _where(right & ~best),
                     _where(best & ~right), (self.said == said).double().mean(-1), raw)

    @cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """The photos in two halves, drawn once; of each class as many in both, give or take one."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        order = order[self.answers.truth[order].argsort(stable=True)]
        return order[::2].sort().values, order[1::2].sort().values

    def fit(self, combine: str) -> Tensor:
        """The weights [M] that make the loss on these photos least; see `fit_weights`, which judges by them.
        """
        return _fitted(self.answers, combine)

    def across(self, combine: str) -> tuple[float, float] | None:
        """(accuracy, loss) of weights that were fitted on one half of the photos and judged by the other,
        both ways round; None for too few photos.

        It is what `fit` gains on photos that it has not seen: each photo is judged once, by weights that
        don't know it.
        """
        if len(self) < FEWEST:
            return None
        right = loss = 0.0
        for learnt, judged in (self.halves, self.halves[::-1]):
            others = _some(self.answers, judged)
            raw = others.combined(_fitted(_some(self.answers, learnt), combine), combine)
            right += int((others.outputs.likeliest(raw) == others.truth).sum())
            loss += others.loss_of(raw) * len(others)
        return right / len(self), loss / len(self)


def _where(yes: Tensor) -> tuple[int, ...]:
    return tuple(yes.nonzero()[:, 0].tolist())


def _some(answers: MemberAnswers, photos: Tensor) -> MemberAnswers:
    chosen: Sequence[int] = photos.tolist()
    return replace(answers, photos=tuple(answers.photos[i] for i in chosen), logits=answers.logits[:, chosen],
                   truth=answers.truth[chosen])


def _fitted(answers: MemberAnswers, combine: str) -> Tensor:
    return fit_simplex(list(answers.logits), answers.truth, answers.outputs, combination(combine))
