"""ResNet V2: norm and activation in front (pre-activation), and shortcuts that change nothing.

In a ResNet the sum of block and shortcut goes through a ReLU, so no signal passes a block
unchanged. Version 2 moves norm and activation in front of each convolution, so that the shortcuts
are identities from the first block to the last, and networks of a thousand layers train. Big
Transfer (BiT) made it up to four times as wide, trained it on up to 300 million photos, and
replaced BatchNorm, which needs large batches, by GroupNorm and standardised filters.

He et al., "Identity Mappings in Deep Residual Networks", 2016, https://arxiv.org/abs/1603.05027;
Kolesnikov et al., "Big Transfer (BiT)", 2019, https://arxiv.org/abs/1912.11370. Parameter names are
timm's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.evo_norm import EvoNorm2dS0
from explorer.models.layers.norm_act import FilterResponseNormTlu2d, GroupNormAct
from explorer.models.layers.pointwise import PointwiseClassifier
from explorer.models.layers.pool import AvgPool2dSame, SelectAdaptivePool2d
from explorer.models.layers.std_conv import StdConv2d

NORMS: dict[str, Callable[..., nn.Module]] = {  # all end in their activation
    "batch": BatchNormAct2d, "group": GroupNormAct, "evo": EvoNorm2dS0,
    "frn": FilterResponseNormTlu2d,
}


@dataclass(frozen=True)
class Parts:
    """What all blocks of one network share: how to make a convolution and a norm with its
    activation.
    """

    conv_layer: Callable[..., nn.Conv2d]
    norm: Callable[[int], nn.Module]
    avg_down: bool

    def conv(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
             dilation: int = 1) -> nn.Conv2d:
        """A convolution without bias that keeps the map's size at stride 1."""
        padding = dilation * (kernel - 1) // 2
        return self.conv_layer(in_chans, out_chans, kernel, stride, padding, dilation, bias=False)


# --- blocks ---------------------------------------------------------------------------------------
#
# Both: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]. The first norm belongs to the
# branch; only where shapes change does the shortcut start behind it.


class Downsample(nn.Module):
    """The shortcut where shapes change: a 1 x 1 convolution, strided or behind a mean that skips no
    pixel.
    """

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int, dilation: int):
        super().__init__()
        self.pool: nn.Module = nn.Identity()
        if parts.avg_down and dilation > 1:
            self.pool = AvgPool2dSame()
        elif parts.avg_down and stride > 1:
            self.pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
        self.conv = parts.conv(in_chans, out_chans, 1, stride=1 if parts.avg_down else stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pool(x))


class PreActBasic(nn.Module):
    """Two 3 x 3 convolutions, each behind its norm and activation."""

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int,
                 first_dilation: int, dilation: int, drop_path: float):
        super().__init__()
        # in front of the norms, as checkpoints count parameters
        self.downsample: nn.Module | None = None
        if in_chans != out_chans or stride != 1 or first_dilation != dilation:
            self.downsample = Downsample(in_chans, out_chans, parts, stride=stride,
                                         dilation=dilation)
        self.norm1 = parts.norm(in_chans)
        self.conv1 = parts.conv(in_chans, out_chans, 3, stride=stride, dilation=first_dilation)
        self.norm2 = parts.norm(out_chans)
        self.conv2 = parts.conv(out_chans, out_chans, 3, dilation=dilation)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.norm1(x)
        if self.downsample is not None:
            shortcut = self.downsample(x)
        x = self.conv1(x)
        x = self.conv2(self.norm2(x))
        return self.drop_path(x) + shortcut


class PreActBottleneck(nn.Module):
    """Narrow to a quarter, filter, widen; each convolution behind its norm and activation."""

    def __init__(self, in_chans: int, out_chans: int, parts: Parts, *, stride: int,
                 first_dilation: int, dilation: int, drop_path: float):
        super().__init__()
        middle = make_divisible(out_chans / 4)
        self.downsample: nn.Module | None = None
        if in_chans != out_chans or stride != 1 or first_dilation != dilation:
            self.downsample = Downsample(in_chans, out_chans, parts, stride=stride,
                                         dilation=dilation)
        self.norm1 = parts.norm(in_chans)
        self.conv1 = parts.conv(in_chans, middle, 1)
        self.norm2 = parts.norm(middle)
        self.conv2 = parts.conv(middle, middle, 3, stride=stride, dilation=first_dilation)
        self.norm3 = parts.norm(middle)
        self.conv3 = parts.conv(middle, out_chans, 1)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.norm1(x)
        if self.downsample is not None:
            shortcut = self.downsample(x)
        x = self.conv1(x)
        x = self.conv2(self.norm2(x))
        x = self.conv3(self.norm3(x))
        return self.drop_path(x) + shortcut


