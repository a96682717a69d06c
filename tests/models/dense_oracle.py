"""Holding networks for masks against the libraries whose keys and numbers they have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from explorer.models.weights import convert
from tests.models.oracle import photos, randomise, relative_error

SINGLE, DOUBLE = 1e-4, 1e-7  # relative, in float32 and float64: only the second shows a wrong epsilon


def unsettle(model: nn.Module, size: tuple[int, int] = (96, 64)) -> None:
    """Give every parameter a random value, and every BatchNorm the statistics of noise that passes through,
    each a little off: a network that was trained has no fresh ones.
    """
    randomise(model)
    model.eval()
    norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    with torch.no_grad():
        model(photos(size))
    generator = torch.Generator().manual_seed(2)
    for norm, momentum in zip(norms, kept):
        norm.momentum, norm.training = momentum, False
        off = torch.randn(norm.running_mean.shape, generator=generator)
        norm.running_mean += 0.1 * off * norm.running_var.sqrt()
        norm.running_var *= 0.8 + 0.4 * torch.rand(norm.running_var.shape, generator=generator)


def check_same_masks(
    mine: nn.Module, theirs: nn.Module, name: str, source: str, sizes: Sequence[tuple[int, int]]
) -> None:
    """With the same unsettled weights, all of whose keys are used, ours gives their scores.

    sizes: (height, width) of the photos, in both precisions
    """
    unsettle(theirs)
    state = convert(name, theirs.state_dict(), source)
    assert state.keys() == mine.state_dict().keys()
    mine.load_state_dict(state)
    mine.eval(), theirs.eval()
    for dtype, tolerance in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
        mine.to(dtype), theirs.to(dtype)
        for size in sizes:
            x = photos(size).to(dtype)
            with torch.no_grad():
                own, other = mine(x), theirs(x)
            for ours, their in zip(as_pair(own), as_pair(other), strict=True):
                assert relative_error(ours, their) < tolerance, (dtype, size)


def as_pair(scores: Tensor | dict[str, Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """(the mask's scores, the auxiliary head's, where there is one), however a library gives them."""
    if isinstance(scores, Tensor):
        return (scores,)
    return tuple(scores.values()) if isinstance(scores, dict) else tuple(scores)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
