"""Split attention: several maps from one convolution, weighed against each other for each channel."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from explorer.models.layers.channel_attention import make_divisible


class SplitAttention(nn.Module):
    """A 3 x 3 convolution that makes `radix` maps, and their weighted sum.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]

    For each channel, a softmax over the maps says how much of each is taken; it is computed from the mean of
    their sum over the whole photo. With radix 1 the one map is weighed by a sigmoid. norm and act make the
    layers in between. Zhang et al., "ResNeSt: Split-Attention Networks", 2020, section 3.1.
    """

    def __init__(
        self, in_chans: int, out_chans: int, *, stride: int = 1, dilation: int = 1, groups: int = 1,
        radix: int = 2, rd_ratio: float = 0.25, norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        act: Callable[[], nn.Module] = nn.ReLU,
    ):
        super().__init__()
        self.radix, self.groups = radix, groups
        hidden = max(32, make_divisible(in_chans * radix * rd_ratio))
        self.conv = nn.Conv2d(in_chans, out_chans * radix, 3, stride, padding=dilation, dilation=dilation,
                              groups=groups * radix, bias=False)
        self.bn0 = norm(out_chans * radix)
        self.act0 = act()
        self.fc1 = nn.Conv2d(out_chans, hidden, 1, groups=groups)
        self.bn1 = norm(hidden)
        self.act1 = act()
        self.fc2 = nn.Conv2d(hidden, out_chans * radix, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.act0(self.bn0(self.conv(x))).unflatten(1, (self.radix, -1))  # [B, R, C, H, W]
        weights = maps.sum(1).mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        weights = self.fc2(self.act1(self.bn1(self.fc1(weights))))  # [B, R * C, 1, 1]
        if self.radix == 1:
            weights = weights.sigmoid().unsqueeze(1)  # [B, 1, C, 1, 1]
        else:
            # each of the G groups of fc2 gives its own channels for all maps: [B, G, R, C/G, 1, 1]
            weights = weights.unflatten(1, (self.groups, self.radix, -1)).softmax(2)
            weights = weights.transpose(1, 2).flatten(2, 3)  # [B, R, C, 1, 1]
        return (maps * weights).sum(1)
