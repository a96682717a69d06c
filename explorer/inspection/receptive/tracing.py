"""The reach of every number of a map, from one pass that computes no numbers.

The network's twin runs on torch's "meta" device, where tensors have shapes and no content; beside each
operation its rule (`operations.py`) works out what its results read. So it follows whatever the network does:
skip connections, branches, concatenation, windows, attention. Where a network can't run on meta, it runs on
its own device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.inspection.look.measuring import on_meta
from explorer.inspection.receptive import operations
from explorer.inspection.receptive.reach import Reach, everything_of, join, of_picture

NAME = "_explorer_reach"  # where a tensor keeps its reach: as long as it lives, and no longer


def reach_of(tensor: Any) -> Reach | None:
    """What was found of a tensor while `Tracing` ran; None for one that the photo did not go into."""
    return getattr(tensor, NAME, None) if isinstance(tensor, Tensor) else None


@dataclass
class Noted:
    """What a trace met. gates: how often a value that reads all of the picture was applied to a map's places;
    unknown: operations that nobody has described.
    """

    gates: int = 0
    unknown: set[str] = field(default_factory=set)


class Tracing(TorchDispatchMode):
    """While it is on, each result of an operation gets its reach.

    gates: whether a value that reads all of the picture, and is applied to each place of a map alike (squeeze
    and excitation), makes each place read all of the picture; False leaves such values out
    """

    def __init__(self, *, gates: bool, noted: Noted):
        super().__init__()
        self.gates, self.noted = gates, noted

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        call = operations.Call(func, args, kwargs, out, reach_of)
        if call.operands or func._schema.name in ("aten::copy_",):
            self._note(call)
        return out

    def _note(self, call: operations.Call) -> None:
        name, out = call.func._schema.name, call.out
        outs = [out] if isinstance(out, Tensor) else out if isinstance(out, (list, tuple)) else []
        outs = [one for one in outs if isinstance(one, Tensor)]
        if not outs:
            return
        found: Any
        rule = operations.rule_for(call.func)
        if rule is operations.pointwise:
            found = join(self._without_gates(call.operands, outs[0].shape), outs[0].shape)
        elif rule is not None:
            found = rule(call)
        else:
            self.noted.unknown.add(name.removeprefix("aten::"))
            found = [everything_of(call.operands, one.shape) for one in outs]
        found = [found] if isinstance(found, Reach) or found is None else found
        for one, reach in zip(outs, [*found, *[None] * len(outs)]):
            if reach is not None:
                _keep(one, reach, written=call.func._schema.is_mutable)

    def _without_gates(self, operands: list[Reach], shape: torch.Size) -> list[Reach]:
        """Without those that are the same for all places of a map and read all of the picture."""
        places = [one for one in operands
                  if not (one.shape.numel() < shape.numel() and one.is_everything())]
        if len(places) == len(operands) or not places:
            return operands
        self.noted.gates += 1
        return operands if self.gates else places


def _keep(tensor: Tensor, reach: Reach, *, written: bool) -> None:
    if reach.shape != tensor.shape:
        reach = reach.to_shape(tensor.shape)
    setattr(tensor, NAME, reach)
    base = tensor._base
    if written and base is not None and base.is_contiguous():  # a part of a tensor was overwritten
        whole = reach_of(base)
        edges = []
        offset = tensor.storage_offset() - base.storage_offset()
        for number, edge in enumerate(reach.edges):
            old = torch.full(base.shape, -float("inf")) if whole is None else \
                whole.edges[number].expand(base.shape).clone(memory_format=torch.contiguous_format)
            old.as_strided(tensor.size(), tensor.stride(), offset).copy_(edge)
            edges.append(old)
        setattr(base, NAME, Reach(edges, reach.picture))


def trace(
    model: nn.Module, shape: tuple[int, ...], run: Callable[[nn.Module, Tensor, Noted], Any], *, gates: bool
) -> tuple[Any, Noted]:
    """(what `run(network, photo, noted)` gives while the reach of every tensor is noted, what was met on the
    way: `noted` holds what was met so far).

    shape: of the photo [1, C, H, W]. Raises ValueError where the network can't run on it.
    """
    return on_meta(model, shape, lambda network, photo: _traced(network, photo, run, gates=gates))


def _traced(network: nn.Module, photo: Tensor, run: Callable[[nn.Module, Tensor, Noted], Any], *,
            gates: bool) -> tuple[Any, Noted]:
    noted = Noted()
    setattr(photo, NAME, of_picture(photo.shape))
    with Tracing(gates=gates, noted=noted):
        return run(network, photo, noted), noted
