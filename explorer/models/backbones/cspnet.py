"""DarkNet and CSPNet: let half of the channels take the short way.

DarkNet-53, made for the detector YOLOv3, is a lean residual network: a 1 x 1 and a 3 x 3
convolution in each block, and a strided convolution in place of each pool. CSPNet sends only half
of a stage's channels through its blocks and lays the other half beside the result, so the blocks
cost half, and fewer gradients repeat each other. The CS3 networks are the later, simpler form from
YOLOv4 and YOLOv5, with SiLU and one convolution less.

Redmon and Farhadi, "YOLOv3", 2018, https://arxiv.org/abs/1804.02767; Wang et al., "CSPNet: A New
Backbone that can Enhance Learning Capability of CNN", 2019, https://arxiv.org/abs/1911.11929.
Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import create_attn
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import ClassifierHead

# --- blocks: [B, chans, H, W] -> the same shape, always beside a shortcut -------------------------


@dataclass(frozen=True)
class Parts:
    """What the blocks of one stage share.

    conv:       makes a convolution with norm and activation, which keeps the map's size at stride 1
    attn:       makes the channel attention for so many channels, or None
    bottleneck: channels in a block's middle, as a share of its own
    groups, dilation: of the 3 x 3 convolutions
    """

    conv: Callable[..., nn.Module]
    act: Callable[[], nn.Module]
    attn: Callable[[int], nn.Module | None]
    bottleneck: float
    groups: int
    dilation: int


def attention(parts: Parts, chans: int) -> nn.Module:
    return parts.attn(chans) or nn.Identity()


class DarkBlock(nn.Module):
    """DarkNet's block: narrow by 1 x 1, filter by 3 x 3. No activation follows the sum."""

    def __init__(self, chans: int, parts: Parts, *, drop_path: float):
        super().__init__()
        middle = round(chans * parts.bottleneck)
        self.conv1 = parts.conv(chans, middle, 1)
        self.attn = attention(parts, middle)
        self.conv2 = parts.conv(middle, chans, 3, dilation=parts.dilation, groups=parts.groups)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.conv2.bn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.conv2(self.attn(self.conv1(x))))


class EdgeBlock(nn.Module):
    """Filter and widen in one 3 x 3 convolution, narrow by 1 x 1, as in EfficientNet-EdgeTPU."""

    def __init__(self, chans: int, parts: Parts, *, drop_path: float):
        super().__init__()
        middle = round(chans * parts.bottleneck)
        self.conv1 = parts.conv(chans, middle, 3, dilation=parts.dilation, groups=parts.groups)
        self.attn = attention(parts, middle)
        self.conv2 = parts.conv(middle, chans, 1)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        return self.conv2.bn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.conv2(self.attn(self.conv1(x))))


class BottleneckBlock(nn.Module):
    """ResNet's block: narrow, filter, widen, with the activation behind the sum."""

    def __init__(self, chans: int, parts: Parts, *, drop_path: float):
        super().__init__()
        middle = round(chans * parts.bottleneck)
        self.conv1 = parts.conv(chans, middle, 1)
        self.conv2 = parts.conv(middle, middle, 3, dilation=parts.dilation, groups=parts.groups)
        self.attn2 = attention(parts, middle)
        self.conv3 = parts.conv(middle, chans, 1, apply_act=False)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.act3 = parts.act()

    @property
    def last_norm(self) -> nn.Module:
        return self.conv3.bn

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv3(self.attn2(self.conv2(self.conv1(x))))
        return self.act3(self.drop_path(x) + shortcut)


# --- stages: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride] ----------------------------
#
#     down    halves the map (or is the identity) and gives `down_chans` channels
#     block   makes one block: block(channels, drop_path=rate);  rates: one drop-path rate a block
#     expand  channels between the two halves of a cross stage, as a share of out_chans


class DarkStage(nn.Module):
    """Halve, then blocks on all channels."""

    def __init__(self, down: nn.Module, out_chans: int, *, block: Callable, rates: list[float],
                 **_):
        super().__init__()
        self.conv_down = down
        self.blocks = nn.Sequential(*(block(out_chans, drop_path=rate) for rate in rates))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.conv_down(x))


class CrossStage(nn.Module):
    """Halve, widen, and send only the second half of the channels through the blocks.

    linear: no activation behind the widening.
    """

    def __init__(self, down: nn.Module, out_chans: int, *, down_chans: int, block: Callable,
                 rates: list[float], conv: Callable, expand: float, linear: bool):
        super().__init__()
        half = round(out_chans * expand) // 2
        self.conv_down = down
        self.conv_exp = conv(down_chans, 2 * half, 1, apply_act=not linear)
        self.blocks = nn.Sequential(*(block(half, drop_path=rate) for rate in rates))
        self.conv_transition_b = conv(half, half, 1)
        self.conv_transition = conv(2 * half, out_chans, 1)

    def forward(self, x: Tensor) -> Tensor:
        short, long = self.conv_exp(self.conv_down(x)).chunk(2, dim=1)  # two of [B, half, H/s, W/s]
        long = self.conv_transition_b(self.blocks(long))
        return self.conv_transition(torch.cat((short, long), dim=1))


