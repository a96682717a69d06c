"""LinkNet: a U-Net that adds where the other sets side by side.

The maps of the way down are added to those of the way up, not set beside them, so the blocks stay
narrow: each makes its map four times narrower, doubles it with a transposed convolution, and widens
it again to the next map's channels. It was made for video on small computers.

Chaurasia and Culurciello, "LinkNet: Exploiting Encoder Representations for Efficient Semantic
Segmentation", 2017, https://arxiv.org/abs/1707.03718. Over a backbone, as
segmentation-models-pytorch has it, whose names the decoder's parameters have.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.parts import conv_norm_relu, init_decoder
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.segmentation.unet import ladder


class LinkBlock(nn.Module):
    """[B, in_chans, h, w] -> [B, chans, 2 h, 2 w], cut to the map that is added, where that is smaller."""

    def __init__(self, in_chans: int, chans: int):
        super().__init__()
        narrow = in_chans // 4
        double = nn.Sequential(nn.ConvTranspose2d(narrow, narrow, 4, stride=2, padding=1),
                               nn.BatchNorm2d(narrow), nn.ReLU(inplace=True))
        self.block = nn.Sequential(conv_norm_relu(in_chans, narrow), double,
                                   conv_norm_relu(narrow, chans))

    def forward(self, x: Tensor, link: Tensor | None) -> Tensor:
        x = self.block(x)
        if link is None:
            return x
        height, width = link.shape[-2:]
        return x[..., :height, :width] + link


class LinkNet(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       the way down, a backbone without head
    width:      channels of the last block, and of those without a link before it
    drop_rate:  of the map in front of the last layer
    """

    classifier_path = "segmentation_head.0"
    size_multiple = 32

    def __init__(self, body: VisionModel, *, num_classes: int = 21, width: int = 32,
                 drop_rate: float = 0.0):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate, self.num_features = num_classes, drop_rate, width
        self.levels, steps, _ = ladder(self.body, (width,) * 5)
        chans = [own[index].channels for index in self.levels]
        chans += [width] * (len(steps) - len(chans) + 1)
        self.decoder = nn.ModuleDict({
            "blocks": nn.ModuleList(LinkBlock(before, after) for before, after in zip(chans, chans[1:]))})
        self.stages = (*own, *(Stage(f"up{i}", f"decoder.blocks.{i}", after, stride)
                               for i, (after, stride) in enumerate(zip(chans[1:], steps))))
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        x, *links = maps
        for block in self.decoder["blocks"]:
            x = block(x, links.pop(0) if links else None)
            yield x
        return x[..., :size[0], :size[1]]


MODEL = LinkNet
VARIANTS = {
    "linknet": dict(backbone="resnet34"),
    "linknet_resnet34": dict(backbone="resnet34"),
}

KEY_MAPS = {"smp": from_smp}
