"""HGNet: one look back at all that a block has computed, with few kinds of layers.

Nearly all layers are 3 x 3 convolutions, the kind that graphics cards compute best. Each block
hands on the results of all its layers side by side, not the last one's alone, and a 1 x 1
convolution chooses among them: nothing that was found early gets lost, and it is computed once. The
second version swaps the late, wide convolutions for cheap pairs, a 1 x 1 and a depthwise one, and
in its small sizes lets the network scale and shift every activation by itself.

Baidu's PaddleClas, PP-HGNet, 2022, and PP-HGNetV2, 2023 (no papers),
https://github.com/PaddlePaddle/PaddleClas; the blocks are those of VoVNet: Lee et al., "An Energy
and GPU-Computation Efficient Backbone Network", 2019, https://arxiv.org/abs/1904.09730. Parameter
names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import SelectAdaptivePool2d

# --- blocks ---------------------------------------------------------------------------------------


class LearnableAffine(nn.Module):
    """One scale and one shift for the whole map: two numbers that help a small network a little."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.bias


class HGConv(nn.Module):
    """Convolution, BatchNorm, ReLU unless act=False, and behind it a `LearnableAffine` where
    `affine`.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int = 1, *, stride: int = 1,
                 padding: int | None = None, groups: int = 1, act: bool = True,
                 affine: bool = False):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_chans, out_chans, kernel, stride, padding, groups=groups,
                              bias=False)
        self.bn = nn.BatchNorm2d(out_chans)
        self.act = nn.ReLU() if act else nn.Identity()
        self.lab = LearnableAffine() if act and affine else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.lab(self.act(self.bn(self.conv(x))))


class LightConv(nn.Module):
    """Mix the channels, then filter each by itself: a fraction of the work of a full convolution.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, affine: bool = False):
        super().__init__()
        self.conv1 = HGConv(in_chans, out_chans, act=False)
        self.conv2 = HGConv(out_chans, out_chans, kernel, groups=out_chans, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class ChannelWeights(nn.Module):
    """Squeeze-and-excitation in one layer: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x.mean((2, 3), keepdim=True)).sigmoid()


class Block(nn.Module):
    """`layers` convolutions in a row; what each found, and the input: [B, in_chans, H, W]
    -> [B, out_chans, H, W].

    conv:    makes a convolution of the row: conv(in_chans, out_chans)
    squeeze: choose among the results in two steps, through half of `out_chans`; otherwise in one,
             whose channels are then weighed
    """

    def __init__(self, in_chans: int, middle: int, out_chans: int, *, layers: int,
                 conv: Callable[[int, int], nn.Module], squeeze: bool, affine: bool, shortcut: bool,
                 drop_path: float):
        super().__init__()
        self.layers = nn.ModuleList(conv(in_chans if i == 0 else middle, middle)
                                    for i in range(layers))
        found = in_chans + layers * middle
        if squeeze:
            self.aggregation = nn.Sequential(HGConv(found, out_chans // 2, affine=affine),
                                             HGConv(out_chans // 2, out_chans, affine=affine))
        else:
            self.aggregation = nn.Sequential(HGConv(found, out_chans, affine=affine),
                                             ChannelWeights(out_chans))
        self.has_shortcut = shortcut
        self.drop_path = DropPath(drop_path) if drop_path and shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for layer in self.layers:
            found.append(layer(found[-1]))
        # [B, in + layers * middle, H, W] -> [B, out, H, W]
        chosen = self.aggregation(torch.cat(found, dim=1))
        return x + self.drop_path(chosen) if self.has_shortcut else chosen


class Row(NamedTuple):
    """One stage: `blocks` of `layers` convolutions with `middle` channels each, and `channels`
    behind them.
    """

    middle: int
    channels: int
    blocks: int
    layers: int


class HGStage(nn.Module):
    """[B, in_chans, H, W] -> [B, row.channels, H/2, W/2], or H, W without `halve`.

    All but the first block add.
    """

    def __init__(self, in_chans: int, row: Row, *, halve: bool, drop_path: Sequence[float],
                 affine: bool, **block: Any):
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if halve:
            self.downsample = HGConv(in_chans, in_chans, 3, stride=2, groups=in_chans, act=False)
        self.blocks = nn.Sequential(*(
            Block(in_chans if i == 0 else row.channels, row.middle, row.channels, layers=row.layers,
                  affine=affine, shortcut=i > 0, drop_path=rate, **block)
            for i, rate in enumerate(drop_path)
        ))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Stem(nn.Module):
    """Three convolutions and a max pool: [B, in_chans, H, W] -> [B, widths[-1], H/4, W/4]."""

    def __init__(self, in_chans: int, widths: tuple[int, int, int]):
        super().__init__()
        pairs = zip((in_chans, *widths), widths)
        self.stem = nn.Sequential(*(HGConv(*pair, 3, stride=2 if i == 0 else 1)
                                    for i, pair in enumerate(pairs)))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.stem(x))


class ForkedStem(nn.Module):
    """Two small convolutions beside a max pool, and both halved: [B, in_chans, H, W]
    -> [B, widths[1], H/4, W/4].

    Each looks at 2 x 2 pixels, so the map is filled up by one zero at its right and lower edge.
    """

    def __init__(self, in_chans: int, widths: tuple[int, int], *, affine: bool):
        super().__init__()
        width, out = widths
        conv = partial(HGConv, affine=affine)
        self.stem1 = conv(in_chans, width, 3, stride=2)
        self.stem2a = conv(width, width // 2, 2, padding=0)
        self.stem2b = conv(width // 2, width, 2, padding=0)
        self.stem3 = conv(2 * width, width, 3, stride=2)
        self.stem4 = conv(width, out)
        self.pool = nn.MaxPool2d(2, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        edge = (0, 1, 0, 1)
        x = F.pad(self.stem1(x), edge)  # [B, width, H/2 + 1, W/2 + 1]
        filtered = self.stem2b(F.pad(self.stem2a(x), edge))
        return self.stem4(self.stem3(torch.cat((self.pool(x), filtered), dim=1)))


class WideHead(nn.Module):
    """Pool, widen, dropout, classify: [B, C, H, W] -> [B, num_classes].

    Behind the pooling a wide layer costs next to nothing. Without pooling the map stays one, and
    num_classes is 0.
    """

    def __init__(self, channels: int, hidden: int, *, affine: bool, drop_rate: float):
        super().__init__()
        self.global_pool = SelectAdaptivePool2d("avg")
        # timm's positions: 0, and 2 for the affine layer
        self.last_conv = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(),
                                       *([LearnableAffine()] if affine else []))
        self.hidden, self.drop_rate = hidden, drop_rate
        self.fc: nn.Module = nn.Identity()

    def reset(self, num_classes: int, pool_type: str | None = None, *, device=None,
              dtype=None) -> None:
        pool_type = self.global_pool.pool_type if pool_type is None else pool_type
        if pool_type == "catavgmax":
            raise ValueError(
                "The wide layer takes as many channels as the map has, "
                "and catavgmax would double them. "
                'Use global_pool "avg", "max" or "avgmax".'
            )
        if num_classes and not pool_type:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        self.global_pool = SelectAdaptivePool2d(pool_type)
        self.fc = nn.Identity()
        if num_classes:
            self.fc = nn.Linear(self.hidden, num_classes, device=device, dtype=dtype)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.last_conv(self.global_pool(x))  # [B, C, 1, 1] -> [B, hidden, 1, 1]
        x = F.dropout(x, self.drop_rate, self.training)
        x = x.flatten(1) if self.global_pool.pool_type else x
        return x if pre_logits else self.fc(x)


# --- the model ------------------------------------------------------------------------------------


class HGNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    rows:   the stages
    stem:   three widths: convolutions in a row; two: the forked stem of the second version
    light:  (stages, kernel): so many of the last stages have the cheap pairs, with filters of that
            size
    squeeze, affine: see `Block` and `LearnableAffine`
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        rows: Sequence[Row],
        stem: tuple[int, int, int] | tuple[int, int],
        light: tuple[int, int] = (0, 5),
        squeeze: bool = False,
        affine: bool = False,
        head_hidden_size: int = 2048,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.stem = (Stem(in_chans, stem) if len(stem) == 3
                     else ForkedStem(in_chans, stem, affine=affine))
        count, kernel = light
        chans, stages, table = stem[-1], [], []
        rates = drop_path_rates(drop_path_rate, tuple(row.blocks for row in rows))
        for i, row in enumerate(rows):
            conv = (partial(HGConv, kernel=3) if i < len(rows) - count
                    else partial(LightConv, kernel=kernel))
            stages.append(HGStage(chans, row, halve=i > 0, conv=partial(conv, affine=affine),
                                  squeeze=squeeze, affine=affine, drop_path=rates[i]))
            chans = row.channels
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, 4 * 2**i))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.num_features = chans
        self.head = WideHead(chans, head_hidden_size, affine=affine, drop_rate=drop_rate)
        self.head.reset(num_classes, global_pool)
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return self.head.hidden

    def init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, C, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
            yield x  # [B, C1, H/4, W/4] ... [B, C4, H/32, W/32]
        return x

    def remove_head(self) -> None:
        """The wide layer goes too: no map depends on it."""
        super().remove_head()
        self.head.last_conv, self.head.hidden = nn.Identity(), self.num_features


MODEL = HGNet


def rows(middles: Sequence[int], channels: Sequence[int], blocks: Sequence[int],
         layers: int) -> tuple[Row, ...]:
    """A row for each stage; all have the same number of layers in a block."""
    return tuple(Row(*row, layers) for row in zip(middles, channels, blocks, strict=True))


_V2 = dict(squeeze=True, light=(2, 5))
_SMALL = dict(_V2, affine=True)


def _row(stem: tuple[int, ...], *plan: Any, **options: Any) -> dict[str, Any]:
    """The stem's widths, then what `rows` takes: middles, channels and blocks of each stage, layers
    of a block.
    """
    return dict(options, stem=stem, rows=rows(*plan))


VARIANTS: dict[str, dict[str, Any]] = {
    "hgnet_tiny": _row((48, 48, 96), (96, 128, 160, 192), (224, 448, 512, 768), (1, 1, 2, 1), 5),
    "hgnet_small": _row((64, 64, 128), (128, 160, 192, 224), (256, 512, 768, 1024), (1, 1, 2, 1),
                        6),
    "hgnet_base": _row((96, 96, 160), (192, 224, 256, 288), (320, 640, 960, 1280), (1, 2, 3, 2), 7),

    "hgnetv2_b0": _row((16, 16), (16, 32, 64, 128), (64, 256, 512, 1024), (1, 1, 2, 1), 3,
                       **_SMALL),
    "hgnetv2_b1": _row((24, 32), (32, 48, 96, 192), (64, 256, 512, 1024), (1, 1, 2, 1), 3,
                       **_SMALL),
    "hgnetv2_b2": _row((24, 32), (32, 64, 128, 256), (96, 384, 768, 1536), (1, 1, 3, 1), 4,
                       **_SMALL),
    "hgnetv2_b3": _row((24, 32), (32, 64, 128, 256), (128, 512, 1024, 2048), (1, 1, 3, 1), 5,
                       **_SMALL),
    "hgnetv2_b4": _row((32, 48), (48, 96, 192, 384), (128, 512, 1024, 2048), (1, 1, 3, 1), 6,
                       **_V2),
    "hgnetv2_b5": _row((32, 64), (64, 128, 256, 512), (128, 512, 1024, 2048), (1, 2, 5, 2), 6,
                       **_V2),
    "hgnetv2_b6": _row((48, 96), (96, 192, 384, 768), (192, 512, 1024, 2048), (2, 3, 6, 3), 6,
                       **_V2),
}