class CrossStage3(nn.Module):
    """The later form, with one convolution less around the blocks; here the first half goes
    through.
    """

    def __init__(self, down: nn.Module, out_chans: int, *, down_chans: int, block: Callable,
                 rates: list[float], conv: Callable, expand: float, linear: bool):
        super().__init__()
        half = round(out_chans * expand) // 2
        self.conv_down = down
        self.conv_exp = conv(down_chans, 2 * half, 1, apply_act=not linear)
        self.blocks = nn.Sequential(*(block(half, drop_path=rate) for rate in rates))
        self.conv_transition = conv(2 * half, out_chans, 1)

    def forward(self, x: Tensor) -> Tensor:
        long, short = self.conv_exp(self.conv_down(x)).chunk(2, dim=1)  # two of [B, half, H/s, W/s]
        return self.conv_transition(torch.cat((self.blocks(long), short), dim=1))


# --- the model ------------------------------------------------------------------------------------


class CspNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    stage, block: what is stacked;  depths, widths: blocks and channels of each stage
    stem:         channels of the first convolutions
    stem_kernel, stem_padding, stem_stride: of the first of them
    stem_pool:    a max pool behind the stem, and no halving in the first stage
    expand, bottleneck, groups: see the stages and `Parts`; one number, or one for each stage
    linear:       no activation behind a cross stage's widening
    down_growth:  the convolution that halves has the stage's width already, not the width before
    avg_down:     average and a 1 x 1 convolution halve the map, in place of a strided convolution
    attn:         "", "se" or another channel attention, with `attn_options`
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        stage: Callable[..., nn.Module] = DarkStage,
        block: Callable[..., nn.Module] = DarkBlock,
        depths: tuple[int, ...] = (1, 2, 8, 8, 4),
        widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        stem: tuple[int, ...] = (32,),
        stem_kernel: int = 3,
        stem_padding: int | str = "",
        stem_stride: int = 1,
        stem_pool: bool = False,
        expand: float | tuple[float, ...] = 1.0,
        bottleneck: float | tuple[float, ...] = 0.5,
        groups: int | tuple[int, ...] = 1,
        linear: bool = False,
        down_growth: bool = False,
        avg_down: bool = False,
        attn: str = "",
        attn_options: dict[str, Any] | None = None,
        act_layer: str = "leaky_relu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: CSPNets offer 8, 16 and 32.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        conv = partial(ConvNormAct, act_layer=act_layer)
        options = dict(attn_options or {}, **({"act_layer": act_layer} if attn == "se" else {}))

        self.stem, chans = nn.Sequential(), in_chans
        for i, width in enumerate(stem):
            first = dict(kernel_size=stem_kernel, padding=stem_padding, stride=stem_stride)
            self.stem.add_module(f"conv{i + 1}",
                                 conv(chans, width, **(first if i == 0 else dict(kernel_size=3))))
            chans = width
        stride_so_far = stem_stride
        table = [Stage("stem", f"stem.conv{len(stem)}", chans, stride_so_far)]
        if stem_pool:
            self.stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
            stride_so_far *= 2

        # the name in checkpoints; ours are in `stage_table`
        self.stages, dilation = nn.Sequential(), 1
        rates = drop_path_rates(drop_path_rate, depths)
        settings = (each(value, len(depths)) for value in (expand, bottleneck, groups))
        per_stage = zip(widths, *settings, strict=True)
        for i, (width, wider, narrower, group) in enumerate(per_stage):
            stride, before = (1 if stem_pool and i == 0 else 2), dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            down, down_chans = nn.Identity(), chans
            if i > 0 or not stem_pool:
                down_chans = width if down_growth else chans
                if avg_down:
                    pool = nn.AvgPool2d(2) if stride > 1 else nn.Identity()
                    down = nn.Sequential(pool, conv(chans, down_chans, 1, groups=group))
                else:
                    down = conv(chans, down_chans, 3, stride=stride, dilation=before, groups=group)
            parts = Parts(
                conv=conv, act=partial(create_act, act_layer),
                attn=partial(create_attn, attn, **options), bottleneck=narrower, groups=group,
                dilation=dilation,
            )
            self.stages.append(stage(
                down, width, down_chans=down_chans, block=partial(block, parts=parts),
                rates=rates[i], conv=conv, expand=wider, linear=linear,
            ))
            chans = width
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, stride_so_far))
        self.stage_table = table
        self.num_features = chans
        self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation; each block starts as the identity (its last norm at zero, Goyal et al.
        2017).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, (DarkBlock, EdgeBlock, BottleneckBlock)):
                nn.init.zeros_(module.last_norm.weight)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        for name, layer in self.stem.named_children():
            x = layer(x)
            if f"stem.{name}" == self.stage_table[0].module:
                yield x  # stem      [B, 64, H/2, W/2]; DarkNet-53 and its relatives: [B, 32, H, W]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 ... the last one [B, C, H/32, W/32]
        return x


