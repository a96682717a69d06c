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

from explorer.models.segmentation.foreign import from_smp
from explorer.models.segmentation.unet import UNet, UpBlock, twice


class UNetPlusPlus(UNet):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W]; arguments as of `UNet`.

    decoder_widths: channels of the blocks of row 0, from the deepest
    """

    def create_blocks(self, chans: list[int], widths: list[int]) -> tuple[nn.Module, str]:
        self.columns, self.bridges = len(widths), len(chans) - 1  # columns without a bridge end row 0
        blocks: dict[str, UpBlock] = {}
        for column in range(self.columns):
            bridge = chans[column + 1] if column < self.bridges else 0
            for row in self._rows(column):
                first = row == column
                before = chans[row] if first else widths[column - 1] if row == 0 else chans[column]
                besides = bridge * (column - row + 1)  # the rows below, and the backbone's map
                width = bridge if row else widths[column]
                blocks[f"x_{row}_{column}"] = UpBlock(before, besides, width)
        return nn.ModuleDict(blocks), "x_0_{}"

    def _rows(self, column: int) -> range:
        """The rows that have a block in that column, from the last up, as each reads those below it."""
        return range(column if column < self.bridges else 0, -1, -1)

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
