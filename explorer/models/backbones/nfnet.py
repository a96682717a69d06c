"""NFNet: a ResNet that needs no normalisation.

BatchNorm keeps a signal at a good size, and costs memory, time, and a tie between the photos of a
batch. Here nothing is normalised on the way: filters are standardised instead of maps, each
activation is followed by a number that makes good what it takes away, and each block divides its
input by the deviation that arithmetic predicts for it. What is added in a block is scaled by 0.2,
so that the prediction is easy: each block adds 0.04 to the variance.

Brock et al., "Characterizing signal propagation to close the performance gap in unnormalized
ResNets", 2021, https://arxiv.org/abs/2101.08692, and "High-Performance Large-Scale Image
Recognition Without Normalization", 2021, https://arxiv.org/abs/2102.06171. Parameter names are
timm's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import EcaModule, SEModule, make_divisible
from explorer.models.layers.conv_same import same_padding
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import AvgPool2dSame, ClassifierHead

# An activation of numbers of deviation 1 leaves numbers of less; these factors make it 1 again
# (first paper, 3.2).
GAMMA = {"relu": 1.7139588594436646, "silu": 1.7881293296813965, "gelu": 1.7015043497085571}

# --- blocks ---------------------------------------------------------------------------------------


class ScaledStdConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0, and keep a signal's deviation: [B, in, H, W]
    -> [B, out, H/s, W/s].

    gamma: what the activation in front of it takes away;  same: TensorFlow's padding
    `gain` scales each filter, and is learnt.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 dilation: int = 1, groups: int = 1, gamma: float = 1.0, same: bool = False):
        padding = 0 if same else (stride - 1 + dilation * (kernel - 1)) // 2
        super().__init__(in_chans, out_chans, kernel, stride, padding, dilation, groups)
        self.same = same
        self.scale = gamma / math.sqrt(self.weight[0].numel())
        self.gain = nn.Parameter(torch.ones(out_chans, 1, 1, 1))

    def standardised_weight(self) -> Tensor:
        """The filters [out, in / groups, k, k] that the convolution really uses."""
        # [out, 1, 1, 1]
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        return (self.weight - mean) * torch.rsqrt(variance + 1e-5) * (self.gain * self.scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            pad_y, pad_x = (same_padding(side, self.kernel_size[0], self.stride[0],
                                         self.dilation[0])
                            for side in x.shape[-2:])
            x = F.pad(x, (pad_x // 2, pad_x - pad_x // 2, pad_y // 2, pad_y - pad_y // 2))
        weight = self.standardised_weight()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ScaledAct(nn.Module):
    """An activation that makes good by itself what it takes away."""

    def __init__(self, act_layer: str):
        super().__init__()
        self.act, self.gamma = create_act(act_layer), GAMMA[act_layer]

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x) * self.gamma


class Shortcut(nn.Module):
    """Average where the map halves, then a 1 x 1 convolution: [B, in, H, W]
    -> [B, out, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, dilation: int,
                 conv: Callable):
        super().__init__()
        self.pool: nn.Module = nn.Identity()
        if stride > 1:
            self.pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
        elif dilation > 1:
            self.pool = AvgPool2dSame()
        self.conv = conv(in_chans, out_chans, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pool(x))


class NormFreeBlock(nn.Module):
    """A bottleneck with its activations in front: [B, in_chans, H, W]
    -> [B, out_chans, H/stride, W/stride].

    deviation:  of the input, as predicted;  alpha: how much of what is found is added
    dilations:  of the first k x k convolution and of what follows it
    extra_conv: a second 3 x 3 convolution
    attn, attn_last: channel attention behind the 3 x 3 convolutions, or at the end; it halves the
                signal about, so its result is doubled
    skipinit:   a learnt factor of the branch that starts at zero; otherwise the last convolution's
                gain does
    """

    def __init__(self, in_chans: int, out_chans: int, middle: int, *, groups: int, stride: int,
                 dilations: tuple[int, int], shortcut: bool, deviation: float, alpha: float,
                 extra_conv: bool, attn: Callable | None, attn_last: Callable | None,
                 skipinit: bool, conv: Callable, act: Callable, drop_path: float):
        super().__init__()
        first, then = dilations
        self.beta, self.alpha = 1 / deviation, alpha
        self.downsample: nn.Module | None = None
        if shortcut:
            self.downsample = Shortcut(in_chans, out_chans, stride=stride, dilation=then, conv=conv)
        self.act1, self.conv1 = act(), conv(in_chans, middle, 1)
        self.act2, self.conv2 = act(), conv(middle, middle, 3, stride=stride, dilation=first,
                                            groups=groups)
        self.conv2b: nn.Module | None = None
        if extra_conv:
            self.act2b, self.conv2b = act(), conv(middle, middle, 3, dilation=then, groups=groups)
        self.attn = attn(middle) if attn else None
        self.act3, self.conv3 = act(), conv(middle, out_chans, 1)
        self.attn_last = attn_last(out_chans) if attn_last else None
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.skipinit_gain = nn.Parameter(torch.zeros(())) if skipinit else None

    def forward(self, x: Tensor) -> Tensor:
        ready = self.act1(x) * self.beta  # of deviation 1 again
        shortcut = x if self.downsample is None else self.downsample(ready)
        x = self.conv2(self.act2(self.conv1(ready)))
        if self.conv2b is not None:
            x = self.conv2b(self.act2b(x))
        if self.attn is not None:
            x = 2 * self.attn(x)
        x = self.conv3(self.act3(x))
        if self.attn_last is not None:
            x = 2 * self.attn_last(x)
        x = self.drop_path(x)
        if self.skipinit_gain is not None:
            x = x * self.skipinit_gain
        return x * self.alpha + shortcut


