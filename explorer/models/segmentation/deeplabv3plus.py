"""DeepLab v3+: DeepLab v3 finds what is there, and one shallow map says where it ends.

The mask of DeepLab v3 is eight or sixteen times smaller than the photo, and its edges are as coarse.
So the map behind ASPP is enlarged four times, a shallow map of the backbone is set beside it, made
narrow so that it doesn't drown it, and two convolutions draw the edges. All wide convolutions are
separable, which makes it cheaper than its parent.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
2018, https://arxiv.org/abs/1802.02611. Over a backbone, as segmentation-models-pytorch has it, whose
names the decoder's parameters have. Its own ResNets dilate the block that would have halved too:
`backbone_options={"dilate_halving": True}` gives their numbers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

from explorer.models.body import levels_of
from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.parts import (
    ASPP,
    SeparableConv,
    conv_norm_relu,
    init_decoder,
    resized,
    separable_norm_relu,
)
from explorer.models.segmentation.segmenter import Segmenter


class DeepLabV3Plus(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head: its last map and the one of stride 4 (or the next coarser
                one that it has) are read
    width:      channels of the decoder;  narrow: of the shallow map
    rates:      how far apart the taps of the three wide views lie
    drop_rate:  of the map in front of the last layer
    """

    classifier_path = "segmentation_head.0"
    size_multiple = 16

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 21,
        width: int = 256,
        narrow: int = 48,
        rates: tuple[int, ...] = (12, 24, 36),
        drop_rate: float = 0.0,
    ):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate, self.num_features = num_classes, drop_rate, width
        shallow, deep = next(iter(levels_of(self.body, (4, 8, 16)).values())), len(own) - 1
        self.levels = (shallow, deep)
        self.decoder = nn.ModuleDict({
            "aspp": nn.Sequential(ASPP(own[deep].channels, width, rates, separable=True),
                                  SeparableConv(width, width), nn.BatchNorm2d(width), nn.ReLU()),
            "block1": conv_norm_relu(own[shallow].channels, narrow),
            "block2": separable_norm_relu(width + narrow, width),
        })
        self.stages = (*own, Stage("aspp", "decoder.aspp", width, own[deep].reduction),
                       Stage("edges", "decoder.block2", width, own[shallow].reduction))
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        shallow, deep = maps
        x = self.decoder["aspp"](deep)
        yield x
        x = resized(x, shallow.shape[-2:], corners=True)
        x = self.decoder["block2"](torch.cat((x, self.decoder["block1"](shallow)), dim=1))
        yield x
        return x

    def enlarge(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        return resized(scores, size, corners=True)


MODEL = DeepLabV3Plus
VARIANTS = {
    "deeplabv3plus": dict(backbone="resnet50", output_stride=16),
    "deeplabv3plus_resnet50": dict(backbone="resnet50", output_stride=16),
}

KEY_MAPS = {"smp": from_smp}
