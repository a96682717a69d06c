"""`fit_weights`: the weights of an ensemble's members, by photos whose classes are known.

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
from explorer.display.words import percent
from explorer.inspection.weighing.answers import MemberAnswers, as_ensemble, member_answers
from explorer.models.contract import VisionModel
from explorer.models.ensembles.fitting import fit_simplex

WAYS = ("nll", "score")


@dataclass(frozen=True, eq=False, repr=False)
class WeightFit(RichRepr):
    """What `fit_weights` found.

    weights: {member: how much it counts}, adding up to 1
    before, after: (accuracy, mean negative log-likelihood) of the ensemble with equal weights, and with these
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
        said = (f"{len(self.answers)} photos. The weights were fitted on these very photos, so the figures "
                "with them are a little too good: judge by others, explorer.evaluate(model, data).")
        return (*self.answers.notes, said)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {weight:.3f}" for name, weight in self.weights.items())
        return (f"WeightFit({shown}; right {percent(self.before[0])} -> {percent(self.after[0])}, "
                f"NLL {self.before[1]:.4f} -> {self.after[1]:.4f})")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{name_html(name)}{cells_html((f'{weight:.3f}', percent(score), f'{loss:.4f}'))}</tr>"
            for (name, weight), score, loss in zip(self.weights.items(), self.answers.scores,
                                                   self.answers.losses))
        for called, (share, loss) in (("all, equal", self.before), ("all, weighted", self.after)):
            figures = cells_html((percent(share), f"{loss:.4f}"))
            rows += f"<tr>{name_html(called)}{cell_html('')}{figures}</tr>"
        return f"<div>{table_html(('member', 'weight', 'right', 'NLL'), rows)}{notes_html(self.notes)}</div>"


@checked(data=None)
def fit_weights(
    model: VisionModel, data: Any, *, by: str = "nll", batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None, on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> WeightFit:
    """Find how much each member of an ensemble should count, and set it.

    model: an ensemble of classifiers, as `explorer.Ensemble` gives it
    data:  photos whose classes are known and that no member has learnt from: a folder with a folder for each
           class, "flowers5", a `PhotoSet`. Where it has a val part, these photos alone count
    by:    "nll": the weights that make the negative log-likelihood least, of all that add up to 1 (a convex
           problem, so there is no better); "score": in proportion to each member's accuracy

    The members' answers are kept on the disk (`cache_dir`, as in `run_folder`), so another call runs none.
    Raises TypeError for another model, ValueError for "nll" of an ensemble that votes and for models that
    give numbers or several classes at once, DataError for photos without classes or with unknown ones.
    """
    if by not in WAYS:
        raise ValueError(f"by is {str(by)[:60]!r}: expected one of {', '.join(map(repr, WAYS))}.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    team = as_ensemble(model)
    if by == "nll" and team.combine == "vote":
        raise ValueError("model votes, and votes have no slope along which weights could be fitted: "
                         "by='score', or explorer.Ensemble(models, combine='mean').")
    said = member_answers(team, data, batch_size=batch_size, cache_dir=cache_dir, on_progress=on_progress,
                          should_stop=should_stop)
    if by == "nll":
        weights = fit_simplex(list(said.logits), said.truth, said.outputs, said.combine)
    else:
        weights = torch.tensor(said.scores, dtype=torch.float64)
        weights = weights / weights.sum() if weights.sum() > 0 else torch.full_like(weights, 1 / len(weights))
    found = dict(zip(said.names, weights.tolist()))
    team.set_weights(found)
    before, after = ((said.accuracy(one), said.loss(one)) for one in (None, found))
    return WeightFit(found, before, after, said, by)
