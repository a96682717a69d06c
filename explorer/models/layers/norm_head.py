"""The head of ConvNeXt and its followers: a norm behind the pooling, where it costs next to nothing."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.norm import create_norm2d
from explorer.models.layers.pool import SelectAdaptivePool2d


class NormHead(nn.Module):
    """Pool, normalise, classify: [B, C, H, W] -> [B, num_classes].

    hidden: length of a layer between, with its own activation; 0 for none.
    """

    def __init__(self, in_features: int, num_classes: int, pool_type: str, *, hidden: int, norm_layer: str,
                 norm_eps: float, act_layer: str, drop_rate: float):
        super().__init__()
        self.num_features = hidden or in_features
        self.global_pool = SelectAdaptivePool2d(pool_type)
        self.norm = create_norm2d(norm_layer, in_features, eps=norm_eps)
        self.pre_logits: nn.Module = nn.Identity()
        if hidden:
            self.pre_logits = nn.Sequential()
            self.pre_logits.add_module("fc", nn.Linear(in_features, hidden))
            self.pre_logits.add_module("act", create_act(act_layer))
        self.drop = nn.Dropout(drop_rate)
        self.reset(num_classes, pool_type)

    def reset(self, num_classes: int, pool_type: str | None = None, *, device=None, dtype=None) -> None:
        """A fresh classifier, and another pooling where `pool_type` is given; the norm and the layer between
        stay.
        """
        if pool_type is None:
            pool_type = self.global_pool.pool_type
        if pool_type == "catavgmax":
            raise ValueError(
                "This head normalises the pooled vector with one weight a channel, "
                "and catavgmax would double the "
                'channels. Use global_pool "avg", "max" or "avgmax".'
            )
        if num_classes and not pool_type:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        self.global_pool = SelectAdaptivePool2d(pool_type)
        self.fc: nn.Module = nn.Identity()
        if num_classes:
            self.fc = nn.Linear(self.num_features, num_classes, device=device, dtype=dtype)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.norm(self.global_pool(x)).permute(0, 2, 3, 1)  # [B, C, 1, 1] -> [B, 1, 1, C]
        x = self.drop(self.pre_logits(x)).permute(0, 3, 1, 2)
        if self.global_pool.pool_type:  # unpooled, the map stays a map
            x = x.flatten(1)
        return x if pre_logits else self.fc(x)
