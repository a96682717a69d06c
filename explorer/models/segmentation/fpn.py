"""FPN: the deep maps are handed down to the shallow ones, and the sum of all levels is the mask.

From the deepest map down, each level is enlarged twice and added to the next one's, so that every
level knows what is there at its own scale. Then each is brought to the size of the finest, by as
many steps of convolution and doubling as it takes, and the four are added.

Lin et al., "Feature Pyramid Networks for Object Detection", 2016, https://arxiv.org/abs/1612.03144;
for masks Kirillov et al., "Panoptic Feature Pyramid Networks", 2019,
https://arxiv.org/abs/1901.02446. Over a backbone, as segmentation-models-pytorch has it, whose names
the decoder's parameters have.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.body import levels_of
from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.parts import init_decoder, resized
from explorer.models.segmentation.segmenter import Segmenter


class Down(nn.Module):
    """A level of the pyramid: the one above, enlarged to the backbone's map, and that map in its channels.

    [B, chans, h, w] and [B, in_chans, H, W] -> [B, chans, H, W]
    """

    def __init__(self, in_chans: int, chans: int):
        super().__init__()
        self.skip_conv = nn.Conv2d(in_chans, chans, 1)

    def forward(self, above: Tensor, beside: Tensor) -> Tensor:
        return F.interpolate(above, size=beside.shape[-2:], mode="nearest") + self.skip_conv(beside)


class Finer(nn.Module):
    """A 3 x 3 convolution with GroupNorm and ReLU, then the map in another size.

    [B, in_chans, h, w] -> [B, chans, *size]
    """

    def __init__(self, in_chans: int, chans: int):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(in_chans, chans, 3, padding=1, bias=False),
                                   nn.GroupNorm(32, chans), nn.ReLU(inplace=True))

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        return resized(self.block(x), size, corners=True)


class ToFinest(nn.Module):
    """A level at the size of the finest: one convolution for the finest, else one for each doubling."""

    def __init__(self, in_chans: int, chans: int, doublings: int):
        super().__init__()
        count = max(doublings, 1)
        self.block = nn.ModuleList(Finer(chans if i else in_chans, chans) for i in range(count))

    def forward(self, x: Tensor, sizes: Sequence[Sequence[int]]) -> Tensor:
        """sizes: where each convolution ends, the last of them the finest map's (height, width)."""
        for step, size in zip(self.block, sizes):
            x = step(x, size)
        return x


class FPN(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head: its maps of stride 4 to 32 are read, those that it has
    width:      channels of the pyramid;  mask_width: of the maps that are added
    drop_rate:  of the map in front of the last layer, beside the decoder's own 0.2
    """

    classifier_path = "segmentation_head.0"
    size_multiple = 32

    def __init__(self, body: VisionModel, *, num_classes: int = 21, width: int = 256,
                 mask_width: int = 128, drop_rate: float = 0.0):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate, self.num_features = num_classes, drop_rate, mask_width
        found = levels_of(self.body, (32, 16, 8, 4))
        self.levels = tuple(found.values())  # the deepest first
        chans = [own[index].channels for index in self.levels]
        # "p5" halves five times: the pyramid's level of stride 32
        names = [f"p{stride.bit_length() - 1}" for stride in found]
        self.decoder = nn.ModuleDict({names[0]: nn.Conv2d(chans[0], width, 1)})
        for name, count in zip(names[1:], chans[1:]):
            self.decoder[name] = Down(count, width)
        self.pyramid_names = tuple(names)
        last = len(names) - 1
        self.decoder["seg_blocks"] = nn.ModuleList(
            ToFinest(width, mask_width, last - i) for i in range(len(names)))
        self.decoder["dropout"] = nn.Dropout2d(0.2, inplace=True)
        pyramid = (Stage(name, f"decoder.{name}", width, stride) for name, stride in zip(names, found))
        self.stages = (*own, *pyramid)
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        levels: list[Tensor] = []
        for name, beside in zip(self.pyramid_names, maps):
            levels.append(self.decoder[name](levels[-1], beside) if levels else self.decoder[name](beside))
            yield levels[-1]
        sizes = [level.shape[-2:] for level in levels]
        finest = [to(level, sizes[i + 1:] or sizes[-1:])
                  for i, (to, level) in enumerate(zip(self.decoder["seg_blocks"], levels))]
        return self.decoder["dropout"](sum(finest[1:], finest[0]))

    def enlarge(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        return resized(scores, size, corners=True)


MODEL = FPN
VARIANTS = {
    "fpn": dict(backbone="resnet50"),
    "fpn_resnet50": dict(backbone="resnet50"),
}

KEY_MAPS = {"smp": from_smp}
