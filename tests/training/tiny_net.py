"""A network that learns colours in milliseconds, for tests that teach it many times."""

from __future__ import annotations

import torch
from torch import nn

import explorer
from explorer.models.contract import VisionModel

SIZE = (3, 32, 32)
#: settings of `finetune` with which it does
HOW = {"epochs": 2, "augment": "none", "batch_size": 8, "threads": 1, "rounds": 4}


def tiny(seed: int = 0, *, classes: int = 3, width: int = 16, drop: float = 0.0) -> VisionModel:
    """An untrained one whose classes nobody has named."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.BatchNorm2d(width), nn.ReLU(),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop), nn.Linear(width, classes))
    return explorer.wrap(module, input_size=SIZE).eval()
