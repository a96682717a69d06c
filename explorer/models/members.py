"""The modules and parameters of a network, in torch's order, without their names.

`module.modules()` and `.parameters()` work every name out on the way, at each depth anew: of a network of 200
modules that is a millisecond, and whoever looks at a photo asks several times.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn


def modules_in(model: nn.Module) -> list[nn.Module]:
    """What `model.modules()` yields: the model first, parents before their children, each once."""
    found: dict[nn.Module, None] = {}
    waiting: list[nn.Module] = [model]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            waiting += [child for child in reversed(module._modules.values()) if child is not None]
    return list(found)


def parameters_in(model: nn.Module) -> Iterator[nn.Parameter]:
    """What `model.parameters()` yields: each once."""
    seen: set[int] = set()
    for module in modules_in(model):
        for parameter in module._parameters.values():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter


def buffers_in(model: nn.Module) -> Iterator[Tensor]:
    """What `model.buffers()` yields: each once."""
    seen: set[int] = set()
    for module in modules_in(model):
        for buffer in module._buffers.values():
            if buffer is not None and id(buffer) not in seen:
                seen.add(id(buffer))
                yield buffer
