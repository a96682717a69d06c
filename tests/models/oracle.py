"""Holding our models against an independent implementation (timm)."""

from __future__ import annotations

import torch
from torch import nn


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Give every parameter and BatchNorm statistic a random value that keeps activations finite.

    Zero-initialised layers and fresh running statistics would hide mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():  # fixed filters are in no checkpoint, and stay fixed
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.ndim > 1:  # keep the scale of a signal that passes through
                fan_in = tensor[0].numel()
                tensor.copy_(noise / max(fan_in, 1) ** 0.5)
            elif name.endswith("weight"):
                tensor.copy_(1 + 0.2 * noise)
            else:
                tensor.copy_(0.2 * noise)


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference as a share of the largest value; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def same_weights(ours: nn.Module, theirs: nn.Module, seed: int = 0) -> None:
    """Randomise `theirs` and load exactly the same numbers into `ours`; strict."""
    randomise(theirs, seed)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval(), theirs.eval()
