"""RepViT: a MobileNet rebuilt with what transformers taught.

A transformer's block first mixes places, then channels, each with its own shortcut. RepViT orders
MobileNetV3's parts like that: a depthwise filter and squeeze-and-excitation mix the places, two
1 x 1 convolutions the channels. The depthwise filter is trained as a sum of three, which
`reparameterize` turns into one, with equal outputs.

Wang et al., "RepViT: Revisiting Mobile CNN From ViT Perspective", 2023,
https://arxiv.org/abs/2307.09283. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.channel_attention import SEModule
from explorer.models.layers.pool import SelectAdaptivePool2d
from explorer.models.layers.reparam import (
    add_filters,
    fold_batch_norm,
    identity_weight,
    make_conv,
    reparameterize_parts,
)


class ConvNorm(nn.Sequential):
    """Convolution and BatchNorm: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride].

    norm_start: what BatchNorm's weights start from; 0 makes a residual branch start as nothing.
                `c`: the historical
    name that checkpoints carry.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int = 1, *, stride: int = 1,
                 groups: int = 1, norm_start: float = 1.0):
        super().__init__()
        self.add_module("c", nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2,
                                       groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(out_chans))
        self.norm_start = norm_start


class RepVggDw(nn.Module):
    """3 x 3 filter, 1 x 1 filter and the input, added, for each channel by itself: [B, C, H, W]
    -> the same shape.

    legacy: the 1 x 1 filter has its own BatchNorm and the sum has none, as in the paper's first
            models.
    """

    def __init__(self, dim: int, *, legacy: bool):
        super().__init__()
        self.dim = dim
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1 = (ConvNorm(dim, dim, groups=dim) if legacy
                      else nn.Conv2d(dim, dim, 1, groups=dim))
        self.bn = nn.Identity() if legacy else nn.BatchNorm2d(dim)
        self.reparam_conv = None  # what `reparameterize` puts in the place of the branches

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        return self.bn(self.conv(x) + self.conv1(x) + x)

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Replace the sum by one 3 x 3 convolution that gives what it gives in evaluation; in
        place.

        The algebra is in `layers/reparam.py`. A second call does nothing.
        """
        if self.reparam_conv is not None:
            return
        large = fold_batch_norm(self.conv.c.weight, self.conv.bn)
        if isinstance(self.conv1, ConvNorm):
            small = fold_batch_norm(self.conv1.c.weight, self.conv1.bn)
        else:
            small = (self.conv1.weight, self.conv1.bias)
        copy = identity_weight(self.dim, self.dim, device=large[0].device, dtype=large[0].dtype)
        weight, bias = add_filters((large, small, (copy, torch.zeros_like(large[1]))), 3)
        if isinstance(self.bn, nn.BatchNorm2d):
            weight, bias = fold_batch_norm(weight, self.bn, bias)
        self.reparam_conv = make_conv((weight, bias), like=self.conv, groups=self.dim)
        del self.conv, self.conv1, self.bn


class RepVitMlp(nn.Module):
    """Widen, bend, narrow, at each place of the map: [B, C, H, W] -> the same shape."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(dim, 2 * dim)
        self.act = nn.GELU()
        self.conv2 = ConvNorm(2 * dim, dim, norm_start=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.act(self.conv1(x)))


class RepViTBlock(nn.Module):
    """Mix places, weigh channels where `use_se`, mix channels: [B, C, H, W] -> the same shape."""

    def __init__(self, dim: int, *, use_se: bool, legacy: bool):
        super().__init__()
        self.token_mixer = RepVggDw(dim, legacy=legacy)
        self.se = SEModule(dim, rd_ratio=0.25) if use_se else nn.Identity()
        self.channel_mixer = RepVitMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))  # its shortcut is inside the sum
        return x + self.channel_mixer(x)


