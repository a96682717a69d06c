"""Models without numbers: their shapes alone, for trained weights that are about to be put in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What initialisation is made of. On "meta" none of it has an effect, and each takes torch a good tenth of a millisecond.
_DRAWING = frozenset({
    *(getattr(nn.init, name) for name in nn.init.__all__ if name.endswith("_")),
    Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, Tensor.mul_, Tensor.add_, Tensor.div_, Tensor.sub_,
    Tensor.clamp_, Tensor.erfinv_,
})


class _NothingDrawn(TorchFunctionMode):
    """Leaves out what would fill a tensor that has no memory; all else is done."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWING:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


@contextmanager
def blank() -> Iterator[None]:
    """What is built in the `with` block has shapes and no numbers: no memory is filled, no random number drawn."""
    with torch.device("meta"), _NothingDrawn():
        yield
