"""ResNet: a network that learns corrections.

Each block computes a small change and adds it to its input, so the shortest path through the
network skips every block, and gradients reach the first layer undamped. Twenty layers or two
hundred then train alike. The relatives change one thing each: the stem (C, D, S, T), the width
(Wide), groups (ResNeXt), a weight for each channel (SE, ECA), blur before halving (AA, Blur), and
the training recipe (RS).

He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385;
for the relatives see `explorer/models/catalog/`. Parameter names are torchvision's and timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import create_attn
from explorer.models.layers.drop import drop_path_rates
from explorer.models.layers.pool import BlurPool2d, create_classifier
from explorer.models.layers.resnet_blocks import (
    BasicBlock,
    Bottleneck,
    Parts,
    avg_shortcut,
    conv,
    conv_shortcut,
)


class ResNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    block:       BasicBlock, Bottleneck or a relative's, with its own `block_options`
    depths:      blocks in each of the four stages;  widths: their channels
    stem:        "" (one 7 x 7), "deep" (three 3 x 3), "deep_tiered" (three, growing);  stem_width:
                 their channels
    stem_conv_pool: a strided convolution in place of the max pool behind the stem (ResNet-RS)
    cardinality, base_width: groups of the middle convolution and their width (ResNeXt, Wide)
    avg_down:    shortcuts average before they halve (ResNet-D)
    aa:          "", "avg" or "blur": what halves the map in place of strides
    attn:        "", "se" or "eca": channel attention, with `attn_options`
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    dilate_halving: the block that would have halved dilates as those behind it do
    """

    classifier_path = "fc"
    supports_output_stride = True

    def __init__(
        self,
        *,
        block: type[nn.Module] = Bottleneck,
        block_options: dict[str, Any] | None = None,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        dilate_halving: bool = False,
        widths: tuple[int, int, int, int] = (64, 128, 256, 512),
        cardinality: int = 1,
        base_width: int = 64,
        stem: str = "",
        stem_width: int = 64,
        stem_conv_pool: bool = False,
        reduce_first: int = 1,
        down_kernel: int = 1,
        avg_down: bool = False,
        aa: str = "",
        attn: str = "",
        attn_options: dict[str, Any] | None = None,
        act_layer: str = "relu",
        norm_layer: Any = nn.BatchNorm2d,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: ResNets offer 8, 16 and 32.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        act = partial(create_act, act_layer, inplace=True)
        parts = Parts(norm=norm_layer, act=act,
                      attn=partial(create_attn, attn, **(attn_options or {})), aa=aa,
                      cardinality=cardinality, base_width=base_width, reduce_first=reduce_first)

        if stem:
            chans = stem_width * 2
            first = 3 * (stem_width // 4) if stem == "deep_tiered" else stem_width
            self.conv1: nn.Module = nn.Sequential(
                conv(in_chans, first, 3, stride=2), norm_layer(first), act(),
                conv(first, stem_width, 3), norm_layer(stem_width), act(),
                conv(stem_width, chans, 3),
            )
        else:
            chans = 64
            self.conv1 = nn.Conv2d(in_chans, chans, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(chans)
        self.act1 = act()
        self.maxpool = self._stem_pool(chans, stem_conv_pool, aa, norm_layer, act)

        stages = [Stage("stem", "act1", chans, 2)]
        stride_so_far, dilation = 4, 1
        rates = drop_path_rates(drop_path_rate, depths)
        make_shortcut = avg_shortcut if avg_down else conv_shortcut
        for i, (depth, width) in enumerate(zip(depths, widths)):
            stride, before = (1 if i == 0 else 2), dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
                before = dilation if dilate_halving else before
            stride_so_far *= stride
            out = width * block.expansion
            blocks = []
            for j in range(depth):
                shortcut, first_dilation = None, dilation
                if j == 0:
                    first_dilation = before
                    if stride != 1 or chans != out:
                        shortcut = make_shortcut(chans, out, kernel=down_kernel, stride=stride,
                                                 dilation=dilation, first_dilation=before,
                                                 norm=norm_layer)
                blocks.append(block(chans, width, parts, stride=stride if j == 0 else 1,
                                    dilation=dilation, first_dilation=first_dilation,
                                    shortcut=shortcut, drop_path=rates[i][j],
                                    **(block_options or {})))
                chans = out
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            stages.append(Stage(f"layer{i + 1}", f"layer{i + 1}", chans, stride_so_far))

        self.stages = tuple(stages)
        self.num_features = chans
        self.global_pool, self.fc = create_classifier(chans, num_classes, global_pool)
        self.init_weights()

    @staticmethod
    def _stem_pool(chans: int, as_conv: bool, aa: str, norm, act) -> nn.Module:
        if as_conv:
            return nn.Sequential(conv(chans, chans, 3, stride=2), norm(chans), act())
        if aa == "avg":
            return nn.AvgPool2d(2)
        if aa == "blur":
            return nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), BlurPool2d(chans))
        return nn.MaxPool2d(3, stride=2, padding=1)

    def init_weights(self) -> None:
        """He initialisation; each block starts as the identity (its last norm at zero, Goyal et al.
        2017).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif (last_norm := getattr(module, "last_norm", None)) is not None:  # a block's
                nn.init.zeros_(last_norm.weight)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.act1(self.bn1(self.conv1(x)))
        yield x  # stem    [B, 64, H/2, W/2]
        x = self.maxpool(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            yield x  # layer1  [B, 64*e, H/4, W/4] ... layer4 [B, 512*e, H/32, W/32]
        return x


MODEL = ResNet

_D = dict(stem="deep", stem_width=32, avg_down=True)  # "Bag of Tricks", variant D
_T = dict(stem="deep_tiered", stem_width=32, avg_down=True)
_C = dict(stem="deep", stem_width=32)
_S = dict(stem="deep", stem_width=64)
_RS = dict(**_D, stem_conv_pool=True, attn="se", attn_options=dict(rd_ratio=0.25))

_32X4, _32X8 = dict(cardinality=32, base_width=4), dict(cardinality=32, base_width=8)  # ResNeXt

VARIANTS: dict[str, dict[str, Any]] = {
    "resnet18": dict(block=BasicBlock, depths=(2, 2, 2, 2)),
    "resnet26": dict(depths=(2, 2, 2, 2)),
    "resnet34": dict(block=BasicBlock, depths=(3, 4, 6, 3)),
    "resnet50": dict(depths=(3, 4, 6, 3)),
    "resnet101": dict(depths=(3, 4, 23, 3)),
    "resnet152": dict(depths=(3, 8, 36, 3)),
    "resnet200": dict(depths=(3, 24, 36, 3)),
    "resnet50_gn": dict(depths=(3, 4, 6, 3), norm_layer=partial(nn.GroupNorm, 32)),

    "wide_resnet50_2": dict(depths=(3, 4, 6, 3), base_width=128),
    "wide_resnet101_2": dict(depths=(3, 4, 23, 3), base_width=128),

    "resnext50_32x4d": dict(depths=(3, 4, 6, 3), **_32X4),
    "resnext50d_32x4d": dict(depths=(3, 4, 6, 3), **_32X4, **_D),
    "resnext101_32x4d": dict(depths=(3, 4, 23, 3), **_32X4),
    "resnext101_32x8d": dict(depths=(3, 4, 23, 3), **_32X8),
    "resnext101_32x16d": dict(depths=(3, 4, 23, 3), cardinality=32, base_width=16),
    "resnext101_32x32d": dict(depths=(3, 4, 23, 3), cardinality=32, base_width=32),
    "resnext101_64x4d": dict(depths=(3, 4, 23, 3), cardinality=64, base_width=4),

    "seresnet18": dict(block=BasicBlock, depths=(2, 2, 2, 2), attn="se"),
    "seresnet34": dict(block=BasicBlock, depths=(3, 4, 6, 3), attn="se"),
    "seresnet50": dict(depths=(3, 4, 6, 3), attn="se"),
    "seresnet50t": dict(depths=(3, 4, 6, 3), attn="se", **_T),
    "seresnet101": dict(depths=(3, 4, 23, 3), attn="se"),
    "seresnet152": dict(depths=(3, 8, 36, 3), attn="se"),
    "seresnet152d": dict(depths=(3, 8, 36, 3), attn="se", **_D),
    "seresnet200d": dict(depths=(3, 24, 36, 3), attn="se", **_D),
    "seresnet269d": dict(depths=(3, 30, 48, 8), attn="se", **_D),
    "seresnext26d_32x4d": dict(depths=(2, 2, 2, 2), **_32X4, attn="se", **_D),
    "seresnext26t_32x4d": dict(depths=(2, 2, 2, 2), **_32X4, attn="se", **_T),
    "seresnext50_32x4d": dict(depths=(3, 4, 6, 3), **_32X4, attn="se"),
    "seresnext101_32x4d": dict(depths=(3, 4, 23, 3), **_32X4, attn="se"),
    "seresnext101_32x8d": dict(depths=(3, 4, 23, 3), **_32X8, attn="se"),
    "seresnext101_64x4d": dict(depths=(3, 4, 23, 3), cardinality=64, base_width=4, attn="se"),
    "seresnext101d_32x8d": dict(depths=(3, 4, 23, 3), **_32X8, attn="se", **_D),
    "senet154": dict(depths=(3, 8, 36, 3), cardinality=64, base_width=4, attn="se", **_S,
                     down_kernel=3, reduce_first=2),

    "resnet10t": dict(block=BasicBlock, depths=(1, 1, 1, 1), **_T),
    "resnet14t": dict(depths=(1, 1, 1, 1), **_T),
    "resnet18d": dict(block=BasicBlock, depths=(2, 2, 2, 2), **_D),
    "resnet26d": dict(depths=(2, 2, 2, 2), **_D),
    "resnet26t": dict(depths=(2, 2, 2, 2), **_T),
    "resnet34d": dict(block=BasicBlock, depths=(3, 4, 6, 3), **_D),
    "resnet50c": dict(depths=(3, 4, 6, 3), **_C),
    "resnet50d": dict(depths=(3, 4, 6, 3), **_D),
    "resnet50s": dict(depths=(3, 4, 6, 3), **_S),
    "resnet50t": dict(depths=(3, 4, 6, 3), **_T),
    "resnet101c": dict(depths=(3, 4, 23, 3), **_C),
    "resnet101d": dict(depths=(3, 4, 23, 3), **_D),
    "resnet101s": dict(depths=(3, 4, 23, 3), **_S),
    "resnet152c": dict(depths=(3, 8, 36, 3), **_C),
    "resnet152d": dict(depths=(3, 8, 36, 3), **_D),
    "resnet152s": dict(depths=(3, 8, 36, 3), **_S),
    "resnet200d": dict(depths=(3, 24, 36, 3), **_D),

    "ecaresnet26t": dict(depths=(2, 2, 2, 2), attn="eca", **_T),
    "ecaresnet50d": dict(depths=(3, 4, 6, 3), attn="eca", **_D),
    "ecaresnet50t": dict(depths=(3, 4, 6, 3), attn="eca", **_T),
    "ecaresnetlight": dict(depths=(1, 1, 11, 3), attn="eca", stem_width=32, avg_down=True),
    "ecaresnet101d": dict(depths=(3, 4, 23, 3), attn="eca", **_D),
    "ecaresnet200d": dict(depths=(3, 24, 36, 3), attn="eca", **_D),
    "ecaresnet269d": dict(depths=(3, 30, 48, 8), attn="eca", **_D),
    "ecaresnext26t_32x4d": dict(depths=(2, 2, 2, 2), **_32X4, attn="eca", **_T),
    "ecaresnext50t_32x4d": dict(depths=(3, 4, 6, 3), **_32X4, attn="eca", **_T),

    "resnetblur18": dict(block=BasicBlock, depths=(2, 2, 2, 2), aa="blur"),
    "resnetblur50": dict(depths=(3, 4, 6, 3), aa="blur"),
    "resnetblur50d": dict(depths=(3, 4, 6, 3), aa="blur", **_D),
    "resnetblur101d": dict(depths=(3, 4, 23, 3), aa="blur", **_D),
    "resnetaa34d": dict(block=BasicBlock, depths=(3, 4, 6, 3), aa="avg", **_D),
    "resnetaa50": dict(depths=(3, 4, 6, 3), aa="avg"),
    "resnetaa50d": dict(depths=(3, 4, 6, 3), aa="avg", **_D),
    "resnetaa101d": dict(depths=(3, 4, 23, 3), aa="avg", **_D),
    "seresnetaa50d": dict(depths=(3, 4, 6, 3), aa="avg", attn="se", **_D),
    "seresnextaa101d_32x8d": dict(depths=(3, 4, 23, 3), **_32X8, aa="avg", attn="se", **_D),
    "seresnextaa201d_32x8d": dict(depths=(3, 24, 36, 4), **_32X8, aa="avg", attn="se",
                                  stem="deep", stem_width=64, avg_down=True),

    "resnetrs50": dict(depths=(3, 4, 6, 3), **_RS),
    "resnetrs101": dict(depths=(3, 4, 23, 3), **_RS),
    "resnetrs152": dict(depths=(3, 8, 36, 3), **_RS),
    "resnetrs200": dict(depths=(3, 24, 36, 3), **_RS),
    "resnetrs270": dict(depths=(4, 29, 53, 4), **_RS),
    "resnetrs350": dict(depths=(4, 36, 72, 4), **_RS),
    "resnetrs420": dict(depths=(4, 44, 87, 4), **_RS),

}

# torchvision's ResNets carry the same names: its checkpoints load as they are.
KEY_MAPS = {"torchvision": lambda state, name: state}
