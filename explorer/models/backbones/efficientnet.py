"""EfficientNet and the mobile networks it grew from: one block, stacked by a small table.

The block is a ResNet block turned inside out: narrow at its ends and wide in the middle, because
the middle filters every channel by itself (a depthwise convolution), which costs next to nothing.
MobileNetV2 found the block, MnasNet let a search choose its kernels and repeats by the milliseconds
of a real phone, and EfficientNet scales the searched network: depth, width and photo size grow
together by one fixed rule.

Sandler et al., "MobileNetV2", 2018, https://arxiv.org/abs/1801.04381; Tan et al., "MnasNet", 2018,
https://arxiv.org/abs/1807.11626; Tan and Le, "EfficientNet", 2019,
https://arxiv.org/abs/1905.11946, and "EfficientNetV2", 2021, https://arxiv.org/abs/2104.00298; for
the relatives see `explorer/models/catalog/`. Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.init import init_by_fan_out
from explorer.models.layers.mobile_blocks import InvertedResidual, SqueezeExcite
from explorer.models.layers.mobile_rows import Architecture, Row, scale, stack
from explorer.models.layers.pool import create_classifier
from explorer.models.weights.in_order import from_torchvision

# --- architectures: one line a stage; the blocks are in `layers/mobile_blocks.py` ---------

EFFICIENTNET: Architecture = (  # Table 1 of the paper
    [Row("separable", 3, 1, 1, 16, 1, se=0.25)],
    [Row("inverted", 3, 2, 6, 24, 2, se=0.25)],
    [Row("inverted", 5, 2, 6, 40, 2, se=0.25)],
    [Row("inverted", 3, 2, 6, 80, 3, se=0.25)],
    [Row("inverted", 5, 1, 6, 112, 3, se=0.25)],
    [Row("inverted", 5, 2, 6, 192, 4, se=0.25)],
    [Row("inverted", 3, 1, 6, 320, 1, se=0.25)],
)
EFFICIENTNET_LITE: Architecture = [[row._replace(se=0.0) for row in stage]
                                   for stage in EFFICIENTNET]

EFFICIENTNET_EDGE: Architecture = (
    [Row("edge_plain", 3, 1, 4, 24, 1)],
    [Row("edge", 3, 2, 8, 32, 2)],
    [Row("edge", 3, 2, 8, 48, 4)],
    [Row("inverted", 5, 2, 8, 96, 5)],
    [Row("inverted", 5, 1, 8, 144, 4)],
    [Row("inverted", 5, 2, 8, 192, 2)],
)

# The second version: full convolutions where the map is large, because a GPU likes them, and less
# widening.
EFFICIENTNETV2: Architecture = (  # the small ones, b0 to b3
    [Row("conv_shortcut", 3, 1, 1, 16, 1)],
    [Row("edge", 3, 2, 4, 32, 2)],
    [Row("edge", 3, 2, 4, 48, 2)],
    [Row("inverted", 3, 2, 4, 96, 3, se=0.25)],
    [Row("inverted", 3, 1, 6, 112, 5, se=0.25)],
    [Row("inverted", 3, 2, 6, 192, 8, se=0.25)],
)

EFFICIENTNETV2_S: Architecture = (  # Table 4 of the paper
    [Row("conv_shortcut", 3, 1, 1, 24, 2)],
    [Row("edge", 3, 2, 4, 48, 4)],
    [Row("edge", 3, 2, 4, 64, 4)],
    [Row("inverted", 3, 2, 4, 128, 6, se=0.25)],
    [Row("inverted", 3, 1, 6, 160, 9, se=0.25)],
    [Row("inverted", 3, 2, 6, 256, 15, se=0.25)],
)

EFFICIENTNETV2_M: Architecture = (
    [Row("conv_shortcut", 3, 1, 1, 24, 3)],
    [Row("edge", 3, 2, 4, 48, 5)],
    [Row("edge", 3, 2, 4, 80, 5)],
    [Row("inverted", 3, 2, 4, 160, 7, se=0.25)],
    [Row("inverted", 3, 1, 6, 176, 14, se=0.25)],
    [Row("inverted", 3, 2, 6, 304, 18, se=0.25)],
    [Row("inverted", 3, 1, 6, 512, 5, se=0.25)],
)

EFFICIENTNETV2_L: Architecture = (
    [Row("conv_shortcut", 3, 1, 1, 32, 4)],
    [Row("edge", 3, 2, 4, 64, 7)],
    [Row("edge", 3, 2, 4, 96, 7)],
    [Row("inverted", 3, 2, 4, 192, 10, se=0.25)],
    [Row("inverted", 3, 1, 6, 224, 19, se=0.25)],
    [Row("inverted", 3, 2, 6, 384, 25, se=0.25)],
    [Row("inverted", 3, 1, 6, 640, 7, se=0.25)],
)

EFFICIENTNETV2_XL: Architecture = (
    [Row("conv_shortcut", 3, 1, 1, 32, 4)],
    [Row("edge", 3, 2, 4, 64, 8)],
    [Row("edge", 3, 2, 4, 96, 8)],
    [Row("inverted", 3, 2, 4, 192, 16, se=0.25)],
    [Row("inverted", 3, 1, 6, 256, 24, se=0.25)],
    [Row("inverted", 3, 2, 6, 512, 32, se=0.25)],
    [Row("inverted", 3, 1, 6, 640, 8, se=0.25)],
)

EFFICIENTNETV2_RW_S: Architecture = [  # a rebuild from the paper's first version
    [Row("edge", 3, 1, 1, 24, 2)], *EFFICIENTNETV2_S[1:5],
    [Row("inverted", 3, 2, 6, 272, 15, se=0.25)],
]
EFFICIENTNETV2_RW_M: Architecture = [  # ... made deeper, more so at its end
    [row._replace(repeats=repeats)] for (row,), repeats in zip(EFFICIENTNETV2_RW_S,
                                                               (3, 5, 5, 8, 15, 24))
]

MOBILENETV1: Architecture = (
    [Row("separable_v1", 3, 1, 1, 64, 1)],
    [Row("separable_v1", 3, 2, 1, 128, 2)],
    [Row("separable_v1", 3, 2, 1, 256, 2)],
    [Row("separable_v1", 3, 2, 1, 512, 6)],
    [Row("separable_v1", 3, 2, 1, 1024, 2)],
)

MOBILENETV2: Architecture = (
    [Row("separable", 3, 1, 1, 16, 1)],
    [Row("inverted", 3, 2, 6, 24, 2)],
    [Row("inverted", 3, 2, 6, 32, 3)],
    [Row("inverted", 3, 2, 6, 64, 4)],
    [Row("inverted", 3, 1, 6, 96, 3)],
    [Row("inverted", 3, 2, 6, 160, 3)],
    [Row("inverted", 3, 1, 6, 320, 1)],
)

MNASNET_A1: Architecture = (  # with squeeze-and-excitation where the search found it worth its time
    [Row("separable", 3, 1, 1, 16, 1)],
    [Row("inverted", 3, 2, 6, 24, 2)],
    [Row("inverted", 5, 2, 3, 40, 3, se=0.25)],
    [Row("inverted", 3, 2, 6, 80, 4)],
    [Row("inverted", 3, 1, 6, 112, 2, se=0.25)],
    [Row("inverted", 5, 2, 6, 160, 3, se=0.25)],
    [Row("inverted", 3, 1, 6, 320, 1)],
)

MNASNET_B1: Architecture = (  # a search without squeeze-and-excitation
    [Row("separable", 3, 1, 1, 16, 1)],
    [Row("inverted", 3, 2, 3, 24, 3)],
    [Row("inverted", 5, 2, 3, 40, 3)],
    [Row("inverted", 5, 2, 6, 80, 3)],
    [Row("inverted", 3, 1, 6, 96, 2)],
    [Row("inverted", 5, 2, 6, 192, 4)],
    [Row("inverted", 3, 1, 6, 320, 1)],
)

MNASNET_SMALL: Architecture = (
    [Row("separable", 3, 1, 1, 8, 1)],
    [Row("inverted", 3, 2, 3, 16, 1)],
    [Row("inverted", 3, 2, 6, 16, 2)],
    [Row("inverted", 5, 2, 6, 32, 4, se=0.25)],
    [Row("inverted", 3, 1, 6, 32, 3, se=0.25)],
    [Row("inverted", 5, 2, 6, 88, 3, se=0.25)],
    [Row("inverted", 3, 1, 6, 144, 1)],
)

# Searches that chose each block by itself, so that some stages take several rows.
FBNET_C: Architecture = (
    [Row("inverted", 3, 1, 1, 16, 1)],
    [Row("inverted", 3, 2, 6, 24, 1), Row("inverted", 3, 1, 1, 24, 2)],
    [Row("inverted", 5, 2, 6, 32, 1), Row("inverted", 5, 1, 3, 32, 1),
     Row("inverted", 5, 1, 6, 32, 1), Row("inverted", 3, 1, 6, 32, 1)],
    [Row("inverted", 5, 2, 6, 64, 1), Row("inverted", 5, 1, 3, 64, 1),
     Row("inverted", 5, 1, 6, 64, 2)],
    [Row("inverted", 5, 1, 6, 112, 3), Row("inverted", 5, 1, 3, 112, 1)],
    [Row("inverted", 5, 2, 6, 184, 4)],
    [Row("inverted", 3, 1, 6, 352, 1)],
)

SINGLE_PATH_NAS: Architecture = (
    [Row("separable", 3, 1, 1, 16, 1)],
    [Row("inverted", 3, 2, 3, 24, 3)],
    [Row("inverted", 5, 2, 6, 40, 1), Row("inverted", 3, 1, 3, 40, 3)],
    [Row("inverted", 5, 2, 6, 80, 1), Row("inverted", 3, 1, 3, 80, 3)],
    [Row("inverted", 5, 1, 6, 96, 1), Row("inverted", 5, 1, 3, 96, 3)],
    [Row("inverted", 5, 2, 6, 192, 4)],
    [Row("inverted", 3, 1, 6, 320, 1)],
)


# --- the model ------------------------------------------------------------------------------------


def create_attention(channels: int, in_chans: int, *, ratio: float, act_layer: str) -> nn.Module:
    """Squeeze-and-excitation for the middle of a block; nothing where `ratio` is 0.

    Its small layer is a share of the block's narrow input, not of the wide middle: six times
    cheaper.
    """
    return (SqueezeExcite(channels, round(in_chans * ratio), act_layer=act_layer) if ratio
            else nn.Identity())


class EfficientNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    architecture:   stages of rows, before scaling
    stem, head:     channels of the first and last convolution, before scaling; head 0: no last
                    convolution
    width, depth:   multipliers of channels and repeats;  rounding: how a broken number of repeats
                    gets whole
    divisor:        channels are rounded to multiples of it;  round_limit: but never below this
                    share of what the multiplier gives
    keep:           what the multipliers leave alone: "stem", "head", "ends" (depth of first and
                    last stage)
    padding:        "" symmetric, "same" TensorFlow's, as its weights need it
    norm_layer:     a norm that brings its activation;  norm_eps: its epsilon
    act_layer:      activation of the blocks and of squeeze-and-excitation
    drop_path_rate: grows linearly from 0 at the first block to nearly this at the last
    output_stride:  32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "classifier"
    supports_output_stride = True

    def __init__(
        self,
        *,
        architecture: Architecture = EFFICIENTNET,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        stem: int = 32,
        head: int = 1280,
        width: float = 1.0,
        depth: float = 1.0,
        rounding: Callable[[float], int] = math.ceil,
        divisor: int = 8,
        round_limit: float = 0.9,
        keep: Collection[str] = (),
        act_layer: str = "silu",
        padding: str = "",
        norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
        norm_eps: float = 1e-5,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if unknown := set(keep) - {"stem", "head", "ends"}:
            raise ValueError(f'keep has {", ".join(sorted(unknown))}: use "stem", '
                             '"head" and "ends".')
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        conv = partial(create_conv2d, padding=padding)
        norm = partial(norm_layer, eps=norm_eps, act_layer=act_layer)
        plan = scale(architecture, width=width, depth=depth, keep_ends="ends" in keep,
                     rounding=rounding, divisor=divisor, round_limit=round_limit)

        chans = stem if "stem" in keep else make_divisible(stem * width, divisor)
        self.conv_stem = conv(in_chans, chans, 3, stride=2)
        self.bn1 = norm(chans)

        self.blocks, shown, chans = stack(
            plan, chans, output_stride=output_stride, drop_path_rate=drop_path_rate, conv=conv,
            norm=norm, attend=lambda row: partial(create_attention, ratio=row.se,
                                                  act_layer=row.act or act_layer),
        )

        self.stages = tuple(Stage(*each) for each in shown)
        self.num_features = chans
        if head:
            self.num_features = head if "head" in keep else make_divisible(head * width, divisor)
        self.conv_head = conv(chans, self.num_features, 1) if head else nn.Identity()
        self.bn2 = norm(self.num_features) if head else nn.Identity()
        self.global_pool, self.classifier = create_classifier(self.num_features, num_classes,
                                                              global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        init_by_fan_out(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        # [B, stem, H/2, W/2]; these BatchNorms bring their activation
        x = self.bn1(self.conv_stem(x))
        shown = {stage.module for stage in self.stages}
        if "bn1" in shown:  # where the first stage halves the map
            yield x  # stem [B, stem, H/2, W/2]
        for i, blocks in enumerate(self.blocks):
            x = blocks(x)
            if f"blocks.{i}" in shown:
                yield x  # five maps: [B, C1, H/2, W/2], [B, C2, H/4, W/4] ... [B, C5, H/32, W/32]
        return self.bn2(self.conv_head(x))  # [B, num_features, H/32, W/32]


MODEL = EfficientNet

_TF = dict(padding="same", norm_eps=1e-3)  # what weights trained with TensorFlow expect
_V1 = dict(architecture=MOBILENETV1, act_layer="relu6")
_V2 = dict(architecture=MOBILENETV2, act_layer="relu6", keep=("head",))
_V2_DEEP = dict(architecture=MOBILENETV2, act_layer="relu6", keep=("stem", "head", "ends"))
_A1 = dict(architecture=MNASNET_A1, act_layer="relu", keep=("head",))
_B1 = dict(architecture=MNASNET_B1, act_layer="relu", keep=("head",))
_LITE = dict(architecture=EFFICIENTNET_LITE, act_layer="relu6", keep=("stem", "head", "ends"))
_EDGE = dict(architecture=EFFICIENTNET_EDGE, act_layer="relu")
_B = dict(architecture=EFFICIENTNETV2, round_limit=0.0, **_TF)
_TINY = dict(keep=("stem", "head"), rounding=round)

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenetv1_100": dict(_V1, head=0),
    "mobilenetv1_100h": dict(_V1, head=1024),
    "mobilenetv1_125": dict(_V1, head=0, width=1.25),

    "mobilenetv2_035": dict(_V2, width=0.35),
    "mobilenetv2_050": dict(_V2, width=0.5),
    "mobilenetv2_075": dict(_V2, width=0.75),
    "mobilenetv2_100": dict(_V2),
    # the head grows with the width, but never shrinks
    "mobilenetv2_140": dict(_V2, width=1.4, keep=()),
    "mobilenetv2_110d": dict(_V2_DEEP, width=1.1, depth=1.2),
    "mobilenetv2_120d": dict(_V2_DEEP, width=1.2, depth=1.4),

    "mnasnet_050": dict(_B1, width=0.5),
    "mnasnet_075": dict(_B1, width=0.75),
    "mnasnet_100": dict(_B1),
    "mnasnet_140": dict(_B1, width=1.4),
    "mnasnet_small": dict(architecture=MNASNET_SMALL, act_layer="relu", stem=8),
    "semnasnet_050": dict(_A1, width=0.5),
    "semnasnet_075": dict(_A1, width=0.75),
    "semnasnet_100": dict(_A1),
    "semnasnet_140": dict(_A1, width=1.4),

    "fbnetc_100": dict(architecture=FBNET_C, act_layer="relu", stem=16, head=1984),
    "spnasnet_100": dict(architecture=SINGLE_PATH_NAS, act_layer="relu"),

    "efficientnet_b0": dict(width=1.0, depth=1.0),
    "efficientnet_b1": dict(width=1.0, depth=1.1),
    "efficientnet_b2": dict(width=1.1, depth=1.2),
    "efficientnet_b3": dict(width=1.2, depth=1.4),
    "efficientnet_b4": dict(width=1.4, depth=1.8),
    "efficientnet_b5": dict(width=1.6, depth=2.2),
    "efficientnet_b6": dict(width=1.8, depth=2.6),
    "efficientnet_b7": dict(width=2.0, depth=3.1),
    "efficientnet_b8": dict(width=2.2, depth=3.6),
    "efficientnet_l2": dict(width=4.3, depth=5.3),
    "tf_efficientnet_b0": dict(width=1.0, depth=1.0, **_TF),
    "tf_efficientnet_b1": dict(width=1.0, depth=1.1, **_TF),
    "tf_efficientnet_b2": dict(width=1.1, depth=1.2, **_TF),
    "tf_efficientnet_b3": dict(width=1.2, depth=1.4, **_TF),
    "tf_efficientnet_b4": dict(width=1.4, depth=1.8, **_TF),
    "tf_efficientnet_b5": dict(width=1.6, depth=2.2, **_TF),
    "tf_efficientnet_b6": dict(width=1.8, depth=2.6, **_TF),
    "tf_efficientnet_b7": dict(width=2.0, depth=3.1, **_TF),
    "tf_efficientnet_b8": dict(width=2.2, depth=3.6, **_TF),
    "tf_efficientnet_l2": dict(width=4.3, depth=5.3, **_TF),

    "efficientnet_lite0": dict(_LITE, width=1.0, depth=1.0),
    "efficientnet_lite1": dict(_LITE, width=1.0, depth=1.1),
    "efficientnet_lite2": dict(_LITE, width=1.1, depth=1.2),
    "efficientnet_lite3": dict(_LITE, width=1.2, depth=1.4),
    "efficientnet_lite4": dict(_LITE, width=1.4, depth=1.8),
    "tf_efficientnet_lite0": dict(_LITE, width=1.0, depth=1.0, **_TF),
    "tf_efficientnet_lite1": dict(_LITE, width=1.0, depth=1.1, **_TF),
    "tf_efficientnet_lite2": dict(_LITE, width=1.1, depth=1.2, **_TF),
    "tf_efficientnet_lite3": dict(_LITE, width=1.2, depth=1.4, **_TF),
    "tf_efficientnet_lite4": dict(_LITE, width=1.4, depth=1.8, **_TF),

    "efficientnet_es": dict(_EDGE, width=1.0, depth=1.0),
    "efficientnet_em": dict(_EDGE, width=1.0, depth=1.1),
    "efficientnet_el": dict(_EDGE, width=1.2, depth=1.4),
    # some weights are zero, and no shape tells
    "efficientnet_es_pruned": dict(_EDGE, width=1.0, depth=1.0),
    "efficientnet_el_pruned": dict(_EDGE, width=1.2, depth=1.4),
    "tf_efficientnet_es": dict(_EDGE, width=1.0, depth=1.0, **_TF),
    "tf_efficientnet_em": dict(_EDGE, width=1.0, depth=1.1, **_TF),
    "tf_efficientnet_el": dict(_EDGE, width=1.2, depth=1.4, **_TF),

    "efficientnetv2_s": dict(architecture=EFFICIENTNETV2_S, stem=24),
    "efficientnetv2_m": dict(architecture=EFFICIENTNETV2_M, stem=24),
    "efficientnetv2_l": dict(architecture=EFFICIENTNETV2_L, stem=32),
    "efficientnetv2_xl": dict(architecture=EFFICIENTNETV2_XL, stem=32),
    "efficientnetv2_rw_t": dict(architecture=EFFICIENTNETV2_S, stem=24, width=0.8, depth=0.9),
    "efficientnetv2_rw_s": dict(architecture=EFFICIENTNETV2_RW_S, stem=24, head=1792),
    "efficientnetv2_rw_m": dict(architecture=EFFICIENTNETV2_RW_M, stem=24, head=1792, width=1.2),
    "tf_efficientnetv2_s": dict(architecture=EFFICIENTNETV2_S, stem=24, **_TF),
    "tf_efficientnetv2_m": dict(architecture=EFFICIENTNETV2_M, stem=24, **_TF),
    "tf_efficientnetv2_l": dict(architecture=EFFICIENTNETV2_L, stem=32, **_TF),
    "tf_efficientnetv2_xl": dict(architecture=EFFICIENTNETV2_XL, stem=32, **_TF),
    "tf_efficientnetv2_b0": dict(_B, width=1.0, depth=1.0),
    "tf_efficientnetv2_b1": dict(_B, width=1.0, depth=1.1),
    "tf_efficientnetv2_b2": dict(_B, width=1.1, depth=1.2),
    "tf_efficientnetv2_b3": dict(_B, width=1.2, depth=1.4),

    "tinynet_a": dict(_TINY, width=1.0, depth=1.2),
    "tinynet_b": dict(_TINY, width=0.75, depth=1.1),
    "tinynet_c": dict(_TINY, width=0.54, depth=0.85),
    "tinynet_d": dict(_TINY, width=0.54, depth=0.695),
    "tinynet_e": dict(_TINY, width=0.51, depth=0.6),
}


def _from_efficientnet_lite_pytorch(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The keys of the package efficientnet-lite-pytorch, which counts all blocks in one row.

    Raises ValueError for a key that such a file does not have.
    """
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
            "_fc": "classifier"}
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw",
                 "_bn2": "bn2"}
    inverted = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
                "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    with torch.device("meta"):
        model = EfficientNet(**VARIANTS[name])
    places = [  # by flat index: where the block is, and how its layers are called
        (f"blocks.{s}.{b}", inverted if isinstance(block, InvertedResidual) else separable)
        for s, stage in enumerate(model.blocks) for b, block in enumerate(stage)
    ]
    mapped = {}
    for key, value in state.items():
        try:
            if key.startswith("_blocks."):
                _, index, layer, kind = key.split(".")
                place, layers = places[int(index)]
                mapped[f"{place}.{layers[layer]}.{kind}"] = value
            else:
                layer, kind = key.split(".")
                mapped[f"{ends[layer]}.{kind}"] = value
        except (KeyError, IndexError, ValueError):
            raise ValueError(
                f"{key!r} is no tensor of {name!r} as efficientnet-lite-pytorch saves it. "
                "Check that the name and the weights belong together."
            ) from None
    return mapped


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's EfficientNet, EfficientNetV2 and MobileNetV2."""
    with torch.device("meta"):
        model = EfficientNet(**VARIANTS[name])
    large = name.startswith(("efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
                             "efficientnetv2"))
    return from_torchvision(state, model, norm_eps=1e-3 if large else 1e-5)


KEY_MAPS = {"efficientnet-lite-pytorch": _from_efficientnet_lite_pytorch,
            "torchvision": _from_torchvision}
