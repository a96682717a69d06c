"""GhostNet: half of a map is a cheap copy of the other half.

Look at the maps inside a trained network, and many are near twins: shifted, blurred or sharpened
versions of one another. So each layer computes only half of its channels in full, and makes the
other half, their ghosts, by one small filter for each. Version 2 adds a gate that sees whole rows
and columns; version 3 trains every convolution as a sum of several, which `reparameterize` turns
into one, with equal outputs.

Han et al., "GhostNet: More Features from Cheap Operations", 2019, https://arxiv.org/abs/1911.11907;
Tang et al., "GhostNetV2", 2022, https://arxiv.org/abs/2211.12905; Liu et al., "GhostNetV3", 2024,
https://arxiv.org/abs/2404.11202. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.mobile_blocks import SqueezeExcite
from explorer.models.layers.pool import SelectAdaptivePool2d
from explorer.models.layers.reparam import (
    add_filters,
    fold_batch_norm,
    fold_identity,
    make_conv,
    reparameterize_parts,
)

BRANCHES = 3  # convolutions that version 3 trains side by side in the place of one


def conv(in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
         groups: int = 1) -> nn.Conv2d:
    """A convolution without bias (a norm layer follows) that keeps the map's size at stride 1."""
    return nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2, groups=groups, bias=False)


