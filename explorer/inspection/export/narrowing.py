"""Weights that lie in a file as float16, and are float32 again before anything is done with them.

That halves the file. A float16 has 11 bits: a weight moves by 1 part in 2,048 at most. What it can't hold so
(beyond 65,504, or so small that bits are lost) stays as it is, and so do small tensors, which save nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.arguments import shown

PRECISIONS = ("float32", "float16")
LEAST = 1024  # numbers in a tensor that is worth a Cast
LOST = 1e-3  # of a tensor's length (as a vector), what rounding may take


def check_precision(precision: str) -> None:
    """Raises ValueError for one that a file can't have."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {shown(precision)}: expected 'float32' or 'float16'.")


def fits(numbers: np.ndarray) -> bool:
    """Whether float32 numbers are worth being stored as float16, and survive it."""
    if numbers.ndim < 2 or numbers.size < LEAST:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.linalg.norm(numbers - numbers.astype(np.float16).astype(np.float32))
    return bool(lost <= LOST * np.linalg.norm(numbers))  # of what overflows it is infinite or no number


def narrow(model: Any) -> None:
    """Store the weights of an ONNX model as float16, each with a Cast to float32 in front of its users."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        numbers = numpy_helper.to_array(weight)
        if not fits(numbers):
            continue
        name, stored = weight.name, f"{weight.name}.float16"
        weight.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    for place, node in enumerate(casts):
        model.graph.node.insert(place, node)


def narrowed(whole: bytes) -> bytes:
    """`narrow` for the bytes of an ONNX file."""
    import onnx

    model = onnx.load_from_string(whole)
    narrow(model)
    return model.SerializeToString()


class Narrowed(nn.Module):
    """A module of one input whose weights lie in it as float16, and are float32 whenever it runs."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.__dict__["module"] = module  # no part of this one: its weights would be stored as they are
        self._names: dict[str, str] = {}
        for number, (name, tensor) in enumerate(_tensors(module).items()):
            tensor, stored = tensor.detach(), f"weight{number}"
            self._names[name] = stored
            self.register_buffer(stored, tensor.half() if _fits(tensor) else tensor)

    def forward(self, image: Tensor) -> Any:
        weights = {name: getattr(self, stored) for name, stored in self._names.items()}
        weights = {name: weight.float() if weight.dtype == torch.float16 else weight
                   for name, weight in weights.items()}
        return torch.func.functional_call(self.__dict__["module"], weights, (image,))


def bytes_of(module: nn.Module, precision: str) -> int:
    """Of its weights in a file."""
    return sum(tensor.numel() * (2 if precision == "float16" and _fits(tensor) else tensor.element_size())
               for tensor in _tensors(module).values())


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _fits(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and fits(tensor.detach().numpy())
