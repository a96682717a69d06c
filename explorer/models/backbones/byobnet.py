"""GERNet, RegNetZ and hand-made ResNets: one frame, and a table that says what goes into it.

Once the block is given, a network is a short list: which block, how many, how wide, with which
stride. These networks were found that way. GERNet's authors searched for what a graphics card
computes fastest, and got full convolutions early and narrow or depthwise ones late; the others are
ResNets and RegNets with better stems, other widths and a channel attention, each tried out on one
graphics card by Ross Wightman.

GERNet: Lin et al., "Neural Architecture Design for GPU-Efficient Networks", 2020,
https://arxiv.org/abs/2006.14090. RegNetZ: Dollár et al., "Fast and Accurate Model Scaling", 2021,
https://arxiv.org/abs/2103.06877. Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.bilinear_attention import BilinearAttention
from explorer.models.layers.channel_attention import EcaModule, SEModule, make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.evo_norm import EvoNorm2dS0
from explorer.models.layers.global_context import GlobalContext
from explorer.models.layers.pool import ClassifierHead

# --- attention to channels ------------------------------------------------------------------------


ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "": lambda channels: nn.Identity(),
    "se": SEModule,
    "se_wide": partial(SEModule, rd_ratio=1 / 4),
    "eca": EcaModule,
    "gc": GlobalContext,
    "bat": BilinearAttention,
}


class GroupEvoNorm(EvoNorm2dS0):
    """EvoNorm in groups of 16 channels, which divides by their deviation even where it brings no
    activation.

    [B, C, H, W] -> [B, C, H, W]; C is a multiple of 16.
    """

    def __init__(self, num_features: int, *, apply_act: bool = True, act_layer=None,
                 drop_layer=None):
        super().__init__(num_features, eps=1e-3, groups=max(1, num_features // 16),
                         apply_act=apply_act)

    def forward(self, x: Tensor) -> Tensor:
        if self.apply_act:
            return super().forward(x)
        grouped = x.unflatten(1, (self.groups, -1))  # [B, G, 16, H, W]
        deviation = (grouped.var((2, 3, 4), unbiased=False, keepdim=True) + self.eps).sqrt()
        scaled = (grouped / deviation).flatten(1, 2) * self.weight[:, None, None]
        return scaled + self.bias[:, None, None]


# --- blocks ---------------------------------------------------------------------------------------
#
# All: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride], a branch beside a shortcut.


class Row(NamedTuple):
    """One stage: `depth` blocks of that kind with `width` channels; the first has the `stride`.

    ratio: channels inside a block, as a share of its ends;  group_size: channels in a group of the
           k x k
    convolution, 0 for one group, 1 for depthwise
    """

    block: str
    depth: int
    width: int
    stride: int = 2
    ratio: float = 1.0
    group_size: int = 0


class Place(NamedTuple):
    """Where in the network a block stands, and what all blocks share.

    dilations: of the first and the second k x k convolution, if there are two;  shortcut: a
               convolution in the
    shortcut, the identity ("same"), or no shortcut ("")
    """

    in_chans: int
    out_chans: int
    middle: int
    groups: int
    stride: int
    dilations: tuple[int, int]
    shortcut: str
    attn: str
    conv: Callable[..., nn.Module]
    act: Callable[[], nn.Module]
    linear: bool
    extra_conv: bool
    drop_path: float


class Block(nn.Module):
    """What all blocks have: the shortcut, the sum and the activation behind it; `branch` is the
    rest.
    """

    last: str  # the convolution whose norm starts at zero, so that a new block passes its input on

    def __init__(self, place: Place):
        super().__init__()
        self.shortcut: nn.Module | None = None
        if place.shortcut == "same":
            self.shortcut = nn.Identity()
        elif place.shortcut == "conv":
            self.shortcut = place.conv(place.in_chans, place.out_chans, 1, place.stride,
                                       apply_act=False)
        self.build_branch(place)
        self.drop_path = (DropPath(place.drop_path) if place.drop_path and self.shortcut is not None
                          else nn.Identity())
        self.act = nn.Identity() if place.linear else place.act()

    def build_branch(self, place: Place) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define build_branch")

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define branch")

    def forward(self, x: Tensor) -> Tensor:
        if self.shortcut is None:
            return self.act(self.branch(x))
        return self.act(self.drop_path(self.branch(x)) + self.shortcut(x))


class BasicBlock(Block):
    """Two 3 x 3 convolutions."""

    last = "conv2_kxk"

    def build_branch(self, place: Place) -> None:
        first, second = place.dilations
        self.conv1_kxk = place.conv(place.in_chans, place.middle, 3, place.stride, dilation=first)
        self.attn = ATTENTION[place.attn](place.middle)
        self.conv2_kxk = place.conv(place.middle, place.out_chans, 3, dilation=second,
                                    groups=place.groups, apply_act=False)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2_kxk(self.attn(self.conv1_kxk(x)))


class Bottleneck(Block):
    """1 x 1, 3 x 3 (twice with `extra_conv`), channel attention, 1 x 1."""

    last = "conv3_1x1"

    def build_branch(self, place: Place) -> None:
        first, second = place.dilations
        middle, groups = place.middle, place.groups
        self.conv1_1x1 = place.conv(place.in_chans, middle, 1)
        self.conv2_kxk = place.conv(middle, middle, 3, place.stride, dilation=first, groups=groups)
        self.conv2b_kxk: nn.Module = nn.Identity()
        if place.extra_conv:
            self.conv2b_kxk = place.conv(middle, middle, 3, dilation=second, groups=groups)
        self.attn = ATTENTION[place.attn](middle)
        self.conv3_1x1 = place.conv(middle, place.out_chans, 1, apply_act=False)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv3_1x1(self.attn(self.conv2b_kxk(self.conv2_kxk(self.conv1_1x1(x)))))


class EdgeBlock(Block):
    """3 x 3, channel attention, 1 x 1."""

    last = "conv2_1x1"

    def build_branch(self, place: Place) -> None:
        self.conv1_kxk = place.conv(place.in_chans, place.middle, 3, place.stride,
                                    dilation=place.dilations[0], groups=place.groups)
        self.attn = ATTENTION[place.attn](place.middle)
        self.conv2_1x1 = place.conv(place.middle, place.out_chans, 1, apply_act=False)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2_1x1(self.attn(self.conv1_kxk(x)))


BLOCKS: dict[str, type[Block]] = {"basic": BasicBlock, "bottle": Bottleneck, "edge": EdgeBlock}


# --- the model ------------------------------------------------------------------------------------


class ByobNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]. Bring your own blocks: the name is
    timm's.

    rows:        the stages
    stem:        (channels, stride) of each 3 x 3 convolution in front of them;  stem_pool: a
                 max pool behind those
    stem_plain:  how many of the stem's first convolutions have neither norm nor activation
    num_features: channels of a last 1 x 1 convolution; 0: none
    attn:        channel attention in every block: "", "se", "se_wide", "eca", "gc" or "bat"
    expand_in:   `Row.ratio` counts from a block's input, not from its result (inverted bottlenecks)
    linear:      no activation behind the sum, and no shortcut where shapes change (RegNetZ)
    extra_conv:  a second 3 x 3 convolution in each bottleneck
    norm_layer:  a norm that brings its activation
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        rows: Sequence[Row],
        stem: Sequence[tuple[int, int]] = ((32, 2),),
        stem_pool: bool = False,
        stem_plain: int = 0,
        num_features: int = 0,
        attn: str = "",
        expand_in: bool = False,
        linear: bool = False,
        extra_conv: bool = False,
        act_layer: str = "relu",
        norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: these networks offer 8, "
                             "16 and 32.")
        if attn not in ATTENTION:
            raise ValueError(f"Unknown channel attention {attn!r}. Known: "
                             f"{', '.join(map(repr, ATTENTION))}.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        conv = partial(ConvNormAct, act_layer=act_layer, norm_layer=norm_layer)

        layers: OrderedDict[str, nn.Module] = OrderedDict()
        chans, stride_so_far = in_chans, 1
        table = []
        for i, (out, stride) in enumerate(stem, start=1):
            plain = i <= stem_plain
            make = partial(nn.Conv2d, padding=1, bias=False) if plain else conv
            layers[f"conv{i}"] = make(chans, out, 3, stride=stride)
            chans, stride_so_far = out, stride_so_far * stride
            # the last map of half the size is the stem's; a later one replaces this
            if stride_so_far == 2:
                table = [Stage("stem", "stem" if len(stem) == 1 else f"stem.conv{i}", chans, 2)]
        if stem_pool:
            layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
            stride_so_far *= 2
        self.stem: nn.Module = nn.Sequential(layers) if len(layers) > 1 else layers["conv1"]

        stages, dilation = [], 1
        rates = drop_path_rates(drop_path_rate, tuple(row.depth for row in rows))
        for i, row in enumerate(rows):
            stride = row.stride
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            blocks = []
            for j in range(row.depth):
                reshapes = chans != row.width or (j == 0 and row.stride > 1)
                middle = make_divisible((chans if expand_in else row.width) * row.ratio)
                blocks.append(BLOCKS[row.block](Place(
                    chans, row.width, middle,
                    groups=middle // row.group_size if row.group_size else 1,
                    stride=stride if j == 0 else 1,
                    # the first block of a stage that would have halved still sees neighbours
                    dilations=(max(1, dilation // 2) if j == 0 else dilation, dilation),
                    shortcut=("" if linear else "conv") if reshapes else "same",
                    attn=attn, conv=conv, act=partial(create_act, act_layer, inplace=True),
                    linear=linear, extra_conv=extra_conv, drop_path=rates[i][j],
                )))
                chans = row.width
            stages.append(nn.Sequential(*blocks))
            # a map worth showing is the last of its size
            if i + 1 < len(rows) and rows[i + 1].stride > 1:
                table.append(Stage(f"stages.{i}", f"stages.{i}", chans, stride_so_far))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.final_conv = conv(chans, num_features, 1) if num_features else nn.Identity()
        self.num_features = num_features or chans
        self.stage_table = (*table, Stage("final", "final_conv", self.num_features, stride_so_far))
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation by fan-out, of each group; a block with a shortcut starts as the
        shortcut alone.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, GlobalContext):
                module.init_weights()
            elif isinstance(module, Block) and module.shortcut is not None:
                nn.init.zeros_(getattr(module, module.last).bn.weight)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        shown = {stage.module for stage in self.stage_table}
        if "stem" in shown:
            x = self.stem(x)
            yield x  # stem      [B, C, H/2, W/2]
        else:
            for name, layer in self.stem.named_children():
                x = layer(x)
                if f"stem.{name}" in shown:
                    yield x  # stem      [B, C, H/2, W/2]
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if f"stages.{i}" in shown:
                yield x  # stages.0 [B, C, H/4, W/4] ... stages.2 [B, C, H/16, W/16]
        x = self.final_conv(x)
        yield x  # final     [B, num_features, H/32, W/32]
        return x


MODEL = ByobNet

# --- variants -------------------------------------------------------------------------------------


def bottles(depths: Sequence[int], widths: Sequence[int], *, first_stride: int, ratio: float = 0.25,
            group_size: int = 0) -> tuple[Row, ...]:
    """A stage of bottlenecks for each depth and width; all but the first halve."""
    strides = (first_stride, *(2,) * (len(depths) - 1))
    return tuple(Row("bottle", *row, ratio, group_size)
                 for row in zip(depths, widths, strides, strict=True))


_TIERED = dict(stem=((24, 2), (32, 1), (64, 1)), stem_pool=True)
_TIERED_STRIDES = dict(stem=((24, 2), (32, 1), (64, 2)))
_QUAD = dict(stem=((16, 2), (32, 1), (64, 1), (128, 2)), num_features=2048, act_layer="silu")
_WIDE, _RESNET = (256, 512, 1536, 1536), (256, 512, 1024, 2048)
_X26 = dict(_TIERED, rows=bottles((2, 2, 2, 2), _RESNET, first_stride=1, group_size=32),
            act_layer="silu")
_32 = dict(_TIERED_STRIDES, rows=bottles((2, 3, 3, 2), _WIDE, first_stride=1), act_layer="silu")
_33 = dict(_32, num_features=1280)
_Z = dict(attn="se_wide", expand_in=True, linear=True, act_layer="silu")
_Z_SMALL, _Z_LARGE, _Z_HUGE = (48, 96, 192, 288), (64, 128, 256, 384), (96, 192, 384, 512)

VARIANTS: dict[str, dict[str, Any]] = {
    "gernet_s": dict(stem=((13, 2),), num_features=1920, rows=(
        Row("basic", 1, 48), Row("basic", 3, 48), Row("bottle", 7, 384, 2, 1 / 4),
        Row("bottle", 2, 560, 2, 3, 1), Row("bottle", 1, 256, 1, 3, 1))),
    "gernet_m": dict(num_features=2560, rows=(
        Row("basic", 1, 128), Row("basic", 2, 192), Row("bottle", 6, 640, 2, 1 / 4),
        Row("bottle", 4, 640, 2, 3, 1), Row("bottle", 1, 640, 1, 3, 1))),
    "gernet_l": dict(num_features=2560, rows=(
        Row("basic", 1, 128), Row("basic", 2, 192), Row("bottle", 6, 640, 2, 1 / 4),
        Row("bottle", 5, 640, 2, 3, 1), Row("bottle", 4, 640, 1, 3, 1))),

    "resnext26ts": dict(_X26),
    "seresnext26ts": dict(_X26, attn="se"),
    "gcresnext26ts": dict(_X26, attn="gc"),
    "eca_resnext26ts": dict(_X26, attn="eca"),
    "bat_resnext26ts": dict(_X26, attn="bat"),
    "resnet32ts": dict(_32),
    "resnet33ts": dict(_33),
    "seresnet33ts": dict(_33, attn="se"),
    "gcresnet33ts": dict(_33, attn="gc"),
    "eca_resnet33ts": dict(_33, attn="eca"),
    "gcresnet50t": dict(_TIERED_STRIDES, rows=bottles((3, 4, 6, 3), _RESNET, first_stride=1),
                        attn="gc"),
    "gcresnext50ts": dict(_TIERED, rows=bottles((3, 4, 6, 3), _RESNET, first_stride=1,
                                                group_size=32), attn="gc",
                          act_layer="silu"),
    "resnet51q": dict(_QUAD, stem_plain=2, rows=(
        *bottles((2, 4, 6), (256, 512, 1536), first_stride=1, group_size=32),
        Row("bottle", 4, 1536, 2, 1, 1))),
    "resnet61q": dict(_QUAD, extra_conv=True, rows=(
        Row("edge", 1, 256, 1), *bottles((4, 6), (512, 1536), first_stride=2, group_size=32),
        Row("bottle", 4, 1536, 2, 1, 1))),

    "regnetz_b16": dict(_Z, num_features=1536, rows=bottles(
        (2, 6, 12, 2), _Z_SMALL, first_stride=2, ratio=3, group_size=16)),
    "regnetz_c16": dict(_Z, num_features=1536, rows=bottles(
        (2, 6, 12, 2), _Z_SMALL, first_stride=2, ratio=4, group_size=16)),
    "regnetz_d32": dict(_Z, **_TIERED_STRIDES, num_features=1792, rows=bottles(
        (3, 6, 12, 3), _Z_LARGE, first_stride=1, ratio=4, group_size=32)),
    "regnetz_d8": dict(_Z, **_TIERED_STRIDES, num_features=1792, rows=bottles(
        (3, 6, 12, 3), _Z_LARGE, first_stride=1, ratio=4, group_size=8)),
    "regnetz_e8": dict(_Z, **_TIERED_STRIDES, num_features=2048, rows=bottles(
        (3, 8, 16, 3), _Z_HUGE, first_stride=1, ratio=4, group_size=8)),
    "regnetz_b16_evos": dict(_Z, num_features=1536, norm_layer=GroupEvoNorm, rows=bottles(
        (2, 6, 12, 2), _Z_SMALL, first_stride=2, ratio=3, group_size=16)),
    "regnetz_c16_evos": dict(_Z, num_features=1536, norm_layer=GroupEvoNorm, rows=bottles(
        (2, 6, 12, 2), _Z_SMALL, first_stride=2, ratio=4, group_size=16)),
    "regnetz_d8_evos": dict(_Z, stem=((64, 2), (64, 1), (64, 2)), num_features=1792,
                            norm_layer=GroupEvoNorm,
                            rows=bottles((3, 6, 12, 3), _Z_LARGE, first_stride=1, ratio=4,
                                         group_size=8)),
}
