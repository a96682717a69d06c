"""A classifier that is a convolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PointwiseClassifier(nn.Conv2d):
    """A linear classifier that checkpoints keep as a 1 x 1 convolution.

    [B, C] -> [B, num_classes], or for every place of a map that nobody pooled:
    [B, C, H, W] -> [B, num_classes, H, W].
    """

    def __init__(self, in_features: int, out_features: int, *, device=None, dtype=None):
        super().__init__(in_features, out_features, 1, device=device, dtype=dtype)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.ndim == 4 else F.linear(x, self.weight.flatten(1), self.bias)
