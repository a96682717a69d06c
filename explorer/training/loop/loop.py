"""The training loop, to be read on one screen: batches in, events out.

    for event in train(state, source, recipe, place, objective=objective):
        ...                         # draw it, print it, write it down; the loop knows nothing of that

It holds no state of its own. All that a later run needs to go on is in `State`, and every random number of a
batch is drawn by (seed, epoch, batch): so a run that was cut off and resumed ends in the very weights of an
unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from explorer.training.loop.aim import Aim
from explorer.training.loop.averages import average_epoch, begin_average
from explorer.training.loop.errors import no_number
from explorer.training.loop.events import Batch, Epoch, Event, Finished, Note, Stopped
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import Source
from explorer.training.loop.state import State
from explorer.training.loop.team import Alone, Team

IN_PIECES = ("There was not enough memory for {} photos at once: each batch is now learnt from in {} pieces, "
             "whose gradients are added up.{}")

AVERAGES = ("From epoch {} on the mean of the weights at the end of each epoch is judged and kept, not the "
            "last weights alone (SWA).")


def train(state: State, source: Source, recipe: Recipe, place: dict[str, Any], *, objective: Aim,
          asked_to_stop: Callable[[], bool] = lambda: False, team: Team | None = None) -> Iterator[Event]:
    """Learn until the last epoch, or until asked to stop; yields an event for each batch and epoch.

    place: device and dtype of the inputs;  objective: the loss, and what is shown beside it;  team: the
           processes that learn together, each from its share of every batch; None: this one alone
    Raises NoNumber where the loss, or that of the photos to judge by, is no number any more.
    """
    team = team or Alone()
    optimizer = state.optimizer
    steps = -(-len(source) // recipe.accumulate)
    factor = recipe.rate_factor(steps)
    rates = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    begin_average(state, recipe)

    while state.epoch < recipe.epochs:
        state.network.train()
        batches = source.batches(state.epoch, start=state.batch)
        while True:
            if team.any(asked_to_stop()):
                yield Stopped(state.epoch, state.step, "asked")
                return
            started, pieces = time.perf_counter(), state.pieces
            inputs, targets = next(batches, (None, None))
            if inputs is None:
                break
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * factor(state.step)
            with drawn_by(recipe.seed, state.epoch, state.batch, 1):
                loss, figure, count, parts = team.learn(state, inputs, targets, recipe, place, objective)
            if state.pieces > pieces:
                same = " The result is the same." if objective.same_in_pieces else ""
                yield Note(IN_PIECES.format(len(inputs), state.pieces, same))
            if not math.isfinite(loss):
                raise no_number("loss", loss, state, recipe)
            state.batch += 1
            if state.batch % recipe.accumulate == 0 or state.batch == len(source):
                make_step(state, recipe)
            seconds = time.perf_counter() - started
            state.add(loss, figure, count, seconds, parts)
            yield Batch(state.epoch, state.batch, state.step, loss, lr=optimizer.param_groups[-1]["lr"],
                        examples_per_second=count / max(seconds, 1e-9), parts=parts or None,
                        **objective.figures(figure / count))

        started = time.perf_counter()
        if not average_epoch(state, source, recipe, place, objective, lambda: team.any(asked_to_stop())):
            yield Stopped(state.epoch, state.step, "asked")
            return
        if state.epoch == recipe.averages_from:
            yield Note(AVERAGES.format(state.epoch + 1))
        val_loss, val_figure, val_parts = team.judge(state, source.judged(), place, objective)
        if not math.isfinite(val_loss):
            raise no_number("validation loss", val_loss, state, recipe)
        state.seconds += time.perf_counter() - started
        best = objective.better(val_figure, val_loss, state.best)
        if best:
            state.keep_as_best(val_figure, val_loss)
        epoch = state.epoch
        loss, figure, parts = state.end_epoch()
        yield Epoch(epoch, state.step, loss, val_loss=val_loss, lr=optimizer.param_groups[-1]["lr"],
                    seconds=state.seconds, best=best, parts=parts or None, val_parts=val_parts or None,
                    **objective.figures(figure), **objective.figures(val_figure, "val_"))
        if no_better(state, recipe):
            yield Stopped(epoch, state.step, "no better")
            return
    yield Finished(state.epoch, state.best_epoch, seconds=state.seconds,
                   **objective.figures(state.best[0], "val_"))


def make_step(state: State, recipe: Recipe) -> None:
    """One step of the optimizer by the gradients that are there, and of the averaged weights."""
    if recipe.longest_gradient is not None:
        parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, recipe.longest_gradient)
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.average is not None and recipe.ema is not None:
        state.average.update_parameters(state.network)
    state.step += 1


def no_better(state: State, recipe: Recipe) -> bool:
    """Whether `patience` is at an end, and the last epoch is not over anyway."""
    last = state.epoch - 1
    return (recipe.patience is not None and last - state.best_epoch >= recipe.patience
            and state.epoch < recipe.epochs)
