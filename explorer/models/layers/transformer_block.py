"""The block of a plain vision transformer, which ViT, PiT and ViT's relatives stack.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, https://arxiv.org/abs/2010.11929, figure 1.
Parameter names are timm's.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from explorer.models.layers.drop import DropPath
from explorer.models.layers.transformer import Attention, LayerScale


class Block(nn.Module):
    """Attention, then an MLP, each a correction added to its input: [B, N, C] -> [B, N, C].

    The norms sit inside the branches ("pre-norm"), so the sum itself runs untouched from first block to last.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, qkv_bias: bool, qk_norm: bool,
                 proj_bias: bool, init_values: float | None, proj_drop: float, attn_drop: float,
                 drop_path: float, act_layer: Any, norm_layer: Any, mlp_layer: Any,
                 scale_norms: bool = False):
        super().__init__()

        def scale() -> nn.Module:
            return LayerScale(dim, init_values) if init_values else nn.Identity()

        self.norm1 = norm_layer(dim)
        self.attn = Attention(dim, num_heads, qkv_bias=qkv_bias, qk_norm=qk_norm, proj_bias=proj_bias,
                              attn_drop=attn_drop, proj_drop=proj_drop, norm_layer=norm_layer,
                              scale_norm=scale_norms)
        self.ls1 = scale()
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = norm_layer(dim)
        inside = {"norm_layer": norm_layer} if scale_norms else {}
        self.mlp = mlp_layer(dim, int(dim * mlp_ratio), act_layer=act_layer, bias=proj_bias, drop=proj_drop,
                             **inside)
        self.ls2 = scale()
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))
