"""Res2Net: many sizes of neighbourhood inside one block.

The middle of a ResNet block is cut into a few groups of channels. Each group but the last gets its
own 3 x 3 convolution, which also reads the result of the group before it; so one group has been
through one convolution, the next through two, and one block holds small and large neighbourhoods
beside each other.

Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", 2019,
https://arxiv.org/abs/1904.01169. Parameter names are timm's and the paper's own code's.
The network is `ResNet`, of the same family, with another block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.backbones.resnet import ResNet
from explorer.models.layers.drop import DropPath
from explorer.models.layers.resnet_blocks import Parts, conv


class Bottle2neck(nn.Module):
    """Narrow, filter in a cascade, widen beside a shortcut: [B, in, H, W]
    -> [B, 4 * width, H/stride, W/stride].

    scale: groups of channels in the cascade; the last of them goes on without a convolution.
    """

    expansion = 4

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float, scale: int = 4):
        super().__init__()
        if parts.aa or parts.reduce_first != 1:
            raise ValueError("A Res2Net block averages by itself: leave aa and reduce_first out.")
        if scale < 2:
            raise ValueError(f"scale is {scale}: a cascade has 2 groups of channels or more.")
        out, part = width * self.expansion, width * parts.base_width // 64 * parts.cardinality
        self.scale = scale
        # A stage's first block may halve the map: a result then no longer fits the next group, so
        # in every such block all groups go side by side.
        self.is_first = stride > 1 or shortcut is not None
        self.conv1 = conv(in_chans, part * scale, 1)
        self.bn1 = parts.norm(part * scale)
        self.convs = nn.ModuleList(
            conv(part, part, 3, stride=stride, dilation=first_dilation, groups=parts.cardinality)
            for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(parts.norm(part) for _ in range(scale - 1))
        self.pool = nn.AvgPool2d(3, stride, padding=1) if self.is_first else nn.Identity()
        self.conv3 = conv(part * scale, out, 1)
        self.bn3 = parts.norm(out)
        self.se = parts.attn(out)
        self.relu = parts.act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        # scale of [B, part, H, W]
        *groups, last = self.relu(self.bn1(self.conv1(x))).chunk(self.scale, 1)
        results: list[Tensor] = []
        for group, conv3x3, norm in zip(groups, self.convs, self.bns):
            if results and not self.is_first:
                group = group + results[-1]
            results.append(self.relu(norm(conv3x3(group))))
        x = torch.cat((*results, self.pool(last)), 1)  # [B, scale * part, H/stride, W/stride]
        x = self.bn3(self.conv3(x))
        if self.se is not None:
            x = self.se(x)
        return self.relu(self.drop_path(x) + shortcut)


class Res2Net(ResNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    scale: see `Bottle2neck`;  options: ResNet's, such as depths, base_width and cardinality
    """

    def __init__(self, *, scale: int = 4, **options: Any):
        super().__init__(block=Bottle2neck, block_options=dict(scale=scale), **options)


MODEL = Res2Net

# "Bag of Tricks", variant D; the authors' "v1b"
_D = dict(stem="deep", stem_width=32, avg_down=True)

# 26w_4s: 4 groups of 26 channels each in the first stage
VARIANTS: dict[str, dict[str, Any]] = {
    "res2net50_48w_2s": dict(depths=(3, 4, 6, 3), base_width=48, scale=2),
    "res2net50_14w_8s": dict(depths=(3, 4, 6, 3), base_width=14, scale=8),
    "res2net50_26w_4s": dict(depths=(3, 4, 6, 3), base_width=26, scale=4),
    "res2net50_26w_6s": dict(depths=(3, 4, 6, 3), base_width=26, scale=6),
    "res2net50_26w_8s": dict(depths=(3, 4, 6, 3), base_width=26, scale=8),
    "res2net101_26w_4s": dict(depths=(3, 4, 23, 3), base_width=26, scale=4),
    "res2net50d": dict(depths=(3, 4, 6, 3), base_width=26, scale=4, **_D),
    "res2net101d": dict(depths=(3, 4, 23, 3), base_width=26, scale=4, **_D),
    "res2next50": dict(depths=(3, 4, 6, 3), base_width=4, cardinality=8, scale=4),
}
