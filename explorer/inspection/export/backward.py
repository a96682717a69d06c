"""The way back through the layers, in operators that other programs know.

A heat map asks for a gradient, and ONNX has no operators for gradients. Most of torch's are sums and products
of usual ones, and torch knows which; those here are the rest: the way back through a convolution is a
transposed convolution, through a pooling or a resizing the same sums read the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.utils._python_dispatch import _disable_current_modes

aten = torch.ops.aten


def backward_table() -> dict[Any, Callable]:
    """{torch's operator for a way back: what it is made of}."""
    known = {operator: made for operator, made in core_aten_decompositions().items()
             if "backward" in str(operator)}
    return known | {
        aten.convolution_backward.default: _convolution,
        aten.max_pool2d_with_indices_backward.default: _max_pool,
        aten.adaptive_max_pool2d_backward.default: _adaptive_max_pool,
        aten.avg_pool2d_backward.default: _avg_pool,
        aten._adaptive_avg_pool2d_backward.default: _adaptive_avg_pool,
        aten.upsample_nearest2d_backward.default: _resized(aten.upsample_nearest2d.default),
        aten.upsample_bilinear2d_backward.default: _resized(aten.upsample_bilinear2d.default),
        aten.upsample_bicubic2d_backward.default: _resized(aten.upsample_bicubic2d.default),
    }


def _convolution(
    gradient: Tensor, x: Tensor, weight: Tensor, bias_sizes: Any, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int, wanted: list[bool],
) -> tuple[Tensor | None, None, None]:
    """With respect to the input alone: nobody asks for the weights'."""
    if wanted[1] or wanted[2]:
        raise NotImplementedError("the gradient of a convolution's weights")
    if not wanted[0]:
        return None, None, None
    sides = range(weight.ndim - 2)
    if transposed:
        back = aten.convolution.default(gradient, weight, None, stride, padding, dilation, False,
                                        [0] * len(sides), groups)
        return back, None, None
    rest = [x.shape[2 + i] - ((gradient.shape[2 + i] - 1) * stride[i] - 2 * padding[i]
                              + dilation[i] * (weight.shape[2 + i] - 1) + 1) for i in sides]
    back = aten.convolution.default(gradient, weight, None, stride, padding, dilation, True, rest, groups)
    return back, None, None


def _max_pool(
    gradient: Tensor, x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    return _back_to_places(gradient, x, indices)


def _adaptive_max_pool(gradient: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    return _back_to_places(gradient, x, indices)


def _back_to_places(gradient: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """Each number goes back to the place that was the largest. [B, C, h, w] -> [B, C, H, W]"""
    empty = torch.zeros_like(x).flatten(-2)
    return empty.scatter_add(-1, indices.flatten(-2), gradient.flatten(-2)).view_as(x)


def _avg_pool(gradient: Tensor, x: Tensor, *geometry: Any) -> Tensor:
    return _separable(gradient, x.shape, lambda ones: aten.avg_pool2d.default(ones, *geometry))


def _adaptive_avg_pool(gradient: Tensor, x: Tensor) -> Tensor:
    size = list(gradient.shape[-2:])
    return _separable(gradient, x.shape, lambda ones: aten._adaptive_avg_pool2d.default(ones, size))


def _resized(forward: Callable) -> Callable[..., Tensor]:
    def back(gradient: Tensor, size: list[int], shape: list[int], *how: Any) -> Tensor:
        return _separable(gradient, shape, lambda ones: forward(ones, size, *how))

    return back


def _separable(gradient: Tensor, shape: Any, forward: Callable[[Tensor], Tensor]) -> Tensor:
    """The way back of a layer that sums over rows, and over columns, with weights that no photo changes.

    forward: the layer, [N, 1, H, W] -> [N, 1, h, w]; it is asked what it makes of each row of ones by itself,
             and of each column. What comes out at (p, q) is down[i, p] * across[j, q] * all[p, q] of what
             stands at (i, j).
    """
    height, width = shape[-2:]
    with _disable_current_modes(), torch.no_grad():
        ones = torch.ones(1, 1, height, width, dtype=gradient.dtype)
        everywhere = forward(ones)  # [1, 1, h, w]
        rows = torch.eye(height, dtype=gradient.dtype)[:, None, :, None] * ones
        columns = torch.eye(width, dtype=gradient.dtype)[:, None, None, :] * ones
        down = (forward(rows) / everywhere)[:, 0, :, 0].contiguous()  # [H, h]
        across = (forward(columns) / everywhere)[:, 0, 0].T.contiguous()  # [w, W]
    return down @ (gradient * everywhere) @ across
