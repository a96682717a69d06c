"""How the raw scores of several members become one row of raw scores, by numbers alone.

    scores = combine_scores([a, b, c], outputs, "mean", weights)     # [B, W] each -> [B, W]

What comes out is again raw scores: `outputs.probabilities` of them are the combined probabilities. So of a
mean of probabilities they are the logarithms of that mean, and of sigmoids its log odds; everything is worked
out in logarithms, where a probability that would round to 0 or 1 stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.models.outputs import Outputs

#: how -> what it does, in words for a person
COMBINATIONS = {
    "mean": "the mean of the members' probabilities (soft voting); of numbers their mean",
    "logits": "the mean of the members' logits, before the softmax or sigmoid",
    "vote": "each votes for its likeliest class (hard voting); of equal votes the probabilities decide",
}
#: Other names that people give them.
ALSO_CALLED = {"soft": "mean", "soft voting": "mean", "probabilities": "mean", "hard": "vote",
               "hard voting": "vote", "votes": "vote", "voting": "vote"}
#: How much of the mean probability is in a share of votes: it tells apart what has as many votes.
TIE = 1e-5


def combination(given: Any) -> str:
    """The one of `COMBINATIONS` that is meant, also by another name. Raises ValueError for none of them."""
    asked = given.strip().lower() if isinstance(given, str) else ""
    how = ALSO_CALLED.get(asked, asked)
    if how not in COMBINATIONS:
        raise ValueError(f"combine is {str(given)[:60]!r}: expected one of "
                         f"{', '.join(map(repr, COMBINATIONS))}.")
    return how


def combine_scores(raws: Sequence[Tensor], outputs: Outputs, how: str, weights: Tensor) -> Tensor:
    """The members' raw scores [..., W] -> those of all together, [..., W] in float32 (float64 stays).

    raws:    one a member, of the same classes in the same order, and of numbers in the same unit
    how:     one of `COMBINATIONS`;  weights: [M], or [M, W] with one a class, each not negative

    Weights need not add up to 1: they are taken as shares, class by class. With weights by class the shares
    of one of several classes are made to add up to 1 again.
    Sources: Dietterich, Ensemble Methods in Machine Learning (MCS 2000); of votes Lam and Suen (1997).
    """
    precision = torch.float64 if any(raw.dtype == torch.float64 for raw in raws) else torch.float32
    stacked = torch.stack([raw.to(precision) for raw in raws])  # [M, ..., W]
    width = stacked.shape[-1]
    by_class = weights.to(stacked).reshape(len(raws), -1).expand(-1, width)  # [M, W]
    by_class = by_class / by_class.sum(0)
    shape = (len(raws), *[1] * (stacked.ndim - 2), width)
    shares = by_class.reshape(shape)
    if outputs.numbers or how == "logits":
        return (shares * stacked).sum(0)
    if outputs.kind == "one":
        together = weighted_log_sum(stacked.log_softmax(-1), shares)  # [..., W]
        if how == "vote":
            chosen = stacked.argmax(-1, keepdim=True)  # [M, ..., 1]
            own = shares.expand_as(stacked).gather(-1, chosen)
            counted = torch.zeros_like(stacked[0])
            for place, share in zip(chosen, own):
                counted.scatter_add_(-1, place, share)
            together = _votes(counted, together)
        return together.log_softmax(-1)
    yes, no = (weighted_log_sum(F.logsigmoid(sign * stacked), shares) for sign in (1, -1))
    if how == "vote":
        votes = (stacked > 0).to(stacked)
        yes, no = _votes((shares * votes).sum(0), yes), _votes((shares * (1 - votes)).sum(0), no)
    return yes - no


def weighted_log_sum(logs: Tensor, shares: Tensor) -> Tensor:
    """log of the weighted sum of exp(logs) over the first axis; a share may be 0."""
    return (logs + shares.log()).logsumexp(0)


def _votes(counted: Tensor, mean: Tensor) -> Tensor:
    """log of the share of votes, with a trace of the mean probability (its log: `mean`) in it."""
    return torch.logaddexp(((1 - TIE) * counted).log(), mean + math.log(TIE))
