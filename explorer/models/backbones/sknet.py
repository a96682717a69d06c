"""SKNet: a ResNet whose neurons choose the size of what they look at.

Each block filters the map by two convolutions beside each other, one that sees 3 x 3 pixels and one
that sees 5 x 5. An attention computed from the whole photo then says for each channel how much of
each goes on, so that large objects are seen by large neighbourhoods and small ones by small.

Li et al., "Selective Kernel Networks", 2019, https://arxiv.org/abs/1903.06586. Parameter names are
timm's. The network is `ResNet`, of the same family, with other blocks.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from explorer.models.backbones.resnet import ResNet
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath
from explorer.models.layers.resnet_blocks import Parts
from explorer.models.layers.selective_kernel import SelectiveKernel


class SelectiveKernelBasic(nn.Module):
    """Selective kernel, 3 x 3 convolution beside a shortcut: [B, in, H, W]
    -> [B, width, H/stride, W/stride].
    """

    expansion = 1

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float, **kernel: Any):
        super().__init__()
        if parts.cardinality != 1 or parts.base_width != 64:
            raise ValueError("SelectiveKernelBasic has no groups: "
                             "use SelectiveKernelBottleneck for them.")
        self.conv1 = SelectiveKernel(in_chans, width, stride=stride, dilation=first_dilation,
                                     act_layer=parts.act, **kernel)
        self.conv2 = ConvNormAct(width, width, 3, dilation=dilation, apply_act=False)
        self.se = parts.attn(width)
        self.act = parts.act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv2(self.conv1(x))
        if self.se is not None:
            x = self.se(x)
        return self.act(self.drop_path(x) + shortcut)


class SelectiveKernelBottleneck(nn.Module):
    """Narrow, selective kernel, widen beside a shortcut: [B, in, H, W]
    -> [B, 4 * width, H/stride, W/stride].
    """

    expansion = 4

    def __init__(self, in_chans: int, width: int, parts: Parts, *, stride: int, dilation: int,
                 first_dilation: int, shortcut: nn.Module | None, drop_path: float, **kernel: Any):
        super().__init__()
        out, middle = width * self.expansion, width * parts.base_width // 64 * parts.cardinality
        self.conv1 = ConvNormAct(in_chans, middle, 1, act_layer=parts.act)
        self.conv2 = SelectiveKernel(middle, middle, stride=stride, dilation=first_dilation,
                                     groups=parts.cardinality, act_layer=parts.act, **kernel)
        self.conv3 = ConvNormAct(middle, out, 1, apply_act=False)
        self.se = parts.attn(out)
        self.act = parts.act()
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv3(self.conv2(self.conv1(x)))
        if self.se is not None:
            x = self.se(x)
        return self.act(self.drop_path(x) + shortcut)


class SKNet(ResNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    block:   SelectiveKernelBasic or SelectiveKernelBottleneck
    rd_ratio, rd_divisor, split_input: see `SelectiveKernel`
    options: ResNet's, such as depths, cardinality and stem, but for those that its own blocks alone
             have
    """

    def __init__(self, *, block: type[nn.Module] = SelectiveKernelBottleneck,
                 rd_ratio: float = 1 / 16, rd_divisor: int = 8, split_input: bool = True,
                 **options: Any):
        if foreign := {"aa", "norm_layer", "reduce_first"} & set(options):
            raise ValueError(f"Selective kernels have no option {min(foreign)!r}: leave it out.")
        kernel = dict(rd_ratio=rd_ratio, rd_divisor=rd_divisor, split_input=split_input)
        super().__init__(block=block, block_options=kernel, **options)


MODEL = SKNet

_SMALL = dict(block=SelectiveKernelBasic, rd_ratio=1 / 8, rd_divisor=16)

VARIANTS: dict[str, dict[str, Any]] = {
    "skresnet18": dict(_SMALL, depths=(2, 2, 2, 2)),
    "skresnet34": dict(_SMALL, depths=(3, 4, 6, 3)),
    "skresnet50": dict(depths=(3, 4, 6, 3)),
    "skresnet50d": dict(depths=(3, 4, 6, 3), stem="deep", stem_width=32, avg_down=True),
    "skresnext50_32x4d": dict(depths=(3, 4, 6, 3), cardinality=32, base_width=4, rd_divisor=32,
                              split_input=False),
}
