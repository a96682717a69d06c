"""The picture moved, turned and scaled a little, blurred and grained, by chance: what is drawn has to hold
wherever it lies, and through a bad lens.

Without it the steps find high-frequency patterns that a network answers to and that no photo has. Of these
four the grain does most: patterns that are fainter than it are lost in it.
Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", section "Transformation Robustness".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ANGLE = 10.0  # degrees to either side
ZOOM = (0.9, 1.15)
SHIFT = 1 / 10  # of the picture's side, to either side
GRAIN = 0.05    # deviation of the noise that is added, for pixels in 0..1
BLURRED = 0.5   # the share of the steps in which each pixel is the mean of 3 x 3


def shaken(picture: Tensor, generator: torch.Generator) -> Tensor:
    """[1, C, H, W] -> the same shape: turned, scaled and moved about its middle in one interpolation.

    What comes in at the edges is the picture mirrored.
    """
    draws = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    angle = math.radians(ANGLE) * (2 * draws[0] - 1)
    zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * draws[1]
    right, down = (2 * SHIFT * (2 * draw - 1) for draw in draws[2:])  # the grid is from -1 to 1
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    aspect = picture.shape[-2] / picture.shape[-1]
    turn = torch.tensor([[[cos, -sin * aspect, right], [sin / aspect, cos, down]]], dtype=picture.dtype)
    grid = F.affine_grid(turn, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)


def roughened(picture: Tensor, generator: torch.Generator) -> Tensor:
    """[1, C, H, W] -> the same shape: blurred every other time by chance, and with grain."""
    if float(torch.rand((), generator=generator)) < BLURRED:
        picture = F.avg_pool2d(picture, 3, stride=1, padding=1, count_include_pad=False)
    return picture + GRAIN * torch.randn(picture.shape, generator=generator)
