"""MobileNetV4: one block that a search may bend into four, and attention that a phone can afford.

The universal block is MobileNetV2's with two places for a cheap depthwise filter, in front of the
widening and in the middle of it; each may be left out, so that a search chooses among MobileNet's,
ConvNeXt's and a transformer's block by itself. The hybrid networks add attention whose heads share
one set of keys and values: a phone waits for memory more than for arithmetic, and that set is all
there is to fetch.

Qin et al., "MobileNetV4: Universal Models for the Mobile Ecosystem", 2024,
https://arxiv.org/abs/2404.10518. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath
from explorer.models.layers.init import init_by_fan_out
from explorer.models.layers.mobile_blocks import ConvBlock, EdgeResidual
from explorer.models.layers.pool import BlurPool2d, SelectAdaptivePool2d

# --- blocks ---------------------------------------------------------------------------------------


class LayerScale2d(nn.Module):
    """A learnt factor for each channel of a residual branch, small at first: [B, C, H, W] -> the
    same shape.
    """

    def __init__(self, channels: int, init_values: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), init_values))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None]


def anti_alias(kind: str, channels: int) -> nn.Module:
    """What halves the map in place of a strided filter: "avg", a mean of 2 x 2, or "blur"."""
    return nn.AvgPool2d(2) if kind == "avg" else BlurPool2d(channels, pad_mode="constant")


class UniversalInvertedResidual(nn.Module):
    """Filter, widen, filter, narrow: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride].

    start, mid: the sizes of the two depthwise filters; 0 leaves one out. Four blocks in one:
        both          the paper's "extra depthwise" block
        mid only      MobileNetV2's inverted residual
        start only    ConvNeXt's block
        neither       a transformer's MLP
    The stride is the middle filter's.
    """

    def __init__(self, in_chans: int, out_chans: int, *, start: int, mid: int, expand: float,
                 stride: int, dilation: int, aa: str, layer_scale: float, act_layer: str,
                 drop_path: float):
        super().__init__()
        if stride > 1 and not mid:
            raise ValueError(f"A block of stride {stride} needs a filter in its middle: give mid, "
                             "such as 3.")
        middle = make_divisible(in_chans * expand)
        linear = partial(ConvNormAct, apply_act=False)
        active = partial(ConvNormAct, act_layer=act_layer)
        blur = bool(aa) and stride > 1
        self.dw_start = linear(
            in_chans, in_chans, start, dilation=dilation, groups=in_chans
        ) if start else nn.Identity()
        self.pw_exp = active(in_chans, middle, 1)
        self.dw_mid = active(
            middle, middle, mid, 1 if blur else stride, dilation=dilation, groups=middle
        ) if mid else nn.Identity()
        self.aa = anti_alias(aa, middle) if blur else nn.Identity()
        self.pw_proj = linear(middle, out_chans, 1)
        self.layer_scale = LayerScale2d(out_chans, layer_scale) if layer_scale else nn.Identity()
        self.has_shortcut = stride == 1 and in_chans == out_chans
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.pw_exp(self.dw_start(x))        # [B, in, H, W] -> [B, in * expand, H, W]
        # -> [B, in * expand, H/s, W/s] -> [B, out, H/s, W/s]
        x = self.pw_proj(self.aa(self.dw_mid(x)))
        x = self.layer_scale(x)
        return shortcut + self.drop_path(x) if self.has_shortcut else x


class MultiQueryAttention2d(nn.Module):
    """Attention over the places of a map: [B, C, H, W] -> the same shape.

    Every head asks its own question (query) of the same keys and values: eight heads fetch one set
    of them, not eight. Where `kv_stride` is 2, these are read from a map of half the size, and
    there is a quarter of them. Shazeer, "Fast Transformer Decoding: One Write-Head is All You
    Need", 2019; the paper calls it "Mobile MQA".
    """

    def __init__(self, dim: int, *, num_heads: int, key_dim: int, kv_stride: int):
        super().__init__()
        self.num_heads, self.key_dim, self.scale = num_heads, key_dim, key_dim**-0.5
        self.query = nn.Sequential()
        self.query.add_module("proj", nn.Conv2d(dim, num_heads * key_dim, 1, bias=False))
        self.key = self._read(dim, key_dim, kv_stride)
        self.value = self._read(dim, key_dim, kv_stride)
        self.output = nn.Sequential()
        self.output.add_module("proj", nn.Conv2d(num_heads * key_dim, dim, 1, bias=False))

    @staticmethod
    def _read(dim: int, key_dim: int, stride: int) -> nn.Sequential:
        layers = nn.Sequential()
        if stride > 1:
            layers.add_module("down_conv", create_conv2d(dim, dim, 3, stride=stride, groups=dim))
            layers.add_module("norm", nn.BatchNorm2d(dim))
        layers.add_module("proj", nn.Conv2d(dim, key_dim, 1, bias=False))
        return layers

    def init_weights(self) -> None:
        """Projections start as a transformer's do, by Glorot's rule."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, heads, H * W, key_dim]; keys and values, each once for all heads:
        [B, 1, N, key_dim].
        """
        # [B, heads, key_dim, H * W]
        query = self.query(x).flatten(2).unflatten(1, (self.num_heads, self.key_dim))
        key, value = self.key(x).flatten(2), self.value(x).flatten(2)  # [B, key_dim, N]
        return (query.transpose(2, 3), key.transpose(1, 2).unsqueeze(1),
                value.transpose(1, 2).unsqueeze(1))

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each place of the keys' map (column):
        [B, heads, H * W, N].

        x: the map [B, C, H, W] that `forward` gets. Every row sums to 1. `forward` uses the same
           weights without
        ever holding this matrix in memory.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        shape = (-1, self.num_heads, -1, -1)  # a view: nothing is copied
        mixed = F.scaled_dot_product_attention(query, key.expand(shape), value.expand(shape))
        # [B, heads * key_dim, H, W]
        mixed = mixed.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[-2:])
        return self.output(mixed)


class MobileAttention(nn.Module):
    """Multi-query attention beside a shortcut: [B, C, H, W] -> the same shape."""

    def __init__(self, dim: int, *, num_heads: int, key_dim: int, kv_stride: int,
                 layer_scale: float, drop_path: float):
        super().__init__()
        self.norm = BatchNormAct2d(dim, apply_act=False)
        self.attn = MultiQueryAttention2d(dim, num_heads=num_heads, key_dim=key_dim,
                                          kv_stride=kv_stride)
        self.layer_scale = LayerScale2d(dim, layer_scale) if layer_scale else nn.Identity()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.layer_scale(self.attn(self.norm(x))))


# --- architectures, as the tables in the appendix of the paper have them --------------------------


class Uib(NamedTuple):
    """A universal block: the sizes of its two filters, and how much wider its middle is."""

    start: int
    mid: int
    expand: float = 4


class Fused(NamedTuple):
    """Widen and filter in one full convolution, then narrow: EfficientNet-EdgeTPU's block."""

    kernel: int
    expand: int


