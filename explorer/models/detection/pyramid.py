"""A feature pyramid: maps of several sizes that all know what the deepest one knows.

A backbone's fine maps see small things and understand little; its coarse maps understand and are blind for
the small. From the coarsest down, each map is enlarged and added to the next finer one, so that every level
has both. Levels coarser than the backbone's own are made by convolutions of stride 2.

Lin et al., "Feature Pyramid Networks for Object Detection", 2016, https://arxiv.org/abs/1612.03144.
Parameters have torchvision's names.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class FeaturePyramid(nn.Module):
    """Maps [B, C_i, H/s, W/s] of a backbone, the finest first -> maps [B, width, ...], and two coarser ones.

    in_chans:   channels of the backbone's maps, the finest first
    p6_from_c5: the first coarser level is made from the backbone's last map, else from the pyramid's
    """

    def __init__(self, in_chans: Sequence[int], width: int, *, p6_from_c5: bool = False):
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(chans, width, 1)) for chans in in_chans)
        self.layer_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width, 3, padding=1))
                                          for _ in in_chans)
        self.p6_from_c5 = p6_from_c5
        p6 = nn.Conv2d(in_chans[-1] if p6_from_c5 else width, width, 3, stride=2, padding=1)
        p7 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.extra_blocks = nn.ModuleDict({"p6": p6, "p7": p7})
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)

    @property
    def order(self) -> tuple[str, ...]:
        """The modules whose outputs are the levels, in the order in which they are made: the coarsest of the
        backbone first.
        """
        own = (f"layer_blocks.{index}" for index in reversed(range(len(self.layer_blocks))))
        return (*own, "extra_blocks.p6", "extra_blocks.p7")

    def walk(self, maps: Sequence[Tensor]) -> Generator[Tensor, None, list[Tensor]]:
        """Yield each level as it is made, as `order` says; return all, the finest first."""
        levels: list[Tensor] = []
        above: Tensor | None = None
        for inner, layer, own in reversed([*zip(self.inner_blocks, self.layer_blocks, maps)]):
            across = inner(own)
            if above is not None:
                across = across + F.interpolate(above, size=across.shape[-2:], mode="nearest")
            above = across
            levels.insert(0, layer(across))
            yield levels[0]
        for index, (_, conv) in enumerate(self.extra_blocks.items()):
            below = maps[-1] if not index and self.p6_from_c5 else levels[-1]
            levels.append(conv(F.relu(below) if index else below))
            yield levels[-1]
        return levels
