"""GoogLeNet: let the network choose how far to look.

An Inception module looks at the same map in four ways at once, through 1 x 1, 3 x 3 and larger
windows and a max pool, and puts the answers beside each other. Thin 1 x 1 convolutions in front of
the costly windows keep it cheap: 22 layers with a twelfth of AlexNet's parameters. Two side
classifiers half-way gave the early layers a gradient, before batch normalisation and shortcuts did
so better; they are used only in training.

Szegedy et al., "Going Deeper with Convolutions", 2014, https://arxiv.org/abs/1409.4842, here with
batch normalisation. Parameter names are torchvision's, and so is its slip that the trained weights
carry for good: the third branch has 3 x 3 filters where the paper has 5 x 5.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.pool import create_classifier


class BasicConv2d(nn.Module):
    """Convolution, norm, ReLU; the names `conv` and `bn` are those in torchvision's checkpoints."""

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 padding: int = 0):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, out_chans, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_chans, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four looks at one map: [B, in, H, W] -> [B, one + three + five + pool, H, W].

    reduce3, reduce5: channels of the thin convolutions in front of the wider windows.
    """

    def __init__(self, in_chans: int, one: int, reduce3: int, three: int, reduce5: int, five: int,
                 pool: int):
        super().__init__()
        self.branch1 = BasicConv2d(in_chans, one, 1)
        self.branch2 = nn.Sequential(BasicConv2d(in_chans, reduce3, 1),
                                     BasicConv2d(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(in_chans, reduce5, 1),
                                     BasicConv2d(reduce5, five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1),
                                     BasicConv2d(in_chans, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A side classifier: [B, in, H, W] -> [B, num_classes]."""

    def __init__(self, in_chans: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.conv = BasicConv2d(in_chans, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes) if num_classes else nn.Identity()
        self.dropout = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)  # -> [B, 128 * 4 * 4]
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


class GoogLeNetOutputs(NamedTuple):
    """What a training pass gives with `aux_logits`: each [B, num_classes].

    The paper adds the side losses with a weight of 0.3.
    """

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


# What stands between the max pools: channels in, then those of `Inception`.
INCEPTIONS = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}
# the pool behind a module, its window
POOLS = {"inception3b": ("maxpool3", 3), "inception4e": ("maxpool4", 2)}


class GoogLeNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    aux_logits:    build the two side classifiers. In training, forward then gives
                   `GoogLeNetOutputs`; in evaluation always the logits alone
    aux_drop_rate: dropout in the side classifiers

    torchvision's weights were trained on pixels in -1..1. torchvision turns ImageNet-normalised
    photos into those inside the model (`transform_input`); here the weights' config says mean 0.5
    and std 0.5, which is the same.
    """

    classifier_path = "fc"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        aux_logits: bool = False,
        aux_drop_rate: float = 0.7,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("GoogLeNet has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.num_features, self.aux_logits = 1024, aux_logits

        self.conv1 = BasicConv2d(in_chans, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for name, channels in INCEPTIONS.items():
            self.add_module(name, Inception(*channels))
            if name in POOLS:
                pool, window = POOLS[name]
                self.add_module(pool, nn.MaxPool2d(window, stride=2, ceil_mode=True))
        self.aux1 = InceptionAux(512, num_classes, aux_drop_rate) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, aux_drop_rate) if aux_logits else None
        self.stages = (
            Stage("conv1", "conv1", 64, 2),
            Stage("conv3", "conv3", 192, 4),
            Stage("inception3", "inception3b", 480, 8),
            Stage("inception4", "inception4e", 832, 16),
            Stage("inception5", "inception5b", 1024, 32),
        )
        self.global_pool, self.fc = create_classifier(self.num_features, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation, small normal weights for the classifiers."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor,
                       aside: list[Tensor] | None = None) -> Generator[Tensor, None, Tensor]:
        """aside: a list that takes up the side classifiers' logits on the way; without one they
        don't run.
        """
        x = self.conv1(x)
        yield x  # conv1       [B, 64, H/2, W/2]
        x = self.conv3(self.conv2(self.maxpool1(x)))
        yield x  # conv3       [B, 192, H/4, W/4]
        x = self.inception3b(self.inception3a(self.maxpool2(x)))
        yield x  # inception3  [B, 480, H/8, W/8]
        x = self.inception4a(self.maxpool3(x))
        if aside is not None:
            aside.append(self.aux1(x))
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        if aside is not None:
            aside.append(self.aux2(x))
        x = self.inception4e(x)
        yield x  # inception4  [B, 832, H/16, W/16]
        x = self.inception5b(self.inception5a(self.maxpool4(x)))
        yield x  # inception5  [B, 1024, H/32, W/32]
        return x

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        if not (self.training and self.aux_logits and self.num_classes):
            return super().forward(x)
        aside: list[Tensor] = []
        *_, features = self.forward_stages(x, aside)  # the last map is the features
        aux_logits1, aux_logits2 = aside
        return GoogLeNetOutputs(self.forward_head(features), aux_logits2, aux_logits1)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Side classifiers, where there are any, are replaced too."""
        super().reset_classifier(num_classes, global_pool)
        place = parameter_place(self)
        for side in filter(None, (self.aux1, self.aux2)):
            side.fc2 = nn.Linear(1024, num_classes, **place) if num_classes else nn.Identity()

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Leave out the side classifiers of a checkpoint where this model has none, or none for its
        classes yet.
        """
        if self.aux1 is None:
            unused: tuple[str, ...] = ("aux1.", "aux2.")
        else:
            unused = () if self.num_classes else ("aux1.fc2.", "aux2.fc2.")
        kept = {key: value for key, value in state.items() if not key.startswith(unused)}
        # taken away with the classifier
        headless = "aux1.fc1.weight" in state and "aux1.fc2.weight" not in state
        if len(kept) < len(state) or headless:
            report.skipped.append("the side classifiers aux1 and aux2: "
                                  "used only while GoogLeNet learns"
                                  if self.aux1 is None else "the last layers of the side "
                                  "classifiers: untrained now")
        return kept


MODEL = GoogLeNet

VARIANTS: dict[str, dict[str, Any]] = {"googlenet": {}}

# Our names are torchvision's: its checkpoints load as they are.
KEY_MAPS = {"torchvision": lambda state, name: state}
