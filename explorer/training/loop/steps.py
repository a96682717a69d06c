"""What is done with one batch: learn from it, or judge by it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.display.words import is_out_of_memory
from explorer.training.loop.aim import Aim, Batches, Judged
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe


class Added(NamedTuple):
    """What adding one batch's gradients told: its loss, the sum of its figure, in how many pieces it went,
    and the parts of the loss.
    """

    loss: float
    figure: float
    pieces: int
    parts: dict[str, float] = {}


def learn(network: nn.Module, inputs: Any, targets: Any, recipe: Recipe, place: dict[str, Any],
          objective: Aim, pieces: int) -> Added:
    """Add one batch's gradients."""
    if isinstance(objective, Objective) and (recipe.mixup or recipe.cutmix):
        inputs, targets = mixed(inputs, targets, recipe, objective)
    beside = objective.beside.parameters() if objective.beside is not None else ()
    learning = [*network.parameters(), *beside]
    half, device = recipe.precision == "bfloat16", place["device"]
    kept = [None if p.grad is None else p.grad.clone() for p in learning]
    while True:
        loss_sum = figure = 0.0
        parts: dict[str, float] = {}
        size = -(-len(inputs) // pieces)
        try:
            for start in range(0, len(inputs), size):
                x, y = inputs[start:start + size], targets[start:start + size]
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    passed = objective.passed(network, x, y, place)
                share = len(x) / len(inputs)
                if passed.loss.requires_grad:  # not so where a batch has nothing that learns, such as no box
                    (passed.loss * (share / recipe.accumulate)).backward()
                loss_sum += passed.loss.item() * len(x)
                figure += passed.figure
                for name, value in passed.parts.items():
                    parts[name] = parts.get(name, 0.0) + value.item() * share
            return Added(loss_sum / len(inputs), figure, pieces, parts)
        except Exception as error:  # a run that goes on after it learns from this batch again, and once only
            for parameter, before in zip(learning, kept):
                parameter.grad = None if before is None else before.clone()
            if not is_out_of_memory(error) or pieces >= len(inputs):
                raise
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            pieces *= 2


def judge(network: nn.Module, batches: Batches, place: dict[str, Any], objective: Aim) -> Judged:
    """The photos to judge by."""
    return objective.judged(network, batches, place)


def mixed(inputs: Tensor, targets: Tensor, recipe: Recipe, objective: Objective) -> tuple[Tensor, Tensor]:
    """Photos and their labels blended in pairs (Mixup) or cut together (CutMix), one of the two where both
    are wanted.
    """
    from torchvision.transforms import v2

    ways = [way(alpha=alpha, num_classes=len(objective.outputs))
            for way, alpha in ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix)) if alpha]
    return v2.RandomChoice(ways)(inputs, targets)
