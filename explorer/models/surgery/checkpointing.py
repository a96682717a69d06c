"""Gradient checkpointing: larger batches, a little slower.

    model.set_grad_checkpointing()
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from explorer.models.surgery.layer_order import find_layers


class Checkpointed:
    """Stands in for a block's `forward` while it trains: keeps what goes in, and computes the rest again.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """

    def __init__(self, block: nn.Module):
        self.block = block

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        forward = partial(type(self.block).forward, self.block)
        if not (self.block.training and torch.is_grad_enabled()):
            return forward(*inputs, **options)
        return checkpoint(forward, *inputs, use_reentrant=False, **options,
                          context_fn=lambda: (nullcontext(), without_statistics(self.block)))


@contextmanager
def without_statistics(block: nn.Module) -> Iterator[None]:
    """BatchNorm layers inside leave their statistics alone: the second time is the same batch again."""
    norms = [m for m in block.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, batches


def set_grad_checkpointing(model: nn.Module, enable: bool = True) -> None:
    """Train with less memory: what happens inside a block is not kept, but computed again to go backward.

    Same loss, same gradients, BatchNorm statistics and dropout, for about a third more time. Does nothing in
    evaluation. Raises ValueError for a network that is a plain chain of layers, without blocks to compute
    again.
    """
    blocks = [model.get_submodule(path) for path in find_layers(model).block_modules] if enable else []
    if enable and not blocks:
        raise ValueError(
            f"{model.config.name or type(model).__name__} is a plain chain of layers, without blocks that "
            "could be computed again in the backward pass: it can't trade time for memory. Use a smaller "
            "batch or photo."
        )
    for module in model.modules():
        if isinstance(vars(module).get("forward"), Checkpointed):
            del module.forward
    for block in blocks:
        block.forward = Checkpointed(block)
