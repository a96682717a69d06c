"""SqueezeNet: AlexNet's accuracy in a fiftieth of its parameters.

A Fire module squeezes its input into few channels with cheap 1 x 1 convolutions, then expands them
again, half by 1 x 1 and half by 3 x 3. Maps stay large until late in the network, which helps
accuracy. There is no
dense layer: a last 1 x 1 convolution makes one map for each class, and its mean is the score.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", 2016, https://arxiv.org/abs/1602.07360. Parameter names are torchvision's; version 1.1 is the
authors' own faster one, https://github.com/forresti/SqueezeNet.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.pool import SelectAdaptivePool2d


class Fire(nn.Module):
    """Squeeze, then expand in two ways side by side: [B, in, H, W] -> [B, 2 * expand, H, W]."""

    def __init__(self, in_chans: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(in_chans, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        small, large = self.expand1x1(x), self.expand3x3(x)
        return torch.cat([self.expand1x1_activation(small), self.expand3x3_activation(large)], 1)


def create_class_pool(kind: str, num_classes: int) -> SelectAdaptivePool2d:
    """Class maps [B, K, H, W] -> scores [B, K]; unpooled maps only where there are no classes."""
    if kind == "catavgmax" or (num_classes and not kind):
        raise ValueError(f"global_pool is {kind!r}: SqueezeNet pools its class maps to one score "
                         "each, so use 'avg', 'max' or 'avgmax'.")
    return SelectAdaptivePool2d(kind, flatten=bool(kind))


class SqueezeNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    stem_chans, stem_kernel: channels and kernel of the first convolution
    fires:     (squeeze, expand) of the Fire modules, in groups with a max pool in front of each
    drop_rate: dropout in front of the class convolution; the paper has 0.5

    The classifier is a convolution on the map and pooled only afterwards, so the logits don't
    follow from the pooled vector [B, 512] that `forward_head(pre_logits=True)` gives:
    `forward_vector_and_logits` has both.
    """

    classifier_path = "classifier.1"

    def __init__(
        self,
        *,
        stem_chans: int = 64,
        stem_kernel: int = 3,
        fires: tuple[tuple[tuple[int, int], ...], ...] = (),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("SqueezeNet has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        layers: list[nn.Module] = [nn.Conv2d(in_chans, stem_chans, stem_kernel, stride=2),
                                   nn.ReLU(inplace=True)]
        chans, stages = stem_chans, [Stage("conv1", "features.1", stem_chans, 2)]
        for i, group in enumerate(fires):
            layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            for squeeze, expand in group:
                layers.append(Fire(chans, squeeze, expand))
                chans = 2 * expand
            stages.append(Stage(f"fires{i + 1}", f"features.{len(layers) - 1}", chans, 4 * 2**i))
        self.features = nn.Sequential(*layers)
        self.stages, self.num_features = tuple(stages), chans
        self.classifier = nn.Sequential(
            nn.Dropout(drop_rate),
            nn.Conv2d(chans, num_classes, 1) if num_classes else nn.Identity(),
            nn.ReLU(),
            create_class_pool(global_pool, num_classes),
        )
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation, and small weights for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        if self.num_classes:
            nn.init.normal_(self.get_classifier().weight, std=0.01)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {int(stage.module.removeprefix("features.")) for stage in self.stages}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in ends:
                # conv1 [B, 64, H/2, W/2], fires1 [B, 128, H/4, W/4] ... fires3 [B, 512, H/16, W/16]
                yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if pre_logits:
            return self.classifier[-1](self.classifier[0](x))  # [B, 512, H, W] -> [B, 512]
        return self.classifier(x)  # [B, 512, H, W] -> [B, K, H, W] -> [B, K]

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        raise ValueError("SqueezeNet classifies each place of the map before it pools, "
                         "so its logits don't follow from one vector: use forward_head, "
                         "or forward_vector_and_logits for both.")

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        kind = self.classifier[-1].pool_type if global_pool is None else global_pool
        pool, place = create_class_pool(kind, num_classes), parameter_place(self)
        fresh = (nn.Conv2d(self.num_features, num_classes, 1, **place) if num_classes
                 else nn.Identity())
        self.classifier[1] = fresh
        self.classifier[-1] = pool
        self.num_classes = num_classes


MODEL = SqueezeNet

# (squeeze, expand) of each Fire module; a max pool stands in front of each group.
VARIANTS: dict[str, dict[str, Any]] = {
    "squeezenet1_0": dict(stem_chans=96, stem_kernel=7, fires=(
        ((16, 64), (16, 64), (32, 128)), ((32, 128), (48, 192), (48, 192), (64, 256)),
        ((64, 256),))),
    "squeezenet1_1": dict(stem_chans=64, stem_kernel=3, fires=(
        ((16, 64), (16, 64)), ((32, 128), (32, 128)),
        ((48, 192), (48, 192), (64, 256), (64, 256)))),
}

# Our names are torchvision's: its checkpoints load as they are.
KEY_MAPS = {"torchvision": lambda state, name: state}
