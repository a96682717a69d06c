"""EfficientNet and the mobile networks it grew from: one block, stacked by a small table.

The block is turned inside out. A ResNet block is wide at its ends and narrow in the middle; here the ends are
narrow and the middle wide, because the middle filters every channel by itself (a depthwise convolution), which costs
next to nothing. MobileNetV2 found the block, MnasNet let a search choose kernel sizes and depths for a real phone,
and EfficientNet scales the searched network: depth, width and photo size grow together by one fixed rule.

MobileNetV2: Sandler et al., 2018, https://arxiv.org/abs/1801.04381 (its depthwise predecessor:
Howard et al., 2017, https://arxiv.org/abs/1704.04861); MnasNet: Tan et al., 2018, https://arxiv.org/abs/1807.11626;
EfficientNet: Tan and Le, 2019, https://arxiv.org/abs/1905.11946; the other relatives: `explorer/models/catalog.py`.
Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath
from explorer.models.layers.pool import create_classifier


class SqueezeExcite(nn.Module):
    """Weigh the channels, photo by photo: [B, C, H, W] -> the same shape.

    The same idea as `layers.SEModule`, with the parameter names that these checkpoints carry.
    """

    def __init__(self, channels: int, reduced: int, *, act: str):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.act1 = create_act(act, inplace=True)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        weights = self.conv_expand(self.act1(self.conv_reduce(weights)))
        return x * self.gate(weights)


class MobileBlock(nn.Module):
    """What the blocks below share: a branch, and a shortcut around it where the shapes allow one.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]

    kernel, dilation: of the one convolution that looks at neighbours
    expand:           how many times wider the middle is
    se:               channels inside squeeze-and-excitation, as a share of `in_chans`; 0 for none
    norm, act:        make a BatchNorm with its activation; name of the activation
    padding:          "" (symmetric) or "same" (TensorFlow's)
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, expand: float, se: float,
                 norm: Callable[..., nn.Module], act: str, padding: str, drop_path: float):
        super().__init__()
        self.has_shortcut = stride == 1 and in_chans == out_chans
        self.build(in_chans, out_chans, make_divisible(in_chans * expand), norm=norm,
                   conv=partial(create_conv2d, padding=padding),
                   spatial=dict(stride=stride, dilation=dilation, kernel_size=kernel),
                   # Reduced from the narrow input, not from the wide middle: cheap, and what the papers' code does.
                   attend=lambda chans: SqueezeExcite(chans, round(in_chans * se), act=act) if se else nn.Identity())
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def build(self, in_chans: int, out_chans: int, middle: int, *, norm, conv, spatial: dict[str, int], attend) -> None:
        """Make the layers of the branch."""
        raise NotImplementedError(f"{type(self).__name__} must define build")

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define branch")

    def forward(self, x: Tensor) -> Tensor:
        if not self.has_shortcut:
            return self.branch(x)
        return x + self.drop_path(self.branch(x))
