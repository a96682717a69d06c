"""PiT: a vision transformer whose map shrinks on the way, as a convolutional network's does.

A plain transformer has as many tokens at its end as at its start. Convolutional networks halve the
map now and then and widen it, and the authors show that transformers gain by the same: fewer
places, with more to say each. Between the stages a depthwise convolution with stride 2 does it; the
class token, which has no place, goes through a linear layer beside it.

Heo et al., "Rethinking Spatial Dimensions of Vision Transformers", 2021,
https://arxiv.org/abs/2103.16302. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, parameter_place
from explorer.models.layers.drop import drop_path_rates
from explorer.models.layers.transformer import Mlp, resample_abs_pos_embed, to_pair
from explorer.models.layers.transformer_block import Block
from explorer.models.tokens import TwoTokens

# --- blocks ---------------------------------------------------------------------------------------


class OverlappingPatches(nn.Module):
    """Patches that overlap by half: [B, in_chans, H, W] -> [B, dim, about H/stride, W/stride]."""

    def __init__(self, in_chans: int, dim: int, *, patch_size: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, dim, patch_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Pooling(nn.Module):
    """Half the map with more channels, and tokens [B, n, C] that grow along with it:
    -> [B, n, out].
    """

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.conv = nn.Conv2d(dim, out_dim, 3, stride=2, padding=1, groups=dim)
        self.fc = nn.Linear(dim, out_dim)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x), self.fc(tokens)


class Transformer(nn.Module):
    """One stage: pooling where there is one, then blocks on the tokens and all places of the map
    together.
    """

    def __init__(self, dim: int, num_heads: int, *, pool: nn.Module | None,
                 drop_path: Sequence[float], **block: Any):
        super().__init__()
        self.pool = pool
        self.blocks = nn.Sequential(*(
            Block(dim, num_heads, qkv_bias=True, qk_norm=False, proj_bias=True, init_values=None,
                  drop_path=rate, act_layer="gelu", norm_layer=partial(nn.LayerNorm, eps=1e-6),
                  mlp_layer=Mlp, **block)
            for rate in drop_path
        ))

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The map [B, C, H, W] and the tokens [B, n, C], both changed."""
        if self.pool is not None:
            x, tokens = self.pool(x, tokens)
        count, grid = tokens.shape[1], x.shape[-2:]
        together = torch.cat((tokens, x.flatten(2).transpose(1, 2)), dim=1)  # [B, n + H * W, C]
        together = self.blocks(together)
        return together[:, count:].transpose(1, 2).unflatten(2, grid), together[:, :count]


# --- the model ------------------------------------------------------------------------------------


