"""BiFPN: a pyramid of maps that talk to each other both ways, again and again.

A feature pyramid tells the fine maps what the coarse ones understand. This one tells the coarse maps
afterwards what the fine ones see, and stacks several such rounds ("cells"). Where maps meet, they
are not simply added: each has a weight, learned, that says how much it counts.

    top down     p6' = p6 + p7 enlarged    p5' = p5 + p6' enlarged    ...    p3 = p3 + p4' enlarged
    bottom up    p4 = p4 + p4' + p3 halved    p5 = p5 + p5' + p4 halved    ...    p7 = p7 + p6 halved

Every sum is followed by an activation and a separable convolution. Tan et al., "EfficientDet:
Scalable and Efficient Object Detection", 2019, https://arxiv.org/abs/1911.09070, section 3.
Parameter names are effdet's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.separable_conv import SeparableConvNormAct

#: Of every BatchNorm outside of the backbone, as the paper's authors train it.
NORM = dict(eps=1e-3, momentum=0.01)


class Style(NamedTuple):
    """What all convolutions of a pyramid and of the heads behind it share.

    width:      channels
    act_layer:  the activation's name
    padding:    "" symmetric, "same" TensorFlow's, as its weights need it
    extra_bias: a bias in front of a BatchNorm, where it does nothing, and which TensorFlow's weights have
    """

    width: int
    act_layer: str = "silu"
    padding: str = ""
    extra_bias: bool = False


def halve(x: Tensor, padding: str) -> Tensor:
    """The largest of each 3 x 3 places, every second one: [B, C, H, W] -> [B, C, ceil(H/2), ceil(W/2)]."""
    if padding != "same":
        return F.max_pool2d(x, 3, stride=2, padding=1)
    # TensorFlow pads an even side at its end alone, which is a last window that hangs over
    height, width = x.shape[-2:]
    return F.max_pool2d(x, 3, stride=2, padding=(height % 2, width % 2), ceil_mode=True)


class Resample(nn.Module):
    """A map as another level needs it: as many channels, half the size, or the size that is asked for.

    step: 1 where the map is a level finer and is halved, -1 where it is coarser and is enlarged
    """

    def __init__(self, in_chans: int, style: Style, step: int):
        super().__init__()
        self.step, self.padding = step, style.padding
        if in_chans != style.width:
            self.conv = ConvNormAct(in_chans, style.width, 1, padding=style.padding,
                                    bias=style.extra_bias, apply_act=False,
                                    norm_layer=partial(BatchNormAct2d, **NORM))
        else:
            self.conv = nn.Identity()

    def forward(self, x: Tensor, size: Sequence[int] = ()) -> Tensor:
        """size: (height, width) of what a coarser map is enlarged to."""
        x = self.conv(x)
        if self.step > 0:
            return halve(x, self.padding)
        return F.interpolate(x, size=tuple(size), mode="nearest") if self.step < 0 else x


class Combine(nn.Module):
    """Maps of two or three levels -> one [B, width, H, W], the weighted mean or the plain sum.

    chans:    number of a map -> its channels; the first is of the level that is made
    steps:    of each, as `Resample` has it
    weighted: each map counts by a weight that is learned and never negative, else all alike
    """

    def __init__(self, chans: dict[int, int], steps: Sequence[int], style: Style, weighted: bool):
        super().__init__()
        self.resample = nn.ModuleDict({str(number): Resample(width, style, step)
                                       for (number, width), step in zip(chans.items(), steps)})
        self.inputs = tuple(chans)
        self.edge_weights = nn.Parameter(torch.ones(len(chans))) if weighted else None

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        taken = [maps[number] for number in self.inputs]
        size = taken[0].shape[-2:]
        taken = [change(x, size) for change, x in zip(self.resample.values(), taken)]
        if self.edge_weights is None:
            return sum(taken[1:], taken[0])
        # "fast normalised fusion": as good as a softmax over the weights, and quicker
        weights = F.relu(self.edge_weights)
        shares = (weights / (weights.sum() + 1e-4)).unbind()
        weighed = [x * share for x, share in zip(taken, shares)]
        return sum(weighed[1:], weighed[0])


class Node(nn.Module):
    """One sum in a cell: the maps so far -> a new one, [B, width, H, W]."""

    def __init__(self, chans: dict[int, int], steps: Sequence[int], style: Style, weighted: bool):
        super().__init__()
        self.combine = Combine(chans, steps, style, weighted)
        conv = SeparableConvNormAct(style.width, style.width, 3, padding=style.padding,
                                    bias=style.extra_bias, apply_act=False,
                                    norm_layer=partial(BatchNormAct2d, **NORM))
        act = create_act(style.act_layer, inplace=True)
        self.after_combine = nn.Sequential(OrderedDict(act=act, conv=conv))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.after_combine(self.combine(maps))


class Cell(nn.Module):
    """One round: a map of each level, the finest first -> the same, after all have heard of each other.

    chans: channels of the maps that come in
    """

    def __init__(self, chans: Sequence[int], style: Style, weighted: bool):
        super().__init__()
        self.levels = levels = len(chans)
        known = dict(enumerate(chans))  # number of a map -> its channels; new ones get the next numbers
        newest = list(range(levels))    # of each level the number of its newest map
        nodes = []

        def add(level: int, below: int, step: int) -> None:
            own = [level] if newest[level] == level else [level, newest[level]]
            taken = {number: known[number] for number in (*own, newest[below])}
            nodes.append(Node(taken, (*(0 for _ in own), step), style, weighted))
            newest[level] = len(known)
            known[newest[level]] = style.width

        for level in reversed(range(levels - 1)):
            add(level, level + 1, -1)
        for level in range(1, levels):
            add(level, level - 1, 1)
        self.fnode = nn.ModuleList(nodes)

    @property
    def order(self) -> tuple[str, ...]:
        """The modules whose outputs are the levels, the finest first."""
        return tuple(f"fnode.{index}" for index in range(self.levels - 2, 2 * self.levels - 2))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = list(maps)
        for node in self.fnode:
            maps.append(node(maps))
        return maps[-self.levels:]

    def walk(self, maps: Sequence[Tensor]) -> Generator[Tensor, None, list[Tensor]]:
        """`forward` that yields each level as it is made, the finest first."""
        maps = list(maps)
        for index, node in enumerate(self.fnode):
            maps.append(node(maps))
            if index >= self.levels - 2:
                yield maps[-1]
        return maps[-self.levels:]


class BiFpn(nn.Module):
    """Maps of a backbone, the finest first -> a map [B, width, H/s, W/s] of each level.

    in_chans: channels of the backbone's maps, from stride 8;  levels: how many there are in all, the
              coarser ones made by halving;  cells: how many rounds;  weighted: as of `Combine`
    """

    def __init__(self, in_chans: Sequence[int], style: Style, *, levels: int = 5, cells: int = 3,
                 weighted: bool = True):
        super().__init__()
        chans = list(in_chans)
        self.resample = nn.ModuleDict()
        for level in range(len(chans), levels):
            self.resample[str(level)] = Resample(chans[-1], style, 1)
            chans.append(style.width)
        self.cell = nn.ModuleList()
        for _ in range(cells):
            self.cell.append(Cell(chans, style, weighted))
            chans = [style.width] * levels

    @property
    def order(self) -> tuple[str, ...]:
        """The modules whose outputs are the levels, the finest first."""
        return tuple(f"cell.{len(self.cell) - 1}.{name}" for name in self.cell[-1].order)

    def walk(self, maps: Sequence[Tensor]) -> Generator[Tensor, None, list[Tensor]]:
        """Yield each level of the last round as it is made, the finest first; return all."""
        maps = list(maps)
        for resample in self.resample.values():
            maps.append(resample(maps[-1]))
        *first, last = self.cell
        for cell in first:
            maps = cell(maps)
        return (yield from last.walk(maps))
