"""The blocks of mobile networks: narrow ends, and a wide middle that filters each channel by itself.

All: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride], with a shortcut where the shape stays
(unless shortcut=False).
    expand     how many times wider than its ends the middle is
    conv       makes a convolution that keeps the map's size at stride 1
    norm       makes a BatchNorm, followed by the activation unless apply_act=False
    attend     makes the channel attention: attend(channels, in_chans)
    aa         makes what halves the map behind the filter, in place of its stride: aa(channels)

Sandler et al., "MobileNetV2", 2018, https://arxiv.org/abs/1801.04381; Gupta and Akin, "Accelerator-aware
Neural Network Design using AutoML", 2020, https://arxiv.org/abs/2003.02838. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.drop import DropPath


class SqueezeExcite(nn.Module):
    """Weigh the channels, photo by photo: [B, C, H, W] -> the same shape.

    What `layers.SEModule` does, with the parameter names that these checkpoints carry.
    """

    def __init__(self, channels: int, reduced: int, *, act_layer: str, gate_layer: str = "sigmoid"):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.act1 = create_act(act_layer, inplace=True)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)
        self.gate = create_act(gate_layer)

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        weights = self.conv_expand(self.act1(self.conv_reduce(weights)))
        return x * self.gate(weights)


class ConvBlock(nn.Module):
    """One full convolution, BatchNorm and activation; the first stage of EfficientNetV2 is made of these."""

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, expand: int,
                 conv: Callable, norm: Callable, attend: Callable, drop_path: float,
                 shortcut: bool = False):
        super().__init__()
        if expand != 1:
            raise ValueError(f"A plain convolution can't widen: expand is {expand}. Use 1, or another block.")
        self.conv = conv(in_chans, out_chans, kernel, stride=stride, dilation=dilation)
        self.bn1 = norm(out_chans)
        self.has_shortcut = shortcut and stride == 1 and in_chans == out_chans
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.bn1(self.conv(x))
        return shortcut + self.drop_path(x) if self.has_shortcut else x


class DepthwiseSeparableConv(nn.Module):
    """Filter each channel by itself, then mix the channels: a convolution in two cheap steps.

    linear: no activation behind the mixing, so that a narrow map loses nothing (MobileNetV2, section 3.2).
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, expand: int,
                 conv: Callable, norm: Callable, attend: Callable, drop_path: float,
                 linear: bool = True, shortcut: bool = True):
        super().__init__()
        if expand != 1:
            raise ValueError(f"A separable block can't widen: expand is {expand}. Use 1, or another block.")
        self.conv_dw = conv(in_chans, in_chans, kernel, stride=stride, dilation=dilation, groups=in_chans)
        self.bn1 = norm(in_chans)
        self.se = attend(in_chans, in_chans)
        self.conv_pw = conv(in_chans, out_chans, 1)
        self.bn2 = norm(out_chans, apply_act=not linear)
        self.has_shortcut = shortcut and stride == 1 and in_chans == out_chans
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.se(self.bn1(self.conv_dw(x)))
        x = self.bn2(self.conv_pw(x))
        return shortcut + self.drop_path(x) if self.has_shortcut else x


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow again: MobileNetV2's block, EfficientNet's "MBConv".

    middle: its channels in the middle exactly; 0: `expand` times as many as come in, in steps of 8.
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int,
                 expand: float, conv: Callable, norm: Callable, attend: Callable, drop_path: float,
                 aa: Callable[[int], nn.Module] | None = None, middle: int = 0):
        super().__init__()
        middle = middle or make_divisible(in_chans * expand)
        blur = aa is not None and stride > 1
        self.conv_pw = conv(in_chans, middle, 1)
        self.bn1 = norm(middle)
        self.conv_dw = conv(middle, middle, kernel, stride=1 if blur else stride, dilation=dilation,
                            groups=middle)
        self.bn2 = norm(middle)
        self.aa = aa(middle) if blur else nn.Identity()
        self.se = attend(middle, in_chans)
        self.conv_pwl = conv(middle, out_chans, 1)  # "l" for linear: no activation follows
        self.bn3 = norm(out_chans, apply_act=False)
        self.has_shortcut = stride == 1 and in_chans == out_chans
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.bn1(self.conv_pw(x))         # [B, in, H, W] -> [B, in * expand, H, W]
        x = self.se(self.aa(self.bn2(self.conv_dw(x))))
        x = self.bn3(self.conv_pwl(x))        # [B, in * expand, H/s, W/s] -> [B, out, H/s, W/s]
        return shortcut + self.drop_path(x) if self.has_shortcut else x


class EdgeResidual(nn.Module):
    """Widen and filter in one full convolution, then narrow: the fused block of EfficientNet-EdgeTPU.

    More arithmetic than the depthwise pair, and still faster on chips that are built for full convolutions.
    counted: the channels that `expand` counts from; 0: those of the narrower end.
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, dilation: int, expand: int,
                 conv: Callable, norm: Callable, attend: Callable, drop_path: float,
                 shortcut: bool = True, aa: Callable[[int], nn.Module] | None = None, counted: int = 0):
        super().__init__()
        middle = (counted or min(in_chans, out_chans)) * expand  # the narrower end: the first stage narrows
        blur = aa is not None and stride > 1
        self.conv_exp = conv(in_chans, middle, kernel, stride=1 if blur else stride, dilation=dilation)
        self.bn1 = norm(middle)
        self.aa = aa(middle) if blur else nn.Identity()
        self.se = attend(middle, in_chans)
        self.conv_pwl = conv(middle, out_chans, 1)
        self.bn2 = norm(out_chans, apply_act=False)
        self.has_shortcut = shortcut and stride == 1 and in_chans == out_chans
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.se(self.aa(self.bn1(self.conv_exp(x))))
        x = self.bn2(self.conv_pwl(x))
        return shortcut + self.drop_path(x) if self.has_shortcut else x
