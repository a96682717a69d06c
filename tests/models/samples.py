"""One small network of every family file, for what all of them must be able to do."""

from __future__ import annotations

import inspect
import math

import torch
from torch import nn

import explorer
from explorer.models import weights
from explorer.models.catalog import FAMILIES, family_module
from explorer.models.contract import VisionModel
from tests.models.oracle import randomise, without_initialisation


def smallest_of_each_file() -> dict[str, str]:
    """File of a family of backbones -> the name in it with the fewest parameters."""
    found: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        if family.task != "classification":
            continue
        found.setdefault(family.module, []).extend(family.names)
    return {module: min(names, key=lambda name: weights.parameter_count(name) or math.inf)
            for module, names in found.items()}


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


class CifarNet(nn.Module):
    """The usual first net, for photos of 32 x 32 pixels: one pooling and one ReLU, used wherever needed."""

    def __init__(self):
        super().__init__()
        self.conv1, self.pool, self.relu = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(16 * 5 * 5, 20), nn.Linear(20, 10)

    def forward(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.fc2(self.relu(self.fc1(x.flatten(1))))


class CifarNetApart(CifarNet):
    """The same with a layer of its own for every use."""

    def __init__(self):
        super().__init__()
        self.relu1, self.pool1 = nn.ReLU(), nn.MaxPool2d(2)
        self.relu2, self.pool2 = nn.ReLU(), nn.MaxPool2d(2)
        del self.pool

    def forward(self, x):
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.fc2(self.relu(self.fc1(x.flatten(1))))


def cifar_nets() -> tuple[VisionModel, VisionModel]:
    """A wrapped `CifarNet` and its twin with layers apart: the same weights, the same numbers everywhere."""
    shared, apart = CifarNet(), CifarNetApart()
    randomise(shared)
    apart.load_state_dict(shared.state_dict())
    return explorer.wrap(shared, input_size=32).eval(), explorer.wrap(apart, input_size=32).eval()


def net_without_maps() -> VisionModel:
    """A wrapped net whose first layer flattens the photo: it has no maps, so no stages."""
    layers = nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, 5)
    return explorer.wrap(nn.Sequential(*layers), input_size=32)


def empty(name: str, **options) -> VisionModel:
    """A network of that name without numbers (on `meta`), for questions about its order."""
    with torch.device("meta"), without_initialisation():
        return explorer.create_model(name, **options)
