"""Norms of one place on a map, over its channels, and of one channel over all places.

BatchNorm compares a photo with the others of its batch; these look at each photo by itself, so that training
and evaluation are the same calculation, with any size of batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of a map, at each place by itself: [B, C, H, W] -> [B, C, H, W].

    Ba et al., "Layer Normalization", 2016.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6, *, bias: bool = True):
        super().__init__(num_channels, eps=eps, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C]
        return super().forward(x).permute(0, 3, 1, 2)


class RmsNorm2d(nn.Module):
    """Divide by the root mean square of the channels, without taking their mean away: [B, C, H, W] -> the
    same.

    Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        size = x.square().mean(dim=1, keepdim=True)  # [B, 1, H, W]
        return x * torch.rsqrt(size + self.eps) * self.weight[:, None, None]

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"


class SimpleNorm2d(RmsNorm2d):
    """RmsNorm2d with the variance in place of the mean square: [B, C, H, W] -> the same.

    The mean is left in the map all the same. Some published weights were trained so.
    """

    def forward(self, x: Tensor) -> Tensor:
        variance = x.var(dim=1, keepdim=True)  # [B, 1, H, W]
        return x * torch.rsqrt(variance + self.eps) * self.weight[:, None, None]


class GlobalResponseNorm(nn.Module):
    """Let the channels compete: one that answers more strongly than the others is turned up further.

    [B, C, H, W] -> the same, or [B, H, W, C] with `channels_last`. Starts as the identity.
    Woo et al., "ConvNeXt V2", 2023, section 3.2.
    """

    def __init__(self, dim: int, *, channels_last: bool = False, eps: float = 1e-6):
        super().__init__()
        self.eps, self.channels_last = eps, channels_last
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        places, channel, shape = ((1, 2), -1, (-1,)) if self.channels_last else ((2, 3), 1, (-1, 1, 1))
        # of each channel, over the whole map
        strength = torch.linalg.vector_norm(x, dim=places, keepdim=True)
        share = strength / (strength.mean(dim=channel, keepdim=True) + self.eps)
        return x + self.weight.view(shape) * (x * share) + self.bias.view(shape)


GRN = GlobalResponseNorm

NORMS = {"layer": LayerNorm2d, "rms": RmsNorm2d, "simple": SimpleNorm2d}


def create_norm2d(kind: str, num_channels: int, *, eps: float = 1e-6) -> nn.Module:
    """A norm over the channels by name: "layer", "rms" or "simple".

    Raises ValueError with the known names.
    """
    if kind not in NORMS:
        raise ValueError(f"Unknown norm {kind!r}. Known: {', '.join(NORMS)}.")
    return NORMS[kind](num_channels, eps=eps)
