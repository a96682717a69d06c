"""What several decoders are made of. Parameter names are those of the libraries whose checkpoints fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_norm_relu(in_chans: int, chans: int, kernel: int = 1, *, dilation: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU: [B, in_chans, H, W] -> [B, chans, H, W]."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_chans, chans, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(chans), nn.ReLU(inplace=True))


class SeparableConv(nn.Sequential):
    """Each channel filtered by itself, then mixed: nearly a k x k convolution, for a k-th of the work.

    [B, in_chans, H, W] -> [B, chans, H, W]
    """

    def __init__(self, in_chans: int, chans: int, kernel: int = 3, *, dilation: int = 1):
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_chans, in_chans, kernel, padding=padding, dilation=dilation, groups=in_chans,
                      bias=False),
            nn.Conv2d(in_chans, chans, 1, bias=False),
        )


def separable_norm_relu(in_chans: int, chans: int, *, dilation: int = 1) -> nn.Sequential:
    """Separable 3 x 3 convolution, BatchNorm, ReLU: [B, in_chans, H, W] -> [B, chans, H, W]."""
    return nn.Sequential(SeparableConv(in_chans, chans, dilation=dilation), nn.BatchNorm2d(chans),
                         nn.ReLU(inplace=True))


class FCNHead(nn.Sequential):
    """The plainest head: look around (3 x 3), a quarter of the channels, decide.

    [B, in_chans, H, W] -> scores [B, num_classes, H, W], or [B, in_chans / 4, H, W] where that is 0
    """

    def __init__(self, in_chans: int, num_classes: int):
        super().__init__(*conv_norm_relu(in_chans, in_chans // 4, 3), nn.Dropout(0.1), nn.Identity())
        self.num_features = in_chans // 4
        self.reset(num_classes)

    def reset(self, num_classes: int, **place: Any) -> None:
        """Put a fresh last layer on; place: its device and dtype."""
        self[4] = nn.Conv2d(self.num_features, num_classes, 1, **place) if num_classes else nn.Identity()


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: the same map seen from near, from far, and as a whole.

    A 1 x 1 convolution, three 3 x 3 ones whose taps lie `rates` pixels apart, and the mean of the map, side
    by side, then mixed: [B, in_chans, H, W] -> [B, chans, H, W]. Chen et al. 2017, section 3.3.
    """

    def __init__(self, in_chans: int, chans: int, rates: Sequence[int], *, separable: bool = False):
        super().__init__()
        looks = [conv_norm_relu(in_chans, chans)]
        for rate in rates:
            looks.append(separable_norm_relu(in_chans, chans, dilation=rate) if separable
                         else conv_norm_relu(in_chans, chans, 3, dilation=rate))
        looks.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(in_chans, chans)))
        self.convs = nn.ModuleList(looks)
        self.project = nn.Sequential(*conv_norm_relu(len(looks) * chans, chans), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        *near, whole = (look(x) for look in self.convs)
        whole = whole.expand(-1, -1, *x.shape[-2:])  # [B, chans, 1, 1] -> [B, chans, H, W]
        return self.project(torch.cat((*near, whole), dim=1))


def resized(x: Tensor, size: Sequence[int], *, corners: bool = False) -> Tensor:
    """The map [B, C, h, w] at another size, (height, width), bilinear; the same where it has that size.

    corners: the map's corners become the corners of the result (`align_corners`), as some weights need it
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=corners)


def init_decoder(decoder: nn.Module, last: nn.Module) -> None:
    """He initialisation of a decoder that is followed by ReLUs; Glorot's and no bias for the last layer."""
    for module in decoder.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    init_last(last)


def init_last(last: nn.Module) -> None:
    """Glorot's initialisation and no bias, for the layer that gives the scores."""
    if isinstance(last, nn.Conv2d):
        nn.init.xavier_uniform_(last.weight)
        nn.init.zeros_(last.bias)
