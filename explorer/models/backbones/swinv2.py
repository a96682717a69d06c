"""Swin Transformer V2: larger networks, and windows that may grow after training.

Three changes to Swin. The norm stands behind each branch, so that the sums don't grow from block to
block; how well two patches fit is the cosine of the angle between them, which can't explode; and a
small network computes the position bias from the distance, on a logarithmic scale, so that it also
answers for larger windows than it learnt on.

Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", 2021,
https://arxiv.org/abs/2111.09883. Parameter names are timm's. Maps are channels-last inside,
[B, H, W, C]. The network is `SwinTransformer`, of the same family, with other blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.backbones.swin import (
    SwinTransformer,
    WindowBlock,
    from_microsoft,
    from_torchvision,
    gather_neighbours,
    hide,
)
from explorer.models.layers.drop import DropPath
from explorer.models.layers.transformer import Mlp
from explorer.models.layers.windows import relative_position_index


class PatchMergingV2(nn.Module):
    """Four neighbours become one patch, with the norm at the end: [B, H, W, C]
    -> [B, H/2, W/2, out].
    """

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.reduction(gather_neighbours(x)))


class CosineWindowAttention(nn.Module):
    """Self-attention by angles among the N tokens of each window: [B, windows, N, C]
    -> [B, windows, N, C].

    pretrained_window: side of the windows in which `cpb_mlp` learnt what a distance means; 0: of
                       these here.
    Section 3.3 of the paper.
    """

    #: The largest factor of a cosine, so that attention never becomes a hard choice.
    MAX_SCALE = 100.0

    def __init__(self, dim: int, num_heads: int, window_size: tuple[int, int], *,
                 pretrained_window: int = 0, qkv_bias: bool = True, attn_drop: float = 0.0,
                 proj_drop: float = 0.0):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.window_size = num_heads, window_size
        self.pretrained_window = pretrained_window
        self.logit_scale = nn.Parameter(torch.log(torch.full((num_heads, 1, 1), 10.0)))
        # The keys have no bias: it would move all scores of a query alike.
        self.q_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.cpb_mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(inplace=True),
                                     nn.Linear(512, num_heads, bias=False))
        self.register_buffer("relative_position_index", relative_position_index(window_size),
                             persistent=False)
        trained = (pretrained_window, pretrained_window) if pretrained_window else window_size
        offsets = log_spaced_offsets(window_size, trained)
        self.register_buffer("relative_coords_table", offsets, persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def position_bias(self, mask: Tensor | None = None) -> Tensor:
        """What is added to the fit of each two tokens: [1 or windows, heads, N, N]; -infinity where
        `mask` is.
        """
        place = self.logit_scale.device
        table = self.cpb_mlp(self.relative_coords_table.to(place))  # [offsets, heads]
        bias = 16 * torch.sigmoid(table)[self.relative_position_index.to(place)]  # [N, N, heads]
        return hide(bias.permute(2, 0, 1)[None], mask)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, windows, heads, N, C / heads]; keys of length 1, queries of their
        head's scale.
        """
        bias = None
        if self.q_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(3, (3, self.num_heads, -1))
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        scale = self.logit_scale.clamp(max=math.log(self.MAX_SCALE)).exp()
        return F.normalize(query, dim=-1) * scale, F.normalize(key, dim=-1), value

    def attention_weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each token (row) takes from each in its window: [B, windows, heads, N, N]; rows
        sum to 1.

        x, mask: what `forward` gets.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query @ key.transpose(-2, -1) + self.position_bias(mask)).softmax(dim=-1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: True where two tokens must not see each other, [windows, N, N]."""
        query, key, value = self.queries_keys_values(x)
        x = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self.position_bias(mask), scale=1.0,
            dropout_p=self.attn_drop.p if self.training else 0.0,
        )  # [B, windows, heads, N, C / heads]
        return self.proj_drop(self.proj(x.transpose(2, 3).flatten(3)))


def log_spaced_offsets(window_size: tuple[int, int], trained: tuple[int, int]) -> Tensor:
    """All offsets (rows, columns) in a window, [offsets, 2], as `cpb_mlp` reads them; on the CPU
    always.

    The farthest of windows of size `trained` is 8 patches' worth, then the logarithm follows:
    log2(1 + 8) / 3 = 1.06. A window twice as large so asks for numbers only a little beyond those
    that were learnt.
    """
    axes = [torch.arange(1 - n, n, device="cpu", dtype=torch.float32) / max(known - 1, 1) * 8
            for n, known in zip(window_size, trained)]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 1)
    return offsets.sign() * torch.log2(offsets.abs() + 1) / math.log2(8)


class SwinV2Block(WindowBlock):
    """Attention in windows, then an MLP, each normed and added to its input: [B, H, W, C]
    -> [B, H, W, C].
    """

    def __init__(self, dim: int, num_heads: int, input_size: tuple[int, int], window_size: int, *,
                 shift: bool, pretrained_window: int = 0, mlp_ratio: float, qkv_bias: bool,
                 proj_drop: float, attn_drop: float, drop_path: float):
        super().__init__(input_size, window_size, shift=shift)
        self.attn = CosineWindowAttention(dim, num_heads, self.window_size,
                                          pretrained_window=pretrained_window, qkv_bias=qkv_bias,
                                          attn_drop=attn_drop, proj_drop=proj_drop)
        self.norm1 = nn.LayerNorm(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=proj_drop)
        self.norm2 = nn.LayerNorm(dim)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.to_map(self.attn(self.to_windows(x), self.attn_mask))
        x = x + self.drop_path1(self.norm1(mixed))
        return x + self.drop_path2(self.norm2(self.mlp(x)))


class SwinTransformerV2(SwinTransformer):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    pretrained_window_sizes: for each stage, the side of the windows that the weights were trained
                             with, where another one is used now; None, or 0 for a stage: the same

    All other options are `SwinTransformer`'s.
    """

    def __init__(self, img_size: int | tuple[int, int] = 256, *,
                 pretrained_window_sizes: Sequence[int] | None = None, **options: Any):
        windows = pretrained_window_sizes and [{"pretrained_window": side}
                                               for side in pretrained_window_sizes]
        super().__init__(img_size, block=SwinV2Block, downsample=PatchMergingV2,
                         stage_options=windows, **options)

    def init_weights(self) -> None:
        """Each branch starts at zero (its norm does), so that a fresh block changes nothing."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, SwinV2Block):
                nn.init.zeros_(module.norm1.weight)
                nn.init.zeros_(module.norm2.weight)


MODEL = SwinTransformerV2


# --- variants -------------------------------------------------------------------------------------

_TINY = dict(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
_SMALL = dict(embed_dim=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24))
_BASE = dict(embed_dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
_LARGE = dict(embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48))
_FROM_12 = dict(pretrained_window_sizes=(12, 12, 12, 6))

VARIANTS: dict[str, dict[str, Any]] = {
    "swinv2_tiny_window8_256": dict(_TINY, window_size=8),
    "swinv2_tiny_window16_256": dict(_TINY, window_size=16),
    "swinv2_small_window8_256": dict(_SMALL, window_size=8),
    "swinv2_small_window16_256": dict(_SMALL, window_size=16),
    "swinv2_base_window8_256": dict(_BASE, window_size=8),
    "swinv2_base_window16_256": dict(_BASE, window_size=16),
    "swinv2_base_window12_192": dict(_BASE, window_size=12, img_size=192),
    "swinv2_base_window12to16_192to256": dict(_BASE, window_size=16, **_FROM_12),
    "swinv2_base_window12to24_192to384": dict(_BASE, window_size=24, img_size=384, **_FROM_12),
    "swinv2_large_window12_192": dict(_LARGE, window_size=12, img_size=192),
    "swinv2_large_window12to16_192to256": dict(_LARGE, window_size=16, **_FROM_12),
    "swinv2_large_window12to24_192to384": dict(_LARGE, window_size=24, img_size=384, **_FROM_12),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """As for Swin; queries, keys and values have one bias there, of which the keys' part is not
    used.
    """
    mapped = {}
    for key, value in from_torchvision(state, name).items():
        if key.endswith("attn.qkv.bias"):
            stem = key.removesuffix("qkv.bias")
            mapped[f"{stem}q_bias"], _, mapped[f"{stem}v_bias"] = value.chunk(3)
        else:
            mapped[key] = value
    return mapped


KEY_MAPS = {"microsoft": from_microsoft, "torchvision": _from_torchvision}
