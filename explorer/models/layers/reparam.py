"""Re-parameterisation: several branches while a network learns, one convolution when it predicts.

A convolution is linear, and so is BatchNorm in evaluation: it then scales and shifts each channel by fixed
numbers. A sum of linear maps is one linear map. So branches that are added, with no activation before the
sum, can be replaced by one convolution that gives the same numbers, in a fraction of the time and memory
traffic. It takes three rules:

1. convolution, then BatchNorm  = one convolution with a bias          `fold_batch_norm`
2. BatchNorm alone              = the convolution that copies, folded  `identity_weight`
3. a small filter               = a large one with zeros around it     `pad_weight`

Then filters of one size are added, number by number: `add_filters`. Activations and norms that look at the
photo (LayerNorm, BatchNorm in training) are not linear: nothing can be folded through them.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", 2021, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Filters = tuple[Tensor, Tensor]  # of a convolution: weight [out, in / groups, k, k] and bias [out]


def fold_batch_norm(weight: Tensor, norm: nn.BatchNorm2d, bias: Tensor | None = None) -> Filters:
    """The convolution that does what a convolution and the BatchNorm behind it do in evaluation.

    For each output channel the convolution gives z = w * x + b, and BatchNorm makes of it
        y = gamma * (z - mean) / sqrt(var + eps) + beta.
    With scale = gamma / sqrt(var + eps) that is
        y = (scale * w) * x  +  beta + scale * (b - mean):
    a convolution again, with filters scale * w and the rest for its bias.
    """
    # half precision is for results, not for the sums
    exact = torch.promote_types(weight.dtype, torch.float32)
    weight, mean, variance = weight.to(exact), norm.running_mean.to(exact), norm.running_var.to(exact)
    scale = norm.weight.to(exact) / torch.sqrt(variance + norm.eps)  # [out]
    start = 0 if bias is None else bias.to(exact)
    return weight * scale[:, None, None, None], norm.bias.to(exact) + scale * (start - mean)


def identity_weight(channels: int, groups: int = 1, *, device=None, dtype=None) -> Tensor:
    """The 1 x 1 filters that copy each channel, [channels, channels / groups, 1, 1].

    A convolution in groups numbers its inputs within each group, so output c reads input c modulo channels /
    groups.
    """
    inside = channels // groups
    return torch.eye(inside, device=device, dtype=dtype).repeat(groups, 1)[:, :, None, None]


def pad_weight(weight: Tensor, size: int) -> Tensor:
    """Filters [out, in, k, k] with zeros around them, [out, in, size, size].

    A 1 x 1 filter only looks at the middle of a 3 x 3 one; a k x k convolution pads its map by k // 2, so the
    middles of both stand on the same pixels, at any stride. Raises ValueError where there is no common
    middle.
    """
    around, odd = divmod(size - weight.shape[-1], 2)
    if around < 0 or odd:
        kernel = " x ".join([str(weight.shape[-1])] * 2)
        raise ValueError(f"A {kernel} filter has no place in the middle of {size} x {size}.")
    return F.pad(weight, [around] * 4)


def add_filters(branches: Iterable[Filters], size: int) -> Filters:
    """Filters [out, in, size, size] and bias of the sum of the branches, because f * x + g * x = (f + g) * x.
    """
    weights, biases = zip(*((pad_weight(weight, size), bias) for weight, bias in branches))
    return sum(weights), sum(biases)


def fold_conv_norm(layer: nn.Module) -> Filters:
    """Rule 1 for a `ConvNormAct` that has no activation."""
    return fold_batch_norm(layer.conv.weight, layer.bn, layer.conv.bias)


def fold_identity(norm: nn.BatchNorm2d, groups: int = 1) -> Filters:
    """Rule 2: a BatchNorm alone as a 1 x 1 convolution."""
    weight = identity_weight(norm.num_features, groups, device=norm.weight.device, dtype=norm.weight.dtype)
    return fold_batch_norm(weight, norm)


def make_conv(filters: Filters, *, like: nn.Module, stride: int = 1, dilation: int = 1,
              groups: int = 1) -> nn.Conv2d:
    """A convolution with these filters that keeps the size of a map at stride 1.

    like: the module that it replaces, whose dtype, training flag and frozen state it takes over.
    """
    weight, bias = filters
    size, before = weight.shape[-1], next(like.parameters())
    conv = nn.Conv2d(
        weight.shape[1] * groups, weight.shape[0], size, stride=stride, padding=dilation * (size // 2),
        dilation=dilation, groups=groups, device="meta",  # the numbers are here already
    )
    learns = any(parameter.requires_grad for parameter in like.parameters())
    conv.weight = nn.Parameter(weight.to(before.dtype), requires_grad=learns)
    conv.bias = nn.Parameter(bias.to(before.dtype), requires_grad=learns)
    return conv.train(like.training)


def reparameterize_parts(model: nn.Module) -> None:
    """Call `reparameterize` of every part of the model that has one; not of the model itself."""
    for part in list(model.modules())[1:]:
        if hasattr(part, "reparameterize"):
            part.reparameterize()
