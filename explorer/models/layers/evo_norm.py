"""EvoNorm: a norm and an activation in one formula, found by search."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EvoNorm2dS0(nn.Module):
    """x * sigmoid(v * x) / (deviation of the group of channels), then a scale and a shift for each channel.

    [B, C, H, W] -> the same shape. Every photo is normalised by itself, so the batch may be as small as one.
    Without `apply_act` only the scale and the shift are left. act_layer and drop_layer are there so that it
    can stand in the place of `BatchNormAct2d`, and do nothing: the formula has its own activation.
    Liu et al., "Evolving Normalization-Activation Layers", 2020, section 4.2.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, groups: int = 32, apply_act: bool = True,
                 act_layer=None, drop_layer=None):
        super().__init__()
        if num_features % groups:
            raise ValueError(
                f"{num_features} channels can't form {groups} equal groups: use a divisor of {num_features}."
            )
        self.eps, self.groups, self.apply_act = eps, groups, apply_act
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.v = nn.Parameter(torch.ones(num_features)) if apply_act else None

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight[:, None, None], self.bias[:, None, None]  # [C, 1, 1]
        if self.apply_act:
            grouped = x.unflatten(1, (self.groups, -1))  # [B, G, C/G, H, W]
            deviation = (grouped.var((2, 3, 4), unbiased=False, keepdim=True) + self.eps).sqrt()
            gated = x * torch.sigmoid(self.v[:, None, None] * x)
            x = (gated.unflatten(1, (self.groups, -1)) / deviation).flatten(1, 2)
        return x * weight + bias