class ResNetStage(nn.Module):
    """Blocks one behind the other; the first may halve the map: [B, in, H, W]
    -> [B, out, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, block: type[nn.Module], parts: Parts, *,
                 stride: int, first_dilation: int, dilation: int, rates: list[float]):
        super().__init__()
        blocks = []
        for i, rate in enumerate(rates):
            blocks.append(block(in_chans, out_chans, parts, stride=1 if i else stride,
                                first_dilation=dilation if i else first_dilation, dilation=dilation,
                                drop_path=rate))
            in_chans = out_chans
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class ConvHead(nn.Module):
    """Pooling, dropout and a classifier that is a 1 x 1 convolution: [B, C, H, W]
    -> [B, num_classes].
    """

    def __init__(self, in_features: int, num_classes: int, pool_type: str, drop_rate: float):
        super().__init__()
        self.in_features = in_features
        self.drop = nn.Dropout(drop_rate)
        self.reset(num_classes, pool_type)

    def reset(self, num_classes: int, pool_type: str | None = None, *, device=None,
              dtype=None) -> None:
        """A fresh classifier, and another pooling where `pool_type` is given."""
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        pool = self.global_pool.pool_type if pool_type is None else pool_type
        # unpooled, the map stays a map
        self.global_pool = SelectAdaptivePool2d(pool, flatten=bool(pool))
        width = self.in_features * self.global_pool.feat_mult()
        self.fc: nn.Module = nn.Identity()
        if num_classes:
            self.fc = PointwiseClassifier(width, num_classes, device=device, dtype=dtype)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.drop(self.global_pool(x))
        return x if pre_logits else self.fc(x)


# --- the model ------------------------------------------------------------------------------------


def create_stem(kind: str, in_chans: int, out_chans: int, parts: Parts) -> nn.Sequential:
    """Convolution(s) at stride 2 and a max pool: [B, in_chans, H, W] -> [B, out_chans, H/4, W/4].

    kind: "plain" (one 7 x 7); "deep" (three 3 x 3); "deep_tiered" (three, growing); "bit": plain,
          and the pool's
    border is zero instead of minus infinity, as in the network that the BiT weights come from.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if kind in ("plain", "bit"):
        layers["conv"] = parts.conv(in_chans, out_chans, 7, stride=2)
    elif kind in ("deep", "deep_tiered"):
        second = out_chans // 2
        first = 3 * out_chans // 8 if kind == "deep_tiered" else second
        layers["conv1"] = parts.conv(in_chans, first, 3, stride=2)
        layers["norm1"] = parts.norm(first)
        layers["conv2"] = parts.conv(first, second, 3)
        layers["norm2"] = parts.norm(second)
        layers["conv3"] = parts.conv(second, out_chans, 3)
    else:
        raise ValueError(f"Unknown stem {kind!r}. Known: plain, deep, deep_tiered, bit.")
    if kind == "bit":
        layers["pad"] = nn.ConstantPad2d(1, 0.0)
    layers["pool"] = nn.MaxPool2d(3, stride=2, padding=0 if kind == "bit" else 1)
    return nn.Sequential(layers)


