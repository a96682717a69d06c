"""Xception: an Inception block taken to its end.

Inception looks for patterns in the photo and for mixtures of channels in several paths. Xception
makes one path of each channel: a 3 x 3 filter sees that channel only, and a 1 x 1 convolution then
mixes all of them. With shortcuts around every two or three of these cheap pairs it beats Inception
v3 with as many weights.

Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016,
https://arxiv.org/abs/1610.02357. Parameter names are those of timm's `legacy_xception`; the later
networks for DeepLab are in `xception_aligned`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.pool import create_classifier


class SeparableConv2d(nn.Module):
    """Each channel filtered by itself, then all mixed: [B, in, H, W] -> [B, out, H, W]."""

    def __init__(self, in_chans: int, out_chans: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, in_chans, 3, padding=1, groups=in_chans, bias=False)
        self.pointwise = nn.Conv2d(in_chans, out_chans, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """Separable convolutions beside a shortcut: [B, in, H, W]
    -> [B, widths[-1], H/stride, W/stride].

    widths:    channels behind each of them
    act_first: whether an activation comes before the first (the stem has just had one)
    """

    def __init__(self, in_chans: int, widths: tuple[int, ...], *, stride: int = 1,
                 act_first: bool = True):
        super().__init__()
        self.skip: nn.Module | None = None
        if stride != 1 or in_chans != widths[-1]:
            self.skip = nn.Conv2d(in_chans, widths[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            if i or act_first:
                # the first one's input is the shortcut's as well
                layers.append(nn.ReLU(inplace=i > 0))
            layers += [SeparableConv2d(in_chans, width), nn.BatchNorm2d(width)]
            in_chans = width
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.rep = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.skip is None else self.skipbn(self.skip(x))
        return self.rep(x) + shortcut


BLOCKS: tuple[dict[str, Any], ...] = (
    dict(widths=(128, 128), stride=2, act_first=False),
    dict(widths=(256, 256), stride=2),
    dict(widths=(728, 728), stride=2),
    *(dict(widths=(728, 728, 728)) for _ in range(8)),
    dict(widths=(728, 1024), stride=2),
)


class Xception(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]; 299 x 299 in the paper."""

    classifier_path = "fc"
    feature_names = "body."

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
            raise ValueError("The first Xception knows no stochastic depth "
                             "(xception41 and others do): leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        self.conv1 = nn.Conv2d(in_chans, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.act2 = nn.ReLU(inplace=True)
        chans, reduction, stages = 64, 2, [Stage("stem", "act2", 64, 2)]
        for i, row in enumerate(BLOCKS, start=1):
            if row.get("stride", 1) != 1:
                # the map before each halving, with the activation that the next block begins with
                if i > 1:
                    stages.append(Stage(f"block{i - 1}", f"block{i}.rep.0", chans, reduction))
                reduction *= row["stride"]
            self.add_module(f"block{i}", Block(chans, **row))
            chans = row["widths"][-1]
        self.conv3 = SeparableConv2d(chans, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.act3 = nn.ReLU(inplace=True)
        self.conv4 = SeparableConv2d(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.act4 = nn.ReLU(inplace=True)
        self.stages = (*stages, Stage("exit", "act4", 2048, reduction))

        self.num_features = 2048
        self.global_pool, self.fc = create_classifier(self.num_features, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation by what goes in, which for a filter of one channel is its nine pixels.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.act2(self.bn2(self.conv2(x)))
        yield x  # stem [B, 64, H/2, W/2]
        shown = {stage.module for stage in self.stages}
        for i in range(1, len(BLOCKS) + 1):
            if f"block{i}.rep.0" in shown:
                yield F.relu(x)  # [B, 128, H/4, W/4], [B, 256, H/8, W/8], [B, 728, H/16, W/16]
            x = getattr(self, f"block{i}")(x)
        x = self.act3(self.bn3(self.conv3(x)))
        x = self.act4(self.bn4(self.conv4(x)))
        yield x  # exit [B, 2048, H/32, W/32]
        return x


MODEL = Xception

VARIANTS: dict[str, dict[str, Any]] = {"legacy_xception": {}}
