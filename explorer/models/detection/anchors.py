"""Anchors: the boxes that a network starts from, a few of several sizes and shapes around every place of a
map. It answers for each how a thing's box differs from it (`coding`).

Ren et al., "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", 2015,
https://arxiv.org/abs/1506.01497, section 3.1.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shapes_around_zero(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors [A, 4] xyxy around the point 0, in whole pixels: for each ratio, height to width, all sizes.

    sizes: square roots of their areas, in pixels
    """
    sides = torch.tensor(sizes, dtype=torch.float32)
    tall = torch.tensor(ratios, dtype=torch.float32).sqrt()
    widths, heights = ((1 / tall)[:, None] * sides).flatten(), (tall[:, None] * sides).flatten()
    return (torch.stack((-widths, -heights, widths, heights), dim=1) / 2).round()


def over_grid(shapes: Tensor, grid: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Anchors [A, 4] at every place of a map -> [rows * columns * A, 4], row by row, A at each place.

    grid: (rows, columns);  strides: pixels from one place to the next, (down, across)
    """
    rows, columns = grid
    down = torch.arange(rows, dtype=shapes.dtype, device=shapes.device) * strides[0]
    across = torch.arange(columns, dtype=shapes.dtype, device=shapes.device) * strides[1]
    y, x = torch.meshgrid(down, across, indexing="ij")
    places = torch.stack((x, y, x, y), dim=-1)  # [rows, columns, 4]
    return (places[:, :, None] + shapes).reshape(-1, 4)