class Conv(NamedTuple):
    """A full convolution, BatchNorm and activation; `channels` where they are not the stage's."""

    kernel: int
    channels: int = 0


class Mqa(NamedTuple):
    """Multi-query attention."""

    heads: int
    key_dim: int
    kv_stride: int = 1


class Blocks(NamedTuple):
    """One stage: its channels before scaling, the stride of its first block, and its blocks."""

    channels: int
    stride: int
    rows: Sequence[Uib | Fused | Conv | Mqa]


CONV_SMALL = (
    Blocks(32, 2, [Conv(3), Conv(1)]),
    Blocks(64, 2, [Conv(3, channels=96), Conv(1)]),
    Blocks(96, 2, [Uib(5, 5, 3), *[Uib(0, 3, 2)] * 4, Uib(3, 0)]),
    Blocks(128, 2, [Uib(3, 3, 6), Uib(5, 5), Uib(0, 5), Uib(0, 5, 3), *[Uib(0, 3)] * 2]),
    Blocks(960, 1, [Conv(1)]),
)

CONV_MEDIUM = (
    Blocks(48, 2, [Fused(3, 4)]),
    Blocks(80, 2, [Uib(3, 5), Uib(3, 3, 2)]),
    Blocks(160, 2, [Uib(3, 5, 6), *[Uib(3, 3)] * 2, Uib(3, 5), Uib(3, 3), Uib(3, 0), Uib(0, 0, 2),
                    Uib(3, 0)]),
    Blocks(256, 2, [Uib(5, 5, 6), Uib(5, 5), *[Uib(3, 5)] * 2, Uib(0, 0), Uib(3, 0), Uib(3, 5, 2),
                    Uib(5, 5), *[Uib(0, 0)] * 2, Uib(5, 0, 2)]),
    Blocks(960, 1, [Conv(1)]),
)

CONV_LARGE = (
    Blocks(48, 2, [Fused(3, 4)]),
    Blocks(96, 2, [Uib(3, 5), Uib(3, 3)]),
    Blocks(192, 2, [Uib(3, 5), *[Uib(3, 3)] * 3, Uib(3, 5), *[Uib(5, 3)] * 5, Uib(3, 0)]),
    Blocks(512, 2, [*[Uib(5, 5)] * 4, Uib(5, 0), Uib(5, 3), *[Uib(5, 0)] * 2, Uib(5, 3), Uib(5, 5),
                    *[Uib(5, 0)] * 3]),
    Blocks(960, 1, [Conv(1)]),
)