# --- the model ------------------------------------------------------------------------------------

ATTENTION: dict[str, Callable[..., nn.Module]] = {"se": SEModule, "eca": EcaModule}


class NFNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths, channels: blocks of each stage, and channels of its map
    stem:        "deep" (four 3 x 3 convolutions), "7x7" (one and a max pool) or "3x3" (one)
    stem_chans:  channels behind it;  num_features: of a last 1 x 1 convolution, 0 for none
    ratio:       channels inside a block, as a share of its result's, or of its input's with
                 `from_input` (RegNet)
    group_size:  channels in a group of the 3 x 3 convolutions; 0: one group
    attn, attn_ratio: channel attention "", "se" or "eca", and how narrow "se" is; at a block's end,
                 or inside it with `from_input`
    act_layer:   "relu", "silu" or "gelu";  gamma_in_act: the factor behind it is the activation's,
                 not the filters'
    skipinit, extra_conv: see `NormFreeBlock`;  same: TensorFlow's padding
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int],
        channels: tuple[int, int, int, int] = (256, 512, 1536, 1536),
        stem: str = "deep",
        stem_chans: int = 128,
        num_features: int = 3072,
        ratio: float = 0.5,
        from_input: bool = False,
        group_size: int = 0,
        attn: str = "se",
        attn_ratio: float = 0.5,
        act_layer: str = "gelu",
        gamma_in_act: bool = False,
        skipinit: bool = False,
        extra_conv: bool = False,
        same: bool = False,
        alpha: float = 0.2,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: NFNets offer 8, 16 and 32.")
        if act_layer not in GAMMA:
            raise ValueError(f"The factor for {act_layer!r} is unknown. Activations: "
                             f"{', '.join(GAMMA)}.")
        if attn and attn not in ATTENTION:
            raise ValueError(f"Unknown channel attention {attn!r}. Known: '', "
                             f"{', '.join(map(repr, ATTENTION))}.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        conv = partial(ScaledStdConv2d, gamma=1.0 if gamma_in_act else GAMMA[act_layer], same=same)
        act = partial(ScaledAct if gamma_in_act else create_act, act_layer)
        weigh = partial(SEModule, rd_ratio=attn_ratio) if attn == "se" else ATTENTION.get(attn)

        self.stem, name, chans = create_stem(stem, in_chans, stem_chans, conv, act)
        table = [Stage("stem", f"stem.{name}", chans, 2)]
        stride_so_far, chans, dilation, deviation = 2 if stem == "3x3" else 4, stem_chans, 1, 1.0
        rates, stages = drop_path_rates(drop_path_rate, tuple(depths)), []
        for i, (depth, out) in enumerate(zip(depths, channels)):
            stride = 1 if i == 0 and stem != "3x3" else 2
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            blocks = []
            for j in range(depth):
                opens = j == 0 and (stride > 1 or dilation > 1 or chans != out)
                plain = from_input and i == j == 0  # the very first block does not widen
                middle = make_divisible((chans if from_input else out) * (1 if plain else ratio))
                blocks.append(NormFreeBlock(
                    chans, out, middle, groups=middle // group_size if group_size else 1,
                    stride=stride if j == 0 else 1,
                    # the first block of a stage that would have halved still sees neighbours
                    dilations=(max(1, dilation // 2) if j == 0 else dilation, dilation),
                    shortcut=opens, deviation=deviation, alpha=alpha, extra_conv=extra_conv,
                    attn=weigh if from_input else None, attn_last=None if from_input else weigh,
                    skipinit=skipinit, conv=conv, act=act, drop_path=rates[i][j],
                ))
                # the convolution in a stage's first shortcut sets the deviation back to 1
                deviation = math.sqrt((1.0 if j == 0 else deviation**2) + alpha**2)
                chans = out
            stages.append(nn.Sequential(*blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, stride_so_far))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.final_conv: nn.Module = nn.Identity()
        if num_features:
            self.final_conv = conv(chans, num_features, 1)
            table[-1] = Stage("final", "final_conv", num_features, stride_so_far)
        self.stage_table = table
        self.final_act = act()
        self.num_features = num_features or chans
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """Normal filters, scaled by what goes in; a block starts as its shortcut alone."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, NormFreeBlock):
                start = module.conv3.gain if module.skipinit_gain is None else module.skipinit_gain
                nn.init.zeros_(start)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        shown = {stage.module for stage in self.stage_table}
        for name, layer in self.stem.named_children():
            x = layer(x)
            if f"stem.{name}" in shown:
                yield x  # stem     [B, C, H/2, W/2]
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if f"stages.{i}" in shown:
                yield x  # stages.0 [B, C, H/4, W/4] ... stages.3 [B, C, H/32, W/32]
        x = self.final_conv(x)
        if "final_conv" in shown:
            yield x  # final    [B, num_features, H/32, W/32]
        return self.final_act(x)


def create_stem(kind: str, in_chans: int, chans: int, conv: Callable,
                act: Callable) -> tuple[nn.Sequential, str, int]:
    """The stem, the name of its layer whose map is the last of half the photo's size, and that
    map's channels.
    """
    if kind == "7x7":
        layers = {"conv": conv(in_chans, chans, 7, stride=2),
                  "pool": nn.MaxPool2d(3, stride=2, padding=1)}
        return nn.Sequential(OrderedDict(layers)), "conv", chans
    if kind == "3x3":
        return nn.Sequential(OrderedDict(conv=conv(in_chans, chans, 3, stride=2))), "conv", chans
    if kind != "deep":
        raise ValueError(f'Unknown stem {kind!r}. Use "deep", "7x7" or "3x3".')
    stem: OrderedDict[str, nn.Module] = OrderedDict()
    widths, strides = (in_chans, chans // 8, chans // 4, chans // 2, chans), (2, 1, 1, 2)
    for i in range(4):
        if i:
            stem[f"act{i + 1}"] = act()
        stem[f"conv{i + 1}"] = conv(widths[i], widths[i + 1], 3, stride=strides[i])
    return nn.Sequential(stem), "conv3", widths[3]


MODEL = NFNet

# --- variants -------------------------------------------------------------------------------------

_F = dict(group_size=128, extra_conv=True)
_DM = dict(_F, gamma_in_act=True, skipinit=True, same=True)  # DeepMind's weights
_L = dict(ratio=0.25, group_size=64, extra_conv=True, act_layer="silu")
_RESNET = dict(channels=(256, 512, 1024, 2048), stem="7x7", stem_chans=64, num_features=0,
               ratio=0.25, attn="", attn_ratio=1 / 16, act_layer="relu")
_SE, _ECA = dict(_RESNET, attn="se"), dict(_RESNET, attn="eca")
_REGNET = dict(stem="3x3", ratio=2.25, from_input=True, group_size=8, act_layer="silu")
_26, _50, _101 = (dict(depths=depths) for depths in ((2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3)))


def times(count: int) -> dict[str, Any]:
    """F0's depths, `count` times."""
    return dict(depths=tuple(count * depth for depth in (1, 2, 6, 3)))


VARIANTS: dict[str, dict[str, Any]] = {
    **{f"dm_nfnet_f{i}": dict(_DM, **times(i + 1)) for i in range(7)},
    **{f"nfnet_f{i}": dict(_F, **times(i + 1)) for i in range(8)},

    "nfnet_l0": dict(_L, **times(1), attn_ratio=0.25, num_features=2304),
    "eca_nfnet_l0": dict(_L, **times(1), attn="eca", num_features=2304),
    "eca_nfnet_l1": dict(_L, **times(2), attn="eca"),
    "eca_nfnet_l2": dict(_L, **times(3), attn="eca"),
    "eca_nfnet_l3": dict(_L, **times(4), attn="eca"),

    "nf_resnet26": dict(_RESNET, **_26),
    "nf_resnet50": dict(_RESNET, **_50),
    "nf_resnet101": dict(_RESNET, **_101),
    "nf_seresnet26": dict(_SE, **_26),
    "nf_seresnet50": dict(_SE, **_50),
    "nf_seresnet101": dict(_SE, **_101),
    "nf_ecaresnet26": dict(_ECA, **_26),
    "nf_ecaresnet50": dict(_ECA, **_50),
    "nf_ecaresnet101": dict(_ECA, **_101),

    "nf_regnet_b0": dict(
        _REGNET, depths=(1, 3, 6, 6), channels=(40, 80, 160, 328), stem_chans=40, num_features=960),
    "nf_regnet_b1": dict(
        _REGNET, depths=(2, 4, 7, 7), channels=(40, 80, 160, 328), stem_chans=40, num_features=960),
    "nf_regnet_b2": dict(
        _REGNET, depths=(2, 4, 8, 8), channels=(40, 88, 176, 368), stem_chans=40,
        num_features=1064),
    "nf_regnet_b3": dict(
        _REGNET, depths=(2, 5, 9, 9), channels=(40, 96, 184, 400), stem_chans=40,
        num_features=1152),
    "nf_regnet_b4": dict(
        _REGNET, depths=(2, 6, 11, 11), channels=(48, 112, 216, 464), stem_chans=48,
        num_features=1344),
    "nf_regnet_b5": dict(
        _REGNET, depths=(3, 7, 14, 14), channels=(64, 128, 256, 528), stem_chans=64,
        num_features=1536),
}
