"""EdgeNeXt: a ConvNeXt that looks across the whole photo once in each stage, for a phone's budget.

Convolutions see near and attention sees far, but attention between places costs the square of their
number. So the last block of a stage attends between channels instead: which channels go together,
over the whole photo, at a cost that grows with the photo no faster than a convolution's. In front
of it, groups of channels are filtered in a row, so that one block sees several sizes at once.

Maaz et al., "EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision
Applications", 2022, https://arxiv.org/abs/2206.10589. Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.norm import LayerNorm2d
from explorer.models.layers.norm_head import NormHead
from explorer.models.layers.transformer import Mlp

# --- attention between channels -------------------------------------------------------------------


class CrossCovarianceAttn(nn.Module):
    """Attention where channels ask channels: tokens [B, N, C] -> [B, N, C].

    Queries and keys are divided by their length, so that their product is the cosine between two
    channels, seen as vectors over all places; `temperature` sharpens it. The matrix is
    [C/heads, C/heads], whatever the photo's size. Ali et al., "XCiT: Cross-Covariance Image
    Transformers", 2021, section 3.2.
    """

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, C/heads, N] of tokens [B, N, C]."""
        # [B, N, 3 * C] -> [B, N, 3, heads, C/heads] -> [3, B, heads, C/heads, N]
        parts = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 4, 1)
        query, key, value = parts.unbind(0)
        return F.normalize(query, dim=-1), F.normalize(key, dim=-1), value

    def channel_weights(self, x: Tensor) -> Tensor:
        """How much each channel (row) takes from each (column): [B, heads, C/heads, C/heads]; rows
        sum to 1.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        x = (weights @ value).permute(0, 3, 1, 2).flatten(2)  # [B, heads, C/heads, N] -> [B, N, C]
        return self.proj(x)


class PositionalEncodingFourier(nn.Module):
    """Where each place is, as waves of many lengths along both sides: (H, W) -> [1, dim, H, W].

    Computed, not learnt, so any size of photo has one; only the projection to `dim` channels is
    learnt.
    """

    def __init__(self, dim: int, *, hidden_dim: int = 32, temperature: float = 10000.0):
        super().__init__()
        self.hidden_dim, self.temperature = hidden_dim, temperature
        self.token_projection = nn.Conv2d(2 * hidden_dim, dim, 1)

    def _waves(self, length: int, like: Tensor) -> Tensor:
        """Sines and cosines along one side, [hidden_dim, length]."""
        place = torch.arange(1, length + 1, device=like.device, dtype=torch.float32)
        place = place / (length + 1e-6)
        pair = torch.arange(self.hidden_dim // 2, device=like.device, dtype=torch.float32)
        frequency = self.temperature ** (-2 * pair / self.hidden_dim)
        angle = 2 * math.pi * place * frequency[:, None]  # [hidden_dim / 2, length]
        return torch.stack((angle.sin(), angle.cos()), dim=1).flatten(0, 1).to(like.dtype)

    def forward(self, height: int, width: int) -> Tensor:
        weight = self.token_projection.weight
        rows = self._waves(height, weight)[:, :, None].expand(-1, -1, width)
        columns = self._waves(width, weight)[:, None, :].expand(-1, height, -1)
        # [1, 2 * hidden_dim, H, W] -> [1, dim, H, W]
        return self.token_projection(torch.cat((rows, columns))[None])


# --- blocks ---------------------------------------------------------------------------------------


class ConvBlock(nn.Module):
    """ConvNeXt's block: look around in each channel by itself, then think at each place; add to the
    input.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]. Where the shape changes, the sum
    starts behind the filter that changes it.
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel_size: int, stride: int,
                 conv_bias: bool, init_value: float, drop_path: float):
        super().__init__()
        self.shortcut_after_dw = stride > 1 or in_chans != out_chans
        self.conv_dw = nn.Conv2d(in_chans, out_chans, kernel_size, stride, kernel_size // 2,
                                 groups=in_chans, bias=conv_bias)
        self.norm = nn.LayerNorm(out_chans, eps=1e-6)
        self.mlp = Mlp(out_chans, 4 * out_chans)
        # LayerScale: starts close to the identity
        self.gamma = nn.Parameter(torch.full((out_chans,), init_value))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_dw(x)
        if self.shortcut_after_dw:
            shortcut = x
        x = x.permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C], as linear layers want it
        x = self.gamma * self.mlp(self.norm(x))
        return shortcut + self.drop_path(x.permute(0, 3, 1, 2))


