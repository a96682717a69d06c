"""Attention that learns a bias for each distance between two places, as LeViT and EfficientFormer have it.

Graham et al., "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference", 2021,
https://arxiv.org/abs/2104.01136. Parameter names are timm's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int]


def distance_index(size: Size, stride: int) -> Tensor:
    """For each place that asks and each that answers, the number of their distance [N / stride^2, N]; on the
    CPU.

    Only every `stride`-th row and column asks. A distance is (rows, columns) without a sign, counted row by
    row.
    """
    height, width = size
    rows, columns = torch.arange(height, device="cpu"), torch.arange(width, device="cpu")

    def between(asks: Tensor, answers: Tensor) -> Tensor:
        return (asks[:, None] - answers[None, :]).abs()

    down, right = between(rows[::stride], rows), between(columns[::stride], columns)
    index = down[:, None, :, None] * width + right[None, :, None, :]  # [H/s, W/s, H, W]
    return index.flatten(2).flatten(0, 1)


class DistanceAttention(nn.Module):
    """Attention with a learnt bias for each distance; what both kinds below share.

    size: rows and columns of the map that comes in;  stride: only every `stride`-th row and column asks
    """

    def __init__(self, num_heads: int, key_dim: int, value_dim: int, *, size: Size, stride: int = 1):
        super().__init__()
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim
        self.scale = key_dim**-0.5
        self.size, self.stride = size, stride
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, size[0] * size[1]))
        self.register_buffer("attention_bias_idxs", distance_index(size, stride), persistent=False)

    def position_bias(self) -> Tensor:
        """What is added to the fit of each two places: [1, heads, N / stride^2, N]."""
        biases = self.attention_biases
        return biases[:, self.attention_bias_idxs.to(biases.device)][None]

    def heads(self, x: Tensor) -> Tensor:
        """Channels shared among the heads: a map [B, C, H, W] or tokens [B, N, C]
        -> [B, heads, N, C / heads].
        """
        tokens = x.flatten(2).transpose(1, 2) if x.ndim == 4 else x
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, heads, N / stride^2, key], [B, heads, N, key], [B, heads, N, value], from the input of
        `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define queries_keys_values")

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place that asks (row) takes from each (column): [B, heads, N / stride^2, N]; rows sum
        to 1.

        x: what `forward` gets.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1) + self.position_bias()).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        # In one call: values may be wider than keys. The result: [B, heads, N / stride^2, value]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.position_bias())
        tokens = mixed.transpose(1, 2).flatten(2)
        if x.ndim == 3:
            return self.proj(tokens)
        size = tuple(-(-side // self.stride) for side in self.size)
        return self.proj(tokens.transpose(1, 2).unflatten(2, size))
