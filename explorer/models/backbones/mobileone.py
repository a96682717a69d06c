"""MobileOne: one millisecond on a phone, because only a plain stack of convolutions is left.

Few multiplications do not make a network fast on a phone: reading and writing maps, and waiting for
branches, takes the time. MobileOne keeps MobileNet's pairs of a depthwise 3 x 3 and a 1 x 1
convolution, and trains each of them with branches beside it: up to four copies, a 1 x 1 "scale"
branch and a BatchNorm as shortcut. `reparameterize` then adds them all up into one convolution, so
the network that runs has no branch at all.

Vasu et al., "MobileOne: An Improved One millisecond Mobile Backbone", 2022,
https://arxiv.org/abs/2206.04040. Parameter names are timm's.
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


class MobileOneBlock(nn.Module):
    """One convolution, trained with branches: [B, in_chans, H, W]
    -> [B, out_chans, H/stride, W/stride].

    copies: how many convolutions of that kernel stand side by side, each with its BatchNorm, and
            are added. Beside
    them is a 1 x 1 convolution where the kernel is larger, and a BatchNorm alone where the shape
    stays.
    groups: in_chans for a depthwise convolution;  attn: channel attention in front of the
            activation, or None
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 groups: int = 1, copies: int = 1, attn: nn.Module | None = None,
                 act_layer: str = "relu", drop_path: float = 0.0):
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups
        same = stride == 1 and in_chans == out_chans
        self.identity = nn.BatchNorm2d(out_chans) if same else None
        self.conv_kxk = nn.ModuleList(
            ConvNormAct(in_chans, out_chans, kernel, stride=stride, groups=groups, apply_act=False)
            for _ in range(copies)
        )
        self.conv_scale = None
        if kernel > 1:
            self.conv_scale = ConvNormAct(in_chans, out_chans, 1, stride=stride, groups=groups,
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
            branches = sum(conv(x) for conv in self.conv_kxk)
            if self.conv_scale is not None:
                branches = branches + self.conv_scale(x)
            x = branches if self.identity is None else self.drop_path(branches) + self.identity(x)
        return self.act(self.attn(x))

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Replace the branches by one convolution that gives what they give in evaluation; in
        place.

        With BatchNorm folded into each branch (see `layers/reparam.py` for the algebra), the block
        computes
            sum over the copies (K_i * x + b_i)   +   S * x + b_s   +   E * x + b_e
        where S is 1 x 1, and E copies each channel, scaled by its BatchNorm. With zeros around S
        and E all filters have one size, and their sum is one convolution. A second call does
        nothing.
        """
        if self.reparam_conv is not None:
            return
        branches = [fold_conv_norm(conv) for conv in self.conv_kxk]
        if self.conv_scale is not None:
            branches.append(fold_conv_norm(self.conv_scale))
        if self.identity is not None:
            branches.append(fold_identity(self.identity, self.groups))
        self.reparam_conv = make_conv(add_filters(branches, self.kernel), like=self.conv_kxk,
                                      stride=self.stride, groups=self.groups)
        del self.identity, self.conv_kxk, self.conv_scale, self.drop_path


class MobileOne(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths:  pairs of a depthwise and a 1 x 1 convolution in each of the four stages;  widths: their
             channels
    copies:  convolutions that stand side by side in each block while it learns
    se:      in each stage, how many of the last pairs have squeeze-and-excitation, in both their
             blocks
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (2, 8, 10, 1),
        widths: tuple[int, int, int, int] = (48, 128, 256, 1024),
        copies: int = 1,
        se: tuple[int, int, int, int] = (0, 0, 0, 0),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        act_layer: str = "relu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        chans = min(64, widths[0])
        self.stem = MobileOneBlock(in_chans, chans, 3, stride=2, act_layer=act_layer)
        table, stages = [Stage("stem", "stem", chans, 2)], []
        rates = drop_path_rates(drop_path_rate, tuple(2 * depth for depth in depths))
        for i, (depth, out) in enumerate(zip(depths, widths)):
            blocks = []
            for j in range(depth):
                attended = j >= depth - se[i]
                for width, kernel, groups, stride, rate in (
                    # look around, in each channel by itself
                    (chans, 3, chans, 2 if j == 0 else 1, rates[i][2 * j]),
                    (out, 1, 1, 1, rates[i][2 * j + 1]),  # mix the channels
                ):
                    attn = SEModule(width, 1 / 16, rd_divisor=1) if attended else None
                    blocks.append(MobileOneBlock(chans, width, kernel, stride=stride, groups=groups,
                                                 copies=copies, attn=attn, act_layer=act_layer,
                                                 drop_path=rate))
                    chans = width
            stages.append(nn.Sequential(*blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, 4 * 2**i))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        table[-1] = Stage("stages.3", "final_conv", chans, 32)
        self.stage_table = table
        self.num_features = chans
        self.final_conv = nn.Identity()  # named by timm's table as the last map's place
        self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation by fan-out, which for a depthwise filter is its own channel's only."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def reparameterize(self) -> None:
        """Make every block one convolution, in place; outputs in evaluation stay the same. For
        predicting only.

        A file of an already re-parameterised MobileOne is loaded by calling this first, then
        `load_state_dict`.
        """
        reparameterize_parts(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)
        yield x  # stem      [B, 64, H/2, W/2]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, widths[0], H/4, W/4] ... stages.3 [B, widths[3], H/32, W/32]
        return self.final_conv(x)


MODEL = MobileOne

VARIANTS: dict[str, dict[str, Any]] = {
    "mobileone_s0": dict(widths=(48, 128, 256, 1024), copies=4),
    "mobileone_s1": dict(widths=(96, 192, 512, 1280)),
    "mobileone_s2": dict(widths=(96, 256, 640, 2048)),
    "mobileone_s3": dict(widths=(128, 320, 768, 2048)),
    "mobileone_s4": dict(widths=(192, 448, 896, 2048), se=(0, 0, 5, 1)),
}
