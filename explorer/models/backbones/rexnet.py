"""ReXNet: no narrow places.

MobileNetV2's channels grow in a few large steps, and behind each step a layer has to squeeze many
channels into few. Its authors measured the rank of what such layers hold, and found them too
narrow. So channels grow by the same small number from block to block, along a straight line; a
shortcut then adds the old channels to the first of the new ones.

Han et al., "Rethinking Channel Dimensions for Efficient Model Design", 2020,
https://arxiv.org/abs/2007.00992. Parameter names are timm's. The "r" variants round all channels to
multiples of 8 or 16, as GPUs like them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.channel_attention import SEModule, make_divisible
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_by_fan_out
from explorer.models.layers.pool import ClassifierHead

# blocks of each stage, and the stride of its first
DEPTHS, STRIDES = (1, 2, 2, 3, 3, 5), (1, 2, 2, 2, 1, 2)
# channels of the first block, and how many more the last would have one step later
FIRST, GROWTH = 16, 180


class LinearBottleneck(nn.Module):
    """Widen, filter each channel by itself, narrow; add to the input: [B, in, H, W]
    -> [B, out, H/s, W/s].

    At stride 1 the input is added to as many channels as it has; the others are new. se: channels
    of squeeze-and-excitation's small layer, 0 for none.
    """

    def __init__(self, in_chans: int, middle: int, out_chans: int, *, stride: int, se: int,
                 drop_path: float):
        super().__init__()
        self.use_shortcut = stride == 1 and in_chans <= out_chans
        self.conv_exp = (ConvNormAct(in_chans, middle, 1, act_layer="silu") if middle != in_chans
                         else nn.Identity())
        self.conv_dw = ConvNormAct(middle, middle, 3, stride=stride, groups=middle, apply_act=False)
        self.se = (SEModule(middle, rd_channels=se, norm_layer=nn.BatchNorm2d) if se
                   else nn.Identity())
        self.act_dw = nn.ReLU6()
        self.conv_pwl = ConvNormAct(middle, out_chans, 1, apply_act=False)  # "l" for linear
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.se(self.conv_dw(self.conv_exp(x)))
        x = self.conv_pwl(self.act_dw(x))
        if not self.use_shortcut:
            return x
        x, kept = self.drop_path(x), shortcut.shape[1]
        return torch.cat((x[:, :kept] + shortcut, x[:, kept:]), dim=1)


class ReXNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    width:    multiplier of all channels
    multiple: channels are rounded to multiples of it
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        width: float = 1.0,
        multiple: int = 1,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        chans = make_divisible(round(32 * width), multiple)
        self.stem = ConvNormAct(in_chans, chans, 3, stride=2, act_layer="silu")

        strides = [stride if j == 0 else 1 for depth, stride in zip(DEPTHS, STRIDES)
                   for j in range(depth)]
        count = len(strides)
        rates = drop_path_rates(drop_path_rate, (count,))[0]
        self.features = nn.Sequential()
        table, reduction = [], 2
        for i, stride in enumerate(strides):
            out = make_divisible(round((FIRST + i * GROWTH / count) * width), multiple)
            middle = make_divisible(6 * chans, multiple) if i else chans
            # not in the first two, large, sizes of map
            se = make_divisible(middle // 12, multiple) if i >= 3 else 0
            self.features.append(LinearBottleneck(chans, middle, out, stride=stride, se=se,
                                                  drop_path=rates[i]))
            chans, reduction = out, reduction * stride
            if i + 1 == count or strides[i + 1] == 2:  # the last of its size
                table.append(Stage(f"features.{i}", f"features.{i}", chans, reduction))
        self.stages = tuple(table)
        self.num_features = make_divisible(1280 * width, multiple)
        self.features.append(ConvNormAct(chans, self.num_features, 1, act_layer="silu"))
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        init_by_fan_out(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        shown = {stage.module for stage in self.stages}
        x = self.stem(x)
        for i, block in enumerate(self.features):
            x = block(x)
            if f"features.{i}" in shown:
                # features.0 [B, 16, H/2, W/2], features.2 [B, 38, H/4, W/4] ... [B, 185, H/32,
                # W/32]
                yield x
        return x


MODEL = ReXNet

VARIANTS: dict[str, dict[str, Any]] = {
    "rexnet_100": dict(width=1.0),
    "rexnet_130": dict(width=1.3),
    "rexnet_150": dict(width=1.5),
    "rexnet_200": dict(width=2.0),
    "rexnet_300": dict(width=3.0),
    "rexnetr_100": dict(width=1.0, multiple=8),
    "rexnetr_130": dict(width=1.3, multiple=8),
    "rexnetr_150": dict(width=1.5, multiple=8),
    "rexnetr_200": dict(width=2.0, multiple=8),
    "rexnetr_300": dict(width=3.0, multiple=16),
}
