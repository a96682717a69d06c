"""MobileNetV3 and its relatives: a searched network, finished by hand.

A search chose the blocks' widths and kernels, as MnasNet's did; then people looked where the
milliseconds went. They moved the widest convolution behind the pooling, where it works on one place
instead of 49, and put activations that a phone can compute (hard swish, hard sigmoid) in place of
the smooth ones, in the deeper half, where they help. FBNetV3 searched the training recipe together
with the network; LCNet is made for the plain processor of a laptop.

Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244; Dai et al.,
"FBNetV3", 2020, https://arxiv.org/abs/2006.02049; Cui et al., "PP-LCNet", 2021,
https://arxiv.org/abs/2109.15099. Blocks and scaling are EfficientNet's; parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.init import init_by_fan_out
from explorer.models.layers.mobile_blocks import SqueezeExcite
from explorer.models.layers.mobile_rows import Architecture, Row, scale, stack
from explorer.models.layers.pool import SelectAdaptivePool2d
from explorer.models.weights.in_order import from_torchvision


def create_attention(channels: int, in_chans: int, *, ratio: float, share_of: str,
                     rounding: Callable[[float], int], act_layer: str) -> nn.Module:
    """Squeeze-and-excitation for the middle of a block; nothing where `ratio` is 0.

    share_of: its small layer is a share of the block's wide "middle", as the paper has it, or of
              its "input".
    """
    if not ratio:
        return nn.Identity()
    reduced = rounding(ratio * (channels if share_of == "middle" else in_chans))
    return SqueezeExcite(channels, reduced, act_layer=act_layer, gate_layer="hard_sigmoid")


# --- architectures: one line a stage --------------------------------------------------------------

LARGE: Architecture = (  # Table 1 of the paper; without a word on it, hard swish
    [Row("separable", 3, 1, 1, 16, 1, act="relu")],
    [Row("inverted", 3, 2, 4, 24, 1, act="relu"), Row("inverted", 3, 1, 3, 24, 1, act="relu")],
    [Row("inverted", 5, 2, 3, 40, 3, se=0.25, act="relu")],
    [Row("inverted", 3, 2, 6, 80, 1), Row("inverted", 3, 1, 2.5, 80, 1),
     Row("inverted", 3, 1, 2.3, 80, 2)],
    [Row("inverted", 3, 1, 6, 112, 2, se=0.25)],
    [Row("inverted", 5, 2, 6, 160, 3, se=0.25)],
    [Row("conv", 1, 1, 1, 960, 1)],
)

SMALL: Architecture = (  # Table 2
    [Row("separable", 3, 2, 1, 16, 1, se=0.25, act="relu")],
    [Row("inverted", 3, 2, 4.5, 24, 1, act="relu"), Row("inverted", 3, 1, 3.67, 24, 1, act="relu")],
    [Row("inverted", 5, 2, 4, 40, 1, se=0.25), Row("inverted", 5, 1, 6, 40, 2, se=0.25)],
    [Row("inverted", 5, 1, 3, 48, 2, se=0.25)],
    [Row("inverted", 5, 2, 6, 96, 3, se=0.25)],
    [Row("conv", 1, 1, 1, 576, 1)],
)


def minimal(architecture: Architecture) -> Architecture:
    """Only what the simplest chips can do: 3 x 3 filters, no squeeze-and-excitation (and ReLU
    everywhere).
    """
    return [[row._replace(kernel=min(row.kernel, 3), se=0.0) for row in stage]
            for stage in architecture]


# An early rebuild from the paper's first version, whose first block had no shortcut.
LARGE_RW: Architecture = [[Row("separable_plain", 3, 1, 1, 16, 1, act="relu")], *LARGE[1:]]

FBNETV3_B: Architecture = (
    [Row("separable", 3, 1, 1, 16, 2)],
    [Row("inverted", 5, 2, 4, 24, 1), Row("inverted", 5, 1, 2, 24, 3)],
    [Row("inverted", 5, 2, 5, 40, 1, se=0.25), Row("inverted", 5, 1, 3, 40, 4, se=0.25)],
    [Row("inverted", 5, 2, 5, 72, 1), Row("inverted", 3, 1, 3, 72, 4)],
    [Row("inverted", 3, 1, 5, 120, 1, se=0.25), Row("inverted", 5, 1, 3, 120, 5, se=0.25)],
    [Row("inverted", 3, 2, 6, 184, 1, se=0.25), Row("inverted", 5, 1, 4, 184, 5, se=0.25),
     Row("inverted", 5, 1, 6, 224, 1, se=0.25)],
    [Row("conv", 1, 1, 1, 1344, 1)],
)

FBNETV3_D: Architecture = (
    [Row("separable", 3, 1, 1, 16, 2)],
    [Row("inverted", 3, 2, 5, 24, 1), Row("inverted", 3, 1, 2, 24, 5)],
    [Row("inverted", 5, 2, 4, 40, 1, se=0.25), Row("inverted", 3, 1, 3, 40, 4, se=0.25)],
    [Row("inverted", 3, 2, 5, 72, 1), Row("inverted", 3, 1, 3, 72, 4)],
    [Row("inverted", 3, 1, 5, 128, 1, se=0.25), Row("inverted", 5, 1, 3, 128, 6, se=0.25)],
    [Row("inverted", 3, 2, 6, 208, 1, se=0.25), Row("inverted", 5, 1, 5, 208, 5, se=0.25),
     Row("inverted", 5, 1, 6, 240, 1, se=0.25)],
    [Row("conv", 1, 1, 1, 1440, 1)],
)

FBNETV3_G: Architecture = (
    [Row("separable", 3, 1, 1, 24, 3)],
    [Row("inverted", 5, 2, 4, 40, 1), Row("inverted", 5, 1, 2, 40, 4)],
    [Row("inverted", 5, 2, 4, 56, 1, se=0.25), Row("inverted", 5, 1, 3, 56, 4, se=0.25)],
    [Row("inverted", 5, 2, 5, 104, 1), Row("inverted", 3, 1, 3, 104, 4)],
    [Row("inverted", 3, 1, 5, 160, 1, se=0.25), Row("inverted", 5, 1, 3, 160, 8, se=0.25)],
    [Row("inverted", 3, 2, 6, 264, 1, se=0.25), Row("inverted", 5, 1, 5, 264, 6, se=0.25),
     Row("inverted", 5, 1, 6, 288, 2, se=0.25)],
    [Row("conv", 1, 1, 1, 1728, 1)],
)

# MobileNet's plain blocks, with large filters and attention where they are cheap: at the end
LCNET: Architecture = (
    [Row("separable_v1", 3, 1, 1, 32, 1)],
    [Row("separable_v1", 3, 2, 1, 64, 2)],
    [Row("separable_v1", 3, 2, 1, 128, 2)],
    [Row("separable_v1", 3, 2, 1, 256, 1), Row("separable_v1", 5, 1, 1, 256, 1)],
    [Row("separable_v1", 5, 1, 1, 256, 4)],
    [Row("separable_v1", 5, 2, 1, 512, 2, se=0.25)],
)


# --- the model ------------------------------------------------------------------------------------


class MobileNetV3(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    architecture:   stages of rows, before scaling;  width, depth: multipliers of channels and
                    repeats
    stem:           channels of the first convolution, before scaling
    head:           length of the vector that the last convolution makes of the pooled one;
                    head_bias: its bias
    keep:           what the multipliers leave alone: "stem"
    act_layer:      activation where the architecture doesn't say
    se_act:         activation of squeeze-and-excitation, "" for the block's own
    se_share, se_rounding: see `create_attention`
    padding:        "" symmetric, "same" TensorFlow's, as its weights need it;  norm_eps:
                    BatchNorm's epsilon
    output_stride:  32, 16 or 8: later stages dilate instead of halving
    dilate_halving, show_first: see `mobile_rows.stack`: torchvision's networks for masks need both
    """

    classifier_path = "classifier"
    supports_output_stride = True

    def __init__(
        self,
        *,
        architecture: Architecture = LARGE,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        dilate_halving: bool = False,
        show_first: bool = False,
        stem: int = 16,
        head: int = 1280,
        head_bias: bool = True,
        width: float = 1.0,
        depth: float = 1.0,
        keep: Collection[str] = (),
        act_layer: str = "hard_swish",
        se_act: str = "relu",
        se_share: str = "middle",
        se_rounding: Callable[[float], int] = make_divisible,
        padding: str = "",
        norm_eps: float = 1e-5,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if unknown := set(keep) - {"stem"}:
            raise ValueError(f'keep has {", ".join(sorted(unknown))}: use "stem".')
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        conv = partial(create_conv2d, padding=padding)
        norm = partial(BatchNormAct2d, eps=norm_eps, act_layer=act_layer)
        plan = scale(architecture, width=width, depth=depth, keep_ends=False, rounding=ceil)

        chans = stem if "stem" in keep else make_divisible(stem * width)
        self.conv_stem = conv(in_chans, chans, 3, stride=2)
        self.bn1 = norm(chans)
        self.blocks, shown, self.num_features = stack(
            plan, chans, output_stride=output_stride, drop_path_rate=drop_path_rate, conv=conv,
            norm=norm, attend=lambda row: partial(create_attention, ratio=row.se, share_of=se_share,
                                                  rounding=se_rounding,
                                       act_layer=se_act or row.act or act_layer),
            dilate_halving=dilate_halving, show_first=show_first,
        )
        self.stages = tuple(Stage(*each) for each in shown)
        self._hidden = head
        self.global_pool = self._create_pool(num_classes, global_pool)
        self.conv_head = nn.Conv2d(self.num_features * self.global_pool.feat_mult(), head, 1,
                                   bias=head_bias)
        self.act2 = create_act(act_layer, inplace=True)
        self.classifier = nn.Linear(head, num_classes) if num_classes else nn.Identity()
        self.init_weights()

    @staticmethod
    def _create_pool(num_classes: int, pool_type: str) -> SelectAdaptivePool2d:
        if num_classes and not pool_type:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        return SelectAdaptivePool2d(pool_type)  # [B, C, 1, 1]: a convolution follows

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def init_weights(self) -> None:
        init_by_fan_out(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        # [B, stem, H/2, W/2]; these BatchNorms bring their activation
        x = self.bn1(self.conv_stem(x))
        shown = {stage.module for stage in self.stages}
        if "bn1" in shown:
            yield x
        for i, blocks in enumerate(self.blocks):
            if f"blocks.{i}.0" in shown:
                for j, block in enumerate(blocks):
                    x = block(x)
                    if j == 0:
                        yield x
            else:
                x = blocks(x)
            if f"blocks.{i}" in shown:
                yield x  # five maps: [B, C1, H/2, W/2], [B, C2, H/4, W/4] ... [B, C5, H/32, W/32]
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)               # [B, C, H, W] -> [B, C, 1, 1]
        x = self.act2(self.conv_head(x))      # [B, C, 1, 1] -> [B, head, 1, 1]
        if self.global_pool.pool_type:        # unpooled, the map stays a map
            x = x.flatten(1)
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self._create_pool(num_classes,
                                 self.global_pool.pool_type if global_pool is None else global_pool)
        if pool.feat_mult() != self.global_pool.feat_mult():
            raise ValueError(
                f"global_pool {pool.pool_type!r} gives another number of channels than the last "
                "convolution reads: create the model with it."
            )
        self.global_pool = pool
        place = parameter_place(self)
        self.classifier = (nn.Linear(self._hidden, num_classes, **place) if num_classes
                           else nn.Identity())
        self.num_classes = num_classes


MODEL = MobileNetV3

_SMALL = dict(architecture=SMALL, head=1024)
_TF = dict(padding="same", norm_eps=1e-3)  # what weights trained with TensorFlow expect
_FB = dict(head=1984, head_bias=False, se_act="", se_share="input",
           se_rounding=partial(make_divisible, round_limit=0.95))
_LC = dict(architecture=LCNET, se_rounding=round)

VARIANTS: dict[str, dict[str, Any]] = {
    "mobilenetv3_large_075": dict(width=0.75),
    "mobilenetv3_large_100": dict(width=1.0),
    "mobilenetv3_large_150d": dict(width=1.5, depth=1.2),
    "mobilenetv3_small_050": dict(_SMALL, width=0.5, keep=("stem",)),
    "mobilenetv3_small_075": dict(_SMALL, width=0.75),
    "mobilenetv3_small_100": dict(_SMALL, width=1.0),
    "mobilenetv3_rw": dict(architecture=LARGE_RW, head_bias=False, se_act="", se_rounding=round,
                           norm_eps=1e-3),
    "tf_mobilenetv3_large_075": dict(width=0.75, **_TF),
    "tf_mobilenetv3_large_100": dict(width=1.0, **_TF),
    "tf_mobilenetv3_large_minimal_100": dict(architecture=minimal(LARGE), act_layer="relu", **_TF),
    "tf_mobilenetv3_small_075": dict(_SMALL, width=0.75, **_TF),
    "tf_mobilenetv3_small_100": dict(_SMALL, width=1.0, **_TF),
    "tf_mobilenetv3_small_minimal_100": dict(architecture=minimal(SMALL), head=1024,
                                             act_layer="relu", **_TF),

    "fbnetv3_b": dict(_FB, architecture=FBNETV3_B),
    "fbnetv3_d": dict(_FB, architecture=FBNETV3_D, stem=24),
    "fbnetv3_g": dict(_FB, architecture=FBNETV3_G, stem=32),

    "lcnet_035": dict(_LC, width=0.35),
    "lcnet_050": dict(_LC, width=0.5),
    "lcnet_075": dict(_LC, width=0.75),
    "lcnet_100": dict(_LC, width=1.0),
    "lcnet_150": dict(_LC, width=1.5),
}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's MobileNetV3, whose BatchNorm has an epsilon of 0.001."""
    with torch.device("meta"):
        model = MobileNetV3(**VARIANTS[name])
    return from_torchvision(state, model, norm_eps=1e-3)


KEY_MAPS = {"torchvision": _from_torchvision}
