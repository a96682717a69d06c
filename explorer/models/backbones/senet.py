"""SENet: let a network listen to some of its channels more than to others.

A block has found edges, colours, fur; which of them matter depends on the photo. So it takes the
mean of each channel (squeeze), asks two small layers for a weight between 0 and 1 (excitation), and
turns each channel up or down before it adds its correction. That won ImageNet's last contest in
2017, for hardly any arithmetic more.

Hu et al., "Squeeze-and-Excitation Networks", 2017, https://arxiv.org/abs/1709.01507. These are the
networks of the first PyTorch checkpoints, with their own parameter names ("legacy" in timm);
today's, `seresnet50` and its like, are in `explorer/models/backbones/resnet.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.pool import create_classifier
from explorer.models.layers.resnet_blocks import conv


class SEModule(nn.Module):
    """Squeeze-and-excitation: [B, C, H, W] -> the same shape; the narrow layer has C / 16 channels.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True))))  # [B, C, 1, 1]
        return x * self.sigmoid(weights)


class SEBasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: [B, in, H, W] -> [B, width, H/stride, W/stride]."""

    expansion = 1

    def __init__(self, in_chans: int, width: int, *, stride: int, shortcut: nn.Module | None):
        super().__init__()
        self.conv1 = conv(in_chans, width, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SEModule(width)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        # unlike ResNet's: this block adds, and never takes away
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.se_module(x) + shortcut)


class SEBottleneck(nn.Module):
    """Narrow, filter, widen beside a shortcut: [B, in, H, W] -> [B, 4 * width, H/stride, W/stride].

    first, middle: channels of the first and the middle convolution, as multiples of `width`
    stride_first: the narrow 1 x 1 convolution halves, as in the first ResNets, and not the middle
                  one
    """

    expansion = 4

    def __init__(self, in_chans: int, width: int, *, stride: int, shortcut: nn.Module | None,
                 groups: int = 1, first: int = 1, middle: int = 1, stride_first: bool = False):
        super().__init__()
        out, first, middle = width * self.expansion, width * first, width * middle
        self.conv1 = conv(in_chans, first, 1, stride=stride if stride_first else 1)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv(first, middle, 3, stride=1 if stride_first else stride, groups=groups)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = conv(middle, out, 1)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SEModule(out)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(self.se_module(x) + shortcut)


class SENet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    block:       SEBasicBlock or SEBottleneck, with its own `block_options`
    depths:      blocks in each of the four stages
    deep_stem:   three 3 x 3 convolutions in place of one 7 x 7
    down_kernel: size of the filter on the shortcuts that halve
    """

    classifier_path = "last_linear"

    def __init__(
        self,
        *,
        block: type[nn.Module] = SEBottleneck,
        block_options: dict[str, Any] | None = None,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        deep_stem: bool = False,
        down_kernel: int = 1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("The first SENets know no stochastic depth: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        steps = ([(in_chans, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)] if deep_stem
                 else [(in_chans, 64, 7, 2)])
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (chans, out, kernel, stride) in enumerate(steps, start=1):
            layers[f"conv{i}"] = conv(chans, out, kernel, stride=stride)
            layers[f"bn{i}"] = nn.BatchNorm2d(out)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
        self.layer0 = nn.Sequential(layers)
        self.pool0 = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # no padding: Caffe's pooling

        chans = steps[-1][1]
        stages = [Stage("stem", "layer0", chans, 2)]
        for i, depth in enumerate(depths):
            width, blocks = 64 * 2**i, []
            out = width * block.expansion
            for j in range(depth):
                stride, shortcut = (2 if i > 0 and j == 0 else 1), None
                if stride > 1 or chans != out:
                    # the first stage changes the channels only
                    kernel = 1 if i == 0 else down_kernel
                    shortcut = nn.Sequential(conv(chans, out, kernel, stride=stride),
                                             nn.BatchNorm2d(out))
                blocks.append(block(chans, width, stride=stride, shortcut=shortcut,
                                    **(block_options or {})))
                chans = out
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            stages.append(Stage(f"layer{i + 1}", f"layer{i + 1}", chans, 4 * 2**i))
        self.stages, self.num_features = tuple(stages), chans
        self.global_pool, self.last_linear = create_classifier(chans, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.layer0(x)
        yield x  # stem    [B, 64, H/2, W/2]
        x = self.pool0(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            yield x  # layer1  [B, 64*e, H/4, W/4] ... layer4 [B, 512*e, H/32, W/32]
        return x


MODEL = SENet

_RESNET = dict(block_options=dict(stride_first=True))
# 32 groups of 4 channels in the first stage
_RESNEXT = dict(block_options=dict(groups=32, first=2, middle=2))

VARIANTS: dict[str, dict[str, Any]] = {
    "legacy_seresnet18": dict(block=SEBasicBlock, depths=(2, 2, 2, 2)),
    "legacy_seresnet34": dict(block=SEBasicBlock, depths=(3, 4, 6, 3)),
    "legacy_seresnet50": dict(_RESNET, depths=(3, 4, 6, 3)),
    "legacy_seresnet101": dict(_RESNET, depths=(3, 4, 23, 3)),
    "legacy_seresnet152": dict(_RESNET, depths=(3, 8, 36, 3)),
    "legacy_seresnext26_32x4d": dict(_RESNEXT, depths=(2, 2, 2, 2)),
    "legacy_seresnext50_32x4d": dict(_RESNEXT, depths=(3, 4, 6, 3)),
    "legacy_seresnext101_32x4d": dict(_RESNEXT, depths=(3, 4, 23, 3)),
    "legacy_senet154": dict(depths=(3, 8, 36, 3), deep_stem=True, down_kernel=3,
                            block_options=dict(groups=64, first=2, middle=4)),
}
