"""Bilinear attention: rows and columns of a map exchange what they hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import ConvNormAct


class BilinearTransform(nn.Module):
    """A map between two matrices, both made from the map itself: [B, C, H, W] -> [B, C, H, W].

    P @ map @ Q for each channel: P mixes rows, Q mixes columns, so that any place reaches any other in two
    cheap steps, where attention compares all pairs of places. The matrices are `size` wide: they mix the
    places that lie at the same spot of `size` x `size` equal tiles. Half of the channels share a pair of
    matrices. Raises ValueError where the map can't be cut into such tiles.
    """

    def __init__(self, channels: int, *, size: int = 8, groups: int = 2):
        super().__init__()
        self.size, self.groups = size, groups
        self.conv1 = ConvNormAct(channels, groups, 1)
        self.conv_p = nn.Conv2d(groups, groups * size ** 2, (size, 1))
        self.conv_q = nn.Conv2d(groups, groups * size ** 2, (1, size))
        self.conv2 = ConvNormAct(channels, channels, 1)

    def matrices(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """P, whose rows sum to one, and Q, whose columns do: [B, groups, size, size] each."""
        summary = self.conv1(x)  # [B, C, H, W] -> [B, groups, H, W]
        rows = F.adaptive_max_pool2d(summary, (self.size, 1))  # the strongest answer in each band of rows
        columns = F.adaptive_max_pool2d(summary, (1, self.size))
        shape = (self.groups, self.size, self.size)
        # [B, groups * size * size, 1, 1] -> [B, groups, size, size]
        p = self.conv_p(rows).view(-1, *shape).sigmoid()
        q = self.conv_q(columns).view(-1, *shape).sigmoid()
        return p / p.sum(3, keepdim=True), q / q.sum(2, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % self.size or width % self.size:
            raise ValueError(
                f"A map of {height} x {width} can't be cut into {self.size} x {self.size} equal tiles, "
                "as bilinear attention needs. Use photos of 256 x 256 pixels, or multiples of it."
            )
        p, q = self.matrices(x)
        tiles = x.unflatten(1, (self.groups, -1)).unflatten(-1, (self.size, -1))
        tiles = tiles.unflatten(-3, (self.size, -1))
        # [B, groups, C/groups, size, H/size, size, W/size]: tile, place in it; down, then across
        mixed = torch.einsum("bgij,bgcjyuw,bguv->bgciyvw", p, tiles, q)
        return self.conv2(mixed.reshape(x.shape))


class BilinearAttention(nn.Module):
    """The transform on a quarter of the channels, added to the map: [B, C, H, W] -> [B, C, H, W].

    Chi et al., "Non-Local Neural Networks With Grouped Bilinear Attentional Transforms", 2020.
    """

    def __init__(self, channels: int, *, drop_rate: float = 0.2):
        super().__init__()
        reduced = make_divisible(channels / 4, round_limit=0.0)
        self.conv1 = ConvNormAct(channels, reduced, 1)
        self.ba = BilinearTransform(reduced)
        self.conv2 = ConvNormAct(reduced, channels, 1)
        self.dropout = nn.Dropout2d(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.conv2(self.ba(self.conv1(x))))
