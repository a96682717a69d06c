"""From a map to a vector: pooling and the classifier behind it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOL_TYPES = ("avg", "max", "avgmax", "catavgmax", "")


class SelectAdaptivePool2d(nn.Module):
    """Global pooling by name: [B, C, H, W] -> [B, C, 1, 1], or [B, C] with `flatten`.

    pool_type: "avg"; "max"; "avgmax", the mean of both; "catavgmax", both side by side (2C channels);
    "" leaves the map as it is, [B, C * H * W] with `flatten`.
    """

    def __init__(self, pool_type: str = "avg", flatten: bool = False):
        super().__init__()
        pool_type = (pool_type or "").removeprefix("fast")
        if pool_type not in POOL_TYPES:
            raise ValueError(f"Unknown pooling {pool_type!r}. Use one of {', '.join(map(repr, POOL_TYPES))}.")
        self.pool_type = pool_type
        self.flatten = nn.Flatten(1) if flatten else nn.Identity()

    def feat_mult(self) -> int:
        """How many times as many channels come out as go in."""
        return 2 if self.pool_type == "catavgmax" else 1

    def forward(self, x: Tensor) -> Tensor:
        if self.pool_type == "avg":
            x = x.mean((2, 3), keepdim=True)
        elif self.pool_type == "max":
            x = F.adaptive_max_pool2d(x, 1)
        elif self.pool_type:
            average, maximum = x.mean((2, 3), keepdim=True), F.adaptive_max_pool2d(x, 1)
            together = self.pool_type == "catavgmax"
            x = torch.cat((average, maximum), 1) if together else 0.5 * (average + maximum)
        return self.flatten(x)

    def __repr__(self) -> str:
        return f"{type(self).__name__} (pool_type={self.pool_type}, flatten={self.flatten})"


def create_classifier(
    num_features: int, num_classes: int, pool_type: str = "avg", *, device=None, dtype=None
) -> tuple[SelectAdaptivePool2d, nn.Module]:
    """Global pooling and the linear layer behind it; num_classes 0 gives the identity instead.

    Raises ValueError where there is nothing to pool to and still a classifier is asked for.
    """
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
    pool = SelectAdaptivePool2d(pool_type, flatten=bool(pool_type))  # unpooled, the map stays a map
    if not num_classes:
        return pool, nn.Identity()
    if not pool.pool_type:
        raise ValueError(
            'A linear classifier needs pooled features: use num_classes=0 with global_pool="".'
        )
    return pool, nn.Linear(num_features * pool.feat_mult(), num_classes, device=device, dtype=dtype)


class ClassifierHead(nn.Module):
    """Pooling, dropout and classifier in one module: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, in_features: int, num_classes: int, pool_type: str = "avg", drop_rate: float = 0.0,
                 *, device=None, dtype=None):
        super().__init__()
        self.in_features = in_features
        self.global_pool, self.fc = create_classifier(
            in_features, num_classes, pool_type, device=device, dtype=dtype
        )
        self.drop = nn.Dropout(drop_rate)
        self.flatten = nn.Identity()  # shown by timm; the pooling flattens already

    def reset(self, num_classes: int, pool_type: str | None = None, *, device=None, dtype=None) -> None:
        """A fresh classifier, and another pooling where `pool_type` is given; dropout stays as awake as it
        was.
        """
        pool = self.global_pool.pool_type if pool_type is None else pool_type
        self.global_pool, self.fc = create_classifier(
            self.in_features, num_classes, pool, device=device, dtype=dtype
        )

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.drop(self.global_pool(x))
        return self.flatten(x) if pre_logits else self.flatten(self.fc(x))


class AvgPool2dSame(nn.Module):
    """2 x 2 mean at stride 1, padded with zeros at the right and bottom: [B, C, H, W] -> the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2, stride=1)


class Pooling(nn.Module):
    """The mean of the 3 x 3 neighbours, less the place itself, which the shortcut adds: [B, C, H, W] -> the
    same.
    """

    def __init__(self, dim: int, proj_drop: float = 0.0):
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x


class BlurPool2d(nn.Module):
    """Blur, then take every second pixel: [B, C, H, W] -> [B, C, H/2, W/2], so that a shift of the photo by
    one pixel changes little. Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019.
    """

    def __init__(self, channels: int, filt_size: int = 3, stride: int = 2, pad_mode: str = "reflect"):
        super().__init__()
        if filt_size < 2:
            raise ValueError(f"filt_size is {filt_size}: a blur needs 2 or more.")
        self.channels, self.filt_size, self.stride, self.pad_mode = channels, filt_size, stride, pad_mode
        self.padding = [(stride - 1 + filt_size - 1) // 2] * 4

    def forward(self, x: Tensor) -> Tensor:
        # Binomial weights, e.g. [1, 2, 1] / 4, made on the fly: nothing to store in a checkpoint.
        row = x.new_ones(1)
        for _ in range(self.filt_size - 1):
            row = F.pad(row, (1, 0)) + F.pad(row, (0, 1))
        row = row / row.sum()
        kernel = (row[:, None] * row[None, :])[None, None].expand(x.shape[1], 1, -1, -1)
        return F.conv2d(F.pad(x, self.padding, mode=self.pad_mode), kernel, stride=self.stride,
                        groups=x.shape[1])


BlurPool = BlurPool2d