class SplitTransposeBlock(nn.Module):
    """Filter groups of channels in a row, attend between channels, think at each place; add to the
    input.

    [B, C, H, W] -> [B, C, H, W]. scales: groups of channels; each but the last is filtered together
    with what came out of the one before it, so the last filter has seen the widest neighbourhood.
    """

    def __init__(self, dim: int, *, scales: int, num_heads: int, position: bool, conv_bias: bool,
                 init_value: float, drop_path: float):
        super().__init__()
        self.width = math.ceil(dim / scales)
        self.convs = nn.ModuleList(
            nn.Conv2d(self.width, self.width, 3, padding=1, groups=self.width, bias=conv_bias)
            for _ in range(scales - 1)
        )
        self.pos_embd = PositionalEncodingFourier(dim) if position else None
        self.norm_xca = nn.LayerNorm(dim, eps=1e-6)
        self.gamma_xca = nn.Parameter(torch.full((dim,), init_value))
        self.xca = CrossCovarianceAttn(dim, num_heads)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = nn.Parameter(torch.full((dim,), init_value))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def split_and_filter(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same, its groups of channels filtered in a row."""
        groups = x.split(self.width, dim=1)
        done = []
        for group, conv in zip(groups, self.convs):
            done.append(conv(group + done[-1] if done else group))
        return torch.cat((*done, groups[-1]), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.split_and_filter(x)
        if self.pos_embd is not None:
            x = x + self.pos_embd(*x.shape[-2:])
        size = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)  # [B, C, H, W] -> [B, N, C]
        x = x + self.drop_path(self.gamma_xca * self.xca(self.norm_xca(x)))
        x = self.gamma * self.mlp(self.norm(x))
        x = x.transpose(1, 2).unflatten(2, size)  # [B, N, C] -> [B, C, H, W]
        return shortcut + self.drop_path(x)


class EdgeNeXtStage(nn.Module):
    """Halve the map, then blocks, the last with attention: [B, in, H, W]
    -> [B, out, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, rates: list[float],
                 kernel_size: int, attention: bool, scales: int, num_heads: int, position: bool,
                 downsample_block: bool, conv_bias: bool, init_value: float):
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 and not downsample_block:
            self.downsample = nn.Sequential(
                LayerNorm2d(in_chans), nn.Conv2d(in_chans, out_chans, 2, stride=2, bias=conv_bias)
            )
            in_chans, stride = out_chans, 1
        blocks: list[nn.Module] = []
        for i, rate in enumerate(rates):
            shared = dict(conv_bias=conv_bias, init_value=init_value, drop_path=rate)
            if attention and i == len(rates) - 1:
                blocks.append(SplitTransposeBlock(out_chans, scales=scales, num_heads=num_heads,
                                                  position=position, **shared))
            else:
                blocks.append(ConvBlock(in_chans, out_chans, kernel_size=kernel_size,
                                        stride=1 if i else stride, **shared))
            in_chans = out_chans
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


# --- the model ------------------------------------------------------------------------------------


class EdgeNeXt(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths, dims:     blocks and channels of the four stages; all but the first stage end in
                      attention
    num_heads:        of the attention between channels
    stem:             "patch" (4 x 4, side by side) or "overlap" (9 x 9)
    downsample_block: the first block of a stage halves the map, in place of a norm and a 2 x 2
                      convolution
    conv_bias:        convolutions have a bias
    ls_init_value:    what LayerScale starts from
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (3, 3, 9, 3),
        dims: tuple[int, int, int, int] = (24, 48, 88, 168),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        num_heads: int = 8,
        stem: str = "patch",
        downsample_block: bool = False,
        conv_bias: bool = True,
        ls_init_value: float = 1e-6,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if stem not in ("patch", "overlap"):
            raise ValueError(f"Unknown stem {stem!r}. Known: patch, overlap.")
        if downsample_block and min(depths[1:]) < 2:
            raise ValueError(
                f"depths are {depths}: with downsample_block, "
                "a stage with attention has 2 blocks or more."
            )
        self.num_classes, self.in_chans = num_classes, in_chans
        kernel, padding = (4, 0) if stem == "patch" else (9, 4)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, dims[0], kernel, stride=4, padding=padding, bias=conv_bias),
            LayerNorm2d(dims[0])
        )
        layers, table, chans = [], [], dims[0]
        for i, (dim, rates) in enumerate(zip(dims, drop_path_rates(drop_path_rate, depths))):
            layers.append(EdgeNeXtStage(
                chans, dim, stride=2 if i else 1, rates=rates,
                kernel_size=3 + 2 * i,  # larger filters where maps are small
                attention=i > 0, scales=max(2, i + 1), num_heads=num_heads, position=i == 1,
                downsample_block=downsample_block, conv_bias=conv_bias, init_value=ls_init_value,
            ))
            table.append(Stage(f"stages.{i}", f"stages.{i}", dim, 4 * 2**i))
            chans = dim
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*layers)
        self.stage_table = table
        self.num_features = chans
        self.head = NormHead(chans, num_classes, global_pool, hidden=0, norm_layer="layer",
                             norm_eps=1e-6, act_layer="gelu", drop_rate=drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights, cut at two deviations, and no bias anywhere: LayerNorm sets the
        scale.
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, C, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, C1, H/4, W/4] ... stages.3 [B, C4, H/32, W/32]
        return x


MODEL = EdgeNeXt

VARIANTS: dict[str, dict[str, Any]] = {
    "edgenext_xx_small": dict(depths=(2, 2, 6, 2), dims=(24, 48, 88, 168), num_heads=4),
    "edgenext_x_small": dict(depths=(3, 3, 9, 3), dims=(32, 64, 100, 192), num_heads=4),
    "edgenext_small": dict(depths=(3, 3, 9, 3), dims=(48, 96, 160, 304)),
    "edgenext_base": dict(depths=(3, 3, 9, 3), dims=(80, 160, 288, 584)),
    "edgenext_small_rw": dict(depths=(3, 3, 9, 3), dims=(48, 96, 192, 384), stem="overlap",
                              downsample_block=True, conv_bias=False),
}
