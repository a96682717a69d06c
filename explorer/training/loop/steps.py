"""What is done with one batch: learn from it, or judge by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from explorer.display.words import is_out_of_memory
from explorer.models.contract import evaluation
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe

Batches = Iterable[tuple[Tensor, Tensor]]  # (inputs, targets)


def learn(network: nn.Module, inputs: Tensor, targets: Tensor, recipe: Recipe, place: dict[str, Any],
          objective: Objective, pieces: int) -> tuple[float, float, int]:
    """Add one batch's gradients: (its loss, the sum of its figure, in how many pieces it went)."""
    if recipe.mixup or recipe.cutmix:
        inputs, targets = mixed(inputs, targets, recipe, objective)
    half, device = recipe.precision == "bfloat16", place["device"]
    kept = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    while True:
        loss_sum = figure = 0.0
        try:
            for x, y in zip(inputs.chunk(pieces), targets.chunk(pieces)):
                y = y.to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
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


def mixed(inputs: Tensor, targets: Tensor, recipe: Recipe, objective: Objective) -> tuple[Tensor, Tensor]:
    """Photos and their labels blended in pairs (Mixup) or cut together (CutMix), one of the two where both
    are wanted.
    """
    from torchvision.transforms import v2

    ways = [way(alpha=alpha, num_classes=len(objective.outputs))
            for way, alpha in ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix)) if alpha]
    return v2.RandomChoice(ways)(inputs, targets)


def judge(network: nn.Module, batches: Batches, place: dict[str, Any],
          objective: Objective) -> tuple[float, float]:
    """(mean loss, mean figure) on the photos to judge by."""
    loss, figure, count = judged_sums(network, batches, place, objective)
    return loss / max(count, 1), figure / max(count, 1)


def judged_sums(network: nn.Module, batches: Batches, place: dict[str, Any],
                objective: Objective) -> tuple[float, float, float]:
    """(sum of losses, sum of the figure, how many) of the photos to judge by."""
    loss = figure = count = 0.0
    with evaluation(network), torch.inference_mode():
        for inputs, targets in batches:
            targets = targets.to(place["device"])
            raw = network(inputs.to(**place)).float()
            loss += objective.loss(raw, targets, judged=True).item() * len(inputs)
            figure += objective.figure(raw, targets)
            count += len(inputs)
    return loss, figure, count