class PiT(TwoTokens):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:      side of the photo in pixels, or (height, width); the model is built for that size
    patch_size, stride: side of a patch, and how far it is to the next
    base_dims, heads, depth: numbers of a head, heads and blocks, of each of the three stages
    global_pool:   "token": what becomes of the class token
    distilled:     a second token, with a classifier of its own (`head_dist`), that learns from a
                   teacher
    """

    classifier_path = "head"
    fixed_image_size = True
    pyramid = False  # patches overlap, so a map is a little smaller than its stride says
    feature_names = "body."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        patch_size: int = 16,
        stride: int = 8,
        base_dims: tuple[int, int, int] = (48, 48, 48),
        heads: tuple[int, int, int] = (2, 4, 8),
        depth: tuple[int, int, int] = (2, 6, 4),
        mlp_ratio: float = 4.0,
        distilled: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "token",
        drop_rate: float = 0.0,
        pos_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.img_size, self.in_chans, self.distilled = to_pair(img_size), in_chans, distilled
        if min(self.img_size) < patch_size:
            raise ValueError(f"A photo of {img_size} pixels holds no patch of {patch_size} x "
                             f"{patch_size}.")
        #: Whether training gives both answers, for a loss with a teacher; see
        #: `set_distilled_training`.
        self.distilled_training = False
        self.num_prefix_tokens = 2 if distilled else 1
        dims = [base * count for base, count in zip(base_dims, heads)]
        grid = tuple((side - patch_size) // stride + 1 for side in self.img_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, dims[0], *grid))
        self.cls_token = nn.Parameter(torch.zeros(1, self.num_prefix_tokens, dims[0]))
        self.patch_embed = OverlappingPatches(in_chans, dims[0], patch_size=patch_size,
                                              stride=stride)
        self.pos_drop = nn.Dropout(pos_drop_rate)
        rates = drop_path_rates(drop_path_rate, tuple(depth))
        self.transformers = nn.ModuleList(
            Transformer(dim, heads[i], pool=Pooling(dims[i - 1], dim) if i else None,
                        drop_path=rates[i], mlp_ratio=mlp_ratio, proj_drop=proj_drop_rate,
                        attn_drop=attn_drop_rate)
            for i, dim in enumerate(dims)
        )
        self.num_features = dims[-1]
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head_drop = nn.Dropout(drop_rate)
        self.stages = tuple(Stage(f"transformers.{i}", f"transformers.{i}", dim, stride * 2**i)
                            for i, dim in enumerate(dims))
        self.reset_classifier(num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """Small positions and tokens; the layers keep PyTorch's numbers, as the authors have it."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def set_distilled_training(self, enable: bool = True) -> None:
        """While training, give the two answers (logits, distillation logits) instead of their mean.
        """
        if enable and not self.distilled:
            raise ValueError("This model has no distillation token: "
                             "create one such as pit_ti_distilled_224.")
        self.distilled_training = enable

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if tuple(x.shape[-2:]) != self.img_size:
            height, width = x.shape[-2:]
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {height} x {width}. Resize the photo, or create the model with "
                f"img_size=({height}, {width})."
            )
        x = self.pos_drop(self.patch_embed(x) + self.pos_embed)  # [B, C, H/s, W/s]
        tokens = self.cls_token.expand(x.shape[0], -1, -1)
        for transformer in self.transformers:
            x, tokens = transformer(x, tokens)
            yield x  # [B, C, H/s, W/s], [B, 2C, H/2s, W/2s], [B, 4C, H/4s, W/4s]
        return self.norm(tokens)  # [B, 1 or 2, 4C]: the places have had their say

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        if self.distilled:
            return super().forward_head(x, pre_logits)
        x = self.head_drop(x[:, 0])
        return x if pre_logits else self.head(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool if global_pool is None else global_pool
        if pool != "token":
            raise ValueError(f'global_pool is {pool!r}: at its end PiT has the class token alone, '
                             'so use "token".')

        def classifier() -> nn.Module:
            return (nn.Linear(self.num_features, num_classes, **parameter_place(self))
                    if num_classes else nn.Identity())

        self.global_pool, self.num_classes = pool, num_classes
        self.head = classifier()
        if self.distilled:
            self.head_dist = classifier()

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained position embeddings, resized as a picture where this model reads photos of
        another size.
        """
        new, key = tuple(self.pos_embed.shape[-2:]), "pos_embed"
        if key not in state or tuple(state[key].shape[-2:]) == new:
            return state
        old = tuple(state[key].shape[-2:])
        tokens = state[key].flatten(2).transpose(1, 2)  # [1, C, h, w] -> [1, N, C]
        tokens = resample_abs_pos_embed(tokens, new, old_size=old, num_prefix_tokens=0)
        report.adapted.append(f"{key}: from {old[0]} x {old[1]} places to {new[0]} x {new[1]}")
        return {**state, key: tokens.transpose(1, 2).unflatten(2, new)}


MODEL = PiT

_TINY = dict(base_dims=(32, 32, 32), heads=(2, 4, 8))
_EXTRA_SMALL = dict(base_dims=(48, 48, 48), heads=(2, 4, 8))
_SMALL = dict(base_dims=(48, 48, 48), heads=(3, 6, 12))
_BASE = dict(base_dims=(64, 64, 64), heads=(4, 8, 16), depth=(3, 6, 4), patch_size=14, stride=7)

VARIANTS: dict[str, dict[str, Any]] = {
    "pit_ti_224": dict(_TINY),
    "pit_xs_224": dict(_EXTRA_SMALL),
    "pit_s_224": dict(_SMALL),
    "pit_b_224": dict(_BASE),
    "pit_ti_distilled_224": dict(_TINY, distilled=True),
    "pit_xs_distilled_224": dict(_EXTRA_SMALL, distilled=True),
    "pit_s_distilled_224": dict(_SMALL, distilled=True),
    "pit_b_distilled_224": dict(_BASE, distilled=True),
}
