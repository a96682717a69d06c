"""Inception-ResNet v2: Inception blocks that learn corrections.

Two ideas of 2015 in one network: the paths of Inception look at several sizes, and a shortcut
around them, as in ResNet, makes forty such blocks quick to train. The sum of all paths is turned
down to a tenth or a fifth before it is added; without that, training such wide blocks died
half-way.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
2016, https://arxiv.org/abs/1602.07261, section 3.2. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.inception import InceptionPaths, inception_conv
from explorer.models.layers.pool import create_classifier


class ResidualPaths(InceptionPaths):
    """Paths beside each other, mixed, turned down and added to their input: [B, C, H, W]
    -> [B, C, H, W].
    """

    def __init__(self, in_chans: int, *, scale: float, act: bool = True, **paths: Sequence):
        super().__init__(in_chans, **paths)
        self.scale = scale
        self.conv2d = nn.Conv2d(self.out_chans, in_chans, 1)
        self.act = nn.ReLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.scale * self.conv2d(super().forward(x)))


BLOCK_35 = dict(scale=0.17, branch0=[(32, 1)], branch1=[(32, 1), (32, 3)],
                branch2=[(32, 1), (48, 3), (64, 3)])
BLOCK_17 = dict(scale=0.1, branch0=[(192, 1)], branch1=[(128, 1), (160, (1, 7)), (192, (7, 1))])
BLOCK_8 = dict(scale=0.2, branch0=[(192, 1)], branch1=[(192, 1), (224, (1, 3)), (256, (3, 1))])


class InceptionResnetV2(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]; H and W from 75 pixels on, 299 in the
    paper.

    depths: blocks of each of the three sizes
    """

    classifier_path = "classif"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int] = (10, 20, 9),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("Inception-ResNet knows no stochastic depth: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.conv2d_1a = inception_conv(in_chans, 32, 3, "halve")
        self.conv2d_2a = inception_conv(32, 32, 3, "cut")
        self.conv2d_2b = inception_conv(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = inception_conv(64, 80, 1)
        self.conv2d_4a = inception_conv(80, 192, 3, "cut")
        self.maxpool_5a = nn.MaxPool2d(3, stride=2)
        self.mixed_5b = InceptionPaths(192, branch0=[(96, 1)], branch1=[(48, 1), (64, 5)],
                                       branch2=[(64, 1), (96, 3), (96, 3)],
                                       branch3=["avg", (64, 1)])
        self.repeat = nn.Sequential(*(ResidualPaths(320, **BLOCK_35) for _ in range(depths[0])))
        self.mixed_6a = InceptionPaths(320, branch0=[(384, 3, "halve")],
                                       branch1=[(256, 1), (256, 3),
                                                (384, 3, "halve")], branch2=["max"])
        self.repeat_1 = nn.Sequential(*(ResidualPaths(1088, **BLOCK_17) for _ in range(depths[1])))
        self.mixed_7a = InceptionPaths(1088, branch0=[(256, 1), (384, 3, "halve")],
                                       branch1=[(256, 1), (288, 3, "halve")],
                                       branch2=[(256, 1), (288, 3),
                                                (320, 3, "halve")], branch3=["max"])
        self.repeat_2 = nn.Sequential(*(ResidualPaths(2080, **BLOCK_8) for _ in range(depths[2])))
        # the last block adds its paths in full, and no activation follows
        self.block8 = ResidualPaths(2080, **{**BLOCK_8, "scale": 1.0}, act=False)
        self.conv2d_7b = inception_conv(2080, 1536, 1)
        self._body = tuple(name for name, _ in self.named_children())
        self.stages = (
            Stage("stem", "conv2d_2b", 64, 2), Stage("conv4", "conv2d_4a", 192, 4),
            Stage("blocks35", "repeat", 320, 8), Stage("blocks17", "repeat_1", 1088, 16),
            Stage("blocks8", "conv2d_7b", 1536, 32),
        )
        self.num_features = 1536
        self.global_pool, self.classif = create_classifier(self.num_features, num_classes,
                                                           global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {stage.module for stage in self.stages}
        for name in self._body:
            x = getattr(self, name)(x)
            if name in ends:
                # for 299 x 299: [B, 64, 147, 147], [B, 192, 71, 71], [B, 320, 35, 35],
                # [B, 1088, 17, 17], [B, 1536, 8, 8]
                yield x
        return x


MODEL = InceptionResnetV2

VARIANTS: dict[str, dict[str, Any]] = {"inception_resnet_v2": {}}
