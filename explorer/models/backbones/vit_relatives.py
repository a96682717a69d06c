"""Vision transformers with another block: norm, attention and MLP in another order.

The plain block does one thing after the other, each behind a norm. Here they run side by side (as
wide and half as deep, or out of one large matrix, which a GPU likes), the norm moves behind the
branch, or attention becomes the difference of two, which cancels what both take from tokens that
don't matter. BEiT 3 and AIMv2 keep the block and change its norms and its MLP.

Touvron et al., "Three things everyone should know about Vision Transformers", 2022,
https://arxiv.org/abs/2203.09795; Dehghani et al., "Scaling Vision Transformers to 22 Billion
Parameters", 2023, https://arxiv.org/abs/2302.05442; Liu et al., "Swin Transformer V2", 2021 (norms
behind the branches); Ye et al., "Differential Transformer", 2024, https://arxiv.org/abs/2410.05258.
Parameter names are timm's. The network is `VisionTransformer`, of the same family, with other
blocks.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.backbones.vit import VisionTransformer
from explorer.models.layers.activations import create_act
from explorer.models.layers.drop import DropPath
from explorer.models.layers.swiglu import SwiGLU
from explorer.models.layers.transformer import Attention, LayerScale
from explorer.models.layers.transformer_block import Block


def _scale(dim: int, init_values: float | None) -> nn.Module:
    return LayerScale(dim, init_values) if init_values else nn.Identity()


class TwinBlock(nn.Module):
    """Two attentions side by side, then two MLPs side by side: [B, N, C] -> [B, N, C].

    Half as deep, twice as wide.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, init_values: float | None, proj_drop: float, attn_drop: float,
                 drop_path: float, act_layer: Any, norm_layer: Any, mlp_layer: Any):
        super().__init__()

        def branch(name: str, layer: nn.Module) -> nn.Sequential:
            return nn.Sequential(OrderedDict({
                "norm": norm_layer(dim), name: layer, "ls": _scale(dim, init_values),
                "drop_path": DropPath(drop_path) if drop_path else nn.Identity(),
            }))

        self.attns = nn.ModuleList(
            branch("attn", Attention(dim, num_heads, qkv_bias=qkv_bias, qk_norm=qk_norm,
                                     proj_bias=proj_bias, attn_drop=attn_drop, proj_drop=proj_drop,
                                     norm_layer=norm_layer))
            for _ in range(2))
        self.ffns = nn.ModuleList(
            branch("mlp", mlp_layer(dim, int(dim * mlp_ratio), act_layer=act_layer, bias=proj_bias,
                                    drop=proj_drop))
            for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + sum(attention(x) for attention in self.attns)
        return x + sum(mlp(x) for mlp in self.ffns)


class PostNormBlock(nn.Module):
    """The block with its norms behind the branches: [B, N, C] -> [B, N, C]. A norm that starts near
    zero takes the part of LayerScale.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, init_values: float | None, proj_drop: float, attn_drop: float,
                 drop_path: float, act_layer: Any, norm_layer: Any, mlp_layer: Any):
        super().__init__()
        self.attn = Attention(dim, num_heads, qkv_bias=qkv_bias, qk_norm=qk_norm,
                              proj_bias=proj_bias, attn_drop=attn_drop, proj_drop=proj_drop,
                              norm_layer=norm_layer)
        self.norm1 = norm_layer(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = mlp_layer(dim, int(dim * mlp_ratio), act_layer=act_layer, bias=proj_bias,
                             drop=proj_drop)
        self.norm2 = norm_layer(dim)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()
        if init_values:
            nn.init.constant_(self.norm1.weight, init_values)
            nn.init.constant_(self.norm2.weight, init_values)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.norm1(self.attn(x)))
        return x + self.drop_path2(self.norm2(self.mlp(x)))


class ParallelBlock(nn.Module):
    """Attention and MLP side by side, both out of one norm and one matrix: [B, N, C] -> [B, N, C].

    differential: attention is the difference of two, see `DifferentialAttention`; then one
                  matrix leads out, too
    index:        the block's number, for a differential one
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, init_values: float | None, proj_drop: float, attn_drop: float,
                 drop_path: float, act_layer: Any, norm_layer: Any, mlp_layer: Any = None,
                 differential: bool = False, index: int = 0):
        super().__init__()
        if dim % (2 * num_heads if differential else num_heads):
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        hidden = int(mlp_ratio * dim)
        self.num_heads, self.widths = num_heads, (hidden, dim, dim, dim)
        self.head_dim = dim // num_heads // (2 if differential else 1)
        self.scale = self.head_dim**-0.5
        self.differential, self.attn_drop_rate = differential, attn_drop
        if differential:
            add_lambdas(self, index)
        # its part of in_proj's bias
        self.mlp_bias = None if qkv_bias else nn.Parameter(torch.zeros(hidden))
        self.in_norm = norm_layer(dim)
        self.in_proj = nn.Linear(dim, hidden + 3 * dim, bias=qkv_bias)
        self.q_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        if differential:
            self.sub_norm = nn.RMSNorm(2 * self.head_dim, eps=1e-5)
        self.mlp_drop = nn.Dropout(proj_drop)
        self.mlp_act = create_act(act_layer)
        if differential:
            self.out_proj = nn.Linear(hidden + dim, dim, bias=proj_bias)
        else:
            self.attn_out_proj = nn.Linear(dim, dim, bias=proj_bias)
            self.mlp_out_proj = nn.Linear(hidden, dim, bias=proj_bias)
        self.ls = _scale(dim, init_values)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the MLP gets [B, N, hidden]; queries, keys, values [B, heads, N, numbers] of tokens
        [B, N, C].
        """
        bias = self.in_proj.bias
        if self.mlp_bias is not None:
            bias = torch.cat((self.mlp_bias, self.mlp_bias.new_zeros(sum(self.widths[1:]))))
        found = F.linear(self.in_norm(x), self.in_proj.weight, bias)
        middle, *parts = found.split(self.widths, dim=-1)
        query, key = (part.unflatten(2, (-1, self.head_dim)).transpose(1, 2) for part in parts[:2])
        value = parts[2].unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return middle, self.q_norm(query), self.k_norm(key), value

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each token (row) takes from each token (column): [B, heads, N, N].

        x: the tokens [B, N, C] that `forward` gets. Rows sum to 1; to less where attention is a
           difference.
        """
        _, query, key, _ = self.split(x)
        weights = (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)
        return difference(weights, strength(self)) if self.differential else weights

    def forward(self, x: Tensor) -> Tensor:
        middle, query, key, value = self.split(x)
        middle = self.mlp_drop(self.mlp_act(middle))
        dropout = self.attn_drop_rate if self.training else 0.0
        if self.differential:
            taken = differential_attention(self, query, key, value, dropout)
            branch = self.out_proj(torch.cat((taken, middle), dim=-1))
        else:
            taken = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
            taken = taken.transpose(1, 2).flatten(2)
            branch = self.attn_out_proj(taken) + self.mlp_out_proj(middle)
        return x + self.drop_path(self.ls(branch))


