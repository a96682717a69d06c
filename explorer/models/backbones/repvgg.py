"""RepVGG: train a network with shortcuts, use it without.

A plain stack of 3 x 3 convolutions is what every chip computes fastest, and it learns badly. RepVGG
therefore trains each 3 x 3 convolution with two helpers at its side, a 1 x 1 convolution and a
shortcut, which are added to it. All three are linear, so once training is over `reparameterize`
adds them up into a single 3 x 3 convolution: the same answers from a network as plain as VGG.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", 2021,
https://arxiv.org/abs/2101.03697. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import SEModule
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import ClassifierHead
from explorer.models.layers.reparam import (
    add_filters,
    fold_conv_norm,
    fold_identity,
    make_conv,
    reparameterize_parts,
)


class RepVggBlock(nn.Module):
    """3 x 3 and 1 x 1 convolution and a shortcut, added: [B, in_chans, H, W]
    -> [B, out_chans, H/stride, W/stride].

    Each of the three has its own BatchNorm; the only activation is behind the sum. The shortcut
    exists where the shape stays. dilation: of the 3 x 3 convolution;  attn: channel attention in
    front of the activation, or None
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int = 1, dilation: int = 1,
                 groups: int = 1, attn: nn.Module | None = None, act_layer: str = "relu",
                 drop_path: float = 0.0):
        super().__init__()
        self.stride, self.dilation, self.groups = stride, dilation, groups
        same = stride == 1 and in_chans == out_chans
        self.identity = nn.BatchNorm2d(out_chans) if same else None
        self.conv_kxk = ConvNormAct(in_chans, out_chans, 3, stride=stride, padding=dilation,
                                    dilation=dilation, groups=groups, apply_act=False)
        self.conv_1x1 = ConvNormAct(in_chans, out_chans, 1, stride=stride, groups=groups,
                                    apply_act=False)
        # only beside a shortcut: without one, a dropped sample would be gone
        self.drop_path = DropPath(drop_path) if drop_path and same else nn.Identity()
        self.attn = attn if attn is not None else nn.Identity()
        self.act = create_act(act_layer, inplace=True)
        self.reparam_conv = None  # what `reparameterize` puts in the place of the branches

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            x = self.reparam_conv(x)
        else:
            branches = self.conv_1x1(x) + self.conv_kxk(x)
            x = branches if self.identity is None else self.drop_path(branches) + self.identity(x)
        return self.act(self.attn(x))

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Replace the branches by one 3 x 3 convolution that gives what they give in evaluation; in
        place.

        With BatchNorm folded into each branch (see `layers/reparam.py` for the algebra), the block
        computes
            K3 * x + b3   +   K1 * x + b1   +   E * x + b0
        where E copies each channel, scaled by its BatchNorm. K1 and E are 1 x 1: with zeros around
        them they are 3 x 3 filters too, and K3 + K1 + E, b3 + b1 + b0 make up one convolution.
        A second call does nothing.
        """
        if self.reparam_conv is not None:
            return
        branches = [fold_conv_norm(self.conv_kxk), fold_conv_norm(self.conv_1x1)]
        if self.identity is not None:
            branches.append(fold_identity(self.identity, self.groups))
        self.reparam_conv = make_conv(add_filters(branches, 3), like=self.conv_kxk,
                                      stride=self.stride, dilation=self.dilation,
                                      groups=self.groups)
        del self.identity, self.conv_kxk, self.conv_1x1, self.drop_path


class RepVGG(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths:      blocks in each of the four stages
    width:       multiplier of the channels 64, 128, 256 of the first three stages;  last_width: of
                 the last one's 512
    groups:      of the convolutions in every second block; 1: whole ones everywhere
    se:          squeeze-and-excitation in every block
    output_stride: 32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (2, 4, 14, 1),
        width: float = 1.0,
        last_width: float = 2.5,
        groups: int = 1,
        se: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        act_layer: str = "relu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: RepVGG offers 8, 16 and 32.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        def block(before: int, after: int, **options: Any) -> RepVggBlock:
            attn = SEModule(after, 1 / 16, rd_divisor=1) if se else None
            return RepVggBlock(before, after, attn=attn, act_layer=act_layer, **options)

        chans = min(64, int(64 * width))
        self.stem = block(in_chans, chans, stride=2)
        table, stages, stride_so_far, dilation = [Stage("stem", "stem", chans, 2)], [], 2, 1
        rates = drop_path_rates(drop_path_rate, depths)
        widths = [int(64 * width), int(128 * width), int(256 * width), int(512 * last_width)]
        for i, (depth, out) in enumerate(zip(depths, widths)):
            stride, before = 2, dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            blocks = []
            for j in range(depth):
                blocks.append(block(
                    chans, out, stride=stride if j == 0 else 1,
                    dilation=before if j == 0 else dilation, groups=groups if j % 2 else 1,
                    drop_path=rates[i][j],
                ))
                chans = out
            stages.append(nn.Sequential(*blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, stride_so_far))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        table[-1] = Stage("stages.3", "final_conv", chans, stride_so_far)
        self.stage_table = table
        self.num_features = chans
        self.final_conv = nn.Identity()  # named by timm's table as the last map's place
        self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation by fan-out, of each group; small random BatchNorms, since three
        branches add up.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 0.1, 0.1)
                nn.init.normal_(module.bias, 0.0, 0.1)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def reparameterize(self) -> None:
        """Make every block one convolution, in place; outputs in evaluation stay the same. For
        predicting only.

        A file of an already re-parameterised RepVGG is loaded by calling this first, then
        `load_state_dict`.
        """
        reparameterize_parts(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)
        yield x  # stem      [B, 64, H/2, W/2]
        for stage in self.stages:
            x = stage(x)
            # stages.0 [B, 64 * width, H/4, W/4] ... stages.3 [B, 512 * last_width, H/32, W/32]
            yield x
        return self.final_conv(x)


MODEL = RepVGG

_B = dict(depths=(4, 6, 16, 1))

VARIANTS: dict[str, dict[str, Any]] = {
    "repvgg_a0": dict(width=0.75, last_width=2.5),
    "repvgg_a1": dict(width=1.0, last_width=2.5),
    "repvgg_a2": dict(width=1.5, last_width=2.75),
    "repvgg_b0": dict(_B, width=1.0, last_width=2.5),
    "repvgg_b1": dict(_B, width=2.0, last_width=4.0),
    "repvgg_b1g4": dict(_B, width=2.0, last_width=4.0, groups=4),
    "repvgg_b2": dict(_B, width=2.5, last_width=5.0),
    "repvgg_b2g4": dict(_B, width=2.5, last_width=5.0, groups=4),
    "repvgg_b3": dict(_B, width=3.0, last_width=5.0),
    "repvgg_b3g4": dict(_B, width=3.0, last_width=5.0, groups=4),
    "repvgg_d2se": dict(depths=(8, 14, 24, 1), width=2.5, last_width=5.0, se=True),
}
