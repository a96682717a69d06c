"""AlexNet: the network that ended the argument.

Five convolutions and three large dense layers, trained on two graphics cards, halved the distance
to a perfect score on ImageNet in 2012. ReLUs made it learn fast, dropout kept its 60 million
parameters from learning by heart. Nearly all of them sit in the dense layers; the pictures of what
its first filters learnt are in every textbook.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks
Widths and parameter names are torchvision's, which are those of the one-card version:
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
https://arxiv.org/abs/1404.5997.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place

GRID = 6  # the dense layers read a map of 6 x 6 places


def create_grid_pool(kind: str) -> nn.Module:
    """[B, C, H, W] -> [B, C, 6, 6], the mean or the largest value of each cell; photos of any size
    so fit.
    """
    if kind not in ("avg", "max"):
        raise ValueError(f"global_pool is {kind!r}: AlexNet's dense layers read a 6 x 6 map: "
                         "use 'avg' or 'max'.")
    return nn.AdaptiveAvgPool2d(GRID) if kind == "avg" else nn.AdaptiveMaxPool2d(GRID)


class AlexNet(VisionModel):
    """Photo [B, in_chans, H, W], at least 63 x 63, -> logits [B, num_classes].

    global_pool: "avg" or "max": how the last map becomes 6 x 6, which at 224 x 224 pixels it is
                 anyway
    drop_rate:   dropout in front of both large dense layers; the paper has 0.5
    """

    classifier_path = "classifier.6"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("AlexNet has no residual branches to drop: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.num_features, self._pool_type = 256, global_pool

        self.features = nn.Sequential(
            nn.Conv2d(in_chans, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.stages = (
            Stage("conv1", "features.1", 64, 4),
            Stage("pool1", "features.2", 64, 8),
            Stage("pool2", "features.5", 192, 16),
            Stage("pool5", "features.12", 256, 32),
        )
        self.avgpool = create_grid_pool(global_pool)
        self.classifier = nn.Sequential(
            nn.Dropout(drop_rate), nn.Linear(256 * GRID * GRID, 4096), nn.ReLU(inplace=True),
            nn.Dropout(drop_rate), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes) if num_classes else nn.Identity(),
        )
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return 4096

    def init_weights(self) -> None:
        """He initialisation, in place of the paper's fixed 0.01, and a small classifier."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        if self.num_classes:
            nn.init.normal_(self.classifier[-1].weight, std=0.01)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {int(stage.module.removeprefix("features.")) for stage in self.stages}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in ends:
                # conv1 [B, 64, H/4, W/4], pool1 [B, 64, H/8, W/8] ... pool5 [B, 256, H/32, W/32]
                yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.avgpool(x).flatten(1)  # [B, 256, H/32, W/32] -> [B, 256 * 6 * 6]
        layers = self.classifier[:-1] if pre_logits else self.classifier
        return layers(x)  # -> [B, 4096] -> [B, num_classes]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if global_pool is not None:
            self.avgpool = create_grid_pool(global_pool)
        fresh = (nn.Linear(4096, num_classes, **parameter_place(self)) if num_classes
                 else nn.Identity())
        self.classifier[-1] = fresh
        self.num_classes = num_classes


MODEL = AlexNet

VARIANTS: dict[str, dict[str, Any]] = {"alexnet": {}}

# Our names are torchvision's: its checkpoints load as they are.
KEY_MAPS = {"torchvision": lambda state, name: state}
