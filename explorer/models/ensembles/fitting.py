"""How much each member should count, from what the members said of photos whose answers are known.

    fitted = fit_simplex([a, b, c], truth, outputs, "mean")      # [M], adds up to 1

The negative log-likelihood of what is right, as a function of the weights, has one valley: both the mean of
probabilities (a logarithm of a sum that is linear in the weights) and the mean of logits (a log-sum-exp of
such sums) are convex on the simplex, the weights that are not negative and add up to 1. So what is found is
the best there is, and `slope_left` says how far from it the numbers stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.models.outputs import Outputs

Loss = tuple[float, np.ndarray]  # its value, and its gradient with respect to the weights [M]


def fit_simplex(raws: Sequence[Tensor], truth: Tensor, outputs: Outputs, how: str) -> Tensor:
    """The weights [M] in float64 that make `loss_of` least, not negative and adding up to 1.

    raws:  the members' raw scores [N, W], of the same classes in the same order
    truth: [N] the right class of each photo; of "several" [N, K] yes (1) or no (0), of numbers [N, K] the
           right ones in the unit of the raw scores
    how:   "mean" or "logits". Raises ValueError for votes, whose loss has steps
    """
    from scipy.optimize import minimize

    if how == "vote":
        raise ValueError("Votes have no slope along which weights could be fitted: take combine='mean', or "
                         "weights by score.")
    loss = _loss(raws, truth, outputs, how)
    count = len(raws)
    best = np.full(count, 1 / count)
    for start in (best, *np.eye(count)[:8] * 0.9 + 0.1 / count):  # SLSQP may stop early on a flat floor
        found = minimize(loss, start, jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * count,
                         constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0,
                                      "jac": lambda w: np.ones_like(w)},
                         options={"ftol": 1e-15, "maxiter": 1000})
        weights = np.clip(found.x, 0, None)
        weights = weights / weights.sum()
        if loss(weights)[0] < loss(best)[0]:
            best = weights
        if _left(best, loss(best)[1]) < 1e-6:
            break
    return torch.from_numpy(_polished(best, loss))


def _polished(weights: np.ndarray, loss: object, rounds: int = 200) -> np.ndarray:
    """A few steps along the simplex from where the solver stopped, as long as each makes the loss less."""
    step = 1.0
    value, slope = loss(weights)  # pyright: ignore[reportCallIssue]
    for _ in range(rounds):
        if _left(weights, slope) < 1e-9 or step < 1e-12:
            break
        moved = onto_simplex(weights - step * slope)
        new_value, new_slope = loss(moved)  # pyright: ignore[reportCallIssue]
        if new_value < value:
            weights, value, slope, step = moved, new_value, new_slope, step * 2
        else:
            step /= 4
    return weights


def onto_simplex(point: np.ndarray) -> np.ndarray:
    """The nearest weights that are not negative and add up to 1 (Duchi et al., ICML 2008)."""
    ordered = np.sort(point)[::-1]
    above = (np.cumsum(ordered) - 1) / np.arange(1, len(point) + 1)
    return np.clip(point - above[ordered > above][-1], 0, None)


def slope_left(weights: Tensor, raws: Sequence[Tensor], truth: Tensor, outputs: Outputs, how: str) -> float:
    """How far these weights are from the best on the simplex: 0 there.

    It is the largest by which moving weight from one member that has some to another would still make the
    loss less, a unit of weight.
    """
    own = weights.double().numpy()
    return _left(own, _loss(raws, truth, outputs, how)(own)[1])


def _left(weights: np.ndarray, gradient: np.ndarray) -> float:
    return float(gradient[weights > 1e-8].max() - gradient.min())


def loss_of(weights: Tensor, raws: Sequence[Tensor], truth: Tensor, outputs: Outputs, how: str) -> float:
    """The mean negative log-likelihood of what is right; of numbers the mean squared error."""
    return _loss(raws, truth, outputs, how)(weights.double().numpy())[0]


def _loss(raws: Sequence[Tensor], truth: Tensor, outputs: Outputs, how: str) -> _Loss:
    return _Loss(torch.stack([raw.double() for raw in raws]), truth, outputs, how)


class _Loss:
    """The loss as a function of the weights, with its gradient."""

    def __init__(self, raws: Tensor, truth: Tensor, outputs: Outputs, how: str):
        self.numbers, self.logits = outputs.numbers, how == "logits"
        self.one = outputs.kind == "one"
        self.raws, self.truth = raws, truth.double() if outputs.several or self.numbers else truth.long()
        if outputs.kind == "yes/no":
            self.truth = truth.double().reshape(-1, 1)
        if self.one and not self.logits:  # of each photo the log probability of the right class, [M, N]
            chosen = self.truth[None, :, None].expand(len(raws), -1, 1)
            self.right = raws.log_softmax(-1).gather(2, chosen)[..., 0]

    def __call__(self, weights: np.ndarray) -> Loss:
        own = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            value = self._value(own)
            (slope,) = torch.autograd.grad(value, own)
        return float(value.detach()), slope.numpy()

    def _value(self, weights: Tensor) -> Tensor:
        if self.numbers or self.logits:
            scores = torch.einsum("m,mnk->nk", weights, self.raws)
            if self.numbers:
                return F.mse_loss(scores, self.truth)
            if self.one:
                return F.cross_entropy(scores, self.truth)
            return F.binary_cross_entropy_with_logits(scores, self.truth)
        if self.one:
            return -_log_mean(weights, self.right).mean()
        yes, no = (_log_mean(weights, F.logsigmoid(sign * self.raws)) for sign in (1, -1))
        return -(self.truth * yes + (1 - self.truth) * no).mean()


def _log_mean(weights: Tensor, logs: Tensor) -> Tensor:
    """log of the weighted sum of exp(logs) over the first axis, with a slope where a weight is 0 too."""
    top = logs.amax(0)
    shape = (-1, *[1] * (logs.ndim - 1))
    inside = (weights.reshape(shape) * (logs - top).exp()).sum(0)
    return top + inside.clamp_min(1e-300).log()
