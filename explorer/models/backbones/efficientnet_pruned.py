"""Pruned EfficientNets: the same network after the filters that mattered least were cut away.

EfficientNet is thin to begin with, and yet up to four fifths of the middle of a block can go. As
for pruned ResNets a knapsack problem decides which filters stay: most importance for the arithmetic
that there is room for. Most of those that go worked on large maps, where a filter costs most; the
last stages stay nearly whole.

Aflalo et al., "Knapsack Pruning with Inner Distillation", 2020, https://arxiv.org/abs/2002.08258.
Parameter names are timm's.
The network is `EfficientNet`, of the same family, with widths of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from explorer.models.backbones.efficientnet import EFFICIENTNET, EfficientNet
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.mobile_blocks import InvertedResidual, SqueezeExcite
from explorer.models.layers.mobile_rows import scale


class Kept(NamedTuple):
    """What is left of a stage: channels of its map, and in the middle of each block.

    squeezed: (block, channels) where squeeze-and-excitation lost a channel too; elsewhere it is the
              whole network's
    """

    channels: int
    middles: tuple[int, ...]
    squeezed: tuple[tuple[int, int], ...] = ()


def pruned_block(in_chans: int, out_chans: int, *, squeezed: int, attend: Callable,
                 **parts: Any) -> nn.Module:
    """MobileNetV2's block with `squeezed` channels in its channel attention."""
    def squeeze(channels: int, in_chans: int) -> nn.Module:
        return SqueezeExcite(channels, squeezed, act_layer="silu")

    return InvertedResidual(in_chans, out_chans, attend=squeeze, **parts)


def pruned(kept: Sequence[Kept], *, width: float, depth: float) -> dict[str, Any]:
    """The options of EfficientNet, scaled by `width` and `depth`, for what is left of all stages
    but the first.

    Raises ValueError where a stage has another number of blocks.
    """
    first, *whole = scale(EFFICIENTNET, width=width, depth=depth)
    before = first[-1].channels  # of the whole network: what its attention was a quarter of
    plan: list[list] = [first]
    for (row,), stage in zip(whole, kept, strict=True):
        if len(stage.middles) != row.repeats:
            raise ValueError(
                f"A stage of {row.repeats} blocks needs as many widths in kept, "
                f"not {len(stage.middles)}."
            )
        rows = []
        for i, middle in enumerate(stage.middles):
            squeezed = dict(stage.squeezed).get(i, round(before * row.se))
            rows.append(row._replace(
                block=partial(pruned_block, middle=middle, squeezed=squeezed),
                channels=stage.channels, repeats=1, stride=row.stride if i == 0 else 1,
            ))
            before = row.channels
        plan.append(rows)
    return dict(architecture=plan, stem=make_divisible(32 * width),
                head=make_divisible(1280 * width), divisor=1)


# --- the model: EfficientNet itself, with these rows ----------------------------------------------

MODEL = EfficientNet

_TF = dict(padding="same", norm_eps=1e-3)  # what weights trained with TensorFlow expect

VARIANTS: dict[str, dict[str, Any]] = {
    "efficientnet_b1_pruned": dict(_TF, **pruned((
        Kept(12, (48, 62, 48)),
        Kept(35, (70, 61, 51)),
        Kept(74, (175, 188, 137, 164)),
        Kept(67, (399, 201, 160, 213)),
        Kept(192, (637, 806, 798, 891, 990), squeezed=((0, 27),)),
        Kept(320, (1152, 1912)),
    ), width=1.0, depth=1.1)),
    "efficientnet_b2_pruned": dict(_TF, **pruned((
        Kept(17, (54, 69, 61)),
        Kept(42, (86, 72, 98)),
        Kept(85, (245, 274, 254, 292)),
        Kept(116, (502, 315, 354, 443)),
        Kept(208, (719, 1148, 1160, 1182, 1228)),
        Kept(352, (1248, 2112)),
    ), width=1.1, depth=1.2)),
    "efficientnet_b3_pruned": dict(_TF, **pruned((
        Kept(12, (27, 49, 48)),
        Kept(40, (83, 90, 85)),
        Kept(93, (215, 261, 219, 254, 236)),
        Kept(120, (480, 235, 217, 226, 340), squeezed=((3, 33),)),
        Kept(232, (802, 1030, 924, 1016, 1130, 1266)),
        Kept(384, (1392, 2301)),
    ), width=1.2, depth=1.4)),
}
