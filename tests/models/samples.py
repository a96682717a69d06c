"""One small network of every family file, for what all of them must be able to do."""

from __future__ import annotations

import inspect
import math

import torch

import explorer
from explorer.models import weights
from explorer.models.catalog import FAMILIES, family_module
from explorer.models.contract import VisionModel
from tests.models.oracle import randomise, without_initialisation


def smallest_of_each_file() -> dict[str, str]:
    """Family file -> the name in it with the fewest parameters."""
    found: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        found.setdefault(family.module, []).extend(family.names)
    return {module: min(names, key=lambda name: weights.parameter_count(name) or math.inf) for module, names in found.items()}


ONE_A_FILE: dict[str, str] = smallest_of_each_file()
#: Sides of photos that don't fit: in pixels, where not 64.
SIDES = {"lenet": 32, "inception_v3": 80, "inception_v4": 80, "inception_resnet_v2": 80, "convmixer": 28}


def small(module: str, **options) -> tuple[VisionModel, torch.Tensor]:
    """(a network of that family file with random weights, two photos that it takes)."""
    name, side = ONE_A_FILE[module], SIDES.get(module, 64)
    takes = inspect.signature(family_module(name).MODEL.__init__).parameters
    depth = takes.get("depth")
    if depth is not None and depth.default == 12 or module == "convmixer":
        options = {"depth": 3} | options  # equal blocks: three are as good as thirty
    if family_module(name).MODEL.fixed_image_size:
        options = {"img_size": side} | options
    with without_initialisation():
        model = explorer.create_model(name, num_classes=5, **options)
    randomise(model)
    photos = torch.randn(2, model.in_chans, side, side, generator=torch.Generator().manual_seed(1))
    return model, photos


def empty(name: str, **options) -> VisionModel:
    """A network of that name without numbers (on `meta`), for questions about its order."""
    with torch.device("meta"), without_initialisation():
        return explorer.create_model(name, **options)