class ConvNorm(nn.Module):
    """Convolution and BatchNorm, with ReLU where asked for: [B, in_chans, H, W]
    -> [B, out_chans, H/s, W/s].
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 groups: int = 1, apply_act: bool = False):
        super().__init__()
        self.conv = conv(in_chans, out_chans, kernel, stride=stride, groups=groups)
        self.bn1 = BatchNormAct2d(out_chans, apply_act=apply_act)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn1(self.conv(x))


# --- ghosts ---------------------------------------------------------------------------------------
#
# All: [B, in_chans, H, W] -> [B, out_chans, H, W], half of it computed, half of it made of that
# half.


class GhostModule(nn.Module):
    """1 x 1 convolution to half of the channels; one 3 x 3 filter for each of them makes the other
    half.
    """

    def __init__(self, in_chans: int, out_chans: int, *, act: bool):
        super().__init__()
        half = out_chans // 2
        activation = partial(nn.ReLU, inplace=True) if act else nn.Identity
        self.primary_conv = nn.Sequential(conv(in_chans, half, 1), nn.BatchNorm2d(half),
                                          activation())
        self.cheap_operation = nn.Sequential(conv(half, half, 3, groups=half), nn.BatchNorm2d(half),
                                             activation())

    def forward(self, x: Tensor) -> Tensor:
        own = self.primary_conv(x)
        return torch.cat((own, self.cheap_operation(own)), dim=1)


def create_gate(in_chans: int, out_chans: int) -> nn.Sequential:
    """Version 2's attention: along rows, then along columns, so that five and five weights see 25
    places.
    """
    return nn.Sequential(
        conv(in_chans, out_chans, 1), nn.BatchNorm2d(out_chans),
        nn.Conv2d(out_chans, out_chans, (1, 5), padding=(0, 2), groups=out_chans, bias=False),
        nn.BatchNorm2d(out_chans),
        nn.Conv2d(out_chans, out_chans, (5, 1), padding=(2, 0), groups=out_chans, bias=False),
        nn.BatchNorm2d(out_chans),
    )


def apply_gate(gate: nn.Module, x: Tensor, ghosts: Tensor) -> Tensor:
    """Weigh `ghosts` [B, out, H, W] by what `gate` makes of `x` [B, in, H, W].

    The gate works at half the size, for a quarter of the cost.
    """
    weights = torch.sigmoid(gate(F.avg_pool2d(x, 2, 2)))  # [B, out, H/2, W/2]
    return ghosts * F.interpolate(weights, size=ghosts.shape[-2:], mode="nearest")


class GhostModuleV2(GhostModule):
    """A ghost module whose result is weighed by a gate that sees far."""

    def __init__(self, in_chans: int, out_chans: int, *, act: bool):
        super().__init__(in_chans, out_chans, act=act)
        self.short_conv = create_gate(in_chans, out_chans)

    def forward(self, x: Tensor) -> Tensor:
        return apply_gate(self.short_conv, x, super().forward(x))


def add_branches(x: Tensor, branches: Iterable[nn.Module]) -> Tensor:
    return sum(branch(x) for branch in branches)


def merge_branches(convs: nn.ModuleList, *others: nn.Module) -> nn.Conv2d:
    """One convolution for the sum of `convs` and of `others`: smaller convolutions, or BatchNorm on
    the input.

    The algebra is in `layers/reparam.py`.
    """
    first = convs[0].conv
    folded = []
    for branch in (*convs, *others):
        if isinstance(branch, nn.BatchNorm2d):
            folded.append(fold_identity(branch, first.groups))
        else:
            folded.append(fold_batch_norm(branch.conv.weight, branch.bn1))
    filters = add_filters(folded, first.kernel_size[0])
    return make_conv(filters, like=convs, stride=first.stride[0], groups=first.groups)


class GhostModuleV3(nn.Module):
    """A ghost module that trains each convolution as a sum: three alike, and for the ghosts two
    simpler ones.

    gated: with version 2's gate.
    """

    def __init__(self, in_chans: int, out_chans: int, *, act: bool, gated: bool):
        super().__init__()
        half = out_chans // 2
        # what `reparameterize` puts in the place of the branches
        self.primary_conv = self.cheap_operation = None
        self.primary_rpr_conv = nn.ModuleList(ConvNorm(in_chans, half, 1) for _ in range(BRANCHES))
        self.primary_activation = nn.ReLU(inplace=True) if act else nn.Identity()
        self.cheap_rpr_skip = nn.BatchNorm2d(half)
        self.cheap_rpr_conv = nn.ModuleList(ConvNorm(half, half, 3, groups=half)
                                            for _ in range(BRANCHES))
        self.cheap_rpr_scale = ConvNorm(half, half, 1, groups=half)
        self.cheap_activation = nn.ReLU(inplace=True) if act else nn.Identity()
        self.short_conv = create_gate(in_chans, out_chans) if gated else None

    def forward(self, x: Tensor) -> Tensor:
        if self.primary_conv is None:
            own = self.primary_activation(add_branches(x, self.primary_rpr_conv))
            ghosts = add_branches(own,
                                  (self.cheap_rpr_scale, self.cheap_rpr_skip, *self.cheap_rpr_conv))
        else:
            own = self.primary_activation(self.primary_conv(x))
            ghosts = self.cheap_operation(own)
        both = torch.cat((own, self.cheap_activation(ghosts)), dim=1)
        return both if self.short_conv is None else apply_gate(self.short_conv, x, both)

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Replace the branches by two convolutions that give what they give in evaluation; in
        place.

        A second call does nothing.
        """
        if self.primary_conv is not None:
            return
        self.primary_conv = merge_branches(self.primary_rpr_conv)
        self.cheap_operation = merge_branches(self.cheap_rpr_conv, self.cheap_rpr_scale,
                                              self.cheap_rpr_skip)
        del self.primary_rpr_conv, self.cheap_rpr_conv, self.cheap_rpr_scale, self.cheap_rpr_skip


# --- blocks ---------------------------------------------------------------------------------------
#
# Both: widen by ghosts, shrink the map where stride is 2, weigh the channels, narrow by ghosts; add
# to the input. [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]


def create_shortcut(in_chans: int, out_chans: int, kernel: int, stride: int) -> nn.Sequential:
    """Nothing where the shape stays; else a filter for each channel, and a 1 x 1 convolution."""
    if in_chans == out_chans and stride == 1:
        return nn.Sequential()
    return nn.Sequential(
        conv(in_chans, in_chans, kernel, stride=stride, groups=in_chans), nn.BatchNorm2d(in_chans),
        conv(in_chans, out_chans, 1), nn.BatchNorm2d(out_chans),
    )


def create_se(channels: int, ratio: float) -> nn.Module | None:
    """Squeeze-and-excitation whose small layer has a `ratio` of the channels, in fours; None for
    ratio 0.
    """
    if not ratio:
        return None
    return SqueezeExcite(channels, make_divisible(channels * ratio, 4), act_layer="relu",
                         gate_layer="hard_sigmoid")


