"""MixNet: filters of several sizes in one depthwise convolution.

A small filter sees fine detail, a large one whole parts; one size for all channels of a layer is a
compromise. As a depthwise convolution filters every channel by itself anyway, some channels may get
3 x 3, others 5 x 5, 7 x 7 and so on up to 11 x 11, at hardly any cost. A search then chose the
mixture of every layer.

Tan and Le, "MixConv: Mixed Depthwise Convolutional Kernels", 2019,
https://arxiv.org/abs/1907.09595. Blocks and scaling are EfficientNet's; parameter names are timm's.
The network is `EfficientNet`, of the same family, with one more block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.models.backbones.efficientnet import EfficientNet
from explorer.models.layers.mobile_blocks import InvertedResidual
from explorer.models.layers.mobile_rows import Architecture, Row

# --- blocks ---------------------------------------------------------------------------------------


class MixedConv(nn.ModuleList):
    """Convolutions side by side, each on its own share of the channels.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]

    kernels: the size of each;  depthwise: every channel by itself
    conv:    makes one convolution
    """

    def __init__(self, in_chans: int, out_chans: int, kernels: Sequence[int], *, conv: Callable,
                 stride: int = 1, dilation: int = 1, depthwise: bool = False):
        ins, outs = shares(in_chans, len(kernels)), shares(out_chans, len(kernels))
        super().__init__(
            conv(share, out, kernel, stride=stride, dilation=dilation,
                 groups=out if depthwise else 1)
            for share, out, kernel in zip(ins, outs, kernels)
        )
        self.shares = ins

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([conv(share) for conv, share in zip(self, x.split(self.shares, dim=1))],
                         dim=1)


def shares(channels: int, count: int) -> list[int]:
    """`channels` in `count` equal parts; what is left over goes to the first."""
    part = channels // count
    return [channels - part * (count - 1)] + [part] * (count - 1)


class Mix(NamedTuple):
    """What a block mixes: the sizes of its filters, and in how many shares it widens and narrows.
    """

    kernels: tuple[int, ...] = (3,)
    widen: int = 1
    narrow: int = 1


class MixedResidual(InvertedResidual):
    """MobileNetV2's block with mixed convolutions; `kernel` is a `Mix`."""

    def __init__(self, in_chans: int, out_chans: int, *, kernel: Mix, stride: int, dilation: int,
                 conv: Callable, **parts: Any):
        super().__init__(in_chans, out_chans, kernel=kernel.kernels[0], stride=stride,
                         dilation=dilation, conv=conv, **parts)
        middle = self.conv_pw.out_channels
        if kernel.widen > 1:
            self.conv_pw = MixedConv(in_chans, middle, (1,) * kernel.widen, conv=conv)
        if len(kernel.kernels) > 1:
            self.conv_dw = MixedConv(middle, middle, kernel.kernels, conv=conv, stride=stride,
                                     dilation=dilation, depthwise=True)
        if kernel.narrow > 1:
            self.conv_pwl = MixedConv(middle, out_chans, (1,) * kernel.narrow, conv=conv)


def mixed(kernels: tuple[int, ...], stride: int, expand: int, channels: int, repeats: int, *,
          widen: int = 1, narrow: int = 1, **options: Any) -> Row:
    """A row of them: `widen` and `narrow` as in `Mix`, the rest as in `Row`."""
    return Row(MixedResidual, Mix(kernels, widen, narrow), stride, expand, channels, repeats,
               **options)


# --- architectures --------------------------------------------------------------------------------

_SILU_HALF, _SILU_QUARTER = dict(se=0.5, act="silu"), dict(se=0.25, act="silu")

MIXNET_S: Architecture = (
    [Row("separable", 3, 1, 1, 16, 1)],
    [mixed((3,), 2, 6, 24, 1, widen=2, narrow=2), mixed((3,), 1, 3, 24, 1, widen=2, narrow=2)],
    [mixed((3, 5, 7), 2, 6, 40, 1, **_SILU_HALF),
     mixed((3, 5), 1, 6, 40, 3, widen=2, narrow=2, **_SILU_HALF)],
    [mixed((3, 5, 7), 2, 6, 80, 1, narrow=2, **_SILU_QUARTER),
     mixed((3, 5), 1, 6, 80, 2, narrow=2, **_SILU_QUARTER)],
    [mixed((3, 5, 7), 1, 6, 120, 1, widen=2, narrow=2, **_SILU_HALF),
     mixed((3, 5, 7, 9), 1, 3, 120, 2, widen=2, narrow=2, **_SILU_HALF)],
    [mixed((3, 5, 7, 9, 11), 2, 6, 200, 1, **_SILU_HALF),
     mixed((3, 5, 7, 9), 1, 6, 200, 2, narrow=2, **_SILU_HALF)],
)

MIXNET_M: Architecture = (
    [Row("separable", 3, 1, 1, 24, 1)],
    [mixed((3, 5, 7), 2, 6, 32, 1, widen=2, narrow=2), mixed((3,), 1, 3, 32, 1, widen=2, narrow=2)],
    [mixed((3, 5, 7, 9), 2, 6, 40, 1, **_SILU_HALF),
     mixed((3, 5), 1, 6, 40, 3, widen=2, narrow=2, **_SILU_HALF)],
    [mixed((3, 5, 7), 2, 6, 80, 1, **_SILU_QUARTER),
     mixed((3, 5, 7, 9), 1, 6, 80, 3, widen=2, narrow=2, **_SILU_QUARTER)],
    [mixed((3,), 1, 6, 120, 1, **_SILU_HALF),
     mixed((3, 5, 7, 9), 1, 3, 120, 3, widen=2, narrow=2, **_SILU_HALF)],
    [mixed((3, 5, 7, 9), 2, 6, 200, 1, **_SILU_HALF),
     mixed((3, 5, 7, 9), 1, 6, 200, 3, narrow=2, **_SILU_HALF)],
)


# --- the model ------------------------------------------------------------------------------------


class MixNet(EfficientNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]. The options are EfficientNet's."""


MODEL = MixNet

_S = dict(architecture=MIXNET_S, stem=16, head=1536, keep=("head",), act_layer="relu",
          rounding=round)
_M = dict(_S, architecture=MIXNET_M, stem=24)
_TF = dict(padding="same", norm_eps=1e-3)  # what weights trained with TensorFlow expect

VARIANTS: dict[str, dict[str, Any]] = {
    "mixnet_s": dict(_S),
    "mixnet_m": dict(_M),
    "mixnet_l": dict(_M, width=1.3),
    "mixnet_xl": dict(_M, width=1.6, depth=1.2),
    "mixnet_xxl": dict(_M, width=2.4, depth=1.3),
    "tf_mixnet_s": dict(_S, **_TF),
    "tf_mixnet_m": dict(_M, **_TF),
    "tf_mixnet_l": dict(_M, width=1.3, **_TF),
}
