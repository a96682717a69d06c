"""Channel attention: let the network turn whole channels up or down, photo by photo."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_norm_act import ConvNormAct


def make_divisible(value: float, divisor: int = 8, *, round_limit: float = 0.9) -> int:
    """`value` rounded to a multiple of `divisor`, never below `round_limit` of it.

    Hardware likes channel counts of 8; MobileNetV2 (2018) brought the rule.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < round_limit * value else rounded


class SEModule(nn.Module):
    """Squeeze-and-excitation: [B, C, H, W] -> [B, C, H, W].

    The mean of each channel goes through two small layers, whose sigmoid weighs the channels.
    norm_layer: makes a norm between the two, for those networks that have one.
    Hu et al., "Squeeze-and-Excitation Networks", 2018.
    """

    def __init__(
        self, channels: int, rd_ratio: float = 1 / 16, rd_channels: int | None = None, *, rd_divisor: int = 8,
        act_layer: str | type[nn.Module] = nn.ReLU, norm_layer: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        reduced = rd_channels or make_divisible(channels * rd_ratio, rd_divisor, round_limit=0.0)
        self.fc1 = nn.Conv2d(channels, reduced, 1)
        self.bn = norm_layer(reduced) if norm_layer is not None else nn.Identity()
        self.act = create_act(act_layer, inplace=True)
        self.fc2 = nn.Conv2d(reduced, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        weights = self.fc2(self.act(self.bn(self.fc1(weights))))
        return x * self.gate(weights)


class EcaModule(nn.Module):
    """Efficient channel attention: [B, C, H, W] -> [B, C, H, W].

    Each channel's weight comes from its few neighbours by a 1-D convolution: a handful of parameters.
    Wang et al., "ECA-Net", 2020.
    """

    def __init__(self, channels: int, kernel_size: int | None = None, *, gamma: int = 2, beta: int = 1):
        super().__init__()
        if kernel_size is None:  # the paper's rule: wider for more channels, always odd
            t = int(abs(math.log2(channels) + beta) / gamma)
            kernel_size = max(t if t % 2 else t + 1, 3)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}: a channel and its neighbours are an odd number.")
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=(kernel_size - 1) // 2, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3)).unsqueeze(1)  # [B, 1, C]
        weights = self.gate(self.conv(weights))
        return x * weights.transpose(1, 2).unsqueeze(-1)  # [B, C, 1, 1]


class EffectiveSEModule(nn.Module):
    """Squeeze-and-excitation in one layer: [B, C, H, W] -> [B, C, H, W].

    A narrow layer in the middle would throw information about the channels away, so there is none.
    Lee and Park, "CenterMask", 2019, section 2.3.2.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc(x.mean((2, 3), keepdim=True)))  # weights [B, C, 1, 1]


class ChannelAttention(nn.Module):
    """CBAM's first half, which channels: [B, C, H, W] -> the same shape.

    As squeeze-and-excitation, but the strongest answer of each channel is heard beside its mean.
    """

    def __init__(self, channels: int, reduced: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, reduced, 1, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(reduced, channels, 1, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        summaries = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)  # [B, C, 1, 1] each
        return x * self.gate(sum(self.fc2(self.act(self.fc1(summary))) for summary in summaries))


class SpatialAttention(nn.Module):
    """CBAM's second half, which places: [B, C, H, W] -> the same shape.

    Mean and maximum over the channels make a map of two, and a convolution on it weighs each place.
    """

    def __init__(self, kernel_size: int = 7):
        super().__init__()
        self.conv = ConvNormAct(2, 1, kernel_size, apply_act=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)  # [B, 2, H, W]
        return x * self.gate(self.conv(summary))


class CbamModule(nn.Module):
    """Convolutional block attention: which channels, then which places: [B, C, H, W] -> [B, C, H, W].

    rd_ratio, rd_channels: width of the narrow layer between;  spatial_kernel_size: how far a place looks
                           around
    Woo et al., "CBAM: Convolutional Block Attention Module", 2018.
    """

    def __init__(
        self, channels: int, rd_ratio: float = 1 / 16, rd_channels: int | None = None, *, rd_divisor: int = 1,
        spatial_kernel_size: int = 7,
    ):
        super().__init__()
        reduced = rd_channels or make_divisible(channels * rd_ratio, rd_divisor, round_limit=0.0)
        self.channel = ChannelAttention(channels, reduced)
        self.spatial = SpatialAttention(spatial_kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.channel(x))


CBAM = CbamModule

ATTENTION = {"se": SEModule, "eca": EcaModule, "ese": EffectiveSEModule, "cbam": CbamModule}


def create_attn(kind: str | type[nn.Module] | None, channels: int, **options) -> nn.Module | None:
    """A channel-attention module by name ("se", "eca", "ese", "cbam") or class; None or "" gives None.

    Raises ValueError with the known names.
    """
    if not kind:
        return None
    if isinstance(kind, str):
        if kind not in ATTENTION:
            raise ValueError(f"Unknown channel attention {kind!r}. Known: {', '.join(ATTENTION)}.")
        kind = ATTENTION[kind]
    return kind(channels, **options)
