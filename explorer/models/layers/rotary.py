"""Rotary position embedding: positions as angles.

Take two of a query's numbers as a point on a plane and turn it by an angle that grows with the patch's
position; do the same to the keys. How well a turned query fits a turned key depends only on the difference of
their angles, so attention sees how far apart two patches are, at any size of photo, and nothing is added to
the tokens themselves. Each pair of numbers turns at its own speed: fast ones tell neighbours apart, slow ones
the ends of the photo.

Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021; on photos: Heo et al.,
"Rotary Position Embedding for Vision Transformer", 2024. Angles are made anew for each grid of patches: no
buffers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Turn = tuple[Tensor, Tensor]  # cosine and sine of every angle, [..., N, D / 2]


def rotate_pairs(x: Tensor, turn: Turn, *, halves: bool = False) -> Tensor:
    """Turn each pair of numbers of queries or keys by its angle: [B, heads, N, D] -> [B, heads, N, D].

    turn:   cosines and sines [N, D / 2], or [heads, N, D / 2] where every head has its own
    halves: pairs are number i and i + D / 2; otherwise neighbours, 2i and 2i + 1
    """
    cosine, sine = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=-1) if halves else x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = (a * cosine - b * sine, b * cosine + a * sine)
    return torch.cat(turned, dim=-1) if halves else torch.stack(turned, dim=-1).flatten(-2)


def cosine_and_sine(angles: Tensor) -> Turn:
    return angles.cos(), angles.sin()


def both_axes(rows: Tensor, columns: Tensor, *, rows_first: bool = True) -> Tensor:
    """Angles of rows [H, F] and of columns [W, F], side by side for each patch: [H * W, 2F], row by row."""
    height, width = len(rows), len(columns)
    parts = (rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1))  # [H, W, F] each
    return torch.cat(parts if rows_first else parts[::-1], dim=-1).flatten(0, 1)


class AxialRotary(nn.Module):
    """Half of the pairs turn with the patch's row, half with its column; the speeds are fixed.

    head_dim:    D, numbers of one head; four of them share one speed
    temperature: the slowest turn takes about so many patches
    trained_grid: patches of any grid are spread over this one, the one in training; None: counted as they are
    offset:      the number of the first row and column
    rows_first:  whether rows turn the first half of the pairs; otherwise columns do
    """

    def __init__(self, head_dim: int, *, temperature: float = 10000.0,
                 trained_grid: tuple[int, int] | None = None, offset: float = 0.0, rows_first: bool = True):
        super().__init__()
        if head_dim % 4:
            raise ValueError(f"A head has {head_dim} numbers: rows and columns need pairs, "
                             "so give a multiple of 4.")
        self.num_speeds, self.temperature = head_dim // 4, temperature
        self.trained_grid, self.offset, self.rows_first = trained_grid, offset, rows_first

    def forward(self, grid: tuple[int, int], device: torch.device | None = None) -> Turn:
        """Cosines and sines [H * W, D / 2] of a grid of H x W patches."""
        steps = torch.arange(self.num_speeds, device=device) / self.num_speeds
        speeds = self.temperature ** -steps  # 1, ..., nearly 1 / temperature: radians a patch
        angles = []
        for count, trained in zip(grid, self.trained_grid or grid):
            places = (torch.arange(count, device=device) + self.offset) / count * trained
            angles.append(places[:, None] * speeds)  # [count, speeds]
        return cosine_and_sine(both_axes(*angles, rows_first=self.rows_first))


class CentredRotary(nn.Module):
    """Positions from -1 to 1 in each direction, whatever the size of the photo, as DINOv3 has them.

    temperature: the slowest pair needs so many times the photo's half for one full turn; the fastest one half
    rescale:     while training, both directions are stretched by a factor drawn anew from 1 / rescale to
                 rescale, which makes the model indifferent to the photo's size; None: never
    Siméoni et al., "DINOv3", 2025, section 3.2.
    """

    def __init__(self, head_dim: int, *, temperature: float = 100.0, rescale: float | None = None):
        super().__init__()
        if head_dim % 4:
            raise ValueError(f"A head has {head_dim} numbers: rows and columns need pairs, "
                             "so give a multiple of 4.")
        self.num_speeds, self.temperature, self.rescale = head_dim // 4, temperature, rescale

    def forward(self, grid: tuple[int, int], device: torch.device | None = None) -> Turn:
        """Cosines and sines [H * W, D / 2] of a grid of H x W patches."""
        steps = torch.arange(self.num_speeds, device=device) / self.num_speeds
        periods = self.temperature**steps
        stretch = 1.0
        if self.training and self.rescale:
            stretch = self.rescale ** torch.empty(1, device=device).uniform_(-1, 1)
        angles = []
        for count in grid:
            places = (torch.arange(count, device=device) + 0.5) / count * 2 - 1  # the patches' middles
            angles.append(2 * math.pi * stretch * places[:, None] / periods)
        return cosine_and_sine(both_axes(*angles))


class MixedRotary(nn.Module):
    """Learnt speeds in any direction, for each block and each head: a pair may turn along a diagonal.

    depth, num_heads: of the network; `temperature`: of the speeds at the start, which point in random
                      directions
    Heo et al., 2024, section 3.2 ("RoPE-Mixed").
    """

    def __init__(self, head_dim: int, *, depth: int, num_heads: int, temperature: float = 10.0):
        super().__init__()
        if head_dim % 4:
            raise ValueError(f"A head has {head_dim} numbers: two axes need pairs, so give a multiple of 4.")
        self.temperature = temperature
        self.freqs = nn.Parameter(torch.zeros(2, depth, num_heads, head_dim // 2))  # along x, along y
        self.init_weights()

    def init_weights(self) -> None:
        """Axes at right angles, turned by chance for each head."""
        _, depth, num_heads, pairs = self.freqs.shape
        count = pairs // 2
        speeds = self.temperature ** -(torch.arange(count, device=self.freqs.device) / count)
        turns = 2 * math.pi * torch.rand(depth, num_heads, 1, device=self.freqs.device)
        directions = torch.cat((turns.expand(-1, -1, count), turns.expand(-1, -1, count) + math.pi / 2),
                               dim=-1)
        with torch.no_grad():
            self.freqs[0] = speeds.repeat(2) * directions.cos()
            self.freqs[1] = speeds.repeat(2) * directions.sin()

    def forward(self, grid: tuple[int, int]) -> Turn:
        """Cosines and sines [depth, heads, H * W, D / 2] of a grid of H x W patches."""
        height, width = grid
        device, dtype = self.freqs.device, self.freqs.dtype
        x = torch.arange(width, device=device, dtype=dtype).repeat(height)
        y = torch.arange(height, device=device, dtype=dtype).repeat_interleave(width)
        along_x, along_y = self.freqs.unsqueeze(3)  # [depth, heads, 1, D / 2] each
        return cosine_and_sine(x[:, None] * along_x + y[:, None] * along_y)
