"""The blocks of residual networks: a small change, computed beside a shortcut and added to it.

Each is [B, in_chans, H, W] -> [B, width * expansion, H/stride, W/stride].
    parts            what all blocks of one network share, see `Parts`
    dilation         how far apart the filters look; first_dilation: the first filter's, in a stage that would
                     have halved
    shortcut         what fits the input to the sum where shapes change, see `conv_shortcut`; None: the input
                     itself

He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385; He et al.,
"Bag of Tricks for Image Classification with Convolutional Neural Networks", 2018,
https://arxiv.org/abs/1812.01187, for the shortcut that averages. Parameter names are torchvision's and
timm's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from explorer.models.layers.drop import DropPath
from explorer.models.layers.pool import AvgPool2dSame, BlurPool2d


@dataclass(frozen=True)
class Parts:
    """What all blocks of one network share: how to make a norm, an activation and channel attention, and
    widths.
    """

    norm: Callable[[int], nn.Module]
    act: Callable[[], nn.Module]
    attn: Callable[[int], nn.Module | None]
    aa: str
    cardinality: int
    base_width: int
    reduce_first: int


def conv(
    in_chans: int, out_chans: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias (a norm layer follows) that keeps the map's size at stride 1."""
    padding = (stride - 1 + dilation * (kernel - 1)) // 2
    return nn.Conv2d(in_chans, out_chans, kernel, stride, padding, dilation, groups, bias=False)


def anti_alias(kind: str, channels: int, stride: int) -> nn.Module:
    """What shrinks the map in place of a strided convolution: "avg" or "blur"; nothing without a kind."""
    if not kind:
        return nn.Identity()
    return nn.AvgPool2d(stride) if kind == "avg" else BlurPool2d(channels, stride=stride)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: [B, in, H, W] -> [B, width, H/stride, W/stride]."""

    expansion = 1

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float):
        super().__init__()
        if parts.cardinality != 1 or parts.base_width != 64:
            raise ValueError("BasicBlock has no groups: use Bottleneck for cardinality and base_width.")
        norm, act = parts.norm, parts.act
        first, blur = width // parts.reduce_first, bool(parts.aa) and (stride == 2
                                                                       or first_dilation != dilation)
        self.conv1 = conv(in_chans, first, 3, stride=1 if blur else stride, dilation=first_dilation)
        self.bn1 = norm(first)
        self.act1 = act()
        self.aa = anti_alias(parts.aa if blur else "", first, stride)
        self.conv2 = conv(first, width, 3, dilation=dilation)
        self.bn2 = norm(width)
        self.se = parts.attn(width)
        self.act2 = act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.aa(self.act1(self.bn1(self.conv1(x))))
        x = self.bn2(self.conv2(x))
        if self.se is not None:
            x = self.se(x)
        return self.act2(self.drop_path(x) + shortcut)


class Bottleneck(nn.Module):
    """Narrow, filter, widen beside a shortcut: [B, in, H, W] -> [B, 4 * width, H/stride, W/stride]."""

    expansion = 4

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float):
        super().__init__()
        norm, act = parts.norm, parts.act
        out, middle = width * self.expansion, width * parts.base_width // 64 * parts.cardinality
        first, blur = middle // parts.reduce_first, bool(parts.aa) and (stride == 2
                                                                        or first_dilation != dilation)
        self.conv1 = conv(in_chans, first, 1)
        self.bn1 = norm(first)
        self.act1 = act()
        self.conv2 = conv(first, middle, 3, stride=1 if blur else stride, dilation=first_dilation,
                          groups=parts.cardinality)
        self.bn2 = norm(middle)
        self.act2 = act()
        self.aa = anti_alias(parts.aa if blur else "", middle, stride)
        self.conv3 = conv(middle, out, 1)
        self.bn3 = norm(out)
        self.se = parts.attn(out)
        self.act3 = act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.aa(self.act2(self.bn2(self.conv2(x))))
        x = self.bn3(self.conv3(x))
        if self.se is not None:
            x = self.se(x)
        return self.act3(self.drop_path(x) + shortcut)


def conv_shortcut(
    in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, first_dilation: int, norm
) -> nn.Module:
    """The shortcut where shapes change, as the paper has it: one strided convolution."""
    if stride == 1 and dilation == 1:
        kernel = 1
    return nn.Sequential(
        conv(in_chans, out_chans, kernel, stride=stride, dilation=first_dilation if kernel > 1 else 1),
        norm(out_chans)
    )


def avg_shortcut(
    in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, first_dilation: int, norm
) -> nn.Module:
    """ResNet-D's shortcut: average first, so that no pixel is skipped."""
    if dilation > 1:
        pool: nn.Module = AvgPool2dSame()
    elif stride > 1:
        pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
    else:
        pool = nn.Identity()
    return nn.Sequential(pool, conv(in_chans, out_chans, 1), norm(out_chans))
