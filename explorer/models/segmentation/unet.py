"""U-Net: down to see what is there, up again to say where, and a bridge across at every height.

The way down is a backbone. On the way up each block doubles its map (nearest neighbour), sets the
backbone's map of that size beside it, and mixes both with two 3 x 3 convolutions. The last block
has no map beside it: it works at the size of the photo.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
https://arxiv.org/abs/1505.04597. Over a backbone, as segmentation-models-pytorch has it, whose
names the decoder's parameters have.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import takewhile

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.body import levels_of
from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.parts import conv_norm_relu, init_decoder
from explorer.models.segmentation.segmenter import Segmenter


class UpBlock(nn.Module):
    """[B, in_chans, H, W] -> [B, chans, h, w], the size of the map that is set beside it, or twice."""

    def __init__(self, in_chans: int, beside: int, chans: int):
        super().__init__()
        self.conv1 = conv_norm_relu(in_chans + beside, chans, 3)
        self.conv2 = conv_norm_relu(chans, chans, 3)

    def forward(self, x: Tensor, beside: Tensor | None, size: tuple[int, int]) -> Tensor:
        x = F.interpolate(x, size=size, mode="nearest")
        if beside is not None:
            x = torch.cat((x, beside), dim=1)
        return self.conv2(self.conv1(x))


def ladder(body: VisionModel, widths: tuple[int, ...]) -> tuple[tuple[int, ...], list[int], list[int]]:
    """The way up over a backbone.

    widths: channels of the blocks, from the deepest; the last so many as there are steps count
    Returns (the backbone's stages that are read, the deepest first and each half as deep as the one before;
    the stride that each step up ends at, the last at 1; the channels of its block).
    Raises ValueError for too few widths.
    """
    found = levels_of(body, (2, 4, 8, 16, 32))
    deepest = max(found)
    steps = [deepest // 2**i for i in range(1, deepest.bit_length())]
    bridges = list(takewhile(found.__contains__, steps))
    if len(widths) < len(steps):
        raise ValueError(f"decoder_widths has {len(widths)} numbers, and this backbone needs {len(steps)}, a "
                         "block each.")
    return tuple(found[stride] for stride in (deepest, *bridges)), steps, list(widths[-len(steps):])


def twice(x: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a map twice as large as `x`, and no larger than the photo's `size`."""
    height, width = x.shape[-2:]
    return min(2 * height, size[0]), min(2 * width, size[1])


class UNet(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:           the way down, a backbone without head
    decoder_widths: channels of the blocks on the way up, from the deepest
    drop_rate:      of the map in front of the last layer
    """

    classifier_path = "segmentation_head.0"
    size_multiple = 32

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 21,
        decoder_widths: tuple[int, ...] = (256, 128, 64, 32, 16),
        drop_rate: float = 0.0,
    ):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate = num_classes, drop_rate
        self.levels, steps, widths = ladder(self.body, decoder_widths)
        chans = [own[index].channels for index in self.levels]
        besides = chans[1:] + [0] * (len(steps) - len(chans) + 1)
        blocks = [UpBlock(before, beside, width)
                  for before, beside, width in zip((chans[0], *widths), besides, widths)]
        self.decoder = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.stages = (*own, *(Stage(f"up{i}", f"decoder.blocks.{i}", width, stride)
                               for i, (width, stride) in enumerate(zip(widths, steps))))
        self.num_features = widths[-1]
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])

    def create_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_features, num_classes, 3, padding=1) if num_classes else nn.Identity()

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        x, *waiting = maps
        for block in self.decoder["blocks"]:
            beside = waiting.pop(0) if waiting else None
            x = block(x, beside, twice(x, size) if beside is None else beside.shape[-2:])
            yield x
        return x


MODEL = UNet
VARIANTS = {
    "unet": dict(backbone="resnet34"),
    "unet_resnet18": dict(backbone="resnet18"),
    "unet_resnet34": dict(backbone="resnet34"),
    "unet_resnet50": dict(backbone="resnet50"),
    "unet_efficientnet_b0": dict(backbone="efficientnet_b0"),
    # small enough to come along with explorer, trained: 4 M parameters
    "unet_lite0": dict(backbone="tf_efficientnet_lite0", decoder_widths=(128, 64, 32, 16, 16)),
}

KEY_MAPS = {"smp": from_smp}
