"""U-Net++: the bridges of a U-Net are small U-Nets themselves.

A U-Net sets a shallow map, which knows edges, straight beside a deep one, which knows things. Here
the shallow map is first brought nearer to the deep one's way of seeing: on its way across, at each
step, it meets what has come up from below it. All that a level has found so far is passed on to its
next block, as in a DenseNet.

    deepest map   --x_0_0--x_0_1--x_0_2--x_0_3--x_0_4   row 0, which gives the mask
    next map           --x_1_1--x_1_2--x_1_3            row r begins with the backbone's map r;
    next map                --x_2_2--x_2_3              column c has the size of the map c + 1

Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", 2018,
https://arxiv.org/abs/1807.10165. Over a backbone, as segmentation-models-pytorch has it, whose
names the decoder's parameters have.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.parts import init_decoder
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.segmentation.unet import UpBlock, ladder, twice


class UNetPlusPlus(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:           the way down, a backbone without head
    decoder_widths: channels of the blocks of row 0, from the deepest
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
        self.columns, self.bridges = len(steps), len(chans) - 1  # columns without a bridge end row 0

        blocks: dict[str, UpBlock] = {}
        for column in range(len(steps)):
            bridge = chans[column + 1] if column < self.bridges else 0
            for row in self._rows(column):
                first = row == column
                before = chans[row] if first else widths[column - 1] if row == 0 else chans[column]
                besides = bridge * (column - row + 1)  # the rows below, and the backbone's map
                width = bridge if row else widths[column]
                blocks[f"x_{row}_{column}"] = UpBlock(before, besides, width)
        self.decoder = nn.ModuleDict({"blocks": nn.ModuleDict(blocks)})
        self.stages = (*own, *(Stage(f"up{i}", f"decoder.blocks.x_0_{i}", width, stride)
                               for i, (width, stride) in enumerate(zip(widths, steps))))
        self.num_features = widths[-1]
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])

    def _rows(self, column: int) -> range:
        """The rows that have a block in that column, from the last up, as each reads those below it."""
        return range(column if column < self.bridges else 0, -1, -1)

    def create_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_features, num_classes, 3, padding=1) if num_classes else nn.Identity()

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        rows = list(maps)  # what each row has found so far
        for column in range(self.columns):
            bridge = maps[column + 1] if column < self.bridges else None
            below: list[Tensor] = []
            for row in self._rows(column):
                block = self.decoder["blocks"][f"x_{row}_{column}"]
                beside = None if bridge is None else torch.cat((*reversed(below), bridge), dim=1)
                to = twice(rows[row], size) if bridge is None else bridge.shape[-2:]
                rows[row] = block(rows[row], beside, tuple(to))
                below.append(rows[row])
            yield rows[0]
        return rows[0]


MODEL = UNetPlusPlus
VARIANTS = {
    "unetplusplus": dict(backbone="resnet34"),
    "unetplusplus_resnet34": dict(backbone="resnet34"),
    "unetplusplus_resnet50": dict(backbone="resnet50"),
}

KEY_MAPS = {"smp": from_smp}
