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

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.body import levels_of
from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.segmenter import Segmenter


def conv_norm_relu(in_chans: int, chans: int) -> nn.Sequential:
    """3 x 3 convolution, BatchNorm, ReLU: [B, in_chans, H, W] -> [B, chans, H, W]."""
    return nn.Sequential(nn.Conv2d(in_chans, chans, 3, padding=1, bias=False), nn.BatchNorm2d(chans),
                         nn.ReLU(inplace=True))


class UpBlock(nn.Module):
    """[B, in_chans, H, W] -> [B, chans, h, w]: the size of the map beside it, or twice its own."""

    def __init__(self, in_chans: int, beside: int, chans: int):
        super().__init__()
        self.conv1 = conv_norm_relu(in_chans + beside, chans)
        self.conv2 = conv_norm_relu(chans, chans)

    def forward(self, x: Tensor, beside: Tensor | None, size: tuple[int, int]) -> Tensor:
        x = F.interpolate(x, size=size, mode="nearest")
        if beside is not None:
            x = torch.cat((x, beside), dim=1)
        return self.conv2(self.conv1(x))


class UNet(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:           the way down, a backbone without head
    decoder_widths: channels of the blocks on the way up, from the deepest
    drop_rate:      of the map in front of the last layer
    """

    classifier_path = "segmentation_head.0"

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
        by_stride = levels_of(self.body, (2, 4, 8, 16, 32))
        deepest = max(by_stride)
        self.levels = tuple(by_stride[stride] for stride in sorted(by_stride, reverse=True))
        chans = [own[index].channels for index in self.levels]

        # from the deepest map up: each step halves the stride, with the backbone's map of that stride, if any
        self.steps = [deepest // 2**i for i in range(1, deepest.bit_length())]
        widths = decoder_widths[-len(self.steps):]
        self.beside = [stride if stride in by_stride else 0 for stride in self.steps]
        besides = [own[by_stride[stride]].channels if stride else 0 for stride in self.beside]
        blocks = [UpBlock(before, beside, width)
                  for before, beside, width in zip((chans[0], *widths), besides, widths)]
        self.decoder = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.stages = (*own, *(Stage(f"up{i}", f"decoder.blocks.{i}", width, stride)
                               for i, (width, stride) in enumerate(zip(widths, self.steps))))
        self.num_features = widths[-1]
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))

    def create_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_features, num_classes, 3, padding=1) if num_classes else nn.Identity()

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        x, waiting = maps[0], list(maps[1:])
        for block, stride in zip(self.decoder["blocks"], self.beside):
            beside = waiting.pop(0) if stride else None
            to = beside.shape[-2:] if beside is not None else self._size_at(size, x)
            x = block(x, beside, tuple(to))
            yield x
        return F.dropout(x, self.drop_rate, self.training)

    @staticmethod
    def _size_at(size: tuple[int, int], x: Tensor) -> tuple[int, int]:
        """Twice the map's size, and no larger than the photo's."""
        height, width = x.shape[-2:]
        return min(2 * height, size[0]), min(2 * width, size[1])


MODEL = UNet
VARIANTS = {
    "unet": dict(backbone="resnet34"),
    "unet_resnet18": dict(backbone="resnet18"),
    "unet_resnet34": dict(backbone="resnet34"),
    "unet_resnet50": dict(backbone="resnet50"),
    "unet_efficientnet_b0": dict(backbone="efficientnet_b0"),
}
