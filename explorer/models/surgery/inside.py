"""What is inside of what a user has: torch's wrappers are looked through, to the network and its stages."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from explorer.models.members import modules_in
from explorer.models.surgery.staged import Staged


def look_through(module: nn.Module) -> nn.Module:
    """What is inside torch's own wrappers, one in the other too: they change no answer.

    DataParallel, DistributedDataParallel, AveragedModel, and what torch.compile gives.
    """
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)):
            module = module.module
        elif isinstance(compiled := getattr(module, "_orig_mod", None), nn.Module):
            module = compiled
        else:
            return module


def backbone(model: nn.Module) -> Staged:
    """The `VisionModel` in what a user has: itself, in torch's wrappers, or in a `features_only` model.

    TypeError for others.
    """
    inner = look_through(model) if isinstance(model, nn.Module) else None
    for candidate in (inner, getattr(inner, "model", None)):
        if _has_stages(candidate):
            return candidate
    raise TypeError(
        f"{type(model).__name__} has no stages that explorer knows: put it behind explorer's contract with "
        "explorer.wrap(module) first."
    )


def task_inside(model: Any) -> str:
    """What a network answers with: "detection", "segmentation"; all else with "classification"."""
    try:
        return getattr(backbone(model), "task", "classification")
    except TypeError:  # no model of explorer's: whoever opens it has the words for it
        return "classification"


def _has_stages(module: Any) -> TypeGuard[Staged]:
    return isinstance(module, nn.Module) and hasattr(module, "stage_table")


def stage_modules(model: Staged) -> tuple[nn.Module, list[str]]:
    """(the network, the path in it of the module that ends each stage)."""
    inner = getattr(model, "module", None)
    return (inner if isinstance(inner, nn.Module) else model), [stage.module for stage in model.stage_table]


def stages_in_words(names: Collection[str]) -> str:
    """The sentence behind "has no stage of that name": which there are."""
    return f"Its stages: {', '.join(names)}." if names else "It has none: no layer gives a map with places."


def photo_size(model: Staged) -> tuple[int, int, int]:
    """(C, H, W) of a photo that the model takes: as it was built for, or else as its weights expect."""
    height, width = model.config.input_size[1:]
    for module in modules_in(model):
        if "img_size" not in vars(module) and not hasattr(type(module), "img_size"):
            continue  # nn.Module's own search for a name that isn't there is slow
        built_for = module.img_size
        if isinstance(built_for, (tuple, list)) and len(built_for) == 2:
            height, width = built_for
            break
    return model.in_chans, int(height), int(width)


def empty_copy(model: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes but no numbers (torch's `meta` device)."""
    def empty(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device="meta", requires_grad=False)

    # deepcopy looks into `memo` before it copies a thing: so it finds the empty tensors, and copies no weight
    memo: dict[int, Any] = {id(p): nn.Parameter(empty(p), requires_grad=False) for p in model.parameters()}
    memo |= {id(b): empty(b) for b in model.buffers()}
    return copy.deepcopy(model, memo)
