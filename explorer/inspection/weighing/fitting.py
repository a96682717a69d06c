"""`fit_weights`: the weights of an ensemble's members, by photos whose classes or numbers are known.

    team = explorer.Ensemble([lite0, lite1, lite2])
    explorer.fit_weights(team, "my photos/")          # sets them, and shows what they gain
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from explorer.arguments import checked
from explorer.display.html import RichRepr, cell_html, cells_html, name_html, notes_html, table_html
from explorer.display.words import counted, number_text, percent
from explorer.inspection.look.model import outputs_of
from explorer.inspection.weighing.answers import MemberAnswers, as_ensemble, member_answers
from explorer.models.contract import VisionModel
from explorer.models.ensembles.fitting import fit_simplex

WAYS = ("nll", "score")


@dataclass(frozen=True, eq=False, repr=False)
class WeightFit(RichRepr):
    """What `fit_weights` found.

    weights: {member: how much it counts}, adding up to 1
    before, after: (score, loss) of the ensemble with equal weights, and with these: the share that is right
             and the mean negative log-likelihood; of numbers the mean absolute error in their own unit and
             the mean squared one of the raw scores (`MemberAnswers.score`, `.loss`)
    answers: what each member said, to try other weights;  by: "nll" or "score"
    """

    weights: dict[str, float]
    before: tuple[float, float]
    after: tuple[float, float]
    answers: MemberAnswers
    by: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        said = (f"{counted(len(self.answers), 'photo')}. The weights were fitted on these very photos, so "
                "the figures with them are a little too good: judge by others.")
        return (*self.answers.notes, said)

    def _texts(self, score: float, loss: float) -> tuple[str, str]:
        return number_text(score) if self.answers.outputs.numbers else percent(score), f"{loss:.4f}"

    @property
    def _heads(self) -> tuple[str, str]:
        return self.answers.figure, "squared error" if self.answers.outputs.numbers else "NLL"

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {weight:.3f}" for name, weight in self.weights.items())
        figures = ", ".join(f"{head} {before} -> {after}" for head, before, after in
                            zip(self._heads, self._texts(*self.before), self._texts(*self.after)))
        return f"WeightFit({shown}; {figures})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{name_html(name)}{cells_html((f'{weight:.3f}', *self._texts(score, loss)))}</tr>"
            for (name, weight), score, loss in zip(self.weights.items(), self.answers.scores,
                                                   self.answers.losses))
        for called, figures in (("all, equal", self.before), ("all, weighted", self.after)):
            rows += f"<tr>{name_html(called)}{cell_html('')}{cells_html(self._texts(*figures))}</tr>"
        return f"<div>{table_html(('member', 'weight', *self._heads), rows)}{notes_html(self.notes)}</div>"


@checked(data=None)
def fit_weights(
    model: VisionModel, data: Any, *, by: str = "nll", batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None, on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> WeightFit:
    """Find how much each member of an ensemble should count, and set it.

    model: an ensemble of classifiers, or of networks that give numbers, as `explorer.Ensemble` gives it
    data:  photos whose classes or numbers are known and that no member has learnt from: a folder with a
           folder for each class, "flowers5", a `PhotoSet`, a table. Where it has a val part, these photos
           alone count
    by:    "nll": the weights that make the negative log-likelihood least, of all that add up to 1 (a convex
           problem, so there is no better); of several classes at once the mean over their yeses and noes, of
           numbers the squared error. "score": in proportion to each member's accuracy; of numbers in inverse
           proportion to its mean squared error

    The members' answers are kept on the disk (`cache_dir`, as in `run_folder`), so another call runs none.
    Raises TypeError for another model, ValueError for "nll" of an ensemble that votes and for a member whose
    scores are no numbers, DataError for photos without classes or with unknown ones.
    Source of the latter weights: J. M. Bates, C. W. J. Granger, The Combination of Forecasts, 1969.
    """
    if by not in WAYS:
        raise ValueError(f"by is {str(by)[:60]!r}: expected one of {', '.join(map(repr, WAYS))}.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    team = as_ensemble(model)
    numbers = outputs_of(team).numbers  # of which a vote is the mean
    if by == "nll" and team.combine == "vote" and not numbers:
        raise ValueError("model votes, and votes have no slope along which weights could be fitted: "
                         "by='score', or explorer.Ensemble(models, combine='mean').")
    said = member_answers(team, data, batch_size=batch_size, cache_dir=cache_dir, on_progress=on_progress,
                          should_stop=should_stop)
    if by == "nll":
        how = "mean" if numbers else said.combine
        weights = fit_simplex(list(said.logits), said.targets, said.outputs, how)
    else:
        scores = torch.tensor(said.scores, dtype=torch.float64)
        worth = 1 / torch.tensor(said.losses, dtype=torch.float64).clamp_min(1e-12) if numbers else scores
        weights = worth / worth.sum() if worth.sum() > 0 else torch.full_like(worth, 1 / len(worth))
    found = dict(zip(said.names, weights.tolist()))
    team.set_weights(found)
    before, after = ((said.score(one), said.loss(one)) for one in (None, found))
    return WeightFit(found, before, after, said, by)
