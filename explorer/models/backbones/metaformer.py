"""MetaFormer: what if attention doesn't matter?

PoolFormer replaces a transformer's attention by something embarrassingly simple, the mean of a
place's neighbours, and still works: the frame (norm, mix places, norm, mix channels, each beside a
shortcut) does most of it. Later the authors fill the same frame with pooling, with separable
convolutions (ConvFormer), and with convolutions first and attention on the small maps (CAFormer),
with the same activation and the same training for all.

Yu et al., "MetaFormer Is Actually What You Need for Vision", 2021,
https://arxiv.org/abs/2111.11418, and "MetaFormer Baselines for Vision", 2022,
https://arxiv.org/abs/2210.13452. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.norm import LayerNorm2d
from explorer.models.layers.pool import Pooling, SelectAdaptivePool2d
from explorer.models.layers.transformer import Attention, Mlp

POOLS = ("avg", "max", "avgmax", "")
HEAD_CHANNELS = 32  # of each head of attention


# --- parts ----------------------------------------------------------------------------------------


class StarReLU(nn.Module):
    """scale * relu(x)^2 + bias, with two learnt numbers: as good as GELU, and much cheaper."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.relu(x).square() + self.bias


class SquaredReLU(nn.Module):
    """relu(x)^2."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class WholeNorm(nn.GroupNorm):
    """Mean and variance over all channels and places of a map together: [B, C, H, W]
    -> [B, C, H, W].
    """

    def __init__(self, num_channels: int, eps: float = 1e-5, *, bias: bool = True):
        super().__init__(1, num_channels, eps=eps)
        if not bias:
            self.bias = None


class Scale(nn.Module):
    """A learnt factor for each channel of a map [B, C, H, W], or of tokens [B, N, C] with `tokens`.
    """

    def __init__(self, dim: int, init_value: float, *, tokens: bool = False):
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), float(init_value)))
        self.shape = (-1,) if tokens else (-1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(self.shape)


class MapMlp(nn.Module):
    """`Mlp` for each place of a map: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, dim: int, hidden: int, *, act_layer: type[nn.Module], bias: bool,
                 drop: float):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1, bias=bias)
        self.act = act_layer()
        self.drop1 = nn.Dropout(drop)
        self.fc2 = nn.Conv2d(hidden, dim, 1, bias=bias)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(x)))))


# --- three ways to mix places ---------------------------------------------------------------------


class SepConv(nn.Module):
    """MobileNetV2's inverted bottleneck: widen, look around in each channel, narrow; [B, C, H, W]
    -> the same.
    """

    def __init__(self, dim: int, proj_drop: float = 0.0):
        super().__init__()
        self.pwconv1 = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.act1 = StarReLU()
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 7, padding=3, groups=2 * dim, bias=False)
        self.pwconv2 = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pwconv2(self.dwconv(self.act1(self.pwconv1(x))))


