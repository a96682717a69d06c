"""DenseNet: nothing is ever forgotten.

Each layer reads the maps of all layers before it in its block, and adds a few channels of its own
to the pile. A feature found once is there for everybody behind, so that a layer can be narrow: 32
channels where a ResNet has hundreds. Between two blocks a transition squeezes the pile to half its
channels and halves the map.

Huang et al., "Densely Connected Convolutional Networks", 2016, https://arxiv.org/abs/1608.06993.
Parameter names are torchvision's and timm's.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.pool import BlurPool2d, create_classifier


class DenseLayer(nn.Module):
    """What one layer adds to the pile: [B, C, H, W] -> [B, growth, H, W].

    The 1 x 1 convolution first narrows the pile, however high it is, to `bottleneck * growth`
    channels. Norm and activation come before each convolution: every reader of the pile scales it
    its own way.
    """

    def __init__(self, in_chans: int, growth: int, *, bottleneck: int, act_layer: str,
                 proj_drop: float):
        super().__init__()
        self.norm1 = BatchNormAct2d(in_chans, act_layer=act_layer)
        self.conv1 = nn.Conv2d(in_chans, bottleneck * growth, 1, bias=False)
        self.norm2 = BatchNormAct2d(bottleneck * growth, act_layer=act_layer)
        self.conv2 = nn.Conv2d(bottleneck * growth, growth, 3, padding=1, bias=False)
        self.proj_drop = proj_drop

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.norm1(x))
        x = self.conv2(self.norm2(x))
        return F.dropout(x, self.proj_drop, self.training)


class DenseBlock(nn.Module):
    """The pile: [B, C, H, W] -> [B, C + depth * growth, H, W]."""

    def __init__(self, in_chans: int, growth: int, *, depth: int, **options: Any):
        super().__init__()
        for i in range(depth):
            self.add_module(f"denselayer{i + 1}",
                            DenseLayer(in_chans + i * growth, growth, **options))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat((x, layer(x)), dim=1)
        return x


class Transition(nn.Sequential):
    """Between two blocks: [B, in, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, in_chans: int, out_chans: int, act_layer: str):
        super().__init__()
        self.norm = BatchNormAct2d(in_chans, act_layer=act_layer)
        self.conv = nn.Conv2d(in_chans, out_chans, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class DenseNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    growth_rate:  channels that each layer adds;  depths: layers in each of the four blocks
    bottleneck:   a layer first narrows the pile to this many times its growth
    stem:         "" (one 7 x 7) or "deep" (three 3 x 3)
    aa:           "" or "blur": what halves the map behind the stem
    proj_drop_rate: dropout of what each layer adds;  drop_rate: dropout before the classifier
    """

    classifier_path = "classifier"
    feature_names = "_"

    def __init__(
        self,
        *,
        growth_rate: int = 32,
        depths: tuple[int, int, int, int] = (6, 12, 24, 16),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        bottleneck: int = 4,
        stem: str = "",
        aa: str = "",
        act_layer: str = "relu",
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("DenseNet has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        for option, value, known in (("stem", stem, ("", "deep")), ("aa", aa, ("", "blur"))):
            if value not in known:
                raise ValueError(f"{option} is {value!r}: "
                                 f"use one of {', '.join(map(repr, known))}.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        chans = 2 * growth_rate
        self.features = nn.Sequential()
        plan = ([(growth_rate, 3, 2), (growth_rate, 3, 1), (chans, 3, 1)] if stem
                else [(chans, 7, 2)])
        before = in_chans
        for i, (width, kernel, stride) in enumerate(plan):
            conv = nn.Conv2d(before, width, kernel, stride, padding=kernel // 2, bias=False)
            self.features.add_module(f"conv{i}", conv)
            self.features.add_module(f"norm{i}", BatchNormAct2d(width, act_layer=act_layer))
            before = width
        stages = [Stage("stem", f"features.norm{len(plan) - 1}", chans, 2)]
        pool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        if aa:
            pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), BlurPool2d(chans))
        self.features.add_module("pool0", pool)

        for i, depth in enumerate(depths, start=1):
            block = DenseBlock(chans, growth_rate, depth=depth, bottleneck=bottleneck,
                               act_layer=act_layer, proj_drop=proj_drop_rate)
            self.features.add_module(f"denseblock{i}", block)
            chans += depth * growth_rate
            if i < len(depths):
                stages.append(Stage(f"denseblock{i}", f"features.denseblock{i}", chans,
                                    2 ** (i + 1)))
                self.features.add_module(f"transition{i}", Transition(chans, chans // 2, act_layer))
                chans //= 2
        # the last pile has no transition behind it, only a norm
        self.features.add_module("norm5", BatchNormAct2d(chans, act_layer=act_layer))
        stages.append(Stage(f"denseblock{len(depths)}", "features.norm5", chans,
                            2 ** (len(depths) + 1)))

        self.stages = tuple(stages)
        self.num_features = chans
        self.global_pool, self.classifier = create_classifier(chans, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions; the classifier starts without a bias."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {stage.module.removeprefix("features.") for stage in self.stages}
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in ends:
                # [B, 64, H/2, W/2], [B, 256, H/4, W/4] ... [B, 1024, H/16, W/16], [B, 1024, H/32,
                # W/32]
                yield x
        return x


MODEL = DenseNet

VARIANTS: dict[str, dict[str, Any]] = {
    "densenet121": dict(growth_rate=32, depths=(6, 12, 24, 16)),
    "densenet161": dict(growth_rate=48, depths=(6, 12, 36, 24)),
    "densenet169": dict(growth_rate=32, depths=(6, 12, 32, 32)),
    "densenet201": dict(growth_rate=32, depths=(6, 12, 48, 32)),
    "densenet264d": dict(growth_rate=48, depths=(6, 12, 64, 48), stem="deep"),
    "densenetblur121d": dict(growth_rate=32, depths=(6, 12, 24, 16), stem="deep", aa="blur"),
}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names are ours, but its published files still say "norm.1" and "conv.2" in the
    layers.
    """
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
    return {old.sub(r"\1\2.", key): value for key, value in state.items()}


KEY_MAPS = {"torchvision": _from_torchvision}
