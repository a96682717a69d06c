"""Pruned ResNets: the same network after the filters that mattered least were cut away.

A trained network holds filters whose removal costs almost no accuracy. Its authors let one knapsack
problem decide which ones to keep: most importance for the arithmetic that there is room for. What
is left is a ResNet whose widths are no round numbers any more, each block with its own.

Aflalo et al., "Knapsack Pruning with Inner Distillation", 2020, https://arxiv.org/abs/2002.08258.
Parameter names are timm's.
The network is `ResNet`, of the same family, with widths of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from explorer.models.backbones.resnet import ResNet
from explorer.models.layers.pool import create_classifier

# of a stage: channels of its map, and inside each block: two widths
Kept = tuple[int, tuple[tuple[int, int], ...]]


def narrowed(layer: nn.Conv2d, in_chans: int, out_chans: int) -> nn.Conv2d:
    """A fresh convolution like `layer`, with fewer filters."""
    return nn.Conv2d(in_chans, out_chans, layer.kernel_size, layer.stride, layer.padding,
                     layer.dilation, bias=False)


class PrunedResNet(ResNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    kept: for each stage, the channels of its map, and the widths of the first two convolutions of
          each block.
    Channel attention stays as wide a neighbourhood as the whole network's. The other options are
    ResNet's, for bottlenecks without groups. Raises ValueError where `kept` and `depths` have
    another number of blocks.
    """

    def __init__(self, *, kept: tuple[Kept, Kept, Kept, Kept], num_classes: int = 1000,
                 global_pool: str = "avg", **options: Any):
        super().__init__(num_classes=0, global_pool=global_pool, **options)
        chans = self.layer1[0].conv1.in_channels
        for layer, (out, widths) in zip((self.layer1, self.layer2, self.layer3, self.layer4), kept):
            if len(layer) != len(widths):
                raise ValueError(
                    f"A stage of {len(layer)} blocks needs as many pairs of widths in kept, "
                    f"not {len(widths)}."
                )
            for block, (first, middle) in zip(layer, widths):
                block.conv1, block.bn1 = narrowed(block.conv1, chans, first), nn.BatchNorm2d(first)
                block.conv2, block.bn2 = (narrowed(block.conv2, first, middle),
                                          nn.BatchNorm2d(middle))
                block.conv3, block.bn3 = narrowed(block.conv3, middle, out), nn.BatchNorm2d(out)
                if block.downsample is not None:
                    pool, conv, _ = block.downsample
                    block.downsample = nn.Sequential(pool, narrowed(conv, chans, out),
                                                     nn.BatchNorm2d(out))
                chans = out
        self.stages = (self.stages[0],
                       *(replace(s, channels=out) for s, (out, _) in zip(self.stages[1:], kept)))
        self.num_features, self.num_classes = chans, num_classes
        self.global_pool, self.fc = create_classifier(chans, num_classes, global_pool)
        self.init_weights()


MODEL = PrunedResNet

_ECA_D = dict(attn="eca", stem="deep", stem_width=32, avg_down=True)

VARIANTS: dict[str, dict[str, Any]] = {
    "ecaresnet50d_pruned": dict(_ECA_D, depths=(3, 4, 6, 3), kept=(
        (19, ((47, 18), (52, 22), (64, 35))),
        (171, ((85, 37), (107, 80), (120, 85), (125, 87))),
        (818, ((198, 126), (255, 232), (256, 233), (253, 235), (256, 225), (256, 239))),
        (2022, ((492, 237), (512, 500), (512, 490))),
    )),
    "ecaresnet101d_pruned": dict(_ECA_D, depths=(3, 4, 23, 3), kept=(
        (26, ((45, 25), (53, 20), (60, 27))),
        (142, ((81, 24), (93, 49), (102, 54), (122, 78))),
        (278, ((101, 25), (239, 160), (234, 156), (250, 176), (253, 191), (251, 175), (230, 128),
               (244, 154), (244, 159), (238, 97), (244, 149), (253, 181), (245, 119), (255, 216),
               (256, 201), (253, 149), (254, 141), (256, 190), (256, 217), (255, 156), (256, 155),
               (256, 232), (256, 214))),
        (2042, ((499, 289), (512, 512), (512, 502))),
    )),
}
