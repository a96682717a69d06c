"""Convolutions with TensorFlow's "SAME" padding, and one function that picks the right convolution."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> int:
    """Total padding (both sides together) that makes the output ceil(size / stride) long."""
    return max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)


class Conv2dSame(nn.Conv2d):
    """A convolution that pads by the size of its input, as TensorFlow's "SAME" does.

    [B, C, H, W] -> [B, out, ceil(H/stride), ceil(W/stride)]. An odd pixel of padding goes to the right and
    the bottom, so at stride 2 the result is shifted against PyTorch's symmetric padding: weights that were
    trained with one kind of padding do not work with the other.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        (kh, kw), (sh, sw), (dh, dw) = self.kernel_size, self.stride, self.dilation
        ph, pw = same_padding(height, kh, sh, dh), same_padding(width, kw, sw, dw)
        x = F.pad(x, (pw // 2, pw - pw // 2, ph // 2, ph - ph // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def create_conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | tuple[int, int] | str | None = "",
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution whose padding is given as a number or a word.

    padding: "" or None: symmetric, keeps the size at stride 1; "same": TensorFlow's; "valid": none; or
             pixels, the
    only way for a kernel that is no square.
    Depthwise: groups = in_channels. Raises ValueError for another word.
    """
    options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
    if padding == "same":
        # At stride 1 an odd kernel needs the same padding on both sides: the plain convolution is exact.
        if stride == 1 and (kernel_size - 1) * dilation % 2 == 0:
            padding = (kernel_size - 1) * dilation // 2
            return nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, **options)
        return Conv2dSame(in_channels, out_channels, kernel_size, **options)
    if padding in ("", None):
        padding = ((stride - 1) + dilation * (kernel_size - 1)) // 2
    elif padding == "valid":
        padding = 0
    elif isinstance(padding, str):
        raise ValueError(f'Unknown padding {padding!r}. Use "", "same", "valid" or a number of pixels.')
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, **options)