def between(attention: Mqa, blocks: Sequence[Uib]) -> list[Uib | Mqa]:
    """The same attention in front of each of the blocks."""
    return [row for block in blocks for row in (attention, block)]


HYBRID_MEDIUM = (
    *CONV_MEDIUM[:2],
    Blocks(160, 2, [Uib(3, 5, 6), Uib(0, 0, 2), Uib(3, 3), Uib(3, 5),
                    *between(Mqa(4, 64, 2), [Uib(3, 3), Uib(3, 0), Uib(3, 3), Uib(3, 0)])]),
    Blocks(256, 2, [Uib(5, 5, 6), Uib(5, 5), *[Uib(3, 5)] * 2, Uib(0, 0, 2), Uib(3, 5, 2),
                    Uib(0, 0, 2), Uib(0, 0),
                    *between(Mqa(4, 64), [Uib(3, 0), Uib(5, 5), Uib(5, 0), Uib(5, 0)])]),
    CONV_MEDIUM[4],
)

HYBRID_LARGE = (
    *CONV_LARGE[:2],
    Blocks(192, 2, [Uib(3, 5), *[Uib(3, 3)] * 3, Uib(3, 5), *[Uib(5, 3)] * 2,
                    *between(Mqa(8, 48, 2), [Uib(5, 3), Uib(5, 3), Uib(5, 3), Uib(3, 0)])]),
    Blocks(512, 2, [*[Uib(5, 5)] * 4, Uib(5, 0), Uib(5, 3), *[Uib(5, 0)] * 2, Uib(5, 3), Uib(5, 5),
                    *between(Mqa(8, 64), [Uib(5, 0)] * 4)]),
    CONV_LARGE[4],
)


# --- the model ------------------------------------------------------------------------------------


