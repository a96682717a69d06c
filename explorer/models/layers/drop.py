"""Stochastic depth."""

from __future__ import annotations

from itertools import count

from torch import Tensor, nn


def drop_path(x: Tensor, drop_prob: float, *, training: bool, scale_by_keep: bool = True) -> Tensor:
    """Set whole samples of a residual branch to zero with probability `drop_prob` while training.

    x: [B, ...]. With `scale_by_keep` the kept samples grow by 1 / (1 - drop_prob), so the mean stays.
    Huang et al., "Deep Networks with Stochastic Depth", 2016.
    """
    if drop_prob == 0.0 or not training:
        return x
    keep = 1.0 - drop_prob
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
    if keep > 0.0 and scale_by_keep:
        mask.div_(keep)
    return x * mask


class DropPath(nn.Module):
    """Stochastic depth for the branch of a residual block; does nothing in evaluation."""

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True):
        super().__init__()
        if not 0 <= drop_prob <= 1:
            raise ValueError(f"drop_prob is {drop_prob}: it is a probability, so give 0 to 1.")
        self.drop_prob = drop_prob
        self.scale_by_keep = scale_by_keep

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.drop_prob, training=self.training, scale_by_keep=self.scale_by_keep)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:.3f}"


def drop_path_rates(rate: float, depths: tuple[int, ...]) -> list[list[float]]:
    """Rates that grow linearly from 0 at the first block to `rate` at the last, grouped by stage."""
    steps = max(sum(depths) - 1, 1)
    index = count()
    return [[rate * next(index) / steps for _ in range(depth)] for depth in depths]
