"""From tokens to one vector by attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.transformer import Mlp


class AttentionPool(nn.Module):
    """A learnt question asks all tokens, and an MLP works on the answer: [B, N, C] -> [B, C].

    In place of a mean, where every patch counts the same, the network learns which ones to look at.
    Lee et al., "Set Transformer", 2019, section 3.2; in vision: Zhai et al., "Scaling Vision Transformers",
    2021.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float = 4.0, norm_layer: Any = nn.LayerNorm,
                 act_layer: Any = nn.GELU):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: use a divisor of {dim}.")
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.latent = nn.Parameter(torch.zeros(1, 1, dim))  # the question
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm = norm_layer(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), act_layer=act_layer)

    def init_weights(self) -> None:
        nn.init.trunc_normal_(self.latent, std=self.latent.shape[-1] ** -0.5)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A query [B, heads, 1, C / heads]; keys and values [B, heads, N, C / heads] of tokens [B, N, C]."""
        query = self.q(self.latent.expand(len(x), -1, -1)).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        key, value = self.kv(x).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much the answer takes from each token: [B, heads, 1, N]; every row sums to 1."""
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        x = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)  # [B, 1, C]
        x = self.proj(x)
        return (x + self.mlp(self.norm(x)))[:, 0]
