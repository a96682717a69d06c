"""Attention as products and a softmax, for exporters that know it in one shape alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class PlainAttention(TorchFunctionMode):
    """While it is on, attention over other than [B, heads, N, C] runs as the products that it is made of."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and args and args[0].ndim != 4:
            return attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention` of a network in evaluation: [..., N, C], [..., M, C], [..., M, D] ->
    [..., N, D].
    """
    if dropout_p or is_causal or enable_gqa:
        raise NotImplementedError("attention with dropout, in one direction, or in groups of heads")
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value
