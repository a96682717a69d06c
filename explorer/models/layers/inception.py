"""The parts of Inception networks: paths beside each other, from a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from explorer.models.layers.conv_norm_act import BatchNormAct2d, ConvNormAct

# BatchNorm's epsilon is TensorFlow's, as in Google's release
_conv = partial(ConvNormAct, norm_layer=partial(BatchNormAct2d, eps=1e-3))

#: One step of a path: (channels, kernel) keeps the map's size, (channels, kernel, "halve") and
#: (channels, kernel, "cut") let the border go, with and without a stride of 2; "avg" is the mean of 3 x 3,
#: "max" halves.
Step = tuple | str


def inception_conv(in_chans: int, out_chans: int, kernel: int | tuple[int, int],
                   how: str = "keep") -> ConvNormAct:
    """Convolution, BatchNorm, ReLU: [B, in, H, W] -> [B, out, H, W], for a kernel of any shape.

    how: "keep" the size; "cut": without padding; "halve": without padding, at stride 2.
    """
    if how == "keep":
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        return _conv(in_chans, out_chans, (height, width), padding=(height // 2, width // 2))
    return _conv(in_chans, out_chans, kernel, stride={"cut": 1, "halve": 2}[how], padding="valid")


def inception_path(in_chans: int, steps: Sequence[Step]) -> tuple[nn.Module, int]:
    """(the path, its channels): the steps one behind the other; a single one stands for itself."""
    layers: list[nn.Module] = []
    for step in steps:
        if step == "avg":
            layers.append(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
        elif step == "max":
            layers.append(nn.MaxPool2d(3, stride=2))
        else:
            layers.append(inception_conv(in_chans, *step))
            in_chans = step[0]
    return (layers[0] if len(layers) == 1 else nn.Sequential(*layers)), in_chans


class InceptionPaths(nn.Module):
    """Paths beside each other: [B, C, H, W] -> [B, out_chans, H', W'], all answers stacked.

    paths: name -> steps. Szegedy et al., "Going Deeper with Convolutions", 2014.
    """

    def __init__(self, in_chans: int, **paths: Sequence[Step]):
        super().__init__()
        self.path_names = tuple(paths)
        self.out_chans = 0
        for name, steps in paths.items():
            path, chans = inception_path(in_chans, steps)
            self.add_module(name, path)
            self.out_chans += chans

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, name)(x) for name in self.path_names], dim=1)
