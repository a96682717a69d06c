"""Passes that find something out before a run begins, and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Flags and statistics are put back behind the `with` block."""
    flags = {module: module.training for module in model.modules()}
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    try:
        yield
    finally:
        for module, flag in flags.items():
            module.training = flag
        for name, value in model.named_buffers():
            value.data.copy_(statistics[name])