# --- attention as a difference --------------------------------------------------------------------


def add_lambdas(layer: nn.Module, index: int) -> None:
    """The learnt numbers that say how much of the second attention is taken away in block `index`.
    """
    for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
        layer.register_parameter(name, nn.Parameter(torch.empty(layer.head_dim).normal_(std=0.1)))
    layer.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * index)  # deeper blocks take more away


def strength(layer: nn.Module) -> Tensor:
    """How much of the second attention is taken away, one number. Section 2.1 of the paper."""
    first = (layer.lambda_q1 * layer.lambda_k1).sum().exp()
    second = (layer.lambda_q2 * layer.lambda_k2).sum().exp()
    return first - second + layer.lambda_init


def difference(pairs: Tensor, amount: Tensor) -> Tensor:
    """Heads 2i less `amount` of heads 2i + 1: [B, 2 * heads, ...] -> [B, heads, ...]."""
    first, second = pairs.unflatten(1, (-1, 2)).unbind(2)
    return first - amount * second


def differential_attention(layer: nn.Module, query: Tensor, key: Tensor, value: Tensor,
                           dropout: float) -> Tensor:
    """Queries and keys of 2 * heads [B, 2 * heads, N, d], values [B, heads, N, 2d] -> [B, N, C]."""
    value = value.repeat_interleave(2, dim=1)
    taken = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    taken = layer.sub_norm(difference(taken, strength(layer))) * (1 - layer.lambda_init)
    return taken.transpose(1, 2).flatten(2)


