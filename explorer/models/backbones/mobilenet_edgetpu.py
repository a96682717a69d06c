"""MobileNetEdgeTPU: MobileNet for a chip that is built for full convolutions.

Depthwise filters save arithmetic, but such a chip computes a full convolution faster than it can
fetch the data for a depthwise one. So the large maps get full convolutions, widened and filtered in
one step, and only the small maps MobileNetV2's block. The second version splits some of the full
convolutions into groups, a middle way.

Gupta and Akin, "Accelerator-aware Neural Network Design using AutoML", 2020,
https://arxiv.org/abs/2003.02838; Akin et al., "Searching for Efficient Neural Architectures for
On-Device ML on Edge TPUs", 2022, https://arxiv.org/abs/2204.14007.
Blocks are EfficientNet's; parameter names are timm's.
The network is `EfficientNet`, of the same family, with other blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from explorer.models.backbones.efficientnet import EfficientNet
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.init import init_by_fan_out
from explorer.models.layers.mobile_blocks import EdgeResidual, InvertedResidual
from explorer.models.layers.mobile_rows import Architecture, Row


def grouped_edge(in_chans: int, out_chans: int, *, group_size: int, conv: Callable,
                 **parts: Any) -> nn.Module:
    """The fused block, whose full convolution sees `group_size` channels at a time."""
    def grouped(ins: int, outs: int, kernel: int, **options: Any) -> nn.Module:
        return conv(ins, outs, kernel, groups=ins // group_size if kernel > 1 else 1, **options)

    return EdgeResidual(in_chans, out_chans, conv=grouped, **parts)


def plain_inverted(in_chans: int, out_chans: int, **parts: Any) -> nn.Module:
    """MobileNetV2's block without its shortcut."""
    block = InvertedResidual(in_chans, out_chans, **parts)
    block.has_shortcut, block.drop_path = False, nn.Identity()
    return block


EDGETPU: Architecture = (
    [Row("conv", 1, 1, 1, 16, 1)],
    [Row("edge", 3, 2, 8, 32, 1), Row("edge", 3, 1, 4, 32, 3)],
    [Row("edge", 3, 2, 8, 48, 1), Row("edge", 3, 1, 4, 48, 3)],
    [Row("inverted", 3, 2, 8, 96, 1), Row("inverted", 3, 1, 4, 96, 3)],
    [Row(plain_inverted, 3, 1, 8, 96, 1), Row("inverted", 3, 1, 4, 96, 3)],
    [Row("inverted", 5, 2, 8, 160, 1), Row("inverted", 5, 1, 4, 160, 3)],
    [Row("inverted", 3, 1, 8, 192, 1)],
)


def edgetpu_v2(channels: tuple[int, ...], group_size: int) -> Architecture:
    """The second version with these channels, one number a stage."""
    grouped = partial(grouped_edge, group_size=group_size)
    first, second, third, fourth, fifth, sixth, seventh = channels
    return (
        [Row("conv", 1, 1, 1, first, 1)],
        [Row("edge", 3, 2, 8, second, 1), Row(grouped, 3, 1, 4, second, 1)],
        [Row("edge", 3, 2, 8, third, 1), Row(grouped, 3, 1, 4, third, 1),
         Row("edge", 3, 1, 4, third, 1), Row(grouped, 3, 1, 4, third, 1)],
        [Row("edge", 3, 2, 8, fourth, 1), Row("inverted", 3, 1, 4, fourth, 3)],
        [Row("inverted", 3, 1, 8, fifth, 1), Row("inverted", 3, 1, 4, fifth, 3)],
        [Row("inverted", 3, 2, 8, sixth, 1), Row("inverted", 3, 1, 4, sixth, 3)],
        [Row("inverted", 3, 1, 8, seventh, 1)],
    )


class MobileNetEdgeTPU(EfficientNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]. The options are EfficientNet's, and one
    more.

    stem_kernel: size of the first convolution's filters
    """

    def __init__(self, *, stem_kernel: int = 3, padding: str = "", **options: Any):
        super().__init__(padding=padding, **options)
        if stem_kernel != 3:
            self.conv_stem = create_conv2d(self.in_chans, self.conv_stem.out_channels, stem_kernel,
                                           stride=2, padding=padding)
            init_by_fan_out(self.conv_stem)


MODEL = MobileNetEdgeTPU

_RELU = dict(act_layer="relu")

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenet_edgetpu_100": dict(_RELU, architecture=EDGETPU, stem=32, head=1280),
    "mobilenet_edgetpu_v2_xs": dict(
        _RELU, architecture=edgetpu_v2((16, 32, 48, 96, 144, 160, 192), 16), stem=32, head=1280),
    "mobilenet_edgetpu_v2_s": dict(
        _RELU, architecture=edgetpu_v2((24, 48, 64, 128, 160, 192, 256), 16), stem=64,
        stem_kernel=5, head=1280),
    "mobilenet_edgetpu_v2_m": dict(
        _RELU, architecture=edgetpu_v2((32, 64, 80, 160, 192, 240, 320), 16), stem=64,
        stem_kernel=5, head=1344),
    "mobilenet_edgetpu_v2_l": dict(
        _RELU, architecture=edgetpu_v2((32, 64, 96, 192, 240, 256, 384), 32), stem=64,
        stem_kernel=7, head=1408),
}
