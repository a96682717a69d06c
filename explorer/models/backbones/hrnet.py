"""HRNet: a network that never gives up its large map.

Other networks shrink the photo step by step, and whoever asks where things are must blow the small
map up again. This one keeps a map at a quarter of the photo's side from the first block to the
last, and lays smaller, wider ones beside it; again and again each of them receives what all the
others have found. So the last large map is sharp and still knows what the smallest one understood.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", 2019,
https://arxiv.org/abs/1908.07919. Parameter names are the authors' and timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.pool import create_classifier
from explorer.models.layers.resnet_blocks import BasicBlock, Bottleneck, Parts, conv, conv_shortcut

#: What HRNet's blocks are made of: plain ResNet blocks.
PARTS = Parts(norm=nn.BatchNorm2d, act=partial(create_act, "relu", inplace=True),
              attn=lambda channels: None, aa="", cardinality=1, base_width=64, reduce_first=1)


def blocks(kind: type[nn.Module], in_chans: int, width: int, count: int) -> nn.Sequential:
    """`count` ResNet blocks: [B, in_chans, H, W] -> [B, width * expansion, H, W]."""
    out = width * kind.expansion
    layers = []
    for i in range(count):
        shortcut = None
        if i == 0 and in_chans != out:
            shortcut = conv_shortcut(in_chans, out, kernel=1, stride=1, dilation=1,
                                     first_dilation=1, norm=PARTS.norm)
        layers.append(kind(in_chans if i == 0 else out, width, PARTS, stride=1, dilation=1,
                           first_dilation=1, shortcut=shortcut, drop_path=0.0))
    return nn.Sequential(*layers)


def conv_norm(in_chans: int, out_chans: int, *, kernel: int = 3, stride: int = 1,
              act: bool = True) -> nn.Sequential:
    """Convolution, BatchNorm and, unless `act` is False, ReLU."""
    layers = [conv(in_chans, out_chans, kernel, stride=stride), nn.BatchNorm2d(out_chans)]
    return nn.Sequential(*layers, *([nn.ReLU()] if act else []))


def halve(in_chans: int, out_chans: int, times: int, *, act: bool) -> nn.Sequential:
    """Halve a map several times; only the last step changes the channels, and has a ReLU only with
    `act`.
    """
    steps = [conv_norm(in_chans, in_chans, stride=2) for _ in range(times - 1)]
    return nn.Sequential(*steps, conv_norm(in_chans, out_chans, stride=2, act=act))


class HighResolutionModule(nn.Module):
    """Blocks on every map, then every map receives the others: maps [B, Ci, H/2^i, W/2^i] -> maps
    of the same shapes.

    widths: the channels Ci, largest map first.
    """

    def __init__(self, widths: Sequence[int], depth: int):
        super().__init__()
        self.branches = nn.ModuleList(blocks(BasicBlock, width, width, depth) for width in widths)
        self.fuse_layers = nn.ModuleList(  # [to][from]
            nn.ModuleList(self._bring(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def _bring(widths: Sequence[int], source: int, target: int) -> nn.Module:
        """What gives one map the channels of another, and its size where that is smaller."""
        if source == target:
            return nn.Identity()
        if source > target:  # a smaller map, which is enlarged in `forward`
            return conv_norm(widths[source], widths[target], kernel=1, act=False)
        return halve(widths[source], widths[target], target - source, act=False)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps)]
        fused = []
        for own, layers in zip(maps, self.fuse_layers):
            size = own.shape[-2:]
            brought = [layer(x) for layer, x in zip(layers, maps)]
            fused.append(F.relu(sum(x if x.shape[-2:] == size else F.interpolate(x, size=size)
                                    for x in brought)))
        return fused


class HRNet(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    width:     channels of the largest map, at a quarter of the photo's side; each smaller map has
               twice as many
    stem:      (blocks, width) of the bottlenecks that come first
    modules:   how often two, three and four maps exchange what they know
    depth:     blocks on each map between two exchanges
    head_bias: biases of the convolutions in front of the classifier
    """

    classifier_path = "classifier"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        width: int = 18,
        stem: tuple[int, int] = (4, 64),
        modules: tuple[int, int, int] = (1, 4, 3),
        depth: int = 4,
        head_bias: bool = True,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("HRNet knows no stochastic depth: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        widths = [width * 2**i for i in range(4)]
        norm, act = nn.BatchNorm2d, PARTS.act

        self.conv1, self.bn1, self.act1 = conv(in_chans, 64, 3, stride=2), norm(64), act()
        self.conv2, self.bn2, self.act2 = conv(64, 64, 3, stride=2), norm(64), act()
        self.layer1 = blocks(Bottleneck, 64, stem[1], stem[0])
        chans = stem[1] * Bottleneck.expansion
        self.transition1 = nn.ModuleList([conv_norm(chans, widths[0]),
                                          halve(chans, widths[1], 1, act=True)])
        self.stage2 = self._exchange(widths[:2], modules[0], depth)
        self.transition2 = self._add_map(widths, 2)
        self.stage3 = self._exchange(widths[:3], modules[1], depth)
        self.transition3 = self._add_map(widths, 3)
        self.stage4 = self._exchange(widths, modules[2], depth)

        # The head: make each map wider, then add them up from the largest to the smallest.
        bottlenecks = (32, 64, 128, 256)
        outs = [b * Bottleneck.expansion for b in bottlenecks]
        self.incre_modules = nn.ModuleList(blocks(Bottleneck, c, b, 1)
                                           for c, b in zip(widths, bottlenecks))
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=head_bias), norm(b), act())
            for a, b in zip(outs, outs[1:])
        )
        self.num_features = 2048
        self.final_layer = nn.Sequential(nn.Conv2d(outs[-1], self.num_features, 1, bias=head_bias),
                                         norm(self.num_features), act())
        self.global_pool, self.classifier = create_classifier(self.num_features, num_classes,
                                                              global_pool)
        # timm's names of the stages; they are no modules, as the maps come out of the network's end
        # side by side
        self.stages = (Stage("stem", "stem", 64, 2), *(
            Stage(f"stage{i + 1}", f"stage{i + 1}", chans, 4 * 2**i)
            for i, chans in enumerate(outs)))
        self.init_weights()

    @staticmethod
    def _exchange(widths: Sequence[int], count: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(HighResolutionModule(widths, depth) for _ in range(count)))

    @staticmethod
    def _add_map(widths: Sequence[int], count: int) -> nn.ModuleList:
        """The maps so far pass untouched; the smallest of them also gives one of half its size."""
        return nn.ModuleList([*(nn.Identity() for _ in range(count)),
                              halve(widths[count - 1], widths[count], 1, act=True)])

    def init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.act1(self.bn1(self.conv1(x)))
        yield x  # stem [B, 64, H/2, W/2]
        x = self.layer1(self.act2(self.bn2(self.conv2(x))))
        maps = self.stage2([layer(x) for layer in self.transition1])  # two maps, at H/4 and H/8
        # and H/16
        maps = self.stage3([layer(x) for layer, x in zip(self.transition2, [*maps, maps[-1]])])
        # and H/32
        maps = self.stage4([layer(x) for layer, x in zip(self.transition3, [*maps, maps[-1]])])
        wide = []
        for widen, x in zip(self.incre_modules, maps):
            wide.append(widen(x))
            # [B, 128, H/4, W/4], [B, 256, H/8, W/8], [B, 512, H/16, W/16], [B, 1024, H/32, W/32]
            yield wide[-1]
        total = wide[0]
        for down, x in zip(self.downsamp_modules, wide[1:]):
            total = x + down(total)
        return self.final_layer(total)  # [B, 2048, H/32, W/32]

    def remove_head(self) -> None:
        """What adds the maps up goes too: no map depends on it."""
        super().remove_head()
        self.downsamp_modules, self.final_layer = nn.ModuleList(), nn.Identity()


MODEL = HRNet

VARIANTS: dict[str, dict[str, Any]] = {
    "hrnet_w18_small": dict(width=16, stem=(1, 32), modules=(1, 1, 1), depth=2),
    "hrnet_w18_small_v2": dict(width=18, stem=(2, 64), modules=(1, 3, 2), depth=2),
    "hrnet_w18": dict(width=18),
    "hrnet_w30": dict(width=30),
    "hrnet_w32": dict(width=32),
    "hrnet_w40": dict(width=40),
    "hrnet_w44": dict(width=44),
    "hrnet_w48": dict(width=48),
    "hrnet_w64": dict(width=64),
    "hrnet_w18_ssld": dict(width=18, head_bias=False),
    "hrnet_w48_ssld": dict(width=48, head_bias=False),
}
