"""Separable convolutions: filter each channel by itself, then mix the channels at each place.

A 3 x 3 convolution from C to C channels multiplies 9 * C * C numbers for each place; in two steps it is
9 * C + C * C. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d


class SeparableConv2d(nn.Module):
    """Depthwise, then pointwise convolution: [B, in_channels, H, W] -> [B, out_channels, H/stride, W/stride].

    channel_multiplier: how many filters each input channel has for itself;  pw_kernel_size: of the mixing one
    padding: see `create_conv2d`. Subclasses change `conv_dw` and `conv_pw`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, *,
        dilation: int = 1, padding: int | str = "", bias: bool = False, channel_multiplier: float = 1.0,
        pw_kernel_size: int = 1,
    ):
        super().__init__()
        middle = int(in_channels * channel_multiplier)
        if middle % in_channels or middle < in_channels:
            raise ValueError(f"channel_multiplier is {channel_multiplier}: "
                             "each channel has a whole number of filters.")
        self.conv_dw = create_conv2d(in_channels, middle, kernel_size, stride=stride, dilation=dilation,
                                     padding=padding, groups=in_channels)
        self.conv_pw = create_conv2d(middle, out_channels, pw_kernel_size, padding=padding, bias=bias)

    @property
    def in_channels(self) -> int:
        return self.conv_dw.in_channels

    @property
    def out_channels(self) -> int:
        return self.conv_pw.out_channels

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_pw(self.conv_dw(x))


class SeparableConvNormAct(SeparableConv2d):
    """Separable convolution -> norm -> activation: [B, in_channels, H, W]
    -> [B, out_channels, H/stride, W/stride].

    norm_layer: a norm that brings its activation, such as `BatchNormAct2d`
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, *,
        dilation: int = 1, padding: int | str = "", bias: bool = False, channel_multiplier: float = 1.0,
        pw_kernel_size: int = 1, norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
        act_layer: str | type[nn.Module] | None = nn.ReLU, apply_act: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation=dilation, padding=padding,
                         bias=bias, channel_multiplier=channel_multiplier, pw_kernel_size=pw_kernel_size)
        # `bn`: the historical name that checkpoints carry
        self.bn = norm_layer(out_channels, apply_act=apply_act, act_layer=act_layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(super().forward(x))


SeparableConv = SeparableConv2d
