"""Selective kernel: two sizes of neighbourhood, weighed against each other for each channel."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import ConvNormAct


class SelectiveKernelAttn(nn.Module):
    """How much of each path is taken, for each channel: all paths' sum [B, C, H, W] -> [B, paths, C, 1, 1].
    """

    def __init__(self, channels: int, num_paths: int, reduced: int, act_layer: str | type[nn.Module]):
        super().__init__()
        self.num_paths = num_paths
        self.fc_reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn = nn.BatchNorm2d(reduced)
        self.act = create_act(act_layer, inplace=True)
        self.fc_select = nn.Conv2d(reduced, channels * num_paths, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        x = self.fc_select(self.act(self.bn(self.fc_reduce(x))))
        return x.unflatten(1, (self.num_paths, -1)).softmax(1)


class SelectiveKernel(nn.Module):
    """Convolutions that see 3 x 3 and 5 x 5 pixels, and their weighted sum.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]

    The larger neighbourhood costs no more than the smaller: its 3 x 3 weights lie two pixels apart.
    split_input: each path reads its own half of the channels, which halves the work.
    rd_ratio, rd_divisor: width of the attention's narrow layer.
    Li et al., "Selective Kernel Networks", 2019, section 3.1.
    """

    def __init__(
        self, in_chans: int, out_chans: int, *, stride: int = 1, dilation: int = 1, groups: int = 1,
        rd_ratio: float = 1 / 16, rd_divisor: int = 8, split_input: bool = True,
        act_layer: str | type[nn.Module] = nn.ReLU,
    ):
        super().__init__()
        dilations = (dilation, 2 * dilation)
        if split_input and in_chans % len(dilations):
            raise ValueError(f"{in_chans} channels can't be split into halves: leave split_input out.")
        self.split_input = split_input
        chans = in_chans // len(dilations) if split_input else in_chans
        self.paths = nn.ModuleList(
            ConvNormAct(chans, out_chans, 3, stride, padding=d, dilation=d, groups=groups,
                        act_layer=act_layer)
            for d in dilations
        )
        reduced = make_divisible(out_chans * rd_ratio, rd_divisor, round_limit=0.0)
        self.attn = SelectiveKernelAttn(out_chans, len(dilations), reduced, act_layer)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.chunk(len(self.paths), 1) if self.split_input else (x,) * len(self.paths)
        small, large = (path(part) for path, part in zip(self.paths, inputs))
        weights = self.attn(small + large)  # [B, 2, out, 1, 1]
        return small * weights[:, 0] + large * weights[:, 1]
