"""Inception v4: Inception blocks in their simplest order, without shortcuts.

Inception v3 was shaped by what the training software of its day could split over machines; free of
that, v4 has three kinds of Inception block, each repeated as it is, with a reduction between them,
behind a stem that has parallel paths too. The paper trains it against an Inception of the same cost
with residual connections (`inception_resnet_v2`). Both end up equally accurate, and the residual
one gets there faster: shortcuts make such networks quick to train, but are not what makes them
good.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
2016, https://arxiv.org/abs/1602.07261, figures 3 to 9. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.inception import InceptionPaths, inception_conv, inception_path
from explorer.models.layers.pool import create_classifier

ROW, COLUMN = (1, 7), (7, 1)  # a filter of 7 x 7 taken apart


class Fork(nn.Module):
    """Figure 6: paths that end in a row and a column beside each other: [B, 1536, H, W]
    -> [B, 1536, H, W].
    """

    out_chans = 1536

    def __init__(self, in_chans: int):
        super().__init__()
        self.branch0 = inception_conv(in_chans, 256, 1)
        self.branch1_0 = inception_conv(in_chans, 384, 1)
        self.branch1_1a = inception_conv(384, 256, (1, 3))
        self.branch1_1b = inception_conv(384, 256, (3, 1))
        self.branch2_0 = inception_conv(in_chans, 384, 1)
        self.branch2_1 = inception_conv(384, 448, (3, 1))
        self.branch2_2 = inception_conv(448, 512, (1, 3))
        self.branch2_3a = inception_conv(512, 256, (1, 3))
        self.branch2_3b = inception_conv(512, 256, (3, 1))
        self.branch3, _ = inception_path(in_chans, ["avg", (256, 1)])

    def forward(self, x: Tensor) -> Tensor:
        short = self.branch1_0(x)
        long = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        return torch.cat((
            self.branch0(x), self.branch1_1a(short), self.branch1_1b(short),
            self.branch2_3a(long), self.branch2_3b(long), self.branch3(x),
        ), dim=1)


STEM: tuple[Callable[[int], nn.Module], ...] = (
    partial(InceptionPaths, maxpool=["max"], conv=[(96, 3, "halve")]),
    partial(InceptionPaths, branch0=[(64, 1), (96, 3, "cut")],
            branch1=[(64, 1), (64, ROW), (64, COLUMN), (96, 3, "cut")]),
    partial(InceptionPaths, conv=[(192, 3, "halve")], maxpool=["max"]),
)
FIGURE_4 = partial(InceptionPaths, branch0=[(96, 1)], branch1=[(64, 1), (96, 3)],
                   branch2=[(64, 1), (96, 3), (96, 3)], branch3=["avg", (96, 1)])
FIGURE_5 = partial(InceptionPaths, branch0=[(384, 1)],
                   branch1=[(192, 1), (224, ROW), (256, COLUMN)],
                   branch2=[(192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)],
                   branch3=["avg", (128, 1)])
FIGURE_7 = partial(InceptionPaths, branch0=[(384, 3, "halve")],
                   branch1=[(192, 1), (224, 3), (256, 3, "halve")], branch2=["max"])
FIGURE_8 = partial(InceptionPaths, branch0=[(192, 1), (192, 3, "halve")],
                   branch1=[(256, 1), (256, ROW), (320, COLUMN), (320, 3, "halve")],
                   branch2=["max"])

PLAN = (*STEM, *[FIGURE_4] * 4, FIGURE_7, *[FIGURE_5] * 7, FIGURE_8, *[Fork] * 3)


class InceptionV4(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]; H and W from 75 pixels on, 299 in the
    paper.
    """

    classifier_path = "last_linear"
    feature_names = "_"

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
            raise ValueError("Inception v4 has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        layers: list[nn.Module] = [
            inception_conv(in_chans, 32, 3, "halve"), inception_conv(32, 32, 3, "cut"),
            inception_conv(32, 64, 3),
        ]
        chans = 64
        for make in PLAN:
            layers.append(make(chans))
            chans = layers[-1].out_chans
        self.features = nn.Sequential(*layers)
        self.stages = (
            Stage("stem", "features.2", 64, 2), Stage("stem2", "features.3", 160, 4),
            Stage("inception_a", "features.9", 384, 8),
            Stage("inception_b", "features.17", 1024, 16),
            Stage("inception_c", "features.21", chans, 32),
        )
        self.num_features = chans
        self.global_pool, self.last_linear = create_classifier(chans, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {stage.module for stage in self.stages}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if f"features.{i}" in ends:
                # for 299 x 299: [B, 64, 147, 147], [B, 160, 73, 73], [B, 384, 35, 35],
                # [B, 1024, 17, 17], [B, 1536, 8, 8]
                yield x
        return x


MODEL = InceptionV4

VARIANTS: dict[str, dict[str, Any]] = {"inception_v4": {}}
