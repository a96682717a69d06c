"""Tiny photos of noise with dark and light rectangles, as boxes and as masks, and networks that learn them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

import explorer
from explorer.data.places.place_set import Boxes, PlaceSet

SIDE = 64
COLOURS = ((20, 20, 60), (240, 240, 200))
CLASSES = ("dark", "light")


def painted(count: int, seed: int, task: str = "detection", *, classes: tuple[str, ...] = CLASSES) -> PlaceSet:
    """Photos with one or two rectangles each."""
    draw = np.random.default_rng(seed)
    photos, boxes, masks = [], [], []
    for number in range(count):
        pixels = draw.normal(128, 8, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        rows, labels = [], []
        for _ in range(1 + number % 2):
            wide, high = draw.integers(18, 30, 2)
            left, top = draw.integers(0, SIDE - wide), draw.integers(0, SIDE - high)
            label = int(draw.integers(2))
            pixels[top:top + high, left:left + wide] = COLOURS[label]
            mask[top:top + high, left:left + wide] = label + 1
            rows.append((left, top, left + wide, top + high))
            labels.append(label)
        photos.append(Image.fromarray(pixels))
        masks.append(mask)
        boxes.append(boxes_of(rows, labels))
    names = tuple(f"photo {number}" for number in range(count))
    if task == "detection":
        return PlaceSet(classes, names, photos.__getitem__, boxes=tuple(boxes))
    return PlaceSet(("background", *classes), names, photos.__getitem__, open_mask=masks.__getitem__)


def boxes_of(rows: list[Any], labels: list[int], crowd: list[bool] | None = None) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 4)
    areas = (table[:, 2] - table[:, 0]) * (table[:, 3] - table[:, 1])
    return Boxes(table, np.array(labels, np.int64), np.array(crowd or [False] * len(table), bool), areas)


def detector(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    usual = {"backbone": "lcnet_035", "width": 32, "depth": 1, "num_classes": 2}
    return explorer.create_model("retinanet", **usual | options)


def segmenter(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    usual = {"backbone": "lcnet_035", "decoder_widths": (16, 16, 16, 8, 8), "num_classes": 3}
    return explorer.create_model("unet", **usual | options)


#: How the tests teach either: everything alike, as nothing is trained before.
TEACHING = {"train": "all", "batch_size": 4, "input_size": (3, SIDE, SIDE), "augment": "none", "lr": 3e-3,
            "body_lr": 3e-3}
