"""One pass that remembers which operation made each tensor, and of what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.inspection.look.spots import first_tensor
from explorer.models.surgery.packing import PackedConv2d, PackedLinear
from explorer.models.watching import Turn, watching

NAME = "_explorer_made"  # where a tensor keeps how it was made, as long as it lives
GIVEN = "_explorer_given_by"  # and the module that gave it


@dataclass
class Made:
    """How a tensor was made. number: which of the operation's results it is; path: of the module that ran;
    turn: how many operations had run before.
    """

    func: Any
    args: tuple
    kwargs: dict[str, Any]
    path: str
    number: int = 0
    turn: int = 0

    @property
    def name(self) -> str:
        """The operation's, without its namespace and without the mark of one that works in place."""
        return self.func._schema.name.removeprefix("aten::").rstrip("_")

    @property
    def given(self) -> dict[str, Any]:
        """The arguments by their names."""
        wanted = self.func._schema.arguments
        defaults = {one.name: one.default_value for one in wanted if one.has_default_value()}
        return {**defaults, **dict(zip((one.name for one in wanted), self.args)), **self.kwargs}

    @property
    def operands(self) -> list[Tensor]:
        """The tensors that went in."""
        found = []
        for value in (*self.args, *self.kwargs.values()):
            found += [one for one in (value if isinstance(value, (list, tuple)) else (value,))
                      if isinstance(one, Tensor)]
        return found


class Ended(NamedTuple):
    """A call of a module that gave a tensor. name: as in "pool:2"; shape: of the tensor."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]


def made(tensor: Tensor) -> Made | None:
    """How it was made; None for the photo, a weight, and what is not remembered any more."""
    return getattr(tensor, NAME, None)


def given_by(tensor: Tensor) -> str | None:
    """The innermost module that gave it, as in "pool:2"; "" of the network's input, None where none did."""
    return getattr(tensor, GIVEN, None)


def forget(tensor: Tensor) -> None:
    """Let go of what a tensor was made of."""
    if made(tensor) is not None:
        delattr(tensor, NAME)


class Recording(TorchDispatchMode):
    """While it is on, each tensor remembers how it was made.

    What an operation would write over is copied first: the numbers before an activation are wanted later.
    """

    def __init__(self, active: list[str], modules: Mapping[str, nn.Module]):
        super().__init__()
        self.active, self.modules = active, modules
        self.turn = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        remembered = args
        if func._schema.is_mutable and args and isinstance(args[0], Tensor):
            before = args[0].clone()
            if (how := made(args[0])) is not None:
                setattr(before, NAME, how)
            if (name := given_by(args[0])) is not None:  # what is written over it, no module has given yet
                setattr(before, GIVEN, name)
                delattr(args[0], GIVEN)
            remembered = (before, *args[1:])
        out = func(*args, **kwargs)
        self.turn += 1
        path = self.active[-1] if self.active else ""
        how = _plain(func, args, self.modules.get(path)) or Made(func, remembered, kwargs, path)
        for number, one in enumerate(out if isinstance(out, (list, tuple)) else [out]):
            if isinstance(one, Tensor):
                setattr(one, NAME, replace(how, path=path, number=number, turn=self.turn))
        return out


def _plain(func: Any, args: tuple, module: nn.Module | None) -> Made | None:
    """Of a packed layer (`models.surgery.packing`), whose weight torch can't read, the plain operation."""
    if isinstance(module, PackedConv2d) and func._schema.name == "mkldnn::_convolution_pointwise":
        _, _, _, padding, stride, dilation, groups = args[:7]
        given = (args[0], module.weight, module.bias, stride, padding, dilation, False, [0, 0], groups)
        return Made(torch.ops.aten.convolution.default, given, {}, "")
    if isinstance(module, PackedLinear) and func._schema.name == "mkldnn::_linear_pointwise":
        return Made(torch.ops.aten.linear.default, (args[0], module.weight, module.bias), {}, "")
    return None


@contextmanager
def recording(network: nn.Module) -> Iterator[list[Ended]]:
    """For the `with` block, what the network computes remembers how it was made, and which module gave it.
    Yields the modules' calls, in the order in which they end.
    """
    active: list[str] = []
    ended: list[Ended] = []

    def enter(turn: Turn, *_: Any) -> None:
        active.append(turn.path)

    def leave(turn: Turn, module: nn.Module, _inputs: tuple, output: Any) -> None:
        active.pop()
        tensor = first_tensor(output)
        if tensor is not None:
            ended.append(Ended(turn.name, module, tuple(tensor.shape)))
            # what does nothing here hands on what another module gave
            if given_by(tensor) is None and not isinstance(module, (nn.Identity, nn.Dropout)):
                setattr(tensor, GIVEN, turn.name)

    paths = {path: module for path, module in network.named_modules() if path}
    with (torch.inference_mode(False), torch.no_grad(), watching(paths, before=enter, after=leave),
          Recording(active, paths)):
        yield ended


def forget_behind(tensor: Tensor, ends: Callable[[Made], bool], levels: int = 3) -> None:
    """Let go of all that lies behind so many joining operations, as `ends` tells them: a linear layer, the
    attention that it reads, its softmax.
    """
    nearest: dict[int, tuple[int, int]] = {}
    kept, beyond, waiting = [], [], [(tensor, 0, 0)]
    while waiting:
        one, level, sums = waiting.pop()
        how = made(one)
        if how is None or nearest.get(id(one), (level + 1, 0)) <= (level, sums):
            continue
        nearest[id(one)] = level, sums
        kept.append(one)  # or another tensor may get its id
        level, sums = level + ends(how), sums + (how.name == "add")
        too_far = level >= levels or sums > 2  # shortcuts lead back to the first layer
        (beyond if too_far else waiting).extend((operand, level, sums) for operand in how.operands)
    for one, _, _ in beyond:
        if id(one) not in nearest:
            forget(one)
