"""Which learning rate? One short run in which it grows from tiny to far too large, and the loss tells.

Smith, Cyclical Learning Rates for Training Neural Networks, 2015, https://arxiv.org/abs/1506.01186
"""

from __future__ import annotations

import copy
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import torch
from torch import nn

from explorer.arguments import checked, number, photo_size, whole
from explorer.data.photo_sets import Splits
from explorer.data.places.place_set import PlaceSplits
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.surgery.inside import look_through
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import BATCH_SIZE, Recipe
from explorer.training.loop.team import Alone
from explorer.training.run.checks import check_data, check_learning
from explorer.training.run.given import data_for, task_of
from explorer.training.run.head import model_for
from explorer.training.run.training import Training, threads_for

PHOTOS = 512  # that are looked at, at most
FEW = 4       # photos to judge by that stay, though nobody judges: a data set must have some


@dataclass(frozen=True)
class LearningRates:
    """The loss, smoothed, at each rate of the classifier. suggestion: where it falls fastest, None where it
    never does.

    photos: of how many; seconds: what it took, opening them included
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    photos: int = 0
    seconds: float = 0.0

    def plot(self) -> Any:
        """A matplotlib figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss (smoothed)")
        if self.suggestion is not None:
            label = f"suggested: {self.suggestion:.1e}"
            axes.axvline(self.suggestion, linestyle="--", color="tab:orange", label=label)
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


@checked(input_size=photo_size, photos=whole(), start=number(0, above=True), stop=number(0, above=True))
def find_lr(model: VisionModel | str, data: Any, *, start: float = 1e-6, stop: float = 10.0, steps: int = 80,
            photos: int = PHOTOS, pretrained: bool = True, input_size: tuple[int, int, int] | None = None,
            on_rate: Callable[[float, float], None] | None = None,
            should_stop: Callable[[], bool] = lambda: False, **settings: Any) -> LearningRates:
    """Try `steps` rates from `start` to `stop`, one batch each; ends early where the loss explodes.

    photos:   look at so many, at most, drawn by the seed; behind a frozen body each is seen once
    on_rate:  called with (rate, smoothed loss) after each step
    should_stop: asked often; True ends it with what there is
    settings: those of `finetune` (train, batch_size, optimizer, augment, seed, ...); accumulate has no part
              in it

    The model is left as it was: a copy learns. Raises ValueError for rates that can't be, and what `finetune`
    raises.
    """
    began = time.perf_counter()
    if not 0 < start < stop:
        raise ValueError(f"start is {start} and stop {stop}: give two rates above 0, the smaller one first.")
    for name, value, least in (("steps", steps, 5), ("photos", photos, 2)):
        if value < least:
            raise ValueError(f"{name} is {value}: give {least} or more, or there is no curve.")
    task = task_of(model)
    usual = {"augment": "none", "batch_size": BATCH_SIZE[task]}
    recipe = Recipe(**{**usual, **settings, "accumulate": 1, "task": task})  # each batch makes a step here
    mine = copy.deepcopy(look_through(model)) if isinstance(model, nn.Module) else model
    splits = some_of(data_for(mine, data, recipe), photos, recipe.seed)
    if isinstance(splits, PlaceSplits):
        check_data(recipe, splits)
    net = model_for(mine, splits, recipe, pretrained, None, input_size)
    if isinstance(splits, PlaceSplits):
        check_learning(recipe, splits, net)
    training = Training(net, splits, recipe)
    wanted = threading.Event()
    rates: list[float] = []
    losses: list[float] = []
    with threads_for(recipe) as threads:
        for _ in training.prepare(threads, wanted.is_set):  # nobody listens to what it tells
            if should_stop():
                wanted.set()
        for rate, loss in _climb(training, start, stop, steps):
            rates.append(rate)
            losses.append(loss)
            if on_rate is not None:
                on_rate(rate, loss)
            if should_stop():
                break
        if training.source is not None:
            training.source.close()
    return LearningRates(tuple(rates), tuple(losses), suggest(rates, losses), len(training.data.train),
                         time.perf_counter() - began)


def some_of(splits: Any, photos: int, seed: int) -> Any:
    """The same data with at most so many photos to learn from. Nobody judges here: of those to judge by, a
    few stay.
    """
    train = splits.train
    if len(train) > photos:
        train = train.subset(sorted(random.Random(seed).sample(range(len(train)), photos)))
    return replace(splits, train=train, val=splits.val.subset(range(min(len(splits.val), FEW))))


def _climb(training: Training, start: float, stop: float, steps: int) -> Iterator[tuple[float, float]]:
    """(rate, smoothed loss) of each step, until the last one or until the loss explodes."""
    state, source, objective = training.state, training.source, training.objective
    if state is None or source is None or objective is None:  # it was asked to stop while preparing
        return
    recipe, place = training.recipe, parameter_place(training.model)
    optimizer = state.optimizer
    shares = [group["lr"] / recipe.rates[0] for group in optimizer.param_groups]
    batches = chain.from_iterable(source.batches(epoch) for epoch in count())
    mean = best = 0.0
    weight = min(8 / steps, 0.5)  # of the newest loss: a mean over about as many decades, however many steps
    state.network.train()
    for step in range(steps):
        rate = start * (stop / start) ** (step / (steps - 1))
        for group, share in zip(optimizer.param_groups, shares):
            group["lr"] = rate * share
        inputs, targets = next(batches)
        with drawn_by(recipe.seed, -3, step):
            loss = Alone().learn(state, inputs, targets, recipe, place, objective).loss
        if not math.isfinite(loss):
            return
        if recipe.longest_gradient is not None:
            nn.utils.clip_grad_norm_(state.network.parameters(), recipe.longest_gradient)
        optimizer.step()
        optimizer.zero_grad()
        mean = (1 - weight) * mean + weight * loss
        smooth = mean / (1 - (1 - weight) ** (step + 1))
        best = smooth if step == 0 else min(best, smooth)
        yield rate, smooth
        if step > 5 and smooth > 3 * best:
            return


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss falls fastest, before its lowest point; None where it does not fall by a
    twentieth.
    """
    if len(losses) < 5:
        return None
    lowest = min(range(len(losses)), key=losses.__getitem__)
    if losses[lowest] > 0.95 * losses[0] or lowest < 2:
        return None
    falling, places = torch.tensor(losses[:lowest + 1]), torch.tensor(rates[:lowest + 1]).log()
    slopes = torch.gradient(falling, spacing=(places,))[0]
    return rates[int(slopes.argmin())]
