"""Inception v3: filters of several sizes beside each other, factorised into cheaper ones.

As in GoogLeNet, a block convolves its input with filters of several sizes beside each other and
concatenates the results, since nobody knows beforehand which reach is right. The paper factorises
the large filters: 5 x 5 becomes two of 3 x 3, and 7 x 7 becomes 1 x 7 and then 7 x 1, which see as
far for a fraction of the work. With BatchNorm in every layer and label smoothing, which the paper
introduces, that was the most accurate network of its time.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015,
https://arxiv.org/abs/1512.00567. Layer names are those of Google's release, as torchvision and timm
keep them. The second classifier half-way, which helped only while training, is left out;
checkpoints that bring it load without it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.inception import inception_conv
from explorer.models.layers.pool import create_classifier

# A path: its convolutions as (channels, kernel), one behind the other. A list of two reads the same
# map twice.
Path = Sequence[tuple | list]


class Mixed(nn.Module):
    """Paths beside each other: [B, C, H, W] -> [B, all paths' channels together, H, W].

    paths: name -> path. The one called "branch_pool" averages 3 x 3 neighbours before its
           convolution.
    halve: every path ends at stride 2, without padding, and a max pool is one more path:
    [B, ..., (H-1)//2, (W-1)//2].
    """

    def __init__(self, in_chans: int, paths: Mapping[str, Path], *, halve: bool = False):
        super().__init__()
        self.halve = halve
        self.steps: dict[str, list[list[str]]] = {}  # path -> names of its layers, in order
        self.out_chans = in_chans if halve else 0
        for path, layers in paths.items():
            before, steps = in_chans, []
            for i, layer in enumerate(layers, start=1):
                last = i == len(layers)
                base = path if len(layers) == 1 else f"{path}_{i}"
                names, out = [], 0
                for letter, (channels, kernel) in zip("ab",
                                                      layer if isinstance(layer, list)
                                                      else [layer]):
                    names.append(base + letter if isinstance(layer, list) else base)
                    how = "halve" if halve and last else "keep"
                    self.add_module(names[-1], inception_conv(before, channels, kernel, how))
                    out += channels
                steps.append(names)
                before = out
            self.steps[path] = steps
            self.out_chans += before

    def forward(self, x: Tensor) -> Tensor:
        answers = []
        for path, steps in self.steps.items():
            y = F.avg_pool2d(x, 3, stride=1, padding=1) if path == "branch_pool" else x
            for names in steps:
                maps = [getattr(self, name)(y) for name in names]
                y = maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)
            answers.append(y)
        if self.halve:
            answers.append(F.max_pool2d(x, 3, stride=2))
        return torch.cat(answers, dim=1)


# --- the blocks of the paper's figures ------------------------------------------------------------

ROW, COLUMN = (1, 7), (7, 1)


def figure_5(pool: int) -> dict[str, Path]:
    """At 1/8 of the photo: 1 x 1, 5 x 5, and 5 x 5 taken apart."""
    return {
        "branch1x1": [(64, 1)],
        "branch5x5": [(48, 1), (64, 5)],
        "branch3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "branch_pool": [(pool, 1)],
    }


def figure_6(narrow: int) -> dict[str, Path]:
    """At 1/16: one 7 x 7, and two of them, as rows and columns."""
    return {
        "branch1x1": [(192, 1)],
        "branch7x7": [(narrow, 1), (narrow, ROW), (192, COLUMN)],
        "branch7x7dbl": [(narrow, 1), (narrow, COLUMN), (narrow, ROW), (narrow, COLUMN),
                         (192, ROW)],
        "branch_pool": [(192, 1)],
    }


FIGURE_7: dict[str, Path] = {  # at 1/32: rows and columns beside each other, for many channels
    "branch1x1": [(320, 1)],
    "branch3x3": [(384, 1), [(384, (1, 3)), (384, (3, 1))]],
    "branch3x3dbl": [(448, 1), (384, 3), [(384, (1, 3)), (384, (3, 1))]],
    "branch_pool": [(192, 1)],
}

MIXED: dict[str, dict[str, Any]] = {
    "Mixed_5b": dict(paths=figure_5(pool=32)),
    "Mixed_5c": dict(paths=figure_5(pool=64)),
    "Mixed_5d": dict(paths=figure_5(pool=64)),
    "Mixed_6a": dict(paths={"branch3x3": [(384, 3)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3)]},
                     halve=True),
    "Mixed_6b": dict(paths=figure_6(128)),
    "Mixed_6c": dict(paths=figure_6(160)),
    "Mixed_6d": dict(paths=figure_6(160)),
    "Mixed_6e": dict(paths=figure_6(192)),
    "Mixed_7a": dict(paths={"branch3x3": [(192, 1), (320, 3)],
                            "branch7x7x3": [(192, 1), (192, ROW), (192, COLUMN), (192, 3)]},
                     halve=True),
    "Mixed_7b": dict(paths=FIGURE_7),
    "Mixed_7c": dict(paths=FIGURE_7),
}


class InceptionV3(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]; H and W from 75 pixels on, 299 in the
    paper.
    """

    classifier_path = "fc"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("Inception v3 has no residual branches to drop: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate

        self.Conv2d_1a_3x3 = inception_conv(in_chans, 32, 3, "halve")
        self.Conv2d_2a_3x3 = inception_conv(32, 32, 3, "cut")
        self.Conv2d_2b_3x3 = inception_conv(32, 64, 3)
        self.Pool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = inception_conv(64, 80, 1)
        self.Conv2d_4a_3x3 = inception_conv(80, 192, 3, "cut")
        self.Pool2 = nn.MaxPool2d(3, stride=2)
        chans = 192
        for name, row in MIXED.items():
            block = Mixed(chans, **row)
            self.add_module(name, block)
            chans = block.out_chans
        self._body = tuple(name for name, _ in self.named_children())

        # the last map before each halving; the sizes are a few pixels short for want of padding
        self.stages = (
            Stage("stem", "Conv2d_2b_3x3", 64, 2), Stage("conv4", "Conv2d_4a_3x3", 192, 4),
            Stage("mixed5", "Mixed_5d", 288, 8), Stage("mixed6", "Mixed_6e", 768, 16),
            Stage("mixed7", "Mixed_7c", chans, 32),
        )
        self.num_features = chans
        self.global_pool, self.fc = create_classifier(chans, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """Normal weights of 0.1, cut at two standard deviations, as in Google's release."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.1, a=-0.2, b=0.2)
        if isinstance(self.fc, nn.Linear):
            nn.init.zeros_(self.fc.bias)

    def adapt_state_dict(self, state: Mapping[str, Tensor], report) -> dict[str, Tensor]:
        """The tensors of a checkpoint without those of the second classifier, which is for training
        only.
        """
        kept = {key: value for key, value in state.items() if not key.startswith("AuxLogits.")}
        if len(kept) < len(state):
            left_out = len(state) - len(kept)
            report.skipped.append(f"AuxLogits: {left_out} tensors of the second classifier, "
                                  "for training")
        return kept

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        ends = {stage.module for stage in self.stages}
        for name in self._body:
            x = getattr(self, name)(x)
            if name in ends:
                # for 299 x 299: [B, 64, 147, 147], [B, 192, 71, 71], [B, 288, 35, 35],
                # [B, 768, 17, 17], [B, 2048, 8, 8]
                yield x
        return x


MODEL = InceptionV3

VARIANTS: dict[str, dict[str, Any]] = {"inception_v3": {}}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names are ours; its file brings the second classifier along."""
    return {key: value for key, value in state.items() if not key.startswith("AuxLogits.")}


KEY_MAPS = {"torchvision": _from_torchvision}
