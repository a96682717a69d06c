"""RegNet: a rule for networks instead of one network.

Its authors trained thousands of small random networks and asked not which was best, but which kinds
were good. In the good ones the width grows along a straight line from block to block, so that four
numbers describe them all: depth, first width, slope, and the factor between stages. RegNetY adds
squeeze-and-excitation; RegNetZ turns the blocks inside out as MobileNetV2 does, and RegNetV
normalises before each convolution instead of after it.

Radosavovic et al., "Designing Network Design Spaces", 2020, https://arxiv.org/abs/2003.13678;
Dollár et al., "Fast and Accurate Model Scaling", 2021, https://arxiv.org/abs/2103.06877. Parameter
names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import SEModule, make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.norm_act import GroupNormAct
from explorer.models.layers.pool import AvgPool2dSame, ClassifierHead

# --- the rule -------------------------------------------------------------------------------------


class StagePlan(NamedTuple):
    """depth: blocks;  width: channels of their results;  middle: inside;  groups: of the middle
    convolution.
    """

    depth: int
    width: int
    middle: int
    groups: int


def plan_stages(*, depth: int, w0: int, wa: float, wm: float, group_size: int,
                expansion: float = 1.0, round_limit: float = 0.0) -> list[StagePlan]:
    """The stages of a network, from the numbers of the paper (section 3.3, equations 2 to 4).

    Block j would be w0 + wa * j wide. Each width is moved to the nearest power of wm (times w0),
    then to a multiple of 8; blocks of one width are a stage. Last, the middle must be a whole
    number of groups.

    expansion:   how many times wider than its ends a block's middle is (4 in RegNetZ)
    round_limit: round the middle as torchvision does, never below this share of it (0.9 there)
    """
    if wa < 0 or w0 <= 0 or wm <= 1 or w0 % 8:
        raise ValueError(f"w0 must be a positive multiple of 8, wa from 0, wm above 1; got {w0}, "
                         f"{wa} and {wm}.")
    widths = []
    for j in range(depth):
        line = w0 + wa * j
        power = round(math.log(line / w0) / math.log(wm))
        widths.append(round(w0 * wm**power / 8) * 8)
    plan = []
    for width in sorted(set(widths)):
        middle = int(width * expansion)
        size = min(group_size, middle)
        if round_limit:
            middle = make_divisible(middle, size, round_limit=round_limit)
        else:
            middle = round(middle / size) * size
        plan.append(StagePlan(widths.count(width), int(middle / expansion), middle, middle // size))
    return plan


# --- blocks ---------------------------------------------------------------------------------------
#
# Both: [B, in_chans, H, W] -> [B, plan.width, H/stride, W/stride].
#     se       channels of squeeze-and-excitation, 0 for none
#     shortcut "conv", "avg" (average, then convolve), or "" for none where shapes change


class Bottleneck(nn.Module):
    """1 x 1, then 3 x 3 in groups, then 1 x 1, beside a shortcut: ResNeXt's block that needn't be
    narrow.

    linear: no activation behind the sum.
    """

    def __init__(self, in_chans: int, plan: StagePlan, *, stride: int, first_dilation: int,
                 dilation: int, se: int, shortcut: str, linear: bool, act_layer: str,
                 norm_layer: Callable[..., nn.Module], drop_path: float):
        super().__init__()
        out, middle = plan.width, plan.middle
        conv = partial(ConvNormAct, act_layer=act_layer, norm_layer=norm_layer)
        self.conv1 = conv(in_chans, middle, 1)
        self.conv2 = conv(middle, middle, 3, stride=stride, dilation=first_dilation,
                          groups=plan.groups)
        self.se = SEModule(middle, rd_channels=se, act_layer=act_layer) if se else nn.Identity()
        self.conv3 = conv(middle, out, 1, apply_act=False)
        self.act3 = create_act(None if linear else act_layer)
        same = stride == 1 and in_chans == out and first_dilation == dilation
        self.downsample: nn.Module | None = nn.Identity() if same else None
        if not same and shortcut == "conv":
            self.downsample = conv(in_chans, out, 1, stride=stride, apply_act=False)
        elif not same and shortcut:
            raise ValueError(f'shortcut is {shortcut!r}: a Bottleneck has "conv" or "".')
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv3(self.se(self.conv2(self.conv1(x))))
        if self.downsample is not None:
            x = self.drop_path(x) + self.downsample(shortcut)
        return self.act3(x)


class PreBottleneck(nn.Module):
    """The same block with its norms in front of the convolutions; the shortcut starts behind the
    first norm.
    """

    def __init__(self, in_chans: int, plan: StagePlan, *, stride: int, first_dilation: int,
                 dilation: int, se: int, shortcut: str, linear: bool, act_layer: str,
                 norm_layer: Callable[..., nn.Module], drop_path: float):
        super().__init__()
        out, middle = plan.width, plan.middle
        self.norm1 = norm_layer(in_chans, act_layer=act_layer)
        self.conv1 = create_conv2d(in_chans, middle, 1)
        self.norm2 = norm_layer(middle, act_layer=act_layer)
        self.conv2 = create_conv2d(middle, middle, 3, stride=stride, dilation=first_dilation,
                                   groups=plan.groups)
        self.se = SEModule(middle, rd_channels=se, act_layer=act_layer) if se else nn.Identity()
        self.norm3 = norm_layer(middle, act_layer=act_layer)
        self.conv3 = create_conv2d(middle, out, 1)
        same = stride == 1 and in_chans == out and first_dilation == dilation
        self.downsample: nn.Module | None = nn.Identity() if same else None
        if not same and shortcut == "conv":
            self.downsample = create_conv2d(in_chans, out, 1, stride=stride)
        elif not same and shortcut == "avg":
            pool: nn.Module = nn.Identity()
            if first_dilation > 1:
                pool = AvgPool2dSame()
            elif stride > 1:
                pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, create_conv2d(in_chans, out, 1))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = shortcut = self.norm1(x)
        x = self.conv2(self.norm2(self.conv1(x)))
        x = self.conv3(self.norm3(self.se(x)))
        if self.downsample is not None:
            x = self.drop_path(x) + self.downsample(shortcut)
        return x


# --- the model ------------------------------------------------------------------------------------


class RegNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depth, w0, wa, wm, group_size, expansion, round_limit: see `plan_stages`
    stem_width:    channels of the first convolution
    se_ratio:      squeeze-and-excitation's small layer, as a share of the block's input; 0 for none
    shortcut:      where shapes change: "conv", "avg" or "" (none)
    linear:        no activation behind a block's sum
    norm_layer:    makes a norm with its activation, as `BatchNormAct2d` is
    preact:        norms in front of the convolutions
    num_features:  channels of a last 1 x 1 convolution; 0 for none
    zero_init_last: last norms start at zero, so that each block starts as its shortcut; it must
                    have one
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True

    def __init__(
        self,
        *,
        depth: int = 21,
        w0: int = 80,
        wa: float = 42.63,
        wm: float = 2.66,
        group_size: int = 24,
        expansion: float = 1.0,
        round_limit: float = 0.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        stem_width: int = 32,
        se_ratio: float = 0.0,
        shortcut: str = "conv",
        linear: bool = False,
        preact: bool = False,
        num_features: int = 0,
        zero_init_last: bool = True,
        act_layer: str = "relu",
        norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: RegNets offer 8, 16 and 32.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.zero_init_last = zero_init_last
        plan = plan_stages(depth=depth, w0=w0, wa=wa, wm=wm, group_size=group_size,
                           expansion=expansion, round_limit=round_limit)

        if preact:
            self.stem: nn.Module = create_conv2d(in_chans, stem_width, 3, stride=2)
        else:
            self.stem = ConvNormAct(in_chans, stem_width, 3, stride=2, act_layer=act_layer,
                                    norm_layer=norm_layer)
        block = partial(PreBottleneck if preact else Bottleneck, linear=linear, act_layer=act_layer,
                        norm_layer=norm_layer)

        stages = [Stage("stem", "stem", stem_width, 2)]
        chans, stride_so_far, dilation = stem_width, 2, 1
        rates = drop_path_rates(drop_path_rate, tuple(stage.depth for stage in plan))
        for i, stage in enumerate(plan):
            stride, before = 2, dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            layers = nn.Sequential()
            for j, rate in enumerate(rates[i]):
                layers.add_module(f"b{j + 1}", block(
                    chans, stage, stride=1 if j else stride,
                    first_dilation=dilation if j else before, dilation=dilation,
                    se=round(chans * se_ratio), shortcut=shortcut, drop_path=rate,
                ))
                chans = stage.width
            self.add_module(f"s{i + 1}", layers)
            stages.append(Stage(f"s{i + 1}", f"s{i + 1}", chans, stride_so_far))
        self.stages = tuple(stages)

        self.num_features = num_features or chans
        if num_features:
            self.final_conv: nn.Module = ConvNormAct(chans, num_features, 1, act_layer=act_layer,
                                                     norm_layer=norm_layer)
        else:  # without norms behind the blocks, their sum has not been bent yet
            self.final_conv = create_act(act_layer if linear or preact else None)
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation; with `zero_init_last` each block starts as its shortcut (Goyal et al.
        2017).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Bottleneck) and self.zero_init_last:
                nn.init.zeros_(module.conv3.bn.weight)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        for stage in self.stages:
            x = self.get_submodule(stage.module)(x)
            yield x  # stem [B, 32, H/2, W/2], s1 [B, C1, H/4, W/4] ... s4 [B, C4, H/32, W/32]
        return self.final_conv(x)


MODEL = RegNet

_Y = dict(se_ratio=0.25)
_V = dict(se_ratio=0.25, preact=True, act_layer="silu")
_Z = dict(se_ratio=0.25, expansion=4.0, shortcut="", linear=True, zero_init_last=False,
          act_layer="silu")
_TV = dict(round_limit=0.9)  # as torchvision rounds

# the number is a photo's cost, in 100 million multiplications
VARIANTS: dict[str, dict[str, Any]] = {
    "regnetx_002": dict(w0=24, wa=36.44, wm=2.49, group_size=8, depth=13),
    "regnetx_004": dict(w0=24, wa=24.48, wm=2.54, group_size=16, depth=22),
    "regnetx_004_tv": dict(w0=24, wa=24.48, wm=2.54, group_size=16, depth=22, **_TV),
    "regnetx_006": dict(w0=48, wa=36.97, wm=2.24, group_size=24, depth=16),
    "regnetx_008": dict(w0=56, wa=35.73, wm=2.28, group_size=16, depth=16),
    "regnetx_016": dict(w0=80, wa=34.01, wm=2.25, group_size=24, depth=18),
    "regnetx_032": dict(w0=88, wa=26.31, wm=2.25, group_size=48, depth=25),
    "regnetx_040": dict(w0=96, wa=38.65, wm=2.43, group_size=40, depth=23),
    "regnetx_064": dict(w0=184, wa=60.83, wm=2.07, group_size=56, depth=17),
    "regnetx_080": dict(w0=80, wa=49.56, wm=2.88, group_size=120, depth=23),
    "regnetx_120": dict(w0=168, wa=73.36, wm=2.37, group_size=112, depth=19),
    "regnetx_160": dict(w0=216, wa=55.59, wm=2.1, group_size=128, depth=22),
    "regnetx_320": dict(w0=320, wa=69.86, wm=2.0, group_size=168, depth=23),

    "regnety_002": dict(w0=24, wa=36.44, wm=2.49, group_size=8, depth=13, **_Y),
    "regnety_004": dict(w0=48, wa=27.89, wm=2.09, group_size=8, depth=16, **_Y),
    "regnety_006": dict(w0=48, wa=32.54, wm=2.32, group_size=16, depth=15, **_Y),
    "regnety_008": dict(w0=56, wa=38.84, wm=2.4, group_size=16, depth=14, **_Y),
    "regnety_008_tv": dict(w0=56, wa=38.84, wm=2.4, group_size=16, depth=14, **_Y, **_TV),
    "regnety_016": dict(w0=48, wa=20.71, wm=2.65, group_size=24, depth=27, **_Y),
    "regnety_032": dict(w0=80, wa=42.63, wm=2.66, group_size=24, depth=21, **_Y),
    "regnety_040": dict(w0=96, wa=31.41, wm=2.24, group_size=64, depth=22, **_Y),
    "regnety_040_sgn": dict(w0=96, wa=31.41, wm=2.24, group_size=64, depth=22, **_Y,
                            act_layer="silu", norm_layer=partial(GroupNormAct, group_size=16)),
    "regnety_064": dict(w0=112, wa=33.22, wm=2.27, group_size=72, depth=25, **_Y),
    "regnety_080": dict(w0=192, wa=76.82, wm=2.19, group_size=56, depth=17, **_Y),
    "regnety_080_tv": dict(w0=192, wa=76.82, wm=2.19, group_size=56, depth=17, **_Y, **_TV),
    "regnety_120": dict(w0=168, wa=73.36, wm=2.37, group_size=112, depth=19, **_Y),
    "regnety_160": dict(w0=200, wa=106.23, wm=2.48, group_size=112, depth=18, **_Y),
    "regnety_320": dict(w0=232, wa=115.89, wm=2.53, group_size=232, depth=20, **_Y),
    "regnety_640": dict(w0=352, wa=147.48, wm=2.4, group_size=328, depth=20, **_Y),
    "regnety_1280": dict(w0=456, wa=160.83, wm=2.52, group_size=264, depth=27, **_Y),
    "regnety_2560": dict(w0=640, wa=230.83, wm=2.53, group_size=373, depth=27, **_Y),

    "regnetv_040": dict(w0=96, wa=31.41, wm=2.24, group_size=64, depth=22, **_V),
    "regnetv_064": dict(w0=112, wa=33.22, wm=2.27, group_size=72, depth=25, shortcut="avg", **_V),

    "regnetz_005": dict(w0=16, wa=10.7, wm=2.51, group_size=4, depth=21, num_features=1024, **_Z),
    "regnetz_040": dict(w0=48, wa=14.5, wm=2.226, group_size=8, depth=28, **_Z),
    "regnetz_040_h": dict(w0=48, wa=14.5, wm=2.226, group_size=8, depth=28, num_features=1536,
                          **_Z),
}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names: a, b and c for a block's convolutions, and 0 and 1 for convolution and
    norm.

    Raises ValueError for a key that such a file does not have.
    """
    kinds = {"0": "conv", "1": "bn"}
    layers = {"a": "conv1", "b": "conv2", "c": "conv3"}
    mapped = {}
    for key, value in state.items():
        try:
            match key.split("."):
                case ["stem", index, kind]:
                    mapped[f"stem.{kinds[index]}.{kind}"] = value
                case ["fc", kind]:
                    mapped[f"head.fc.{kind}"] = value
                case ["trunk_output", _, block, *rest]:
                    stage, number = block.removeprefix("block").split("-")
                    match rest:
                        case ["proj", index, kind]:
                            place = f"downsample.{kinds[index]}.{kind}"
                        case ["f", "se", layer, kind]:
                            place = f"se.{layer}.{kind}"
                        case ["f", layer, index, kind]:
                            place = f"{layers[layer]}.{kinds[index]}.{kind}"
                        case _:
                            raise KeyError(key)
                    mapped[f"s{stage}.b{int(number) + 1}.{place}"] = value
                case _:
                    raise KeyError(key)
        except (KeyError, ValueError):
            raise ValueError(f"{key!r} is no tensor of {name!r} as torchvision saves it.") from None
    return mapped


KEY_MAPS = {"torchvision": _from_torchvision}
