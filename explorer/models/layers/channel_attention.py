"""Channel attention: let the network turn whole channels up or down, photo by photo."""

from __future__ import annotations

import math

from torch import Tensor, nn

from explorer.models.layers.activations import create_act


def make_divisible(value: float, divisor: int = 8, *, round_limit: float = 0.9) -> int:
    """`value` rounded to a multiple of `divisor`, never below `round_limit` of it.

    Hardware likes channel counts of 8; MobileNetV2 (2018) brought the rule.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < round_limit * value else rounded


class SEModule(nn.Module):
    """Squeeze-and-excitation: [B, C, H, W] -> [B, C, H, W].

    The mean of each channel goes through two small layers, whose sigmoid weighs the channels.
    Hu et al., "Squeeze-and-Excitation Networks", 2018.
    """

    def __init__(
        self, channels: int, rd_ratio: float = 1 / 16, rd_channels: int | None = None, *, rd_divisor: int = 8,
        act_layer: str | type[nn.Module] = nn.ReLU,
    ):
        super().__init__()
        reduced = rd_channels or make_divisible(channels * rd_ratio, rd_divisor, round_limit=0.0)
        self.fc1 = nn.Conv2d(channels, reduced, 1)
        self.bn = nn.Identity()  # shown by timm between the two; no parameters
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


ATTENTION = {"se": SEModule, "eca": EcaModule, "ese": EffectiveSEModule}


def create_attn(kind: str | type[nn.Module] | None, channels: int, **options) -> nn.Module | None:
    """A channel-attention module by name ("se", "eca", "ese") or class; None or "" gives None.

    Raises ValueError with the known names.
    """
    if not kind:
        return None
    if isinstance(kind, str):
        if kind not in ATTENTION:
            raise ValueError(f"Unknown channel attention {kind!r}. Known: {', '.join(ATTENTION)}.")
        kind = ATTENTION[kind]
    return kind(channels, **options)
