"""Mobile networks as tables: rows of equal blocks, made wider and deeper by a rule, and built.

MobileNet, MnasNet, EfficientNet and their relatives are one machine with different tables: each stage is one
row or several of `Row`, `scale` multiplies channels and repeats, and `stack` builds the blocks of
`explorer/models/layers/mobile_blocks.py`.

Tan and Le, "EfficientNet", 2019, https://arxiv.org/abs/1905.11946, for the scaling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.mobile_blocks import (
    ConvBlock,
    DepthwiseSeparableConv,
    EdgeResidual,
    InvertedResidual,
)

BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "separable": DepthwiseSeparableConv,
    "separable_v1": partial(DepthwiseSeparableConv, linear=False, shortcut=False),  # MobileNetV1, 2017
    "inverted": InvertedResidual,
    "separable_plain": partial(DepthwiseSeparableConv, shortcut=False),
    "edge": EdgeResidual,
    "edge_plain": partial(EdgeResidual, shortcut=False),
    "conv": ConvBlock,
    "conv_shortcut": partial(ConvBlock, shortcut=True),
}


class Row(NamedTuple):
    """Some equal blocks in a row; the stride is the first block's, the others have 1."""

    block: str | Callable[..., nn.Module]  # a name in BLOCKS, or a relative's own block
    kernel: int
    stride: int
    expand: float
    channels: int
    repeats: int
    se: float = 0.0
    act: str = ""  # where not the network's own


Architecture = Sequence[Sequence[Row]]  # stages of rows; nearly every stage is one row
Shown = tuple[str, str, int, int]  # a map's name, its module, its channels, and its total stride


def scale(architecture: Architecture, *, width: float, depth: float, keep_ends: bool = False,
          rounding: Callable[[float], int] = math.ceil, divisor: int = 8,
          round_limit: float = 0.9) -> list[list[Row]]:
    """The architecture with `width` times the channels (in steps of `divisor`) and `depth` times the repeats.

    keep_ends: the first and the last stage keep their depth;  round_limit: channels never get below this
               share
    """
    ends = (0, len(architecture) - 1) if keep_ends else ()
    scaled = []
    for i, rows in enumerate(architecture):
        repeats = spread([row.repeats for row in rows], times=1.0 if i in ends else depth, rounding=rounding)
        scaled.append([
            row._replace(repeats=count,
                         channels=make_divisible(row.channels * width, divisor, round_limit=round_limit))
            for row, count in zip(rows, repeats)
        ])
    return scaled


def spread(repeats: Sequence[int], *, times: float, rounding: Callable[[float], int]) -> list[int]:
    """A stage's total of blocks, scaled, shared among its rows as before; at least one each.

    The last row chooses first, so that the first one, which halves the map, is the last to grow.
    """
    left, scaled_left, shares = sum(repeats), rounding(sum(repeats) * times), []
    for count in reversed(repeats):
        share = max(1, round(count / left * scaled_left))
        left, scaled_left = left - count, scaled_left - share
        shares.append(share)
    return shares[::-1]


def stack(plan: Sequence[Sequence[Row]], chans: int, *, output_stride: int, drop_path_rate: float,
          conv: Callable, norm: Callable, attend: Callable[[Row], Callable], dilate_halving: bool = False,
          show_first: bool = False) -> tuple[nn.Sequential, list[Shown], int]:
    """Build all blocks behind a stem of `chans` channels that has halved once; also the maps worth showing,
    and the last one's channels.

    attend: makes for each row what makes the channel attention of its blocks.
    dilate_halving: the block that would have halved dilates as those behind it do
    show_first: of the maps of one size the first is worth showing, in place of the last; and the last of all
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is {output_stride}: EfficientNets and MobileNets offer 8, "
                         "16 and 32.")
    if unknown := {row.block for rows in plan for row in rows if isinstance(row.block, str)} - set(BLOCKS):
        raise ValueError(f"Unknown block {min(unknown)!r}. Known: {', '.join(BLOCKS)}.")
    # A map worth showing is mostly the last of its size: the stage before each halving, and the last one.
    shown: list[Shown] = [("stem", "bn1", chans, 2)] if plan[0][0].stride > 1 else []
    blocks = []
    stride_so_far, dilation, count, total = 2, 1, 0, sum(row.repeats for rows in plan for row in rows)
    for i, rows in enumerate(plan):
        stage = []
        for row in rows:
            row_norm = partial(norm, act_layer=row.act) if row.act else norm
            for j in range(row.repeats):
                stride, own_dilation = (row.stride if j == 0 else 1), dilation
                if stride_so_far * stride > output_stride:
                    # the block that would have halved still sees neighbours; those behind it look further
                    dilation, stride = dilation * stride, 1
                    own_dilation = dilation if dilate_halving else own_dilation
                stride_so_far *= stride
                stage.append((BLOCKS[row.block] if isinstance(row.block, str) else row.block)(
                    chans, row.channels, kernel=row.kernel, stride=stride, dilation=own_dilation,
                    expand=row.expand, conv=conv, norm=row_norm, attend=attend(row),
                    drop_path=drop_path_rate * count / total,
                ))
                chans, count = row.channels, count + 1
        blocks.append(nn.Sequential(*stage))
        if show_first and rows[0].stride > 1:
            shown.append((f"blocks.{i}.0", f"blocks.{i}.0", rows[0].channels, stride_so_far))
        if i + 1 == len(plan) or not show_first and plan[i + 1][0].stride > 1:
            shown.append((f"blocks.{i}", f"blocks.{i}", chans, stride_so_far))
    return nn.Sequential(*blocks), shown, chans
