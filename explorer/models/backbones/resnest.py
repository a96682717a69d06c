"""ResNeSt: a ResNet whose middle convolution makes several maps and chooses between them.

The 3 x 3 convolution of each block gives two maps or more, and an attention computed from the whole
photo says for each channel how much of each map goes on ("split attention"). It joins the ideas of
SE-ResNet, which weighs channels, and of SKNet, which chooses between paths. Where the map halves,
an average does it, not a stride.

Zhang et al., "ResNeSt: Split-Attention Networks", 2020, https://arxiv.org/abs/2004.08955.
Parameter names are timm's and the paper's own code's.
The network is `ResNet`, of the same family, with another block.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from explorer.models.backbones.resnet import ResNet
from explorer.models.layers.drop import DropPath
from explorer.models.layers.resnet_blocks import Parts
from explorer.models.layers.split_attention import SplitAttention


class ResNestBottleneck(nn.Module):
    """Narrow, split attention, widen beside a shortcut: [B, in, H, W]
    -> [B, 4 * width, H/stride, W/stride].

    radix:     maps that the attention chooses between
    avd_first: average before the split attention instead of behind it, which is faster
    """

    expansion = 4

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float, radix: int = 2,
                 avd_first: bool = False):
        super().__init__()
        if parts.aa or parts.reduce_first != 1:
            raise ValueError("A split-attention block averages by itself: "
                             "leave aa and reduce_first out.")
        out, middle = width * self.expansion, width * parts.base_width // 64 * parts.cardinality
        average = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else None
        self.conv1 = nn.Conv2d(in_chans, middle, 1, bias=False)
        self.bn1 = parts.norm(middle)
        self.act1 = parts.act()
        self.avd_first = average if avd_first else None
        self.conv2 = SplitAttention(middle, middle, dilation=first_dilation,
                                    groups=parts.cardinality, radix=radix, norm=parts.norm,
                                    act=parts.act)
        self.avd_last = None if avd_first else average
        self.conv3 = nn.Conv2d(middle, out, 1, bias=False)
        self.bn3 = parts.norm(out)
        self.se = parts.attn(out)
        self.act3 = parts.act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act1(self.bn1(self.conv1(x)))
        if self.avd_first is not None:
            x = self.avd_first(x)
        x = self.conv2(x)
        if self.avd_last is not None:
            x = self.avd_last(x)
        x = self.bn3(self.conv3(x))
        if self.se is not None:
            x = self.se(x)
        return self.act3(self.drop_path(x) + shortcut)


class ResNest(ResNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    radix, avd_first: see `ResNestBottleneck`;  options: ResNet's, such as depths, stem_width and
                      cardinality
    """

    def __init__(self, *, radix: int = 2, avd_first: bool = False, stem: str = "deep",
                 stem_width: int = 32, avg_down: bool = True, **options: Any):
        super().__init__(block=ResNestBottleneck,
                         block_options=dict(radix=radix, avd_first=avd_first),
                         stem=stem, stem_width=stem_width, avg_down=avg_down, **options)


MODEL = ResNest

_FAST = dict(depths=(3, 4, 6, 3), avd_first=True)  # the fast settings of the ablation

VARIANTS: dict[str, dict[str, Any]] = {
    "resnest14d": dict(depths=(1, 1, 1, 1)),
    "resnest26d": dict(depths=(2, 2, 2, 2)),
    "resnest50d": dict(depths=(3, 4, 6, 3)),
    "resnest101e": dict(depths=(3, 4, 23, 3), stem_width=64),
    "resnest200e": dict(depths=(3, 24, 36, 3), stem_width=64),
    "resnest269e": dict(depths=(3, 30, 48, 8), stem_width=64),
    # the ablation's: radix, "s"; groups, "x"; channels of a group, "d"
    "resnest50d_4s2x40d": dict(_FAST, radix=4, cardinality=2, base_width=40),
    "resnest50d_1s4x24d": dict(_FAST, radix=1, cardinality=4, base_width=24),
}
