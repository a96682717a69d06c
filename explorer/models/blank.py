"""Models without numbers: their shapes alone, for trained weights that are about to be put in."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

try:  # torch's own context of `with torch.device(...)`, which has no public name
    from torch.utils._device import DeviceContext
except ImportError:
    DeviceContext = None

# What initialisation is made of. On "meta" none of it has an effect, and each takes torch a good tenth of a
# millisecond.
_DRAWING = frozenset({
    *(getattr(nn.init, name) for name in nn.init.__all__ if name.endswith("_")),
    Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, Tensor.mul_, Tensor.add_, Tensor.div_,
    Tensor.sub_, Tensor.clamp_, Tensor.erfinv_,
})


# What layers are made of: each parameter and buffer of a network is one of these calls.
_MAKING = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.rand, torch.randn})


class Room(NamedTuple):
    """How large a network may become: `tensors` parameters and buffers, with so many `numbers` in all."""

    tensors: int
    numbers: int


class TooLarge(ValueError):
    """A network that was described by a stranger asks for more than its `Room`."""


def _not_drawn(func: Any, args: tuple, kwargs: dict[str, Any]) -> Tensor | None:
    """The tensor that a call would fill, where it has no memory; None for any other call."""
    if func not in _DRAWING:
        return None
    tensor = args[0] if args else kwargs.get("tensor")
    return tensor if isinstance(tensor, Tensor) and tensor.is_meta else None


class _NothingDrawn(TorchFunctionMode):
    """Leaves out what would fill a tensor that has no memory; all else is done, as long as there is room."""

    def __init__(self, room: Room | None = None):
        super().__init__()
        self.room, self.tensors, self.numbers = room, 0, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (tensor := _not_drawn(func, args, kwargs)) is not None:
            return tensor
        if self.room is None:
            return func(*args, **kwargs)
        if result_size(func, args) > self.room.numbers:
            raise TooLarge(f"more than {self.room.numbers:,} numbers at once")
        result = func(*args, **kwargs)
        if func in _MAKING:
            self.tensors, self.numbers = self.tensors + 1, self.numbers + result.numel()
            if self.tensors > self.room.tensors:
                raise TooLarge(f"more than {self.room.tensors:,} tensors")
            if self.numbers > self.room.numbers:
                raise TooLarge(f"more than {self.room.numbers:,} numbers")
        return result


if DeviceContext is not None:
    class _NothingDrawnOnMeta(DeviceContext):
        """`torch.device("meta")` and `_NothingDrawn` in one: half as many steps for each call of torch's."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            tensor = _not_drawn(func, args, kwargs or {})
            return super().__torch_function__(func, types, args, kwargs) if tensor is None else tensor


def result_size(func: Any, args: tuple) -> int:
    """How many numbers a call will put into memory, told from what it is given; 0 where that is on `meta`.

    Tables of positions are worked out on the CPU while a network is built, and grow with the
    square of the places.
    """
    given = [value for one in args for value in (one if isinstance(one, (list, tuple)) else (one,))]
    tensors = [value for value in given if isinstance(value, Tensor) and not value.is_meta]
    if not tensors:
        return 0
    name = getattr(func, "__name__", "")
    if name == "meshgrid":
        return math.prod(tensor.numel() for tensor in tensors) * len(tensors)
    if name in ("repeat", "repeat_interleave"):
        return tensors[0].numel() * math.prod(value for value in given if isinstance(value, int))
    try:
        return math.prod(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))
    except RuntimeError:  # not a call that works place by place
        return sum(tensor.numel() for tensor in tensors)


@contextmanager
def blank(room: Room | None = None) -> Iterator[None]:
    """What is built in the `with` block has shapes and no numbers: no memory filled, no random number drawn.

    room: how large it may become; beyond that, building stops with `TooLarge`, before time or memory is taken
    """
    if room is None and DeviceContext is not None:
        with _NothingDrawnOnMeta(torch.device("meta")):
            yield
        return
    with torch.device("meta"), _NothingDrawn(room):
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """Python's search for unreachable cycles pauses in the `with` block: a network is tens of thousands of
    new objects that all stay, and the search would go through everything there is, several times.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