class ResNetV2(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths:       blocks in each of the four stages;  basic: two 3 x 3 convolutions in a block, not
                  a bottleneck
    width_factor: how many times wider than a ResNet all maps are (BiT)
    stem:         see `create_stem`;  avg_down: shortcuts average before they halve (ResNet-D)
    norm:         "batch", "group", "evo" or "frn"
    standardised: filters have mean 0 and variance 1 (BiT)
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        basic: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        width_factor: int = 1,
        stem: str = "plain",
        avg_down: bool = False,
        norm: str = "batch",
        standardised: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: ResNets offer 8, 16 and 32.")
        if norm not in NORMS:
            raise ValueError(f"Unknown norm {norm!r}. Known: {', '.join(NORMS)}.")
        self.num_classes, self.in_chans = num_classes, in_chans
        conv_layer = partial(StdConv2d, eps=1e-8) if standardised else nn.Conv2d
        parts = Parts(conv_layer=conv_layer, norm=NORMS[norm], avg_down=avg_down)
        block, expansion = (PreActBasic, 1) if basic else (PreActBottleneck, 4)

        chans = 64 * width_factor
        self.stem = create_stem(stem, in_chans, chans, parts)
        end = "stem.conv3" if stem.startswith("deep") else "stem.conv"
        layers, table = [], [Stage("stem", end, chans, 2)]
        stride_so_far, dilation = 4, 1
        for i, (width, rates) in enumerate(zip((64, 128, 256, 512),
                                               drop_path_rates(drop_path_rate, depths))):
            stride, before = (2 if i else 1), dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            out = width * expansion * width_factor
            layers.append(ResNetStage(chans, out, block, parts, stride=stride,
                                      first_dilation=before, dilation=dilation, rates=rates))
            chans = out
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, stride_so_far))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*layers)
        self.stage_table = table

        self.num_features = chans
        self.norm = parts.norm(chans)  # the sum of all blocks has not been normalised or bent yet
        self.head = ConvHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation; small normal weights for the classifier."""
        for module in self.modules():
            if isinstance(module, PointwiseClassifier):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        last = self.stage_table[0].module.removeprefix("stem.")
        for name, layer in self.stem.named_children():
            x = layer(x)
            if name == last:
                yield x  # stem     [B, 64 * f, H/2, W/2], before it is pooled
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, 256 * f, H/4, W/4] ... stages.3 [B, 2048 * f, H/32, W/32]
        return self.norm(x)


MODEL = ResNetV2

_D = dict(stem="deep", avg_down=True)  # "Bag of Tricks", variant D
_BIT = dict(stem="bit", norm="group", standardised=True)

VARIANTS: dict[str, dict[str, Any]] = {
    "resnetv2_18": dict(basic=True, depths=(2, 2, 2, 2)),
    "resnetv2_18d": dict(basic=True, depths=(2, 2, 2, 2), **_D),
    "resnetv2_34": dict(basic=True, depths=(3, 4, 6, 3)),
    "resnetv2_34d": dict(basic=True, depths=(3, 4, 6, 3), **_D),
    "resnetv2_50": dict(depths=(3, 4, 6, 3)),
    "resnetv2_50d": dict(depths=(3, 4, 6, 3), **_D),
    "resnetv2_50t": dict(depths=(3, 4, 6, 3), stem="deep_tiered", avg_down=True),
    "resnetv2_101": dict(depths=(3, 4, 23, 3)),
    "resnetv2_101d": dict(depths=(3, 4, 23, 3), **_D),
    "resnetv2_152": dict(depths=(3, 8, 36, 3)),
    "resnetv2_152d": dict(depths=(3, 8, 36, 3), **_D),

    "resnetv2_50d_gn": dict(depths=(3, 4, 6, 3), norm="group", **_D),
    "resnetv2_50d_evos": dict(depths=(3, 4, 6, 3), norm="evo", **_D),
    "resnetv2_50d_frn": dict(depths=(3, 4, 6, 3), norm="frn", **_D),

    "resnetv2_50x1_bit": dict(depths=(3, 4, 6, 3), width_factor=1, **_BIT),
    "resnetv2_50x3_bit": dict(depths=(3, 4, 6, 3), width_factor=3, **_BIT),
    "resnetv2_101x1_bit": dict(depths=(3, 4, 23, 3), width_factor=1, **_BIT),
    "resnetv2_101x3_bit": dict(depths=(3, 4, 23, 3), width_factor=3, **_BIT),
    "resnetv2_152x2_bit": dict(depths=(3, 8, 36, 3), width_factor=2, **_BIT),
    "resnetv2_152x4_bit": dict(depths=(3, 8, 36, 3), width_factor=4, **_BIT),
}