class TokenAttention(Attention):
    """Self-attention without any bias, in heads of 32 channels: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, proj_drop: float = 0.0):
        super().__init__(dim, dim // HEAD_CHANNELS, proj_bias=False, proj_drop=proj_drop)


class MetaFormerBlock(nn.Module):
    """Norm, mix places; norm, mix channels; each beside a shortcut.

    [B, C, H, W] -> the same; with attention, tokens [B, N, C] -> the same.

    layer_scale: start of the learnt factors on the branches;  res_scale: on the shortcuts;  None:
                 no factors
    """

    def __init__(self, dim: int, mixer: type[nn.Module], *, group_norm: bool, first: bool,
                 layer_scale: float | None, res_scale: float | None, drop: float, drop_path: float):
        """first: the block of the first paper, with GELU and biases."""
        super().__init__()
        tokens = issubclass(mixer, Attention)

        def norm() -> nn.Module:
            if group_norm:
                return WholeNorm(dim, eps=1e-5 if first else 1e-6, bias=first)
            return (nn.LayerNorm(dim, eps=1e-6, bias=False) if tokens
                    else LayerNorm2d(dim, bias=False))

        def scale(value: float | None) -> nn.Module:
            return nn.Identity() if value is None else Scale(dim, value, tokens=tokens)

        mlp = Mlp if tokens else MapMlp
        self.norm1 = norm()
        self.token_mixer = mixer(dim, proj_drop=drop)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.layer_scale1 = scale(layer_scale)
        self.res_scale1 = scale(res_scale)
        self.norm2 = norm()
        self.mlp = mlp(dim, 4 * dim, act_layer=nn.GELU if first else StarReLU, bias=first,
                       drop=drop)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()
        self.layer_scale2 = scale(layer_scale)
        self.res_scale2 = scale(res_scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.res_scale1(x) + self.layer_scale1(self.drop_path1(self.token_mixer(self.norm1(x))))
        return self.res_scale2(x) + self.layer_scale2(self.drop_path2(self.mlp(self.norm2(x))))


class Stem(nn.Module):
    """The first convolution, a norm behind it: [B, in_chans, H, W] -> [B, C, H/4, W/4]."""

    def __init__(self, in_chans: int, dim: int, *, norm: bool):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, dim, 7, stride=4, padding=2)
        self.norm = LayerNorm2d(dim, bias=False) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Downsampling(nn.Module):
    """A norm and a strided convolution: [B, C, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, dim: int, out: int, *, norm: bool):
        super().__init__()
        self.norm = LayerNorm2d(dim, bias=False) if norm else nn.Identity()
        self.conv = nn.Conv2d(dim, out, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


class MetaFormerStage(nn.Module):
    """A smaller map, then blocks of one kind: [B, C, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, downsample: nn.Module, blocks: Sequence[MetaFormerBlock], *, tokens: bool):
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)
        self.tokens = tokens

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        if not self.tokens:
            return self.blocks(x)
        size = x.shape[-2:]
        x = self.blocks(x.flatten(2).transpose(1, 2))  # [B, C, H, W] -> [B, N, C]
        return x.transpose(1, 2).unflatten(2, size)


class MlpHead(nn.Module):
    """A classifier with one hidden layer: [B, C] -> [B, num_classes]."""

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = SquaredReLU()
        self.norm = nn.LayerNorm(4 * dim, eps=1e-6)
        self.fc2 = nn.Linear(4 * dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.norm(self.act(self.fc1(x))))


class Head(nn.Module):
    """Pool, norm, drop, classify: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, dim: int, num_classes: int, pool_type: str, *, mlp: bool, drop_rate: float):
        super().__init__()
        if pool_type not in POOLS:
            raise ValueError(f"Unknown pooling {pool_type!r}. "
                             f"Use one of {', '.join(map(repr, POOLS))}.")
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        if num_classes and not pool_type:
            raise ValueError('A classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        self.global_pool = SelectAdaptivePool2d(pool_type)
        self.norm = LayerNorm2d(dim)
        self.drop = nn.Dropout(drop_rate)
        if not num_classes:
            self.fc: nn.Module = nn.Identity()
        else:
            self.fc = MlpHead(dim, num_classes) if mlp else nn.Linear(dim, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.norm(self.global_pool(x))
        if self.global_pool.pool_type:
            x = x.flatten(1)  # [B, C, 1, 1] -> [B, C]
        x = self.drop(x)
        return x if pre_logits else self.fc(x)


# --- the model ------------------------------------------------------------------------------------


class MetaFormer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths, dims:  blocks, and channels, in each of the four stages
    mixers:        how each stage mixes places: Pooling, SepConv or TokenAttention
    group_norm:    norms over the whole map in the blocks (PoolFormer), not over the channels of
                   each place
    first:         as in the first paper: GELU, biases, and no norm where the map shrinks
    layer_scale:   start of learnt factors on the branches; None: none
    res_scales:    for each stage, the start of learnt factors on the shortcuts; None: none
    mlp_head:      whether the classifier has a hidden layer
    drop_rate, proj_drop_rate, drop_path_rate: dropout in front of the classifier, in the branches,
        of whole branches
    """

    classifier_path = "head.fc"  # with a hidden layer, that too
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: Sequence[int] = (2, 2, 6, 2),
        dims: Sequence[int] = (64, 128, 320, 512),
        mixers: Sequence[type[nn.Module]] = (Pooling,) * 4,
        group_norm: bool = False,
        first: bool = False,
        layer_scale: float | None = None,
        res_scales: Sequence[float | None] = (None, None, 1.0, 1.0),
        mlp_head: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.drop_rate, self.mlp_head = drop_rate, mlp_head
        self.num_features = dims[-1]
        self.stem = Stem(in_chans, dims[0], norm=not first)
        rates = drop_path_rates(drop_path_rate, tuple(depths))
        stages = []
        for i, (depth, dim, mixer) in enumerate(zip(depths, dims, mixers, strict=True)):
            downsample = Downsampling(dims[i - 1], dim, norm=not first) if i else nn.Identity()
            blocks = [
                MetaFormerBlock(dim, mixer, group_norm=group_norm, first=first,
                                layer_scale=layer_scale, res_scale=res_scales[i],
                                drop=proj_drop_rate, drop_path=rates[i][j])
                for j in range(depth)
            ]
            stages.append(MetaFormerStage(downsample, blocks, tokens=issubclass(mixer, Attention)))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = tuple(Stage(f"stages.{i}", f"stages.{i}", dim, 4 * 2**i)
                                 for i, dim in enumerate(dims))
        self.head = Head(dims[-1], num_classes, global_pool, mlp=mlp_head, drop_rate=drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        for module in self.modules():
            init_layer(module)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, 64, H/4, W/4] ... stages.3 [B, 512, H/32, W/32]
        return x

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier, its hidden layer too where it has one; the norm in front of it stays.
        """
        norm, pool = self.head.norm, global_pool
        if pool is None:
            pool = self.head.global_pool.pool_type
        head = Head(self.num_features, num_classes, pool, mlp=self.mlp_head,
                    drop_rate=self.drop_rate)
        self.head = head.to(**parameter_place(self)).train(self.training)
        self.head.norm = norm
        self.num_classes = num_classes
        for module in self.head.fc.modules():
            init_layer(module)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Leaves the hidden layer of a trained classifier out where the classifier itself is."""
        if isinstance(self.head.fc, nn.Identity):
            state = {key: value for key, value in state.items() if not key.startswith("head.fc.")}
        return state


def init_layer(module: nn.Module) -> None:
    """Truncated normal weights of standard deviation 0.02, biases 0."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


MODEL = MetaFormer


# --- variants -------------------------------------------------------------------------------------

_S12 = dict(depths=(2, 2, 6, 2), dims=(64, 128, 320, 512))
_S24 = dict(depths=(4, 4, 12, 4), dims=(64, 128, 320, 512))
_S36 = dict(depths=(6, 6, 18, 6), dims=(64, 128, 320, 512))
_M36 = dict(depths=(6, 6, 18, 6), dims=(96, 192, 384, 768))
_M48 = dict(depths=(8, 8, 24, 8), dims=(96, 192, 384, 768))
_ONE = dict(group_norm=True, first=True, res_scales=(None,) * 4)
_TWO = dict(group_norm=True)

_18 = dict(depths=(3, 3, 9, 3), dims=(64, 128, 320, 512), mlp_head=True)
_36 = dict(depths=(3, 12, 18, 3), dims=(64, 128, 320, 512), mlp_head=True)
_36M = dict(depths=(3, 12, 18, 3), dims=(96, 192, 384, 576), mlp_head=True)
_36B = dict(depths=(3, 12, 18, 3), dims=(128, 256, 512, 768), mlp_head=True)
_CONV = dict(mixers=(SepConv,) * 4)
_CONV_ATTENTION = dict(mixers=(SepConv, SepConv, TokenAttention, TokenAttention))

VARIANTS: dict[str, dict[str, Any]] = {
    "poolformer_s12": dict(_S12, **_ONE, layer_scale=1e-5),
    "poolformer_s24": dict(_S24, **_ONE, layer_scale=1e-5),
    "poolformer_s36": dict(_S36, **_ONE, layer_scale=1e-6),
    "poolformer_m36": dict(_M36, **_ONE, layer_scale=1e-6),
    "poolformer_m48": dict(_M48, **_ONE, layer_scale=1e-6),

    "poolformerv2_s12": dict(_S12, **_TWO),
    "poolformerv2_s24": dict(_S24, **_TWO),
    "poolformerv2_s36": dict(_S36, **_TWO),
    "poolformerv2_m36": dict(_M36, **_TWO),
    "poolformerv2_m48": dict(_M48, **_TWO),

    "convformer_s18": dict(_18, **_CONV),
    "convformer_s36": dict(_36, **_CONV),
    "convformer_m36": dict(_36M, **_CONV),
    "convformer_b36": dict(_36B, **_CONV),

    "caformer_s18": dict(_18, **_CONV_ATTENTION),
    "caformer_s36": dict(_36, **_CONV_ATTENTION),
    "caformer_m36": dict(_36M, **_CONV_ATTENTION),
    "caformer_b36": dict(_36B, **_CONV_ATTENTION),
}
