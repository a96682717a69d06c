"""Dual path networks: half ResNet, half DenseNet, in every block.

A ResNet adds what a block finds to what is known already, which reuses old features; a DenseNet
lays it beside them, which leaves room for new ones. Here each block does both: most of its result
is added to the first channels, a small share is appended behind them. So a map keeps its ResNet
part at one width, and its dense part grows block by block.

Chen et al., "Dual Path Networks", 2017, https://arxiv.org/abs/1707.01629. Parameter names are
timm's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct
from explorer.models.layers.pointwise import PointwiseClassifier
from explorer.models.layers.pool import SelectAdaptivePool2d

# --- blocks ---------------------------------------------------------------------------------------

norm_act = partial(BatchNormAct2d, eps=1e-3)


class NormAct(nn.Module):
    """BatchNorm and ReLU in front of a convolution, or of what else `conv` is."""

    def __init__(self, in_chans: int, conv: nn.Module | None = None, *, act_layer: str = "relu"):
        super().__init__()
        self.bn = norm_act(in_chans, act_layer=act_layer)
        self.conv = nn.Identity() if conv is None else conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.bn(x))


def pre_conv(in_chans: int, out_chans: int, kernel: int = 1, *, stride: int = 1,
             groups: int = 1) -> NormAct:
    return NormAct(in_chans, nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2,
                                       groups=groups, bias=False))


class Width(NamedTuple):
    """Of a stage's blocks: channels in the middle, of the part that is added to, and those that
    each block appends.
    """

    middle: int
    added: int
    grown: int


class DualPathBlock(nn.Module):
    """The first `added` channels are a sum, the others lie side by side.

    [B, in_chans, H, W] -> [B, in_chans + grown, H, W]
    first: the block that opens a stage; a 1 x 1 convolution gives the map its new width,
           [B, added + 3 * grown, ...], and halves it with stride 2
    split: two convolutions end the block, one for each path, where otherwise one result is cut in
           two
    """

    def __init__(self, in_chans: int, width: Width, *, groups: int, first: bool, stride: int,
                 split: bool):
        super().__init__()
        middle, self.added, grown = width
        self.project: str = f"c1x1_w_s{stride}" if first else ""  # its name tells the stride
        if first:
            self.add_module(self.project, pre_conv(in_chans, self.added + 2 * grown, stride=stride))
        self.c1x1_a = pre_conv(in_chans, middle)
        self.c3x3_b = pre_conv(middle, middle, 3, stride=stride, groups=groups)
        self.split = split
        if split:
            self.c1x1_c = NormAct(middle)
            self.c1x1_c1 = nn.Conv2d(middle, self.added, 1, bias=False)
            self.c1x1_c2 = nn.Conv2d(middle, grown, 1, bias=False)
        else:
            self.c1x1_c = pre_conv(middle, self.added + grown)

    def forward(self, x: Tensor) -> Tensor:
        known = getattr(self, self.project)(x) if self.project else x
        found = self.c1x1_c(self.c3x3_b(self.c1x1_a(x)))
        if self.split:
            add, append = self.c1x1_c1(found), self.c1x1_c2(found)
        else:
            add, append = found[:, :self.added], found[:, self.added:]
        return torch.cat((known[:, :self.added] + add, known[:, self.added:], append), dim=1)


# --- the model ------------------------------------------------------------------------------------


class DPN(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths:    blocks of each stage;  grown: channels that each block of it appends
    middle:    channels in the middle of the first stage's blocks; they double from stage to stage
    added:     those of the part that is added to; they double, too
    stem:      (channels, size of the filters) of the first convolution
    split:     see `DualPathBlock`;  act_layer: the stem's activation, and the one at the end
    """

    classifier_path = "classifier"
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (3, 4, 20, 3),
        grown: tuple[int, int, int, int] = (16, 32, 24, 128),
        middle: int = 96,
        added: int = 256,
        groups: int = 32,
        stem: tuple[int, int] = (64, 7),
        split: bool = False,
        act_layer: str = "relu",
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("DPN knows no stochastic depth: leave drop_path_rate at 0.")
        self.in_chans, self.drop_rate = in_chans, drop_rate
        chans, kernel = stem
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv1_1"] = ConvNormAct(in_chans, chans, kernel, 2, act_layer=act_layer,
                                        norm_layer=norm_act)
        layers["conv1_pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        stages = [Stage("conv1_1", "features.conv1_1", chans, 2)]
        for i, depth in enumerate(depths):
            width = Width(middle * 2**i, added * 2**i, grown[i])
            for j in range(depth):
                layers[f"conv{i + 2}_{j + 1}"] = DualPathBlock(
                    chans, width, groups=groups, first=j == 0, stride=2 if j == 0 and i > 0 else 1,
                    split=split)
                chans = chans + width.grown if j else width.added + 3 * width.grown
            stages.append(Stage(f"conv{i + 2}_{depth}", f"features.conv{i + 2}_{depth}", chans,
                                4 * 2**i))
        layers["conv5_bn_ac"] = NormAct(chans, act_layer=act_layer)
        self.features = nn.Sequential(layers)
        self.stages = tuple(stages)
        self.num_features = chans
        self.global_pool = SelectAdaptivePool2d(global_pool)
        self.reset_classifier(num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions; the classifier keeps PyTorch's."""
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        shown = {stage.module.removeprefix("features.") for stage in self.stages}
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in shown:
                yield x  # five maps: [B, C1, H/2, W/2] ... [B, C5, H/32, W/32]
        return x  # the last of them, behind BatchNorm and ReLU

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool = SelectAdaptivePool2d(pool, flatten=bool(pool))
        width = self.num_features * self.global_pool.feat_mult()
        place = parameter_place(self)
        self.classifier = (PointwiseClassifier(width, num_classes, **place) if num_classes
                           else nn.Identity())
        self.num_classes = num_classes


MODEL = DPN

_SMALL = dict(stem=(10, 3), added=64, middle=128, grown=(16, 32, 32, 64))


def _row(stem: tuple[int, int], depths: tuple[int, ...], grown: tuple[int, ...], middle: int,
         groups: int) -> dict[str, Any]:
    return dict(stem=stem, depths=depths, grown=grown, middle=middle, groups=groups)


VARIANTS: dict[str, dict[str, Any]] = {
    "dpn48b": dict(_SMALL, depths=(3, 4, 6, 3), split=True, act_layer="silu"),
    "dpn68": dict(_SMALL, depths=(3, 4, 12, 3)),
    "dpn68b": dict(_SMALL, depths=(3, 4, 12, 3), split=True),
    "dpn92": _row((64, 7), (3, 4, 20, 3), (16, 32, 24, 128), 96, 32),
    "dpn98": _row((96, 7), (3, 6, 20, 3), (16, 32, 32, 128), 160, 40),
    "dpn131": _row((128, 7), (4, 8, 28, 3), (16, 32, 32, 128), 160, 40),
    "dpn107": _row((128, 7), (4, 8, 20, 3), (20, 64, 64, 128), 200, 50),
}
