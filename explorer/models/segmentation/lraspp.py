"""LR-ASPP: the smallest decoder that still does both, what and where.

A phone can't afford five views of a map. So there are two: the deep map, mixed once, and weighed
channel by channel with what the whole photo looks like (squeeze-and-excitation); and a shallow map
of twice the size, which says where the edges are. Their scores are added.

Howard et al., "Searching for MobileNetV3", 2019, section 6.4, https://arxiv.org/abs/1905.02244.
As torchvision has it, whose parameter names and numbers these are.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.body import levels_of
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.segmentation.deeplabv3 import TORCHVISION_MOBILE
from explorer.models.segmentation.foreign import from_torchvision
from explorer.models.segmentation.parts import conv_norm_relu, resized
from explorer.models.segmentation.segmenter import Segmenter


class LRASPP(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head: its map of stride 8 (or the next finer one that it has) and
                its last one are read
    width:      channels of the deep branch
    drop_rate:  of the maps in front of the last layers
    """

    body_name = "backbone"

    def __init__(self, body: VisionModel, *, num_classes: int = 21, width: int = 128,
                 drop_rate: float = 0.0):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate = num_classes, drop_rate
        found = levels_of(self.body, (8, 4, 16))
        shallow, deep = next(iter(found.values())), len(own) - 1
        self.levels = (shallow, deep)
        self.chans = (own[shallow].channels, width)
        self.num_features = sum(self.chans)
        self.classifier = nn.ModuleDict({
            "cbr": conv_norm_relu(own[deep].channels, width),
            "scale": nn.Sequential(nn.AdaptiveAvgPool2d(1),
                                   nn.Conv2d(own[deep].channels, width, 1, bias=False), nn.Sigmoid()),
        })
        self._add_last(num_classes)
        self.stages = (*own, Stage("deep", "classifier.cbr", width, own[deep].reduction))

    def _add_last(self, num_classes: int, **place) -> None:
        for name, chans in zip(("low_classifier", "high_classifier"), self.chans):
            last = nn.Conv2d(chans, num_classes, 1, **place) if num_classes else nn.Identity()
            self.classifier[name] = last

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        shallow, deep = maps
        x = self.classifier["cbr"](deep)
        yield x
        x = resized(x * self.classifier["scale"](deep), shallow.shape[-2:])
        return torch.cat((shallow, x), dim=1)  # each has a last layer of its own

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = F.dropout(x, self.drop_rate, self.training)
        if pre_logits or not self.num_classes:
            return x
        shallow, deep = x.split(self.chans, dim=1)
        return self.classifier["low_classifier"](shallow) + self.classifier["high_classifier"](deep)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        shallow, deep = pre_logits.split(self.chans, dim=1)
        return self.classifier["low_classifier"](shallow) + self.classifier["high_classifier"](deep)

    def get_classifier(self) -> nn.Module:
        """Both last layers, the shallow map's first."""
        return nn.ModuleList([self.classifier["low_classifier"], self.classifier["high_classifier"]])

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.refuse_pooling(global_pool)
        self._add_last(num_classes, **parameter_place(self))
        self.num_classes = num_classes


MODEL = LRASPP
VARIANTS = {
    "lraspp": dict(backbone="mobilenetv3_large_100", output_stride=16),
    "lraspp_mobilenet_v3_large": dict(backbone="mobilenetv3_large_100", output_stride=16,
                                      backbone_options=TORCHVISION_MOBILE),
}

KEY_MAPS = {"torchvision": from_torchvision}
