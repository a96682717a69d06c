"""DLA: layers gathered in a tree.

A plain network hands each map only to the next layer. DLA takes its blocks in pairs, and a root
merges what both of a pair have found; pairs of pairs are merged again, and so on, so that shallow
and deep layers meet at every level with few steps between them. That costs little and shows in
tasks where the place of a thing matters.

Yu et al., "Deep Layer Aggregation", 2017, https://arxiv.org/abs/1707.06484. The X variants group
their convolutions (ResNeXt), the C variants are compact. Res2Net's block, Gao et al., 2019,
https://arxiv.org/abs/1904.01169, passes each quarter of the channels on to the next. Parameter
names are those of the authors' release and timm's.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.pointwise import PointwiseClassifier
from explorer.models.layers.pool import SelectAdaptivePool2d


@dataclass(frozen=True)
class Parts:
    """What all blocks share: groups of the middle convolution, their width, and whether roots have
    a shortcut.
    """

    cardinality: int
    base_width: int
    residual_root: bool

    def middle(self, out_chans: int) -> int:
        """Channels of a bottleneck's middle convolution."""
        return out_chans * self.base_width // 64 * self.cardinality // 2


def conv3(in_chans: int, out_chans: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_chans, out_chans, 3, stride, padding=1, groups=groups, bias=False)


# --- blocks: [B, in, H, W] and a shortcut of the output's shape -> [B, out, H/stride, W/stride] ---


