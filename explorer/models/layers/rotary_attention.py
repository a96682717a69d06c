"""Self-attention that knows where a patch is by turning its queries and keys (see `layers/rotary.py`).

Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021,
https://arxiv.org/abs/2104.09864; Fang et al., "EVA-02", 2023, https://arxiv.org/abs/2303.11331. Parameter
names are timm's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.rotary import Turn, rotate_pairs


class RotaryAttention(nn.Module):
    """Self-attention whose queries and keys turn with their patch's position: [B, N, C] -> [B, N, C].

    num_kv_heads: keys and values have fewer heads than queries, each shared by several: less to compute
    fused:        one matrix for queries, keys and values; otherwise three
    key_bias:     False: queries and values have a bias and keys none, which softmax would take away again
    qk_norm:      a norm on queries and keys;  scale_norm: one on what the heads give
    num_prefix_tokens: so many tokens at the front are no patches, and are not turned
    halves:       which numbers form a pair, see `rotate_pairs`
    """

    def __init__(self, dim: int, num_heads: int, *, num_kv_heads: int | None = None, qkv_bias: bool = True,
                 fused: bool = True, key_bias: bool = False, qk_norm: bool = False, scale_norm: bool = False,
                 num_prefix_tokens: int = 1, halves: bool = False, attn_drop: float = 0.0,
                 proj_drop: float = 0.0, norm_layer: Any = nn.LayerNorm):
        super().__init__()
        num_kv_heads = num_kv_heads or num_heads
        if dim % num_heads or num_heads % num_kv_heads:
            raise ValueError(
                f"{dim} channels, {num_heads} heads and {num_kv_heads} heads of keys don't fit: "
                f"use divisors, such as {num_heads} heads of {dim // num_heads * num_heads} channels."
            )
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, dim // num_heads
        self.scale = self.head_dim**-0.5
        self.num_prefix_tokens, self.halves = num_prefix_tokens, halves
        kv_dim = self.head_dim * num_kv_heads
        self.q_bias = self.v_bias = self.qkv = None
        if fused:
            if qkv_bias and not key_bias:
                self.q_bias, self.v_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(kv_dim))
            self.qkv = nn.Linear(dim, dim + 2 * kv_dim, bias=qkv_bias and key_bias)
        else:
            self.q_proj = nn.Linear(dim, dim, bias=qkv_bias)
            self.k_proj = nn.Linear(dim, kv_dim, bias=qkv_bias and key_bias)
            self.v_proj = nn.Linear(dim, kv_dim, bias=qkv_bias)
        self.q_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.attn_drop = nn.Dropout(attn_drop)
        self.norm = norm_layer(dim) if scale_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def queries_keys_values(self, x: Tensor, turn: Turn | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads] of tokens [B, N, C]; queries and keys of patches are turned.
        """
        if self.qkv is None:
            parts = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        else:
            bias = self.qkv.bias
            if self.q_bias is not None:
                bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
            width = self.num_kv_heads * self.head_dim
            widths = (self.num_heads * self.head_dim, width, width)
            parts = F.linear(x, self.qkv.weight, bias).split(widths, dim=2)
        query, key, value = (part.unflatten(2, (-1, self.head_dim)).transpose(1, 2) for part in parts)
        query, key = self.q_norm(query), self.k_norm(key)
        if turn is not None:
            query, key = self.turn(query, turn), self.turn(key, turn)
        if self.num_kv_heads != self.num_heads:  # each head of keys and values serves several of queries
            repeats = self.num_heads // self.num_kv_heads
            key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
        return query, key, value

    def turn(self, x: Tensor, turn: Turn) -> Tensor:
        count = self.num_prefix_tokens
        return torch.cat((x[:, :, :count], rotate_pairs(x[:, :, count:], turn, halves=self.halves)), dim=2)

    def attention_weights(self, x: Tensor, turn: Turn | None = None) -> Tensor:
        """How much each token (row) takes from each token (column): [B, heads, N, N]; every row sums to 1.

        x, turn: what `forward` gets; dropout is left out here.
        """
        query, key, _ = self.queries_keys_values(x, turn)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor, turn: Turn | None = None) -> Tensor:
        """turn: cosines and sines of the patches' angles (see `layers/rotary.py`); None: no rotation."""
        query, key, value = self.queries_keys_values(x, turn)
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)  # [B, heads, N, C / heads]
        return self.proj_drop(self.proj(self.norm(x.transpose(1, 2).flatten(2))))
