"""Holding our detectors against torchvision's: networks with random numbers, and what both find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from tests.models.oracle import randomise

PIXELS = 0.1  # by so much boxes may differ


def small_retinanet(num_classes: int = 5, **options) -> RetinaNet:
    """Torchvision's RetinaNet over a ResNet-18, with random numbers, for photos of 96 to 160 pixels."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, returned_layers=[2, 3, 4],
                                   extra_blocks=LastLevelP6P7(256, 256), norm_layer=nn.BatchNorm2d)
    model = RetinaNet(backbone, num_classes, min_size=96, max_size=160, **options)
    randomise(model)
    return model.eval()


def photos(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Two photos [3, H, W] of noise in 0..1, of different odd sizes."""
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(3, 91, 135, generator=generator, dtype=dtype),
            torch.rand(3, 120, 77, generator=generator, dtype=dtype)]


def targets() -> list[dict[str, Tensor]]:
    """Three boxes in the first photo, one of them at its border, and none in the second."""
    boxes = torch.tensor([[5.0, 7.0, 60.0, 80.0], [70.0, 3.0, 134.5, 40.0], [40.0, 40.0, 52.0, 50.0]])
    return [{"boxes": boxes, "labels": torch.tensor([1, 3, 1])},
            {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}]


def unmatched(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], scores: float) -> int:
    """How many of their boxes we don't have, of the same class within `PIXELS` and `scores`.

    In any order: two scores that differ by a rounding may change places, and the last of them its place
    among those that are told.
    """
    if ours["boxes"].shape != theirs["boxes"].shape:
        return max(len(ours["boxes"]), len(theirs["boxes"]))
    apart = (ours["boxes"][:, None] - theirs["boxes"][None]).abs().amax(-1)
    fits = apart < PIXELS
    fits &= ours["labels"][:, None] == theirs["labels"][None]
    fits &= (ours["scores"][:, None] - theirs["scores"][None]).abs() < scores
    return int((~fits.any(dim=0)).sum())


def check_found(
    ours: Sequence[Mapping[str, Tensor]], theirs: Sequence[Mapping[str, Tensor]], *, scores: float = 1e-5,
    swapped: int = 0,
) -> None:
    """The same boxes in every photo, and something to compare; swapped: how many may have lost the race."""
    assert len(ours) == len(theirs)
    assert all(len(found["boxes"]) > 20 for found in theirs)
    for mine, other in zip(ours, theirs):
        assert mine["scores"].diff().le(0).all()
        assert unmatched(mine, other, scores) <= swapped
