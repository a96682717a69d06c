"""Averaged weights: of all steps, the later the more (EMA), or of the last epochs, all the same (SWA).

The steps of a run that is near its end go around a valley of the loss, and their mean lies further down in
it. An exponential moving average is taken behind each step (`explorer.training.loop.loop.make_step`).
Stochastic weight averaging takes one set of weights an epoch, while the rate is held. Statistics of BatchNorm
are no weights: those of a mean are found anew, by one pass of the photos.

Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018
(https://arxiv.org/abs/1803.05407).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from explorer.training.loop.aim import Aim
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import Source
from explorer.training.loop.state import NONE_YET, State


def averaged_model(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """What holds the averaged weights of a network that learns; None where none are wanted."""
    if recipe.ema is not None:
        return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    return None if recipe.swa is None else AveragedModel(network)


def begin_average(state: State, recipe: Recipe) -> None:
    """Forget a mean of other epochs than those that count now, as of a run that goes on for more of them."""
    if recipe.swa is None or state.average is None:
        return
    if state.average.n_averaged != max(0, state.epoch - recipe.averages_from):
        state.average.n_averaged.zero_()


def average_epoch(state: State, source: Source, recipe: Recipe, place: dict[str, Any], objective: Aim,
                  asked_to_stop: Callable[[], bool]) -> bool:
    """The weights at the end of an epoch into the mean of the last ones, where `recipe.swa` wants that; then
    no epoch before is the best one any more. False where it was asked to stop meanwhile: then nothing has
    changed, and the same can be asked again.
    """
    average = state.average
    if recipe.swa is None or average is None or state.epoch < recipe.averages_from:
        return True
    before = copy.deepcopy(average.state_dict())
    average.update_parameters(state.network)
    half = recipe.precision == "bfloat16"
    with (torch.autocast(place["device"].type, torch.bfloat16, enabled=half),
          drawn_by(recipe.seed, state.epoch, -6)):  # dropout, ahead of a BatchNorm
        done = renew_statistics(average, source.batches(state.epoch), place, objective, asked_to_stop)
    if not done:
        average.load_state_dict(before)
    elif state.epoch == recipe.averages_from:
        state.best, state.best_epoch = NONE_YET, -1
    return done


def renew_statistics(network: nn.Module, batches: Iterable[tuple[Any, Any]], place: dict[str, Any],
                     objective: Aim, asked_to_stop: Callable[[], bool] = lambda: False) -> bool:
    """Mean and variance of each BatchNorm layer that learns, anew: their means over these batches. False
    where it was asked to stop before the last of them.

    As `torch.optim.swa_utils.update_bn`, which would forget those of frozen layers too. Without a layer that
    learns no batch is asked for.
    """
    before = network.training
    network.train()
    layers = {layer: layer.momentum for layer in network.modules()
              if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None}
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # torch's word for the mean of all batches
        with torch.no_grad():
            for inputs, targets in batches if layers else ():
                if asked_to_stop():
                    return False
                if len(inputs):  # a process of a team may have no share of the last batch
                    objective.through(network, inputs, targets, place)
    finally:
        for layer, momentum in layers.items():
            layer.momentum = momentum
        network.train(before)
    return True
