"""The training loop, to be read on one screen: batches in, events out.

    for event in train(network, source, recipe, state, place):
        ...                                     # draw it, print it, write it down; the loop knows nothing of that

It holds no state of its own. All that a later run needs to go on is in `State`, and every random number of a batch is
drawn by (seed, epoch, batch): so a run that was cut off and resumed ends in the very weights of an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from explorer.display.words import is_out_of_memory
from explorer.models.contract import evaluation
from explorer.training.loop.events import Batch, Epoch, Event, Finished, Note, Stopped
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.schedules import schedule
from explorer.training.loop.sources import Source, drawn_by

if TYPE_CHECKING:
    from explorer.training.loop.team import Team


class TrainingError(RuntimeError):
    """A run that can't go on; the message says why, and what to do."""


class NoNumber(TrainingError):
    """The loss is NaN or infinite: the weights that gave it are broken."""


@dataclass
class State:
    """Where a run is: what changes while it learns, and nothing else. `network` is what learns."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None = None  # the averaged weights (EMA), where wanted
    epoch: int = 0
    batch: int = 0  # of this epoch, that are learnt from
    step: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # loss, figure, photos of this epoch
    best_epoch: int = -1
    best: tuple[float, float] = (-1.0, math.inf)  # (figure, loss) of the photos to judge by
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    last_weights: dict[str, Tensor] = field(default_factory=dict)  # while the best ones are in the network, after a stop
    pieces: int = 1  # a batch is learnt from in so many pieces, for want of memory
    gradients: dict[str, Tensor] = field(default_factory=dict)  # of a step whose batches were not all there at a stop

    def gradients_now(self) -> dict[str, Tensor]:
        """What the batches so far have added to a step that is not made yet, by the parameter's name."""
        return {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}

    def put_gradients_aside(self) -> None:
        """Out of the network, so that nobody who uses it after a stop adds to them."""
        self.gradients = self.gradients_now()
        for parameter in self.network.parameters():
            parameter.grad = None

    def take_gradients_back(self) -> None:
        """Begin where the stop was, whatever was done to the network since then."""
        for name, parameter in self.network.named_parameters():
            gradient = self.gradients.get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter)
        self.gradients = {}

    @property
    def judged_network(self) -> nn.Module:
        return self.network if self.average is None else self.average