class DifferentialAttention(nn.Module):
    """Two attentions, the second of which is taken away from the first: [B, N, C] -> [B, N, C].

    What both take from tokens that don't matter cancels, as noise does in headphones. Ye et al.,
    2024.
    """

    def __init__(self, dim: int, num_heads: int, *, index: int, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, attn_drop: float, proj_drop: float, norm_layer: Any):
        super().__init__()
        if dim % (2 * num_heads):
            raise ValueError(f"{dim} channels can't be shared by {num_heads} pairs of heads.")
        self.num_heads, self.head_dim = num_heads, dim // num_heads // 2
        self.scale = self.head_dim**-0.5
        add_lambdas(self, index)
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.q_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.proj_drop = nn.Dropout(proj_drop)
        self.sub_norm = nn.RMSNorm(2 * self.head_dim, eps=1e-5)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys [B, 2 * heads, N, d], values [B, heads, N, 2d] of tokens [B, N, C]."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        query, key = (part.unflatten(2, (-1, self.head_dim)).transpose(1, 2)
                      for part in (query, key))
        return (self.q_norm(query), self.k_norm(key),
                value.unflatten(2, (self.num_heads, -1)).transpose(1, 2))

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each token (row) takes from each token (column), some of it negative:
        [B, heads, N, N].
        """
        query, key, _ = self.queries_keys_values(x)
        return difference((query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1),
                          strength(self))

    def forward(self, x: Tensor) -> Tensor:
        dropout = self.attn_drop.p if self.training else 0.0
        taken = differential_attention(self, *self.queries_keys_values(x), dropout)
        return self.proj_drop(self.proj(taken))


class DifferentialBlock(Block):
    """The plain block with `DifferentialAttention`: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, num_heads: int, *, index: int, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, proj_drop: float, attn_drop: float, norm_layer: Any,
                 **options: Any):
        super().__init__(dim, num_heads, qkv_bias=qkv_bias, qk_norm=qk_norm, proj_bias=proj_bias,
                         proj_drop=proj_drop, attn_drop=attn_drop, norm_layer=norm_layer, **options)
        self.attn = DifferentialAttention(dim, num_heads, index=index, qkv_bias=qkv_bias,
                                          qk_norm=qk_norm, proj_bias=proj_bias, attn_drop=attn_drop,
                                          proj_drop=proj_drop, norm_layer=norm_layer)


# --- model ----------------------------------------------------------------------------------------


