"""What a network lays over its raw scores at its very end: a softmax, a sigmoid, their logarithm, or nothing.

Many nets end with one, as a module or as a call in `forward`; others leave it to the loss. While a net runs
once, `Squashes` sees each of these operations, so that it is known and not guessed: a number between 0 and 1
alone is no proof.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_KNOWN = {_aten.sigmoid: "sigmoid", _aten.sigmoid_: "sigmoid", _aten.log_sigmoid_forward: "sigmoid",
          _aten._softmax: "softmax", _aten._log_softmax: "softmax"}
_LOGARITHMS = (_aten.log_sigmoid_forward, _aten._log_softmax)


class Squash(NamedTuple):
    """A softmax or sigmoid over raw scores. name: "softmax" or "sigmoid";  logarithm: whether its logarithm
    comes out
    """

    name: str
    logarithm: bool

    def undo(self, result: Tensor) -> Tensor:
        """Raw scores that give this result: of a sigmoid the log odds, of a softmax the logarithm.

        What was rounded to 0 or 1 becomes the largest score that is told from it.
        """
        tiny = torch.finfo(result.dtype)
        if self.name == "softmax":
            return result if self.logarithm else result.clamp_min(tiny.tiny).log()
        if self.logarithm:
            return result - (-torch.expm1(result)).clamp_min(tiny.eps).log()
        return result.clamp(tiny.tiny, 1 - tiny.eps / 2).logit()


class Squashes(TorchDispatchMode):
    """Keeps the last softmax or sigmoid that ran in the `with` block, and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Squash, Tensor] | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = _KNOWN.get(func.overloadpacket)
        if name:
            given = result[0] if isinstance(result, (tuple, list)) else result  # log_sigmoid has a buffer too
            squash = Squash(name, func.overloadpacket in _LOGARITHMS)
            self._last = squash, given.detach().clone()  # the next step may work in place
        return result

    def behind(self, result: Tensor) -> Squash | None:
        """The squash whose very numbers these scores [1, K] are, or their logarithms; None where others are
        at the end.
        """
        if self._last is None or result.is_meta or self._last[1].numel() != result.numel():
            return None
        squash, given = self._last
        given = given.reshape(result.shape)
        if squash.name == "softmax":
            total = (given.exp() if squash.logarithm else given).sum(1)
            if result.shape[1] < 2 or not torch.allclose(total, torch.ones_like(total), rtol=1e-2):
                return None  # over the photos, not over the classes
        if torch.equal(given, result):
            return squash
        logarithm = not squash.logarithm and torch.equal(given.log(), result)
        return Squash(squash.name, True) if logarithm else None
