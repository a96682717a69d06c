"""VoVNet: DenseNet's wealth of features without its price.

DenseNet hands every layer's map to all later layers, which costs memory traffic more than
arithmetic. VoVNet lets its layers follow each other plainly and puts all their maps together once,
at the end of each block ("one-shot aggregation"), so its result still holds small and large
neighbourhoods. The second version ("b") adds a shortcut around the blocks and a cheap channel
attention at each stage's end.

Lee et al., "An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object
Detection", 2019, https://arxiv.org/abs/1904.09730; version 2: Lee and Park, "CenterMask", 2019,
https://arxiv.org/abs/1911.06667.
Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.channel_attention import create_attn
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.evo_norm import EvoNorm2dS0
from explorer.models.layers.pool import ClassifierHead


class SeparableConvNormAct(nn.Module):
    """A 3 x 3 convolution in two cheap steps, filter each channel and mix them; then norm and
    activation.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 norm_layer: Callable, act_layer: str):
        super().__init__()
        self.conv_dw = nn.Conv2d(in_chans, in_chans, kernel, stride, kernel // 2, groups=in_chans,
                                 bias=False)
        self.conv_pw = nn.Conv2d(in_chans, out_chans, 1, bias=False)
        self.bn = norm_layer(out_chans, act_layer=act_layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv_pw(self.conv_dw(x)))


class OsaBlock(nn.Module):
    """One-shot aggregation: [B, in_chans, H, W] -> [B, out_chans, H, W].

    layers:    3 x 3 convolutions in a row, each with `mid_chans` channels
    reduction: a 1 x 1 convolution to `mid_chans` first, which depthwise layers need
    residual:  add the block's input to its output (in_chans must be out_chans)
    attn:      channel attention behind the aggregation, or None
    """

    def __init__(self, in_chans: int, mid_chans: int, out_chans: int, *, layers: int,
                 conv: Callable, conv1x1: Callable, reduction: bool, residual: bool,
                 attn: nn.Module | None, drop_path: float):
        super().__init__()
        self.residual = residual
        self.conv_reduction = conv1x1(in_chans, mid_chans, 1) if reduction else nn.Identity()
        first = mid_chans if reduction else in_chans
        widths = [first] + [mid_chans] * layers
        self.conv_mid = nn.Sequential(*(conv(a, b, 3) for a, b in zip(widths, widths[1:])))
        self.conv_concat = conv1x1(in_chans + layers * mid_chans, out_chans, 1)
        self.attn = attn if attn is not None else nn.Identity()
        # only where a shortcut is left: without one, a dropped sample would be gone
        self.drop_path = DropPath(drop_path) if drop_path and residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut, maps = x, [x]
        x = self.conv_reduction(x)
        for layer in self.conv_mid:
            x = layer(x)
            maps.append(x)
        x = self.conv_concat(torch.cat(maps, 1))  # [B, in + layers * mid, H, W] -> [B, out, H, W]
        x = self.drop_path(self.attn(x))
        return x + shortcut if self.residual else x


class OsaStage(nn.Module):
    """Blocks of equal width behind a max pool: [B, in, H, W] -> [B, out, H/2, W/2].

    pool: whether there is one; the map keeps its size without it.
    """

    def __init__(self, blocks: list[OsaBlock], *, pool: bool):
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True) if pool else nn.Identity()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.pool(x))


class VovNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    stem_chans:  channels of the stem's three convolutions
    mid_chans, out_chans: in each stage, channels of the layers inside a block and of its result
    depths:      blocks in each of the four stages;  layers: convolutions in a row in each block
    depthwise:   3 x 3 convolutions in two cheap steps (all but the first)
    residual:    shortcuts around all blocks but each stage's first
    attn:        "", "ese" or "eca": channel attention at each stage's end
    norm_layer:  a norm that brings its activation
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        stem_chans: tuple[int, int, int] = (64, 64, 128),
        mid_chans: tuple[int, int, int, int] = (128, 160, 192, 224),
        out_chans: tuple[int, int, int, int] = (256, 512, 768, 1024),
        depths: tuple[int, int, int, int] = (1, 1, 2, 2),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        layers: int = 5,
        depthwise: bool = False,
        residual: bool = False,
        attn: str = "",
        act_layer: str = "relu",
        norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        full = partial(ConvNormAct, act_layer=act_layer, norm_layer=norm_layer)
        conv = full
        if depthwise:
            conv = partial(SeparableConvNormAct, act_layer=act_layer, norm_layer=norm_layer)

        first, second, chans = stem_chans
        self.stem = nn.Sequential(
            full(in_chans, first, 3, stride=2), conv(first, second, 3),
            conv(second, chans, 3, stride=2)
        )
        table, stages = [Stage("stem", "stem.1", second, 2)], []
        rates = drop_path_rates(drop_path_rate, depths)
        for i, (depth, mid, out) in enumerate(zip(depths, mid_chans, out_chans)):
            blocks = []
            for j in range(depth):
                blocks.append(OsaBlock(
                    chans, mid, out, layers=layers, conv=conv, conv1x1=full,
                    reduction=depthwise and chans != mid, residual=residual and j > 0,
                    attn=create_attn(attn, out) if j == depth - 1 else None, drop_path=rates[i][j],
                ))
                chans = out
            stages.append(OsaStage(blocks, pool=i > 0))  # the stem has halved twice already
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, 4 * 2**i))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.num_features = chans
        self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions; biases, where there are any, start at zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem[1](self.stem[0](x))
        yield x  # stem      [B, 64, H/2, W/2]
        x = self.stem[2](x)
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, 256, H/4, W/4] ... stages.3 [B, 1024, H/32, W/32]
        return x


MODEL = VovNet

_B = dict(residual=True, attn="ese")  # version 2
_DW = dict(depthwise=True, stem_chans=(64, 64, 64))
_SLIM = dict(mid_chans=(64, 80, 96, 112), out_chans=(112, 256, 384, 512))

VARIANTS: dict[str, dict[str, Any]] = {
    "vovnet39a": dict(depths=(1, 1, 2, 2)),
    "vovnet57a": dict(depths=(1, 1, 4, 3)),
    "ese_vovnet19b_slim_dw": dict(depths=(1, 1, 1, 1), layers=3, **_B, **_DW, **_SLIM),
    "ese_vovnet19b_dw": dict(depths=(1, 1, 1, 1), layers=3, **_B, **_DW),
    "ese_vovnet19b_slim": dict(depths=(1, 1, 1, 1), layers=3, **_B, **_SLIM),
    "ese_vovnet39b": dict(depths=(1, 1, 2, 2), **_B),
    "ese_vovnet57b": dict(depths=(1, 1, 4, 3), **_B),
    "ese_vovnet99b": dict(depths=(1, 3, 9, 3), **_B),
    "eca_vovnet39b": dict(depths=(1, 1, 2, 2), residual=True, attn="eca"),
    "ese_vovnet39b_evos": dict(depths=(1, 1, 2, 2), **_B, norm_layer=EvoNorm2dS0),
}
