"""Views by strides, as a choice by index: other programs lay numbers out in memory as they like."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._python_dispatch import _disable_current_modes

aten = torch.ops.aten


def without_strides(program: ExportedProgram) -> ExportedProgram:
    """The same program, where no operator asks how a tensor lies in memory."""
    targets = {node.target for node in program.graph.nodes}
    return program.run_decompositions(_TABLE) if targets & _TABLE.keys() else program


def _places(x: Tensor, size: Any, stride: Any, offset: int | None) -> Tensor:
    """Of x, read row by row, which number stands where in the view, [*size]."""
    shape, strides, start = tuple(x.shape), tuple(x.stride()), x.storage_offset()
    with _disable_current_modes():
        laid_out = torch.empty_strided(shape, strides, dtype=torch.int64)
        laid_out.copy_(torch.arange(math.prod(shape)).view(shape))
        return laid_out.as_strided(tuple(size), tuple(stride), start if offset is None else offset).clone()


def _view(x: Tensor, size: Any, stride: Any, offset: int | None = None) -> Tensor:
    return x.reshape(-1)[_places(x, size, stride, offset)]


def _written_into(x: Tensor, part: Tensor, size: Any, stride: Any, offset: int | None = None) -> Tensor:
    places = _places(x, size, stride, offset).reshape(-1)
    return x.reshape(-1).scatter(0, places, part.reshape(-1)).view(x.shape)


_TABLE = {aten.as_strided.default: _view, aten.as_strided_copy.default: _view,
          aten.as_strided_scatter.default: _written_into}
