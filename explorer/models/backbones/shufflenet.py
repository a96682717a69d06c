"""ShuffleNetV2: fast is not the same as few multiplications.

Its authors measured what really costs time on a phone: memory traffic, splits into many groups,
many small steps. So each block sets half of the channels aside, works on the other half, and puts
the two beside each other. Then the channels are shuffled, like two halves of a deck of cards, so
that in the next block both halves meet.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", 2018,
https://arxiv.org/abs/1807.11164. Parameter names are torchvision's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.pool import create_classifier


def channel_shuffle(x: Tensor, groups: int = 2) -> Tensor:
    """[B, C, H, W] -> the same shape: channels 0 1 2 3 4 5 in two groups become 0 3 1 4 2 5."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def pointwise(in_chans: int, out_chans: int) -> list[nn.Module]:
    """Mix the channels of each place: a 1 x 1 convolution, norm, ReLU."""
    return [nn.Conv2d(in_chans, out_chans, 1, bias=False), nn.BatchNorm2d(out_chans),
            nn.ReLU(inplace=True)]


def depthwise(chans: int, stride: int) -> list[nn.Module]:
    """Filter each channel by itself: a 3 x 3 convolution and norm; no ReLU behind it."""
    return [nn.Conv2d(chans, chans, 3, stride, padding=1, groups=chans, bias=False),
            nn.BatchNorm2d(chans)]


class InvertedResidual(nn.Module):
    """Half of the channels pass by, half are worked on, then all are shuffled: [B, in, H, W]
    -> [B, out, H/s, W/s].

    At stride 2 nothing can pass by unchanged: both branches then read all channels.
    """

    def __init__(self, in_chans: int, out_chans: int, stride: int):
        super().__init__()
        self.stride, half = stride, out_chans // 2
        entering = in_chans if stride == 2 else half
        self.branch1 = nn.Sequential(*(depthwise(in_chans, 2) + pointwise(in_chans, half)
                                       if stride == 2 else []))
        self.branch2 = nn.Sequential(*pointwise(entering, half), *depthwise(half, stride),
                                     *pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        one, other = (x, x) if self.stride == 2 else x.chunk(2, dim=1)
        return channel_shuffle(torch.cat([self.branch1(one), self.branch2(other)], 1))


class ShuffleNetV2(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    widths: channels of the stem, the three stages and the last convolution;  depths: blocks in each
            stage.
    """

    classifier_path = "fc"

    def __init__(
        self,
        *,
        widths: tuple[int, int, int, int, int] = (24, 116, 232, 464, 1024),
        depths: tuple[int, int, int] = (4, 8, 4),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("ShuffleNetV2 has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        chans = widths[0]
        self.conv1 = nn.Sequential(nn.Conv2d(in_chans, chans, 3, stride=2, padding=1, bias=False),
                                   nn.BatchNorm2d(chans), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = [Stage("conv1", "conv1", chans, 2), Stage("maxpool", "maxpool", chans, 4)]
        # stage 1 is the stem
        for number, (depth, width) in enumerate(zip(depths, widths[1:4]), start=2):
            blocks = [InvertedResidual(chans if i == 0 else width, width, 2 if i == 0 else 1)
                      for i in range(depth)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            stages.append(Stage(f"stage{number}", f"stage{number}", width, 2 ** (number + 1)))
            chans = width
        self.stages, self.num_features = tuple(stages), widths[4]
        self.conv5 = nn.Sequential(*pointwise(chans, self.num_features))
        self.global_pool, self.fc = create_classifier(self.num_features, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions, small normal weights for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                gain = "relu" if module.groups == 1 else "linear"  # no ReLU follows a depthwise one
                nn.init.kaiming_normal_(module.weight, nonlinearity=gain)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        for layer in (self.conv1, self.maxpool, self.stage2, self.stage3, self.stage4):
            x = layer(x)
            # conv1 [B, 24, H/2, W/2], maxpool [B, 24, H/4, W/4], stage2 [B, 116, H/8, W/8] ...
            yield x
        return self.conv5(x)  # [B, 1024, H/32, W/32]


MODEL = ShuffleNetV2

VARIANTS: dict[str, dict[str, Any]] = {
    "shufflenet_v2_x0_5": dict(widths=(24, 48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": dict(widths=(24, 116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": dict(widths=(24, 176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": dict(widths=(24, 244, 488, 976, 2048)),
}

# Our names are torchvision's: its checkpoints load as they are.
KEY_MAPS = {"torchvision": lambda state, name: state}
