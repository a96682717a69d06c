"""Aligned Xception: Xception as the backbone of DeepLab.

Segmentation needs maps that lie exactly over the photo. So the max pools went, for strided
convolutions that can dilate instead of halving, each filter got its own BatchNorm, and the network
grew to 41, 65 or 71 layers. The "p" variants put norm and activation before the convolutions.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation"
(DeepLab v3+), 2018, https://arxiv.org/abs/1802.02611, figure 4. Parameter names are timm's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath
from explorer.models.layers.pool import ClassifierHead


class SeparableConv2d(nn.Module):
    """Filter each channel by itself, then mix them: [B, in, H, W] -> [B, out, H/stride, W/stride].

    Each of the two has its norm. act_layer: an activation behind each of the two; "" for none.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, dilation: int, act_layer: str,
                 norm: Callable[[int], nn.Module]):
        super().__init__()
        self.conv_dw = create_conv2d(in_chans, in_chans, 3, stride=stride, dilation=dilation,
                                     groups=in_chans)
        self.bn_dw = norm(in_chans)
        self.act_dw = create_act(act_layer, inplace=True)
        self.conv_pw = create_conv2d(in_chans, out_chans, 1)
        self.bn_pw = norm(out_chans)
        self.act_pw = create_act(act_layer, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act_dw(self.bn_dw(self.conv_dw(x)))
        return self.act_pw(self.bn_pw(self.conv_pw(x)))


class PreSeparableConv2d(nn.Module):
    """The same with one norm and activation, which come first."""

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, dilation: int,
                 norm: Callable[[int], nn.Module] | None):
        super().__init__()
        self.norm = norm(in_chans) if norm is not None else nn.Identity()
        self.conv_dw = create_conv2d(in_chans, in_chans, 3, stride=stride, dilation=dilation,
                                     groups=in_chans)
        self.conv_pw = create_conv2d(in_chans, out_chans, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_pw(self.conv_dw(self.norm(x)))


class XceptionModule(nn.Module):
    """Three separable convolutions and a shortcut: [B, in, H, W]
    -> [B, widths[-1], H/stride, W/stride].

    The last of the three has the stride. The map in front of it, as large as the input and as rich
    as the output, is what the network shows as a stage: `begin` gives it, `end` goes on from there.
    """

    def __init__(self, in_chans: int, widths: tuple[int, int, int], *, stride: int, dilation: int,
                 with_shortcut: bool, preact: bool, act_layer: str, norm_eps: float,
                 drop_path: float):
        super().__init__()
        self.with_shortcut = with_shortcut
        norm_act = partial(BatchNormAct2d, eps=norm_eps, act_layer=act_layer)
        self.shortcut: nn.Module = nn.Identity()
        if with_shortcut and (stride != 1 or in_chans != widths[-1]):
            self.shortcut = create_conv2d(in_chans, widths[-1], 1, stride=stride) if preact else \
                ConvNormAct(in_chans, widths[-1], 1, stride, apply_act=False, norm_layer=norm_act)
        self.norm = norm_act(in_chans) if preact else nn.Identity()

        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, width in enumerate(widths, start=1):
            place: dict[str, Any] = dict(stride=stride if i == len(widths) else 1,
                                         dilation=dilation)
            if preact:
                layers[f"conv{i}"] = PreSeparableConv2d(in_chans, width,
                                                        norm=norm_act if i > 1 else None, **place)
            else:
                if with_shortcut:  # the first activation's input is the shortcut's as well
                    layers[f"act{i}"] = create_act(act_layer, inplace=i > 1)
                layers[f"conv{i}"] = SeparableConv2d(
                    in_chans, width, act_layer="" if with_shortcut else act_layer,
                    norm=partial(nn.BatchNorm2d, eps=norm_eps), **place,
                )
            in_chans = width
        self.stack = nn.Sequential(layers)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def begin(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(the map in front of the last convolution, the shortcut)."""
        x = self.norm(x)
        shortcut = self.shortcut(x) if self.with_shortcut else None
        for layer in list(self.stack)[:-1]:
            x = layer(x)
        return x, shortcut

    def end(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        x = self.drop_path(self.stack[-1](x))
        return x if shortcut is None else x + shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.end(*self.begin(x))


class XceptionAligned(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    entry:  (channels, stride) of the first blocks;  middle: number of blocks in the middle
    preact: norm and activation before the convolutions
    output_stride: 32, 16 or 8: later blocks dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        entry: tuple[tuple[int, int], ...] = ((128, 2), (256, 2), (728, 2)),
        middle: int = 8,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        preact: bool = False,
        act_layer: str = "relu",
        norm_eps: float = 1e-3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: Xception offers 8, 16 and 32.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        norm_act = partial(BatchNormAct2d, eps=norm_eps, act_layer=act_layer)
        self.stem = nn.Sequential(
            ConvNormAct(in_chans, 32, 3, 2, norm_layer=norm_act),
            create_conv2d(32, 64, 3) if preact else ConvNormAct(32, 64, 3, norm_layer=norm_act),
        )

        # widths, stride, with a shortcut
        plan = [((width,) * 3, stride, True) for width, stride in entry]
        plan += [((entry[-1][0],) * 3, 1, True) for _ in range(middle)]
        plan += [((entry[-1][0], 1024, 1024), 2, True), ((1536, 1536, 2048), 1, False)]
        chans, stride_so_far, dilation = 64, 2, 1
        blocks, stages = [], []
        for i, (widths, stride, with_shortcut) in enumerate(plan):
            if stride > 1:
                inner = "conv2" if preact else "act3"
                stages.append(Stage(f"blocks.{i}", f"blocks.{i}.stack.{inner}", widths[1],
                                    stride_so_far))
            own_dilation = dilation
            if stride_so_far * stride > output_stride:
                # the block that would have halved still sees neighbours; those behind it look
                # further
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            blocks.append(XceptionModule(
                chans, widths, stride=stride, dilation=own_dilation, with_shortcut=with_shortcut,
                preact=preact, act_layer=act_layer, norm_eps=norm_eps,
                drop_path=drop_path_rate * i / (len(plan) - 1),
            ))
            chans = widths[-1]
        self.blocks = nn.Sequential(*blocks)
        self.stages = (*stages, Stage("exit", f"blocks.{len(plan) - 1}", chans, stride_so_far))
        self.act = create_act(act_layer if preact else "")

        self.num_features = chans
        self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation by what goes in, which for a filter of one channel is its nine pixels.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        shown = {stage.name for stage in self.stages}
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            if f"blocks.{i}" in shown:
                inner, shortcut = block.begin(x)
                # [B, 128, H/2, W/2], [B, 256, H/4, W/4], [B, 728, H/8, W/8], [B, 1024, H/16, W/16]
                yield inner
                x = block.end(inner, shortcut)
            else:
                x = block(x)
        yield x  # exit [B, 2048, H/32, W/32]
        return self.act(x)


MODEL = XceptionAligned

_71 = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))

VARIANTS: dict[str, dict[str, Any]] = {
    "xception41": dict(middle=8),
    "xception65": dict(middle=16),
    "xception71": dict(entry=_71, middle=16),
    "xception41p": dict(middle=8, preact=True, norm_eps=1e-5),
    "xception65p": dict(middle=16, preact=True),
}
