"""Conditional convolution: every photo gets filters of its own, mixed from a few experts.

A convolution answers all photos with the same filters. Here a layer holds four or eight sets of
them, the experts, and a small linear layer looks at the mean of the map and says how much of each
set this photo needs. As filters may be added before they are used, the mixture costs one
convolution, not eight: much more capacity for little more time.

Yang et al., "CondConv: Conditionally Parameterized Convolutions for Efficient Inference", 2019,
https://arxiv.org/abs/1904.04971. Scaling and the other blocks are EfficientNet's; parameter names
are timm's. The network is `EfficientNet`, of the same family, with one more block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.backbones.efficientnet import EFFICIENTNET, EfficientNet
from explorer.models.layers.conv_same import same_padding
from explorer.models.layers.mobile_blocks import InvertedResidual
from explorer.models.layers.mobile_rows import Architecture

# --- blocks ---------------------------------------------------------------------------------------


class CondConv2d(nn.Module):
    """A convolution whose filters are mixed for each photo.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]
    experts: how many sets of filters there are to mix;  padding: "" symmetric, "same" TensorFlow's
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, experts: int, stride: int = 1,
                 padding: str = "", dilation: int = 1, groups: int = 1):
        super().__init__()
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation
        self.groups, self.out_chans = groups, out_chans
        self.weight = nn.Parameter(torch.empty(experts,
                                               out_chans * (in_chans // groups) * kernel ** 2))
        self.init_weights()

    def init_weights(self) -> None:
        """Each expert as a convolution of its own: by fan-out, which for a depthwise filter is its
        own channel's.
        """
        nn.init.normal_(self.weight,
                        std=math.sqrt(2 * self.groups / (self.out_chans * self.kernel ** 2)))

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """routing: how much of each expert each photo gets, [B, experts]."""
        batch, channels, height, width = x.shape
        filters = (routing @ self.weight).view(batch * self.out_chans, -1, self.kernel, self.kernel)
        if self.padding == "same":
            pad_y, pad_x = (same_padding(side, self.kernel, self.stride, self.dilation)
                            for side in (height, width))
            x, padding = F.pad(x, (pad_x // 2, pad_x - pad_x // 2, pad_y // 2,
                                   pad_y - pad_y // 2)), 0
        else:
            padding = (self.stride - 1 + self.dilation * (self.kernel - 1)) // 2
        # One convolution for all photos: each is a group of channels, with its own filters.
        x = x.reshape(1, batch * channels, *x.shape[2:])
        x = F.conv2d(x, filters, None, self.stride, padding, self.dilation, batch * self.groups)
        return x.reshape(batch, self.out_chans, *x.shape[2:])

    def extra_repr(self) -> str:
        return (f"{self.weight.shape[0]} experts, {self.out_chans}, kernel {self.kernel}, "
                f"stride {self.stride}")


class ConditionalResidual(InvertedResidual):
    """MobileNetV2's block with conditional convolutions; one routing for all three."""

    def __init__(self, in_chans: int, out_chans: int, *, experts: int, padding: str, conv: Callable,
                 **parts: Any):
        def conditional(ins: int, outs: int, kernel: int, **options: Any) -> nn.Module:
            return CondConv2d(ins, outs, kernel, experts=experts, padding=padding, **options)

        super().__init__(in_chans, out_chans, conv=conditional, **parts)
        self.routing_fn = nn.Linear(in_chans, experts)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        # [B, in, H, W] -> [B, experts]; more than one may be on
        routing = self.routing_fn(x.mean((2, 3))).sigmoid()
        x = self.bn1(self.conv_pw(x, routing))
        x = self.se(self.bn2(self.conv_dw(x, routing)))
        x = self.bn3(self.conv_pwl(x, routing))
        return shortcut + self.drop_path(x) if self.has_shortcut else x


# --- the model ------------------------------------------------------------------------------------


class CondConvEfficientNet(EfficientNet):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    experts: sets of filters in each convolution of the last three stages; the other options are
             EfficientNet's.
    """

    def __init__(self, *, experts: int, architecture: Architecture = EFFICIENTNET,
                 padding: str = "", **options: Any):
        def block(in_chans: int, out_chans: int, **parts: Any) -> nn.Module:
            return ConditionalResidual(in_chans, out_chans, experts=experts, padding=padding,
                                       **parts)

        # Small maps only: there a filter is used on few places, so that mixing it hardly counts.
        plan = [*architecture[:-3], *([row._replace(block=block) for row in rows]
                                      for rows in architecture[-3:])]
        super().__init__(architecture=plan, padding=padding, **options)

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.modules():
            if isinstance(module, CondConv2d):
                module.init_weights()
            elif isinstance(module, ConditionalResidual):
                # near zero: at first all experts count half
                bound = 1 / math.sqrt(sum(module.routing_fn.weight.shape))
                nn.init.uniform_(module.routing_fn.weight, -bound, bound)


MODEL = CondConvEfficientNet

_TF = dict(padding="same", norm_eps=1e-3)  # what weights trained with TensorFlow expect

VARIANTS: dict[str, dict[str, Any]] = {
    "efficientnet_cc_b0_4e": dict(experts=4),
    "efficientnet_cc_b0_8e": dict(experts=8),
    "efficientnet_cc_b1_8e": dict(experts=8, depth=1.1),
    "tf_efficientnet_cc_b0_4e": dict(experts=4, **_TF),
    "tf_efficientnet_cc_b0_8e": dict(experts=8, **_TF),
    "tf_efficientnet_cc_b1_8e": dict(experts=8, depth=1.1, **_TF),
}
