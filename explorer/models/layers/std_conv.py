"""Weight standardisation: a convolution whose filters are normalised before they are used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StdConv2d(nn.Conv2d):
    """A convolution with filters of mean 0 and variance 1: [B, in, H, W] -> [B, out, H/stride, W/stride].

    BatchNorm keeps a signal's size by looking at a batch of photos. Large models train with few photos at a
    time, where that is noise; this looks at the filters instead, and goes with GroupNorm, which looks at one
    photo. The parameters are a convolution's own: what is stored is the filter before it is standardised.
    Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", 2019.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
                 padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = False, *,
                 eps: float = 1e-6):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.eps = eps

    def standardised_weight(self) -> Tensor:
        """The filters [out, in / groups, kh, kw] that the convolution really uses."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)  # [out, 1, 1, 1]
        return (self.weight - mean) * torch.rsqrt(variance + self.eps)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.standardised_weight()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
