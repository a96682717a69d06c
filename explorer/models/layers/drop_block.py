"""DropBlock: dropout for maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def drop_block_2d(x: Tensor, drop_prob: float, block_size: int = 7, *, gamma_scale: float = 1.0) -> Tensor:
    """Set squares of a map [B, C, H, W] to zero, about `drop_prob` of it in all, and raise the rest to keep
    the mean.

    block_size: side of a square in pixels of the map, at most the map's;  gamma_scale: more or fewer squares
    Each channel has its own squares.
    """
    height, width = x.shape[-2:]
    block = min(block_size, height, width)
    free = (height - block + 1, width - block + 1)  # where a whole square can begin
    # as many seeds as make squares of that area, but for those that overlap: the paper's equation 1
    share = gamma_scale * drop_prob / block**2 * height * width / (free[0] * free[1])
    seeds = torch.bernoulli(x.new_full((*x.shape[:2], *free), min(share, 1.0)))
    # A square grows from its upper left corner: a place is dropped where one of the last `block` places is a
    # seed.
    dropped = F.max_pool2d(F.pad(seeds, [block - 1] * 4), block, stride=1)  # [B, C, H, W]
    keep = 1 - dropped
    return x * keep * (keep.numel() / keep.sum().clamp(min=1))


class DropBlock2d(nn.Module):
    """Dropout of whole squares: [B, C, H, W] -> the same shape; does nothing in evaluation.

    Neighbours on a map say nearly the same, so single dropped places are made good by those beside them. A
    square that is gone is gone, and the network has to look elsewhere.
    Ghiasi et al., "DropBlock: A regularization method for convolutional networks", 2018.
    """

    def __init__(self, drop_prob: float = 0.1, block_size: int = 7, gamma_scale: float = 1.0):
        super().__init__()
        if not 0 <= drop_prob <= 1:
            raise ValueError(f"drop_prob is {drop_prob}: it is a probability, so give 0 to 1.")
        if block_size < 1:
            raise ValueError(f"block_size is {block_size}: give the side of a square in pixels, 1 or more.")
        self.drop_prob, self.block_size, self.gamma_scale = drop_prob, block_size, gamma_scale

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop_prob:
            return x
        return drop_block_2d(x, self.drop_prob, self.block_size, gamma_scale=self.gamma_scale)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:.3f}, block_size={self.block_size}"


DropBlock = DropBlock2d