class RepVitDownsample(nn.Module):
    """Halve the map and change its channels, in two steps with blocks around: [B, in, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, in_chans: int, out_chans: int, *, legacy: bool):
        super().__init__()
        self.pre_block = RepViTBlock(in_chans, use_se=False, legacy=legacy)
        self.spatial_downsample = ConvNorm(in_chans, in_chans, 3, stride=2, groups=in_chans)
        self.channel_downsample = ConvNorm(in_chans, out_chans)
        self.ffn = RepVitMlp(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spatial_downsample(self.pre_block(x))
        x = self.channel_downsample(x)
        return x + self.ffn(x)


class RepVitStage(nn.Module):
    """Halve the map in all stages but the first, then blocks, every second one with
    squeeze-and-excitation.
    """

    def __init__(self, in_chans: int, out_chans: int, *, depth: int, downsample: bool,
                 legacy: bool):
        super().__init__()
        self.downsample = (RepVitDownsample(in_chans, out_chans, legacy=legacy) if downsample
                           else nn.Identity())
        self.blocks = nn.Sequential(*(RepViTBlock(out_chans, use_se=i % 2 == 0, legacy=legacy)
                                      for i in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class NormLinear(nn.Module):
    """BatchNorm and a linear layer: [B, C] -> [B, num_classes]."""

    def __init__(self, in_features: int, num_classes: int, *, device=None, dtype=None):
        super().__init__()
        self.bn = nn.BatchNorm1d(in_features, device=device, dtype=dtype)
        self.l = nn.Linear(in_features, num_classes, device=device, dtype=dtype)
        nn.init.trunc_normal_(self.l.weight, std=0.02)
        nn.init.zeros_(self.l.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.l(self.bn(x))


class RepVitClassifier(nn.Module):
    """One classifier, or the mean of two: one learnt from labels, one from a teacher. [B, C]
    -> [B, num_classes].
    """

    def __init__(self, dim: int, num_classes: int, *, distilled: bool, drop_rate: float,
                 device=None, dtype=None):
        super().__init__()
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self.head_dist = nn.Identity()
        if num_classes:
            self.head = NormLinear(dim, num_classes, device=device, dtype=dtype)
        if num_classes and distilled:
            self.head_dist = NormLinear(dim, num_classes, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head_drop(x)
        if isinstance(self.head_dist, NormLinear):
            return (self.head(x) + self.head_dist(x)) / 2
        return self.head(x)


class RepVit(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths, dims: blocks and channels of the four stages;  legacy: see `RepVggDw`
    distilled:    two classifiers, as the published weights have them. Replacing them leaves one: a
                  new task has no teacher
    """

    classifier_path = "head"
    feature_names = "stages_"
    sheds_its_head = False  # the teacher's half stays away (see `distilled`)

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (2, 2, 14, 2),
        dims: tuple[int, int, int, int] = (48, 96, 192, 384),
        legacy: bool = False,
        distilled: bool = True,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("RepViT was made without stochastic depth: leave drop_path_rate at 0.")
        self.in_chans, self.distilled, self.drop_rate = in_chans, distilled, drop_rate
        self.stem = nn.Sequential()
        self.stem.add_module("conv1", ConvNorm(in_chans, dims[0] // 2, 3, stride=2))
        self.stem.add_module("act1", nn.GELU())
        self.stem.add_module("conv2", ConvNorm(dims[0] // 2, dims[0], 3, stride=2))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*(
            RepVitStage(dims[max(i - 1, 0)], dim, depth=depth, downsample=i > 0, legacy=legacy)
            for i, (depth, dim) in enumerate(zip(depths, dims))
        ))
        self.stage_table = tuple(Stage(f"stages.{i}", f"stages.{i}", dim, 4 * 2**i)
                                 for i, dim in enumerate(dims))
        self.num_features = dims[-1]
        self._set_head(num_classes, global_pool)
        self.init_weights()

    def _set_head(self, num_classes: int, global_pool: str) -> None:
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        if num_classes and not global_pool:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        # unpooled, the map stays a map
        pool = SelectAdaptivePool2d(global_pool, flatten=bool(global_pool))
        if pool.feat_mult() != 1:
            raise ValueError(f'global_pool {global_pool!r} widens the vector, '
                             'and the norm behind it has one width: use "avg", "max" or "avgmax".')
        self.global_pool, self.num_classes = pool, num_classes
        self.head = RepVitClassifier(self.num_features, num_classes, distilled=self.distilled,
                                     drop_rate=self.drop_rate, **parameter_place(self))

    def init_weights(self) -> None:
        """Residual branches start as nothing: the norm at their end is zero.

        The rest is as PyTorch starts it.
        """
        for module in self.modules():
            if isinstance(module, ConvNorm):
                nn.init.constant_(module.bn.weight, module.norm_start)

    def reparameterize(self) -> None:
        """Make every sum of filters one convolution, in place, for predicting only.

        Outputs in evaluation stay the same.
        """
        reparameterize_parts(self)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Leave out the norms of classifiers that this model does not have; `create_model` leaves
        out only the rest.
        """
        missing = [f"head.{name}.bn." for name in ("head", "head_dist")
                   if not isinstance(getattr(self.head, name), NormLinear)]
        return {key: value for key, value in state.items()
                if not key.startswith(tuple(missing) or ("-",))}

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, C, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, C, H/4, W/4] ... stages.3 [B, 8 * C, H/32, W/32]
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)  # [B, C, H, W] -> [B, C]
        return x if pre_logits else self.head(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier on; where there was one, its teacher's half goes (see
        `distilled`).
        """
        awake = self.head.training
        if self.num_classes:
            self.distilled = False
        self._set_head(num_classes, self.global_pool.pool_type if global_pool is None
                       else global_pool)
        self.head.train(awake)


MODEL = RepVit

VARIANTS: dict[str, dict[str, Any]] = {
    "repvit_m1": dict(depths=(2, 2, 14, 2), dims=(48, 96, 192, 384), legacy=True),
    "repvit_m2": dict(depths=(2, 2, 12, 2), dims=(64, 128, 256, 512), legacy=True),
    "repvit_m3": dict(depths=(4, 4, 18, 2), dims=(64, 128, 256, 512), legacy=True),
    "repvit_m0_9": dict(depths=(2, 2, 14, 2), dims=(48, 96, 192, 384)),
    "repvit_m1_0": dict(depths=(2, 2, 14, 2), dims=(56, 112, 224, 448)),
    "repvit_m1_1": dict(depths=(2, 2, 12, 2), dims=(64, 128, 256, 512)),
    "repvit_m1_5": dict(depths=(4, 4, 24, 4), dims=(64, 128, 256, 512)),
    "repvit_m2_3": dict(depths=(6, 6, 34, 2), dims=(80, 160, 320, 640)),
}