class MobileNetV4(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    architecture:   stages, before scaling;  width: multiplier of their channels
    stem:           channels of the first convolution, never scaled
    head:           length of the vector that the last convolution makes of the pooled one
    act_layer:      the activation everywhere
    layer_scale:    first value of the factors on residual branches; 0: there are none
    aa:             "", "avg" or "blur": what halves the map in place of strides, behind the stem
    drop_path_rate: grows linearly from 0 at the first block to nearly this at the last
    output_stride:  32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "classifier"
    supports_output_stride = True

    def __init__(
        self,
        *,
        architecture: Sequence[Blocks] = CONV_MEDIUM,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        stem: int = 32,
        head: int = 1280,
        width: float = 1.0,
        act_layer: str = "relu",
        layer_scale: float = 0.0,
        aa: str = "",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: "
                             "EfficientNets and MobileNets offer 8, 16 and 32.")
        if aa not in ("", "avg", "blur"):
            raise ValueError(f'aa is {aa!r}: use "avg", "blur" or "" (strides).')
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self._act_layer, self._layer_scale, self._aa = act_layer, layer_scale, aa
        self.conv_stem = create_conv2d(in_chans, stem, 3, stride=2)
        self.bn1 = BatchNormAct2d(stem, act_layer=act_layer)

        chans, stages, groups = stem, [Stage("stem", "bn1", stem, 2)], []
        stride_so_far, dilation, count = 2, 1, 0
        total = sum(len(group.rows) for group in architecture)
        for i, group in enumerate(architecture):
            blocks = []
            for j, row in enumerate(group.rows):
                stride, own_dilation = (group.stride if j == 0 else 1), dilation
                if stride_so_far * stride > output_stride:
                    # the block that would have halved still sees neighbours; those behind it look
                    # further
                    dilation, stride = dilation * stride, 1
                stride_so_far *= stride
                out = make_divisible((getattr(row, "channels", 0) or group.channels) * width)
                blocks.append(self._block(row, chans, out, stride=stride, dilation=own_dilation,
                                          drop_path=drop_path_rate * count / total))
                chans, count = out, count + 1
            groups.append(nn.Sequential(*blocks))
            # the last map of its size
            if i + 1 == len(architecture) or architecture[i + 1].stride > 1:
                stages.append(Stage(f"blocks.{i}", f"blocks.{i}", chans, stride_so_far))
        self.blocks = nn.Sequential(*groups)
        self.stages = tuple(stages)

        self.num_features, self._hidden = chans, head
        self.global_pool = self._create_pool(num_classes, global_pool)
        self.conv_head = nn.Conv2d(chans * self.global_pool.feat_mult(), head, 1, bias=False)
        self.norm_head = BatchNormAct2d(head, act_layer=act_layer)
        self.classifier = nn.Linear(head, num_classes) if num_classes else nn.Identity()
        self.init_weights()

    def _block(self, row: Uib | Fused | Conv | Mqa, in_chans: int, out_chans: int, *, stride: int,
               dilation: int, drop_path: float) -> nn.Module:
        if isinstance(row, Uib):
            return UniversalInvertedResidual(in_chans, out_chans, **row._asdict(), stride=stride,
                                             dilation=dilation, aa=self._aa,
                                             layer_scale=self._layer_scale,
                                             act_layer=self._act_layer, drop_path=drop_path)
        if isinstance(row, Mqa):
            return MobileAttention(in_chans, num_heads=row.heads, key_dim=row.key_dim,
                                   kv_stride=row.kv_stride, layer_scale=self._layer_scale,
                                   drop_path=drop_path)
        parts = dict(kernel=row.kernel, stride=stride, dilation=dilation, conv=create_conv2d,
                     drop_path=drop_path, norm=partial(BatchNormAct2d, act_layer=self._act_layer),
                     attend=lambda *_: nn.Identity())
        if isinstance(row, Fused):
            return EdgeResidual(in_chans, out_chans, expand=row.expand, **parts,
                                aa=partial(anti_alias, self._aa) if self._aa else None)
        return ConvBlock(in_chans, out_chans, expand=1, **parts)

    @staticmethod
    def _create_pool(num_classes: int, pool_type: str) -> SelectAdaptivePool2d:
        if num_classes and not pool_type:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        return SelectAdaptivePool2d(pool_type)  # [B, C, 1, 1]: a convolution follows

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def init_weights(self) -> None:
        init_by_fan_out(self)
        for module in self.modules():
            if isinstance(module, MultiQueryAttention2d):
                module.init_weights()

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.bn1(self.conv_stem(x))  # these BatchNorms bring their activation
        yield x  # stem [B, stem, H/2, W/2]
        shown = {stage.module for stage in self.stages}
        for i, blocks in enumerate(self.blocks):
            x = blocks(x)
            if f"blocks.{i}" in shown:
                # [B, C1, H/4, W/4], [B, C2, H/8, W/8], [B, C3, H/16, W/16], [B, C4, H/32, W/32]
                yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)                  # [B, C, H, W] -> [B, C, 1, 1]
        x = self.norm_head(self.conv_head(x))    # [B, C, 1, 1] -> [B, head, 1, 1]
        if self.global_pool.pool_type:           # unpooled, the map stays a map
            x = x.flatten(1)
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self._create_pool(num_classes,
                                 self.global_pool.pool_type if global_pool is None else global_pool)
        if pool.feat_mult() != self.global_pool.feat_mult():
            raise ValueError(
                f"global_pool {pool.pool_type!r} gives another number of channels than the last "
                "convolution reads: create the model with it."
            )
        self.global_pool = pool
        place = parameter_place(self)
        self.classifier = (nn.Linear(self._hidden, num_classes, **place) if num_classes
                           else nn.Identity())
        self.num_classes = num_classes


MODEL = MobileNetV4

_LARGE = dict(architecture=CONV_LARGE, stem=24)
_HYBRID_MEDIUM = dict(architecture=HYBRID_MEDIUM, layer_scale=1e-5)
_HYBRID_LARGE = dict(architecture=HYBRID_LARGE, stem=24, layer_scale=1e-5, act_layer="gelu")

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenetv4_conv_small": dict(architecture=CONV_SMALL),
    "mobilenetv4_conv_small_035": dict(architecture=CONV_SMALL, width=0.35),
    "mobilenetv4_conv_small_050": dict(architecture=CONV_SMALL, width=0.5),
    "mobilenetv4_conv_medium": dict(architecture=CONV_MEDIUM),
    "mobilenetv4_conv_aa_medium": dict(architecture=CONV_MEDIUM, aa="avg"),
    "mobilenetv4_conv_blur_medium": dict(architecture=CONV_MEDIUM, aa="blur"),
    "mobilenetv4_conv_large": dict(_LARGE),
    "mobilenetv4_conv_aa_large": dict(_LARGE, aa="avg"),
    "mobilenetv4_hybrid_medium": dict(_HYBRID_MEDIUM),
    "mobilenetv4_hybrid_medium_075": dict(_HYBRID_MEDIUM, width=0.75),
    "mobilenetv4_hybrid_large": dict(_HYBRID_LARGE),
    "mobilenetv4_hybrid_large_075": dict(_HYBRID_LARGE, width=0.75),
}
