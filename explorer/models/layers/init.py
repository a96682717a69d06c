"""The numbers that layers start from, where several families start in the same way."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


def init_linear(layer: nn.Module) -> None:
    """Truncated normal weights of standard deviation 0.02, biases 0; what is no linear layer stays."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def init_by_fan_out(model: nn.Module) -> None:
    """Normal weights scaled by the fan-out, which for a depthwise filter is its own channel's only."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)


def rescale_branches(blocks: Iterable[nn.Module]) -> None:
    """Divide the last layers of block n's branches, `attn.proj` and `mlp.fc2`, by the root of 2n.

    So the sum of all branches stays as small as one of them, however deep the network is. As BEiT does it.
    """
    with torch.no_grad():
        for number, block in enumerate(blocks, start=1):
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.div_((2 * number) ** 0.5)
