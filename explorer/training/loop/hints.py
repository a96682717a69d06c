"""What a student learns from the inside of a teacher: its maps, beside its answers.

    hints       weight * sum over the pairs of stages:  mean (regressor(student's map) - teacher's map)^2
    attention   weight * sum over the pairs of stages:  ||q(student's map) - q(teacher's map)||^2,
                q(A) = Q / ||Q||, Q the sum over the channels of A^2, as one row: where a network looks

A regressor is a convolution of 1 x 1 that learns beside the student and is let go of with the run: it brings
the student's channels to the teacher's. Maps of another size are averaged over areas to the smaller one,
those of attention once they are sums. Both are means over the photos, the papers' factor of 1/2 is in the
weight.

Sources: Romero et al., FitNets: Hints for Thin Deep Nets, 2015; Zagoruyko and Komodakis, Paying More
Attention to Attention, 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import VisionModel
from explorer.models.stages import Stage
from explorer.models.watching import walk
from explorer.training.loop.order import drawn_by

#: kind -> the weight that it has where nobody says
WEIGHTS = {"hints": 1.0, "attention": 10.0}


@dataclass(frozen=True)
class Pair:
    """A stage of the student and the teacher's that it learns from. ours, theirs: their maps, [C, H, W]"""

    student: str
    teacher: str
    ours: tuple[int, int, int]
    theirs: tuple[int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) that both are compared at."""
        return min(self.ours[1], self.theirs[1]), min(self.ours[2], self.theirs[2])


class FeatureLoss(nn.Module):
    """How far a student's maps are from a teacher's.

    kind: one of `WEIGHTS`;  weight: of this part of the loss
    regressors: of hints one a pair, which learn
    """

    def __init__(self, kind: str, pairs: tuple[Pair, ...], weight: float, *, seed: int,
                 place: Mapping[str, Any]):
        super().__init__()
        self.kind, self.pairs, self.weight = kind, pairs, weight
        hints = pairs if kind == "hints" else ()
        with drawn_by(seed, -7):
            self.regressors = nn.ModuleList(nn.Conv2d(pair.ours[0], pair.theirs[0], 1) for pair in hints)
        self.to(**place)

    @property
    def widths(self) -> list[int]:
        """How many numbers of the teacher's each pair needs of one photo."""
        return [(pair.theirs[0] if self.kind == "hints" else 1) * pair.size[0] * pair.size[1]
                for pair in self.pairs]

    def told_by(self, teacher: VisionModel, inputs: Tensor, *, to_the_end: bool) -> tuple[Tensor, Any]:
        """One pass of the teacher -> (what the loss needs of its maps, [B, sum of `widths`] float32, its
        final features, or None where it need not go so far).
        """
        rows: list[Tensor | None] = [None] * len(self.pairs)

        def keep(stage: Stage, found: Tensor) -> None:
            for number, pair in enumerate(self.pairs):
                if pair.teacher == stage.name:
                    rows[number] = self._row(found, pair)

        last = max(number for number, stage in enumerate(teacher.stage_table)
                   if any(pair.teacher == stage.name for pair in self.pairs))
        features = walk(teacher, inputs, after=keep, first=None if to_the_end else last + 1)
        return torch.cat([row for row in rows if row is not None], 1), features

    def seen_in(self, network: VisionModel, inputs: Tensor) -> tuple[dict[str, Tensor], Any]:
        """One pass of the student -> (the maps of its stages that learn from the teacher's, its final
        features).
        """
        wanted, maps = {pair.student for pair in self.pairs}, {}

        def keep(stage: Stage, found: Tensor) -> None:
            if stage.name in wanted:
                maps[stage.name] = found.clone()  # the next layer may work in place on it

        return maps, walk(network, inputs, after=keep)

    def forward(self, maps: Mapping[str, Tensor], told: Tensor) -> Tensor:
        """maps: the student's, by stage;  told: what `told_by` says of the same photos"""
        parts = []
        for number, (pair, theirs) in enumerate(zip(self.pairs, told.split(self.widths, 1))):
            ours = maps[pair.student]
            if self.kind == "attention":
                parts.append((attention(ours, pair.size) - theirs).square().sum(1).mean())
            else:
                own = self.regressors[number](resized(ours, pair.size).to(told.dtype)).float()
                parts.append(F.mse_loss(own.flatten(1), theirs))
        return self.weight * torch.stack(parts).sum()

    def _row(self, found: Tensor, pair: Pair) -> Tensor:
        if self.kind == "attention":
            return attention(found, pair.size)
        return resized(found.float(), pair.size).flatten(1).clone()  # the next layer may work in place on it


def attention(found: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [B, C, H, W] -> where they are strong: the sum of their squares over the channels, at a size, as
    rows [B, h * w] of length 1.
    """
    return F.normalize(resized(found.float().square().sum(1, keepdim=True), size).flatten(1), dim=1)


def resized(found: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [B, C, H, W] at a size, each place the mean over its area."""
    return found if tuple(found.shape[-2:]) == size else F.adaptive_avg_pool2d(found, size)