class GhostBottleneck(nn.Module):
    """The block of versions 1 and 2; gated: version 2's gate on the widened map."""

    def __init__(self, in_chans: int, middle: int, out_chans: int, *, kernel: int, stride: int,
                 se: float, gated: bool):
        super().__init__()
        self.ghost1 = (GhostModuleV2 if gated else GhostModule)(in_chans, middle, act=True)
        self.conv_dw = self.bn_dw = None
        if stride > 1:
            self.conv_dw = conv(middle, middle, kernel, stride=stride, groups=middle)
            self.bn_dw = nn.BatchNorm2d(middle)
        self.se = create_se(middle, se)
        self.ghost2 = GhostModule(middle, out_chans, act=False)
        self.shortcut = create_shortcut(in_chans, out_chans, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.ghost1(x)
        if self.conv_dw is not None:
            x = self.bn_dw(self.conv_dw(x))
        if self.se is not None:
            x = self.se(x)
        return self.ghost2(x) + shortcut


class GhostBottleneckV3(nn.Module):
    """The block of version 3: the filter that shrinks the map is trained as a sum, too."""

    def __init__(self, in_chans: int, middle: int, out_chans: int, *, kernel: int, stride: int,
                 se: float, gated: bool):
        super().__init__()
        self.ghost1 = GhostModuleV3(in_chans, middle, act=True, gated=gated)
        self.conv_dw = None  # what `reparameterize` puts in the place of the branches
        self.dw_rpr_conv = self.dw_rpr_scale = None
        if stride > 1:
            self.dw_rpr_conv = nn.ModuleList(
                ConvNorm(middle, middle, kernel, stride=stride, groups=middle)
                for _ in range(BRANCHES)
            )
            self.dw_rpr_scale = ConvNorm(middle, middle, 1, stride=stride, groups=middle)
        self.se = create_se(middle, se)
        self.ghost2 = GhostModuleV3(middle, out_chans, act=False, gated=False)
        self.shortcut = create_shortcut(in_chans, out_chans, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.ghost1(x)
        if self.conv_dw is not None:
            x = self.conv_dw(x)
        elif self.dw_rpr_conv is not None:
            x = add_branches(x, (self.dw_rpr_scale, *self.dw_rpr_conv))
        if self.se is not None:
            x = self.se(x)
        return self.ghost2(x) + shortcut

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Replace the branches by one convolution with their outputs, in this block and in its
        ghosts; in place.

        A second call does nothing.
        """
        if self.dw_rpr_conv is not None:
            self.conv_dw = merge_branches(self.dw_rpr_conv, self.dw_rpr_scale)
            self.dw_rpr_conv = self.dw_rpr_scale = None
        self.ghost1.reparameterize()
        self.ghost2.reparameterize()


# --- the model ------------------------------------------------------------------------------------


class Row(NamedTuple):
    """kernel: of the shrinking filter;  middle, out: channels;  se: squeeze-and-excitation's share,
    0 for none.
    """

    kernel: int
    middle: int
    out: int
    se: float
    stride: int


STAGES: tuple[tuple[Row, ...], ...] = (  # table 1 of the paper
    (Row(3, 16, 16, 0, 1),),
    (Row(3, 48, 24, 0, 2),),
    (Row(3, 72, 24, 0, 1),),
    (Row(5, 72, 40, 0.25, 2),),
    (Row(5, 120, 40, 0.25, 1),),
    (Row(3, 240, 80, 0, 2),),
    (Row(3, 200, 80, 0, 1), Row(3, 184, 80, 0, 1), Row(3, 184, 80, 0, 1), Row(3, 480, 112, 0.25, 1),
     Row(3, 672, 112, 0.25, 1)),
    (Row(5, 672, 160, 0.25, 2),),
    (Row(5, 960, 160, 0, 1), Row(5, 960, 160, 0.25, 1), Row(5, 960, 160, 0, 1),
     Row(5, 960, 160, 0.25, 1)),
)
LAST, HIDDEN = 960, 1280  # channels of the last map, before scaling, and of the vector made of it


class GhostNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    width:   multiplier of all channels but the last vector's
    version: 1; 2, with gates from the third stage on; 3, with branches as well
    """

    classifier_path = "classifier"
    feature_names = "_"

    def __init__(
        self,
        *,
        width: float = 1.0,
        version: int = 1,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if version not in (1, 2, 3):
            raise ValueError(f"version is {version!r}: there are GhostNet 1, 2 and 3.")
        if drop_path_rate:
            raise ValueError("GhostNet was made without stochastic depth: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        block = GhostBottleneckV3 if version == 3 else GhostBottleneck

        chans = make_divisible(16 * width, 4)
        self.conv_stem = conv(in_chans, chans, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(chans)
        self.act1 = nn.ReLU(inplace=True)
        table, stages, reduction = [Stage("stem", "conv_stem", chans, 2)], [], 2
        for i, rows in enumerate(STAGES):
            blocks = []
            for row in rows:
                middle = make_divisible(row.middle * width, 4)
                out = make_divisible(row.out * width, 4)
                blocks.append(block(chans, middle, out, kernel=row.kernel, stride=row.stride,
                                    se=row.se, gated=version > 1 and i > 1))
                chans = out
            stages.append(nn.Sequential(*blocks))
            if rows[0].stride == 2:
                reduction *= 2
                table.append(Stage(f"blocks.{i}", f"blocks.{i}", chans, reduction))
        self.num_features = make_divisible(LAST * width, 4)
        stages.append(nn.Sequential(ConvNorm(chans, self.num_features, 1, apply_act=True)))
        self.blocks = nn.Sequential(*stages)
        self.stages = tuple(table)

        self.global_pool = self._create_pool(num_classes, global_pool)
        # behind the pooling, where it costs next to nothing
        self.conv_head = nn.Conv2d(self.num_features, HIDDEN, 1)
        self.act2 = nn.ReLU(inplace=True)
        self.classifier = nn.Linear(HIDDEN, num_classes) if num_classes else nn.Identity()

    @staticmethod
    def _create_pool(num_classes: int, pool_type: str) -> SelectAdaptivePool2d:
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        if num_classes and not pool_type:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        pool = SelectAdaptivePool2d(pool_type)  # [B, C, 1, 1]: a convolution follows
        if pool.feat_mult() != 1:
            raise ValueError(f'global_pool {pool_type!r} widens the map, '
                             'and a convolution behind it has one width: use "avg", '
                             '"max" or "avgmax".')
        return pool

    @property
    def head_hidden_size(self) -> int:
        return HIDDEN

    def init_weights(self) -> None:
        """PyTorch's own initialisation of each layer, anew."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
                module.reset_parameters()

    def reparameterize(self) -> None:
        """Make every sum of branches one convolution (version 3; others have none), in place; for
        predicting only.

        Outputs in evaluation stay the same.
        """
        reparameterize_parts(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.conv_stem(x)
        yield x  # stem [B, 16, H/2, W/2]
        x = self.act1(self.bn1(x))
        shown = {stage.module for stage in self.stages}
        for i, blocks in enumerate(self.blocks):
            x = blocks(x)
            if f"blocks.{i}" in shown:
                yield x  # blocks.1 [B, 24, H/4, W/4] ... blocks.7 [B, 160, H/32, W/32]
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)               # [B, C, H, W] -> [B, C, 1, 1]
        x = self.act2(self.conv_head(x))      # [B, C, 1, 1] -> [B, 1280, 1, 1]
        if self.global_pool.pool_type:        # unpooled, the map stays a map
            x = x.flatten(1)
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool = self._create_pool(num_classes, pool)
        place = parameter_place(self)
        self.classifier = nn.Linear(HIDDEN, num_classes, **place) if num_classes else nn.Identity()
        self.num_classes = num_classes


MODEL = GhostNet

VARIANTS: dict[str, dict[str, Any]] = {
    "ghostnet_050": dict(width=0.5),
    "ghostnet_100": dict(width=1.0),
    "ghostnet_130": dict(width=1.3),
    "ghostnetv2_100": dict(width=1.0, version=2),
    "ghostnetv2_130": dict(width=1.3, version=2),
    "ghostnetv2_160": dict(width=1.6, version=2),
    "ghostnetv3_050": dict(width=0.5, version=3),
    "ghostnetv3_100": dict(width=1.0, version=3),
    "ghostnetv3_130": dict(width=1.3, version=3),
    "ghostnetv3_160": dict(width=1.6, version=3),
}