def each(value: float | tuple[float, ...], count: int) -> tuple[float, ...]:
    """One number for each stage, from one for all of them or from a tuple."""
    return value if isinstance(value, tuple) else (value,) * count


MODEL = CspNet

_DARK = dict(down_growth=True)
_CSP_RES = dict(stage=CrossStage, block=BottleneckBlock, depths=(3, 3, 5, 2),
                widths=(128, 256, 512, 1024), stem=(64,), stem_kernel=7, stem_stride=2,
                stem_pool=True, expand=2.0, linear=True)
_DEEP_STEM = dict(stem=(32, 32, 64), stem_kernel=3)
_WIDE = dict(widths=(256, 512, 1024, 2048), expand=1.0)
_CS3 = dict(stage=CrossStage3, stem_stride=2, bottleneck=1.0, act_layer="silu")
_EDGE = dict(block=EdgeBlock, bottleneck=1.5)
_SE = dict(attn="se", attn_options=dict(rd_ratio=0.25))
_S = dict(depths=(1, 3, 4, 1), widths=(64, 128, 256, 512))
_M = dict(depths=(2, 4, 6, 2), widths=(96, 192, 384, 768))
_L = dict(depths=(3, 6, 9, 3), widths=(128, 256, 512, 1024))
_X = dict(depths=(3, 7, 11, 3), widths=(160, 320, 640, 1280))


def _focus(chans: int) -> dict[str, Any]:
    """YOLOv5's stem: a 3 x 3 convolution that reads 2 x 2 pixels as channels, so one of 6 x 6 at
    stride 2.
    """
    return dict(stem=(chans,), stem_kernel=6, stem_padding=2)


VARIANTS: dict[str, dict[str, Any]] = {
    "darknet17": dict(_DARK, depths=(1, 1, 1, 1, 1)),
    "darknet21": dict(_DARK, depths=(1, 1, 1, 2, 2)),
    "darknet53": dict(_DARK, depths=(1, 2, 8, 8, 4)),
    "darknetaa53": dict(_DARK, depths=(1, 2, 8, 8, 4), avg_down=True),
    "sedarknet21": dict(_DARK, depths=(1, 1, 1, 2, 2), attn="se"),

    "cspresnet50": dict(_CSP_RES),
    "cspresnet50d": dict({**_CSP_RES, **_DEEP_STEM}),
    "cspresnet50w": dict({**_CSP_RES, **_WIDE, **_DEEP_STEM}, bottleneck=0.25),
    "cspresnext50": dict({**_CSP_RES, **_WIDE}, bottleneck=1.0, groups=32),
    "cspdarknet53": dict(_DARK, stage=CrossStage, expand=(2.0, 1.0, 1.0, 1.0, 1.0),
                         bottleneck=(0.5, 1.0, 1.0, 1.0, 1.0)),

    "cs3darknet_s": dict(_CS3, stem=(16, 32), **_S),
    "cs3darknet_m": dict(_CS3, stem=(24, 48), **_M),
    "cs3darknet_l": dict(_CS3, stem=(32, 64), **_L),
    "cs3darknet_x": dict(_CS3, stem=(40, 80), **_X),
    "cs3darknet_focus_s": dict(_CS3, **_focus(32), **_S),
    "cs3darknet_focus_m": dict(_CS3, **_focus(48), **_M),
    "cs3darknet_focus_l": dict(_CS3, **_focus(64), **_L),
    "cs3darknet_focus_x": dict(_CS3, **_focus(80), **_X),
    "cs3sedarknet_l": dict(_CS3, stem=(32, 64), **_L, **_SE),
    "cs3sedarknet_x": dict(_CS3, stem=(40, 80), **_X, attn="se"),
    "cs3sedarknet_xdw": dict({**_CS3, **_WIDE, "stage": CrossStage, "bottleneck": 0.5},
                             block=BottleneckBlock, stem=(32, 64), attn="se", depths=(3, 6, 12, 4),
                             groups=(1, 1, 256, 512)),
    "cs3edgenet_x": dict({**_CS3, **_EDGE}, stem=(40, 80), **_X),
    "cs3se_edgenet_x": dict({**_CS3, **_EDGE}, stem=(40, 80), **_X, **_SE),
}
