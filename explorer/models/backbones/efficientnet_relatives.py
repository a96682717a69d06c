"""EfficientNet with one part exchanged: its norm, halving, attention or first blocks.

A good network is also a good test bench: exchange one part, train again, and the difference in
accuracy or in speed belongs to that part. Some relatives learn with batches of a few photos,
because each photo is normalised by itself (gn); one blurs before it skips pixels (blur); one asks
the whole map which channels count (gc). And some, for chips that like full convolutions, fold the
first map's pixels into channels before they filter it (x, h).

Wu and He, "Group Normalization", 2018, https://arxiv.org/abs/1803.08494; Zhang, "Making
Convolutional Networks Shift-Invariant Again", 2019, https://arxiv.org/abs/1904.11486; Cao et al.,
"GCNet", 2019, https://arxiv.org/abs/1904.11492; Li et al., "Searching for Fast Model Families on
Datacenter Accelerators", 2021, https://arxiv.org/abs/2102.05610. Blocks and scaling are
EfficientNet's; parameter names are timm's. The network is `EfficientNet`, of the same family, with
other blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from explorer.models.backbones.efficientnet import EFFICIENTNET, EFFICIENTNETV2_S, EfficientNet
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.global_context import GlobalContext
from explorer.models.layers.mobile_blocks import (
    DepthwiseSeparableConv,
    EdgeResidual,
    InvertedResidual,
)
from explorer.models.layers.mobile_rows import Architecture, Row, scale
from explorer.models.layers.norm_act import GroupNormAct
from explorer.models.layers.pool import BlurPool2d

# --- blocks ---------------------------------------------------------------------------------------
#
# For a row of an architecture; all: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride].


def blurred(in_chans: int, out_chans: int, **parts: Any) -> nn.Module:
    """MobileNetV2's block, which blurs where it halves the map, so that a shift of the photo
    changes little.
    """
    return InvertedResidual(in_chans, out_chans, aa=partial(BlurPool2d, pad_mode="constant"),
                            **parts)


def in_context(in_chans: int, out_chans: int, *, attend: Callable, **parts: Any) -> nn.Module:
    """MobileNetV2's block; the whole map says which channels count, through an MLP a quarter of the
    input wide.
    """
    def ask(channels: int, in_chans: int) -> nn.Module:
        return GlobalContext(channels, round(in_chans / 4), scale=True, act_layer="silu")

    return InvertedResidual(in_chans, out_chans, attend=ask, **parts)


def grouped(in_chans: int, out_chans: int, *, block: type[nn.Module], group_size: int,
            conv: Callable, **parts: Any) -> nn.Module:
    """A block whose filters see `group_size` channels, where a depthwise one sees its own alone."""
    def in_groups(ins: int, outs: int, kernel: int, *, groups: int = 1,
                  **options: Any) -> nn.Module:
        return conv(ins, outs, kernel, groups=groups // group_size if groups > 1 else 1, **options)

    return block(in_chans, out_chans, conv=in_groups, **parts)


class FoldedSeparable(nn.Module):
    """A separable block that folds each 2 x 2 pixels into channels first: the map halves, and
    nothing is thrown away.

    Four times the channels on a quarter of the places: as much to compute, and better shaped for a
    matrix unit. The filter shrinks from 3 x 3 to 2 x 2, which there covers four pixels of the map
    before.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, norm: Callable,
                 attend: Callable, **_: Any):
        super().__init__()
        if stride != 2:
            raise ValueError(f"stride is {stride}: folding 2 x 2 pixels halves the map, so use 2.")
        folded = 4 * in_chans
        # "s2d": space to depth
        self.conv_s2d = create_conv2d(in_chans, folded, 2, stride=2, padding="same")
        self.bn_s2d = norm(folded)
        self.conv_dw = create_conv2d(folded, folded, 2, padding="same", groups=folded)
        self.bn1 = norm(folded)
        self.se = attend(folded, in_chans)
        self.conv_pw = create_conv2d(folded, out_chans, 1)
        self.bn2 = norm(out_chans, apply_act=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn_s2d(self.conv_s2d(x))  # [B, in, H, W] -> [B, 4 * in, H/2, W/2]
        x = self.se(self.bn1(self.conv_dw(x)))
        return self.bn2(self.conv_pw(x))


def folded_separable(in_chans: int, out_chans: int, *, stride: int, **parts: Any) -> nn.Module:
    """A separable block: with folding where the map halves, the plain one elsewhere."""
    block = FoldedSeparable if stride > 1 else DepthwiseSeparableConv
    return block(in_chans, out_chans, stride=stride, **parts)


def edge_behind_folds(in_chans: int, out_chans: int, *, counted: int, **parts: Any) -> nn.Module:
    """The fused block; the first of its stage gets folded channels, four times as many as `expand`
    should count.
    """
    return EdgeResidual(in_chans, out_chans, counted=counted if in_chans > out_chans else 0,
                        **parts)


# --- architectures --------------------------------------------------------------------------------


def exchange(architecture: Architecture,
             blocks: dict[str, Callable[..., nn.Module]]) -> Architecture:
    """The architecture with other blocks in place of those whose names are keys of `blocks`."""
    return [[row._replace(block=blocks.get(row.block, row.block)) for row in rows]
            for rows in architecture]


def in_groups_of(group_size: int) -> Architecture:
    """EfficientNet with filters that see a group of channels."""
    return exchange(EFFICIENTNET, {
        "separable": partial(grouped, block=DepthwiseSeparableConv, group_size=group_size),
        "inverted": partial(grouped, block=InvertedResidual, group_size=group_size),
    })


def folded(*, width: float, depth: float, early: int, counted: int) -> dict[str, Any]:
    """The options of EfficientNet-X and -H: folded pixels first, then fused blocks.

    early: how many times the early blocks widen;  counted: the channels from which the first fused
           block widens
    """
    edge = partial(edge_behind_folds, counted=counted)
    plan = scale((
        [Row(folded_separable, 3, 2, 1, 16, 1, se=0.25)],
        [Row(edge, 3, 1, early, 24, 2, se=0.25, act="relu")],
        [Row("edge", 5, 2, early, 40, 2, se=0.25, act="relu")],
        [Row("inverted", 3, 2, early, 80, 3, se=0.25)],
        [Row("inverted", 5, 1, 6, 112, 3, se=0.25)],
        [Row("inverted", 5, 2, 6, 192, 4, se=0.25)],
        [Row("inverted", 3, 1, 6, 320, 1, se=0.25)],
    ), width=width, depth=depth)
    # folded, so after scaling
    plan[0] = [row._replace(channels=4 * row.channels) for row in plan[0]]
    return dict(architecture=plan, stem=make_divisible(32 * width),
                head=make_divisible(1280 * width))


# --- the model: EfficientNet itself, with these rows ----------------------------------------------

MODEL = EfficientNet

_GROUPS_8, _GROUPS_16 = (partial(GroupNormAct, group_size=size) for size in (8, 16))
_B3 = dict(width=1.2, depth=1.4, divisor=16)

VARIANTS: dict[str, dict[str, Any]] = {
    "efficientnet_b0_gn": dict(norm_layer=_GROUPS_8),
    "efficientnet_b0_g8_gn": dict(norm_layer=_GROUPS_8, architecture=in_groups_of(8)),
    # BatchNorm, whatever the name says
    "efficientnet_b0_g16_evos": dict(architecture=in_groups_of(16), divisor=16),
    "efficientnet_b3_gn": dict(_B3, norm_layer=_GROUPS_16),
    "efficientnet_b3_g8_gn": dict(_B3, norm_layer=_GROUPS_16, architecture=in_groups_of(8)),

    "efficientnet_blur_b0": dict(architecture=exchange(EFFICIENTNET, {"inverted": blurred})),

    "gc_efficientnetv2_rw_t": dict(architecture=exchange(EFFICIENTNETV2_S,
                                                         {"inverted": in_context}), stem=24,
                                   width=0.8, depth=0.9),

    "efficientnet_x_b3": folded(width=1.2, depth=1.4, early=6, counted=24),
    "efficientnet_x_b5": folded(width=1.6, depth=2.2, early=6, counted=24),
    "efficientnet_h_b5": folded(width=1.92, depth=2.2, early=4, counted=32),
}