class VisionTransformerRelative(VisionTransformer):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    block: "plain"; "twin", two of each side by side; "post_norm"; "parallel", attention beside the
           MLP; "differential", attention as a difference; "parallel_differential"

    All other options are `VisionTransformer`'s.
    """

    def __init__(self, *args: Any, block: str = "plain", **options: Any):
        self.block = block
        super().__init__(*args, **options)

    def new_block(self, index: int, dim: int, num_heads: int, **options: Any) -> nn.Module:
        if self.block == "plain":
            return Block(dim, num_heads, **options)
        if options.pop("scale_norms"):
            raise ValueError(f'scale_norms needs block="plain"; got {self.block!r}.')
        blocks = {
            "twin": TwinBlock, "post_norm": PostNormBlock, "parallel": ParallelBlock,
            "differential": partial(DifferentialBlock, index=index),
            "parallel_differential": partial(ParallelBlock, differential=True, index=index),
        }
        if self.block not in blocks:
            raise ValueError(f"Unknown block {self.block!r}. Use 'plain', "
                             f"{', '.join(map(repr, blocks))}.")
        return blocks[self.block](dim, num_heads, **options)


MODEL = VisionTransformerRelative


# --- variants -------------------------------------------------------------------------------------

_RMS6, _RMS5 = partial(nn.RMSNorm, eps=1e-6), partial(nn.RMSNorm, eps=1e-5)
_TWIN = dict(block="twin", depth=18, init_values=1e-5)
_XP = dict(block="parallel", pre_norm=True, no_embed_class=True, norm_layer=_RMS6, qkv_bias=False,
           qk_norm=True)
_REG1 = dict(img_size=256, init_values=1e-5, class_token=False, no_embed_class=True, reg_tokens=1,
             global_pool="avg")
_WEE = dict(_REG1, embed_dim=256, num_heads=4, mlp_ratio=5)
_BEIT3 = dict(scale_norms=True, global_pool="avg", norm_layer=partial(nn.LayerNorm, eps=1e-5))
_BEIT3_GIANT = dict(_BEIT3, embed_dim=1408, depth=40, num_heads=16, mlp_ratio=4.3637, patch_size=14)
_AIM = dict(patch_size=14, depth=24, class_token=False, fc_norm=False, global_pool="avg",
            qkv_bias=False, proj_bias=False, act_layer="silu", norm_layer=_RMS5, embed_norm=_RMS5,
            mlp_layer=SwiGLU)
_AIM_LARGE = dict(_AIM, embed_dim=1024, num_heads=8, mlp_ratio=2.75)
_AIM_HUGE = dict(_AIM, embed_dim=1536, num_heads=12, mlp_ratio=2.6667)
_AIM_1B = dict(_AIM, embed_dim=2048, num_heads=16, mlp_ratio=2.75)
_AIM_3B = dict(_AIM, embed_dim=3072, num_heads=24, mlp_ratio=2.6667)

_RPN = dict(qkv_bias=False, init_values=1e-5, class_token=False, global_pool="avg")
_LITTLE = dict(embed_dim=320, depth=14, num_heads=5, mlp_ratio=5.6)

VARIANTS: dict[str, dict[str, Any]] = {
    "vit_small_patch16_18x2_224": dict(_TWIN, embed_dim=384, num_heads=6),
    "vit_base_patch16_18x2_224": dict(_TWIN),

    "vit_base_patch16_rpn_224": dict(_RPN, block="post_norm"),

    "vit_base_patch16_xp_224": dict(_XP),
    "vit_large_patch14_xp_224": dict(_XP, embed_dim=1024, depth=24, num_heads=16, patch_size=14),
    "vit_huge_patch14_xp_224": dict(_XP, embed_dim=1280, depth=32, num_heads=16, patch_size=14),
    "vit_pwee_patch16_reg1_gap_256": dict(_WEE, block="parallel", depth=16),

    "vit_dwee_patch16_reg1_gap_256": dict(_WEE, block="differential", depth=14),
    "vit_dpwee_patch16_reg1_gap_256": dict(_WEE, block="parallel_differential", depth=16),
    "vit_dlittle_patch16_reg1_gap_256": dict(_REG1, block="differential", **_LITTLE),

    "beit3_base_patch16_224": dict(_BEIT3),
    "beit3_large_patch16_224": dict(_BEIT3, embed_dim=1024, depth=24, num_heads=16),
    "beit3_giant_patch14_224": dict(_BEIT3_GIANT),
    "beit3_giant_patch14_336": dict(_BEIT3_GIANT, img_size=336),

    "aimv2_large_patch14_224": dict(_AIM_LARGE),
    "aimv2_large_patch14_336": dict(_AIM_LARGE, img_size=336),
    "aimv2_large_patch14_448": dict(_AIM_LARGE, img_size=448),
    "aimv2_huge_patch14_224": dict(_AIM_HUGE),
    "aimv2_huge_patch14_336": dict(_AIM_HUGE, img_size=336),
    "aimv2_huge_patch14_448": dict(_AIM_HUGE, img_size=448),
    "aimv2_1b_patch14_224": dict(_AIM_1B),
    "aimv2_1b_patch14_336": dict(_AIM_1B, img_size=336),
    "aimv2_1b_patch14_448": dict(_AIM_1B, img_size=448),
    "aimv2_3b_patch14_224": dict(_AIM_3B),
    "aimv2_3b_patch14_336": dict(_AIM_3B, img_size=336),
    "aimv2_3b_patch14_448": dict(_AIM_3B, img_size=448),
}
