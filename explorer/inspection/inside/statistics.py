"""How the values of every stage are spread, and which channels are silent.

    activations(look("resnet50", "cat.jpg"))             # per stage: histogram, zeros, silent channels
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from torch import Tensor

from explorer.display.html import LINE, cell_html, cells_html, name_html, table_html
from explorer.display.words import counted, percent
from explorer.inspection.look.result import Look
from explorer.models.surgery.inside import stages_in_words

BINS = 64


@dataclass(frozen=True, eq=False)
class StageActivations:
    """What one stage's maps hold, over all their channels and places, and over all photos.

    counts: int64 [64], how many finite values are in each bin;  edges: float64 [65], the bins' borders
    mean, std: of the finite values;  zeros: the share of all values that is exactly 0
    dead:   the channels that are nowhere above 0, in none of the photos. Behind a ReLU such a channel says
            nothing here; behind other functions (GELU, SiLU) or a sum it may, and the word is too strong
    nans, infinities: how many values are not finite;  values: how many there are;  channels: C
    """

    name: str
    channels: int
    values: int
    counts: np.ndarray
    edges: np.ndarray
    mean: float
    std: float
    zeros: float
    dead: tuple[int, ...]
    nans: int
    infinities: int


@dataclass(frozen=True, eq=False, repr=False)
class Activations:
    """The `StageActivations` of all stages, by name, in network order. photos: over how many photos."""

    model_name: str
    stages: dict[str, StageActivations]
    photos: int

    def __getitem__(self, stage: str) -> StageActivations:
        if stage not in self.stages:
            raise KeyError(f"{self.model_name} has no stage {stage!r}. {stages_in_words(self.stages)}")
        return self.stages[stage]

    @property
    def not_finite(self) -> int:
        """How many values of all stages are NaN or infinite."""
        return sum(stage.nans + stage.infinities for stage in self.stages.values())

    def __repr__(self) -> str:
        dead = sum(len(stage.dead) for stage in self.stages.values())
        broken = f", {self.not_finite} values not finite" if self.not_finite else ""
        return (f"Activations({self.model_name!r}, {len(self.stages)} stages, "
                f"{counted(self.photos, 'photo')}, {dead} channels never above 0{broken})")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{name_html(s.name)}{cell_html(histogram_html(s))}"
            + cells_html((f"{s.mean:.3g}", f"{s.std:.3g}", percent(s.zeros), f"{len(s.dead)} of {s.channels}",
                          str(s.nans + s.infinities))) + "</tr>"
            for s in self.stages.values())
        titles = ("stage", "histogram", "mean", "std", "zeros", "channels never above 0", "not finite")
        said = f"<b>{escape(self.model_name)}</b>, {counted(self.photos, 'photo')}"
        return f"<div><p style='{LINE}'>{said}</p>{table_html(titles, rows, left=1)}</div>"


def activations(looks: Look | Sequence[Look]) -> Activations:
    """How the values of every stage are spread, and which of its channels are never above zero.

    looks: one Look, or several of the same model: then everything is over all of their photos, and a channel
           counts as dead only where it is so in all of them. Nothing is run again.
    Raises ValueError for Looks of different models.
    Source (dead units): Maas et al. 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    looks = [looks] if isinstance(looks, Look) else list(looks) if isinstance(looks, (list, tuple)) else []
    if not looks or not all(isinstance(one, Look) for one in looks):
        raise ValueError("activations takes a Look, or several of one model: explorer.look(model, image).")
    first = looks[0]
    plan = {name: len(maps) for name, maps in first.stages.items()}
    for other in looks[1:]:
        if other.model_name != first.model_name or {n: len(maps) for n, maps in other.stages.items()} != plan:
            raise ValueError(f"These Looks are of different models, {first.model_name} and "
                             f"{other.model_name}: give Looks of one model at a time.")
    stages = {name: _stage_activations(name, [one.stages[name] for one in looks]) for name in plan}
    return Activations(first.model_name, stages, len(looks))


def _stage_activations(name: str, maps: Sequence[Tensor]) -> StageActivations:
    """maps: [C, H, W] of each photo."""
    alive = torch.zeros(len(maps[0]), dtype=torch.bool)
    zeros = nans = infinities = values = 0
    finite_maps = []
    for one in maps:
        alive |= ~(one <= 0).flatten(1).all(1)  # a NaN is not <= 0: such a channel is broken, not silent
        zeros, values = zeros + int((one == 0).sum()), values + one.numel()
        finite = one.isfinite()
        if not finite.all():
            nans, infinities = nans + int(one.isnan().sum()), infinities + int(one.isinf().sum())
            one = one[finite]
        finite_maps.append(one.numpy().ravel().astype(np.float64))
    kept = [one for one in finite_maps if one.size]
    low, high = (min(one.min() for one in kept), max(one.max() for one in kept)) if kept else (0.0, 0.0)
    edges = np.linspace(low, high, BINS + 1) if high > low else low + np.linspace(-0.5, 0.5, BINS + 1)
    counts = sum((np.histogram(one, edges)[0] for one in kept), np.zeros(BINS, np.int64))
    number = sum(one.size for one in kept)
    mean = sum(one.sum() for one in kept) / number if number else math.nan
    std = math.sqrt(sum(np.square(one - mean).sum() for one in kept) / number) if number else math.nan
    dead = tuple((~alive).nonzero().flatten().tolist())
    return StageActivations(
        name=name, channels=len(maps[0]), values=values, counts=counts, edges=edges, mean=float(mean),
        std=std, zeros=zeros / values, dead=dead, nans=nans, infinities=infinities,
    )


def histogram_html(stage: StageActivations, *, width: int = 192, height: int = 32) -> str:
    """A histogram as a small drawing; bars as high as the root of their counts: one would hide the rest."""
    heights = np.sqrt(stage.counts / max(1, stage.counts.max())) * height
    bar = width / BINS
    bars = [f"M{i * bar:.1f} {height}v-{h:.1f}h{bar:.1f}v{h:.1f}z" for i, h in enumerate(heights) if h > 0]
    low, high = stage.edges[0], stage.edges[-1]
    text = f"{stage.name}: values from {low:.3g} to {high:.3g}"
    zero = ""
    if low < 0 < high:
        zero = f"<path d='M{-low / (high - low) * width:.1f} 0v{height}' stroke='#d9804a'/>"
    return (f"<svg role='img' aria-label='{escape(text)}' width='{width}' height='{height}'>"
            f"<title>{escape(text)}</title><path d='{''.join(bars)}' fill='#4a8fd9'/>{zero}</svg>")
