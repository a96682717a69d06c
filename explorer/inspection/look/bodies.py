"""What networks for boxes or masks make of photos before they look for things: their bodies' features.

Such a network has no vector in front of a classifier. What stands for it is the mean of its backbone's
deepest map, and a photo goes in as a classifier's would: a square out of its middle, at the network's scale.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from explorer.data.transforms import resolve_data_config
from explorer.inspection.look.model import labels_of
from explorer.models.body import OverBody
from explorer.models.contract import VisionModel
from explorer.models.watching import walk

AT_ONCE = 32 * 224**2  # pixels of the photos in a pass: maps of 32 photos of 800 pixels would take gigabytes


def features_config(model: VisionModel) -> dict[str, Any]:
    """How photos are prepared for a model's features: keyword arguments of `create_transform`.

    Of a classifier as it expects them. Of a network for boxes or masks, whose photos have many shapes, a
    square of the side that a photo's short side has for it, so that many can go in together.
    """
    config = resolve_data_config({}, model=model)
    if not isinstance(model, OverBody):
        return config
    channels, *sides = config["input_size"]
    side = math.ceil(min(sides) / model.size_multiple) * model.size_multiple
    size = model.only_size or (side, side)
    return config | {"input_size": (channels, *size), "crop_pct": 1.0, "crop_mode": "center"}


def classes_of(model: VisionModel) -> tuple[str, ...]:
    """What a model says of a whole photo: the names of its classes or numbers; none of one that finds places.
    """
    return labels_of(model) if model.num_classes and model.task == "classification" else ()


def body_vectors(model: OverBody, batch: Tensor) -> Tensor:
    """Photos [B, C, H, W] -> the mean [B, D] of the backbone's deepest map; nothing behind it runs."""
    few = max(1, AT_ONCE // (batch.shape[-2] * batch.shape[-1]))
    return torch.cat([_means(model, part) for part in batch.split(few)])


def _means(model: OverBody, batch: Tensor) -> Tensor:
    means: list[Tensor] = []
    walk(model, batch, after=lambda _stage, found: means.append(found.mean((2, 3))),
         first=len(model.body_stages))
    return means[-1]
