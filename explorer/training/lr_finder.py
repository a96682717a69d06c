"""Which learning rate? One short run in which it grows from tiny to far too large, and the loss tells.

Smith, Cyclical Learning Rates for Training Neural Networks, 2015, https://arxiv.org/abs/1506.01186
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import torch

from explorer.data.datasets import open_data
from explorer.models.contract import VisionModel, parameter_place
from explorer.training.finetune import Job, model_for, threads_for
from explorer.training.loop import learn
from explorer.training.recipe import Recipe
from explorer.training.run import Run
from explorer.training.sources import drawn_by


@dataclass(frozen=True)
class LearningRates:
    """The loss, smoothed, at each rate of the classifier. suggestion: where it falls fastest, None where it never does."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None

    def plot(self) -> Any:
        """A matplotlib figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss (smoothed)")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, linestyle="--", color="tab:orange", label=f"suggested: {self.suggestion:.1e}")
            axes.legend()
        return figure

    def _repr_png_(self) -> bytes:
        import io

        file = io.BytesIO()
        self.plot().savefig(file, format="png", dpi=120)
        return file.getvalue()

    def __repr__(self) -> str:
        found = "no rate stands out" if self.suggestion is None else f"suggested {self.suggestion:.1e}"
        return f"LearningRates({len(self.rates)} rates, {found})"


def find_lr(model: VisionModel | str, data: Any, *, start: float = 1e-6, stop: float = 10.0, steps: int = 80,
            pretrained: bool = True, input_size: tuple[int, int, int] | None = None, **settings: Any) -> LearningRates:
    """Try `steps` rates from `start` to `stop`, one batch each; ends early where the loss explodes.

    settings: those of `finetune` (train, batch_size, optimizer, augment, seed, ...). The model is left as it was: a copy
    learns. Raises ValueError for rates that can't be, and what `finetune` raises.
    """
    if not 0 < start < stop:
        raise ValueError(f"start is {start} and stop {stop}: give two rates above 0, the smaller one first.")
    if steps < 5:
        raise ValueError(f"steps is {steps}: give 5 or more, or there is no curve.")
    recipe = Recipe(**{"augment": "none", **settings})
    splits = open_data(data, seed=recipe.seed)
    mine = copy.deepcopy(model) if isinstance(model, VisionModel) else model
    net = model_for(mine, splits, recipe, pretrained, None, input_size)
    job = Job(net, splits, recipe)
    run = Run(net, splits, recipe, job.events, name="learning-rate finder")
    with threads_for(recipe) as threads:
        for _ in job.prepare(run, threads):
            pass  # its notes are the run's matter; nobody listens here
        rates, losses = _climb(job, recipe, start, stop, steps)
    return LearningRates(tuple(rates), tuple(losses), suggest(rates, losses))


def _climb(job: Job, recipe: Recipe, start: float, stop: float, steps: int) -> tuple[list[float], list[float]]:
    state, source, place = job.state, job.source, parameter_place(job.model)
    optimizer = state.optimizer
    shares = [group["lr"] / recipe.rates[0] for group in optimizer.param_groups]
    batches = chain.from_iterable(source.batches(epoch) for epoch in count())
    rates: list[float] = []
    losses: list[float] = []
    mean = best = 0.0
    state.network.train()
    for number in range(steps):
        rate = start * (stop / start) ** (number / (steps - 1))
        for group, share in zip(optimizer.param_groups, shares):
            group["lr"] = rate * share
        inputs, targets = next(batches)
        with drawn_by(recipe.seed, -3, number):
            loss, _, state.pieces = learn(state.network, inputs, targets, recipe, place, None, state.pieces, source.multi_label)
        if not math.isfinite(loss):
            break
        optimizer.step()
        optimizer.zero_grad()
        mean = 0.9 * mean + 0.1 * loss
        smooth = mean / (1 - 0.9 ** (number + 1))
        best = smooth if number == 0 else min(best, smooth)
        rates.append(rate)
        losses.append(smooth)
        if number > 5 and smooth > 3 * best:
            break
    source.close()
    return rates, losses


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss falls fastest, before its lowest point; None where it does not fall by a twentieth."""
    if len(losses) < 5:
        return None
    lowest = min(range(len(losses)), key=losses.__getitem__)
    if losses[lowest] > 0.95 * losses[0] or lowest < 2:
        return None
    slopes = torch.gradient(torch.tensor(losses[:lowest + 1]), spacing=(torch.tensor(rates[:lowest + 1]).log(),))[0]
    return rates[int(slopes.argmin())]