def train(state: State, source: Source, recipe: Recipe, place: dict[str, Any], *,
          objective: Objective, asked_to_stop: Callable[[], bool] = lambda: False,
          team: Team | None = None) -> Iterator[Event]:
    """Learn until the last epoch, or until asked to stop; yields an event for each batch and epoch.

    place: device and dtype of the inputs;  objective: the loss, and what is shown beside it;  team: the
           processes that learn together, each from its share of every batch.
    Raises NoNumber where the loss, or that of the photos to judge by, is no number any more.
    """
    network, optimizer = state.network, state.optimizer
    steps = -(-len(source) // recipe.accumulate)
    factor = schedule(recipe.schedule, total=recipe.epochs * steps, warmup=round(recipe.warmup * recipe.epochs * steps))
    rates = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    while state.epoch < recipe.epochs:
        network.train()
        batches = source.batches(state.epoch, start=state.batch)
        while True:
            if asked_to_stop():
                yield Stopped(state.epoch, state.step, "asked")
                return
            started = time.perf_counter()
            inputs, targets = next(batches, (None, None))
            if inputs is None:
                break
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * factor(state.step)
            with drawn_by(recipe.seed, state.epoch, state.batch, 1):
                if team is None:
                    count = len(inputs)
                    loss, figure, pieces = learn(network, inputs, targets, recipe, place, objective,
                                                 state.pieces)
                else:
                    pieces = state.pieces
                    loss, figure, count = team.learn(state, inputs, targets, recipe, place, objective)
            if pieces > state.pieces:
                yield Note(f"There was not enough memory for {len(inputs)} photos at once: each batch is now learnt from in "
                           f"{pieces} pieces, whose gradients are added up. The result is the same.")
                state.pieces = pieces
            if not math.isfinite(loss):
                raise no_number("loss", loss, state, recipe)
            state.batch += 1
            if state.batch % recipe.accumulate == 0 or state.batch == len(source):
                if recipe.clip is not None:
                    nn.utils.clip_grad_norm_(parameters, recipe.clip)
                optimizer.step()
                optimizer.zero_grad()
                if state.average is not None:
                    state.average.update_parameters(network)
                state.step += 1
            seconds = time.perf_counter() - started
            state.seconds += seconds
            for i, value in enumerate((loss * count, figure, count)):
                state.sums[i] += value
            yield Batch(state.epoch, state.batch, state.step, loss, lr=optimizer.param_groups[-1]["lr"],
                        examples_per_second=count / max(seconds, 1e-9), **objective.figures(figure / count))

        started = time.perf_counter()
        val_loss, val_figure = (judge(state.judged_network, source, place, objective) if team is None
                                else team.judge(state, source, place, objective))
        if not math.isfinite(val_loss):
            raise no_number("validation loss", val_loss, state, recipe)
        state.seconds += time.perf_counter() - started
        better = objective.better(val_figure, val_loss, state.best)
        if better:
            state.best, state.best_epoch = (val_figure, val_loss), state.epoch
            state.best_weights = {key: value.detach().cpu().clone() for key, value in weights_of(state).items()}
        loss, figure, count = state.sums
        epoch = state.epoch
        state.epoch, state.batch, state.sums = epoch + 1, 0, [0.0, 0.0, 0.0]
        yield Epoch(epoch, state.step, loss / max(count, 1), val_loss=val_loss,
                    lr=optimizer.param_groups[-1]["lr"],
                    seconds=state.seconds, best=better, **objective.figures(figure / max(count, 1)),
                    **objective.figures(val_figure, "val_"))
        if recipe.patience is not None and epoch - state.best_epoch >= recipe.patience and state.epoch < recipe.epochs:
            yield Stopped(epoch, state.step, "no better")
            return
    yield Finished(state.epoch, state.best_epoch, seconds=state.seconds,
                   **objective.figures(state.best[0], "val_"))


def no_number(what: str, value: float, state: State, recipe: Recipe) -> NoNumber:
    """The sentence for a loss that is NaN or infinite."""
    where = f"epoch {state.epoch + 1}" + (f", batch {state.batch + 1}" if what == "loss" else "")
    kept = f" The model has the weights of epoch {state.best_epoch + 1}, the best before." if state.best_weights else ""
    rate, usual = recipe.rates[0] / 10, replace(recipe, lr=None).rates[0]
    smaller = f"a tenth of the learning rate (lr={rate:g})" if rate <= usual else \
        f"far less than a tenth of the learning rate (usual is lr={usual:g})"
    return NoNumber(f"The {what} became {value} in {where}: the steps were too large.{kept} Try again with {smaller}, "
                    "or with clip=1.0.")


def learn(network: nn.Module, inputs: Tensor, targets: Tensor, recipe: Recipe, place: dict[str, Any],
          objective: Objective, pieces: int) -> tuple[float, float, int]:
    """Add one batch's gradients: (its loss, the sum of its figure, in how many pieces it went)."""
    if recipe.mixup or recipe.cutmix:
        inputs, targets = mixed(inputs, targets, recipe, objective)
    kept = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    while True:
        loss_sum = figure = 0.0
        try:
            for x, y in zip(inputs.chunk(pieces), targets.chunk(pieces)):
                y = y.to(place["device"])
                with torch.autocast(place["device"].type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                    raw = network(x.to(**place))
                    loss = objective.loss(raw, y)
                (loss * (len(x) / len(inputs) / recipe.accumulate)).backward()
                loss_sum += loss.item() * len(x)
                figure += objective.figure(raw.detach(), y)
            return loss_sum / len(inputs), figure, pieces
        except Exception as error:  # a run that goes on after it learns from this batch again, and once only
            for parameter, before in zip(network.parameters(), kept):
                parameter.grad = None if before is None else before.clone()
            if not is_out_of_memory(error) or pieces >= len(inputs):
                raise
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            pieces *= 2


def judge(network: nn.Module, source: Source, place: dict[str, Any],
          objective: Objective) -> tuple[float, float]:
    """(mean loss, mean figure) on the photos to judge by."""
    loss, figure, count = judged_sums(network, source, place, objective)
    return loss / max(count, 1), figure / max(count, 1)


def judged_sums(network: nn.Module, source: Source, place: dict[str, Any],
                objective: Objective) -> tuple[float, float, float]:
    """(sum of losses, sum of the figure, how many) of the photos to judge by."""
    loss = figure = count = 0.0
    with evaluation(network), torch.inference_mode():
        for inputs, targets in source.judged():
            targets = targets.to(place["device"])
            raw = network(inputs.to(**place)).float()
            loss += objective.loss(raw, targets, judged=True).item() * len(inputs)
            figure += objective.figure(raw, targets)
            count += len(inputs)
    return loss, figure, count


def mixed(inputs: Tensor, targets: Tensor, recipe: Recipe, objective: Objective) -> tuple[Tensor, Tensor]:
    """Photos and their labels blended in pairs (Mixup) or cut together (CutMix), one of the two where both are wanted."""
    from torchvision.transforms import v2

    ways = [way(alpha=alpha, num_classes=len(objective.outputs))
            for way, alpha in ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix)) if alpha]
    return v2.RandomChoice(ways)(inputs, targets)


def weights_of(state: State) -> dict[str, Tensor]:
    """The weights that are judged: the averaged ones, where there are such. Both are named as in `state.network`."""
    return state.network.state_dict() if state.average is None else state.average.module.state_dict()
