"""VGG: depth out of the simplest part.

Nothing but 3 x 3 convolutions, one after the other, and a max pool that halves the map five times.
Two small convolutions see as much of the photo as one of 5 x 5, with fewer weights and one more
non-linearity. The two huge layers before the classifier, 120 of its 138 million parameters, were
the price.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
https://arxiv.org/abs/1409.1556. Parameter names are timm's: the large layers are convolutions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.pool import ClassifierHead


class ConvMlp(nn.Module):
    """VGG's two large layers as convolutions: [B, C, H, W] -> [B, out, H-6, W-6].

    As a 7 x 7 convolution the first one also slides over larger photos; smaller ones are stretched
    to 7 x 7.
    """

    def __init__(self, in_features: int, out_features: int, *, kernel_size: int = 7,
                 drop_rate: float = 0.0):
        super().__init__()
        self.kernel_size = kernel_size
        self.fc1 = nn.Conv2d(in_features, out_features, kernel_size)
        self.act1 = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(drop_rate)
        self.fc2 = nn.Conv2d(out_features, out_features, 1)
        self.act2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.kernel_size:
            size = [max(self.kernel_size, side) for side in x.shape[-2:]]
            x = F.adaptive_avg_pool2d(x, size)
        x = self.drop(self.act1(self.fc1(x)))
        return self.act2(self.fc2(x))


class VGG(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths: convolutions in each of the five groups;  batch_norm: a BatchNorm behind each of them.
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int, int] = (2, 2, 3, 3, 3),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        batch_norm: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("VGG has no residual branches to drop: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.num_features, self._hidden = 512, 4096

        layers: list[nn.Module] = []
        stages, chans = [], in_chans
        for i, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512))):
            if i:
                layers.append(nn.MaxPool2d(2, 2))
            for _ in range(depth):
                layers.append(nn.Conv2d(chans, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                chans = width
            # what `features_only` gives: the map as large as it was just before the next max pool
            stages.append(Stage(f"group{i + 1}", f"features.{len(layers) - 1}", width, 2**i))
        layers.append(nn.MaxPool2d(2, 2))
        stages.append(Stage("pool5", f"features.{len(layers) - 1}", chans, 32))

        self.features = nn.Sequential(*layers)
        self.stages = tuple(stages)
        self.pre_logits = ConvMlp(chans, self._hidden, drop_rate=drop_rate)
        self.head = ClassifierHead(self._hidden, num_classes, global_pool, drop_rate)
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def init_weights(self) -> None:
        """He initialisation for convolutions, small normal weights for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {int(stage.module.removeprefix("features.")) for stage in self.stages}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in ends:
                # group1 [B, 64, H, W] ... group5 [B, 512, H/16, W/16], pool5 [B, 512, H/32, W/32]
                yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.pre_logits(x)  # [B, 512, H, W] -> [B, 4096, H-6, W-6]
        return super().forward_head(x, pre_logits)

    def remove_head(self) -> None:
        """The two large layers go too: 120 of 138 million parameters that no map depends on."""
        super().remove_head()
        self.pre_logits = nn.Identity()


MODEL = VGG

VARIANTS: dict[str, dict[str, Any]] = {
    "vgg11": dict(depths=(1, 1, 2, 2, 2)),
    "vgg11_bn": dict(depths=(1, 1, 2, 2, 2), batch_norm=True),
    "vgg13": dict(depths=(2, 2, 2, 2, 2)),
    "vgg13_bn": dict(depths=(2, 2, 2, 2, 2), batch_norm=True),
    "vgg16": dict(depths=(2, 2, 3, 3, 3)),
    "vgg16_bn": dict(depths=(2, 2, 3, 3, 3), batch_norm=True),
    "vgg19": dict(depths=(2, 2, 4, 4, 4)),
    "vgg19_bn": dict(depths=(2, 2, 4, 4, 4), batch_norm=True),
}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's three linear layers -> two convolutions and a linear layer."""
    places = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2",
              "classifier.6": "head.fc"}
    mapped = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        place = places.get(layer, layer)
        if kind == "weight" and place == "pre_logits.fc1":
            value = value.reshape(value.shape[0], -1, 7, 7)
        elif kind == "weight" and place == "pre_logits.fc2":
            value = value[:, :, None, None]
        mapped[f"{place}.{kind}"] = value
    return mapped


KEY_MAPS = {"torchvision": _from_torchvision}