class Basic(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int):
        super().__init__()
        self.conv1 = conv3(in_chans, out_chans, stride)
        self.bn1 = nn.BatchNorm2d(out_chans)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3(out_chans, out_chans)
        self.bn2 = nn.BatchNorm2d(out_chans)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """Narrow, filter, widen, and a shortcut; with groups it is ResNeXt's block."""

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int):
        super().__init__()
        middle = parts.middle(out_chans)
        self.conv1 = nn.Conv2d(in_chans, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = conv3(middle, middle, stride, parts.cardinality)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, out_chans, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_chans)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class Bottle2neck(nn.Module):
    """Res2Net's bottleneck: quarters of the channels pass a 3 x 3 one after the other, and each
    adds what the one before has found. So one block looks at four sizes; the last quarter stays as
    it is.
    """

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int):
        super().__init__()
        self.width = width = parts.middle(out_chans)
        # where the map shrinks, a quarter can't be added to the next one's input
        self.chained = stride == 1
        self.conv1 = nn.Conv2d(in_chans, 4 * width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.convs = nn.ModuleList(conv3(width, width, stride, parts.cardinality) for _ in range(3))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        self.pool = nn.Identity() if self.chained else nn.AvgPool2d(3, stride, padding=1)
        self.conv3 = nn.Conv2d(4 * width, out_chans, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_chans)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        *quarters, last = self.relu(self.bn1(self.conv1(x))).split(self.width, dim=1)
        found: list[Tensor] = []
        for quarter, conv, bn in zip(quarters, self.convs, self.bns):
            y = quarter + found[-1] if self.chained and found else quarter
            found.append(self.relu(bn(conv(y))))
        x = torch.cat((*found, self.pool(last)), dim=1)
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


# --- the tree -------------------------------------------------------------------------------------


class Root(nn.Module):
    """Merges maps: list of [B, C_i, H, W] -> [B, out, H, W]; `residual` adds the first of them to
    the result.
    """

    def __init__(self, in_chans: int, out_chans: int, residual: bool):
        super().__init__()
        self.residual = residual
        self.conv = nn.Conv2d(in_chans, out_chans, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_chans)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.bn(self.conv(torch.cat(tuple(maps), dim=1)))
        return self.relu(x + maps[0] if self.residual else x)


class Tree(nn.Module):
    """2 ** levels blocks: [B, in, H, W] -> [B, out, H/stride, W/stride].

    At level 1 the two branches are blocks, and a root merges them. Above, the branches are trees
    themselves; the root of the right one merges the left one's result too, so that all meet in the
    root nearest to the end.

    with_input: the root merges the tree's own input as well
    merged:     channels of what comes from above to be merged
    """

    def __init__(self, levels: int, block: type[nn.Module], in_chans: int, out_chans: int,
                 parts: Parts, *, stride: int = 1, with_input: bool = False, merged: int = 0):
        super().__init__()
        self.levels, self.with_input = levels, with_input
        merged += in_chans if with_input else 0
        self.downsample = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.project: nn.Module = nn.Identity()
        if levels == 1:
            if in_chans != out_chans:
                project = nn.Conv2d(in_chans, out_chans, 1, bias=False)
                self.project = nn.Sequential(project, nn.BatchNorm2d(out_chans))
            self.tree1: nn.Module = block(in_chans, out_chans, parts, stride=stride)
            self.tree2: nn.Module = block(out_chans, out_chans, parts, stride=1)
            self.root = Root(2 * out_chans + merged, out_chans, parts.residual_root)
        else:
            self.tree1 = Tree(levels - 1, block, in_chans, out_chans, parts, stride=stride)
            self.tree2 = Tree(levels - 1, block, out_chans, out_chans, parts,
                              merged=merged + out_chans)

    def forward(self, x: Tensor, to_merge: tuple[Tensor, ...] = ()) -> Tensor:
        small = self.downsample(x)
        if self.with_input:
            to_merge = (*to_merge, small)
        if self.levels == 1:
            left = self.tree1(x, self.project(small))
            right = self.tree2(left, left)
            return self.root((right, left, *to_merge))
        left = self.tree1(x)
        return self.tree2(left, (*to_merge, left))


class DLA(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    block:   Basic, Bottleneck or Bottle2neck
    levels:  convolutions in the first two stages, then the heights of the four trees
    widths:  channels of all six
    cardinality, base_width: groups of the middle convolution and their width
    residual_root: a root adds its right branch to what it merges
    """

    classifier_path = "fc"
    size_multiple = 32  # its trees add maps that were halved on two ways

    def __init__(
        self,
        *,
        block: type[nn.Module] = Bottleneck,
        levels: tuple[int, int, int, int, int, int] = (1, 1, 1, 2, 3, 1),
        widths: tuple[int, int, int, int, int, int] = (16, 32, 128, 256, 512, 1024),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        cardinality: int = 1,
        base_width: int = 64,
        residual_root: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("DLA knows no stochastic depth: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        parts = Parts(cardinality=cardinality, base_width=base_width, residual_root=residual_root)

        self.base_layer = nn.Sequential(
            nn.Conv2d(in_chans, widths[0], 7, padding=3, bias=False), nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.level0 = _plain(widths[0], widths[0], depth=levels[0], stride=1)
        self.level1 = _plain(widths[0], widths[1], depth=levels[1], stride=2)
        for i in range(2, 6):
            # the first tree's input is only the stem, nothing worth merging
            tree = Tree(levels[i], block, widths[i - 1], widths[i], parts, stride=2,
                        with_input=i > 2)
            self.add_module(f"level{i}", tree)
        self.stages = tuple(Stage(f"level{i}", f"level{i}", width, 2**i)
                            for i, width in enumerate(widths))

        self.num_features = widths[-1]
        self.reset_classifier(num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """Normal weights scaled by the fan-out of a convolution without groups."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        """All but the first, whose map is as large as the photo."""
        return (1, 2, 3, 4, 5)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.base_layer(x)
        for level in (self.level0, self.level1, self.level2, self.level3, self.level4, self.level5):
            x = level(x)
            # level0 [B, 16, H, W], level1 [B, 32, H/2, W/2] ... level5 [B, 1024, H/32, W/32]
            yield x
        return x

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool = SelectAdaptivePool2d(pool, flatten=bool(pool))
        width = self.num_features * self.global_pool.feat_mult()
        place = parameter_place(self)
        self.fc = PointwiseClassifier(width, num_classes, **place) if num_classes else nn.Identity()
        self.num_classes = num_classes


def _plain(in_chans: int, out_chans: int, *, depth: int, stride: int) -> nn.Sequential:
    """3 x 3 convolutions one behind the other; the first has the stride."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [conv3(in_chans if i == 0 else out_chans, out_chans, stride if i == 0 else 1),
                   nn.BatchNorm2d(out_chans), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


MODEL = DLA

_46C = dict(levels=(1, 1, 1, 2, 2, 1), widths=(16, 32, 64, 64, 128, 256))
_60C = dict(levels=(1, 1, 1, 2, 3, 1), widths=(16, 32, 64, 64, 128, 256))
_60 = dict(levels=(1, 1, 1, 2, 3, 1), widths=(16, 32, 128, 256, 512, 1024))
_102 = dict(levels=(1, 1, 1, 3, 4, 1), widths=(16, 32, 128, 256, 512, 1024), residual_root=True)
_169 = dict(levels=(1, 1, 2, 3, 5, 1), widths=(16, 32, 128, 256, 512, 1024), residual_root=True)

VARIANTS: dict[str, dict[str, Any]] = {
    "dla34": dict(block=Basic, levels=(1, 1, 1, 2, 2, 1), widths=(16, 32, 64, 128, 256, 512)),
    "dla46_c": dict(**_46C),
    "dla46x_c": dict(**_46C, cardinality=32, base_width=4),
    "dla60x_c": dict(**_60C, cardinality=32, base_width=4),
    "dla60": dict(**_60),
    "dla60x": dict(**_60, cardinality=32, base_width=4),
    "dla60_res2net": dict(**_60, block=Bottle2neck, base_width=28),
    "dla60_res2next": dict(**_60, block=Bottle2neck, cardinality=8, base_width=4),
    "dla102": dict(**_102),
    "dla102x": dict(**_102, cardinality=32, base_width=4),
    "dla102x2": dict(**_102, cardinality=64, base_width=4),
    "dla169": dict(**_169),
}
