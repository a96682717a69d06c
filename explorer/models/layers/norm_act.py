"""Norms that look at each photo by itself and bring their activation: for batches as small as one.

They stand in the place of `BatchNormAct2d`; see `evo_norm.py` for one more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from explorer.models.layers.activations import create_act


class GroupNormAct(nn.GroupNorm):
    """GroupNorm followed by an activation: [B, C, H, W] -> [B, C, H, W].

    Mean and variance are those of a group of channels of one photo. Wu and He, "Group Normalization", 2018.
    num_groups: how many groups; or group_size: how many channels in each
    drop_layer: dropout in front of the activation
    Raises ValueError where the channels can't form equal groups.
    """

    def __init__(self, num_channels: int, *, num_groups: int = 32, group_size: int | None = None,
                 eps: float = 1e-5, apply_act: bool = True, act_layer: str | type[nn.Module] | None = nn.ReLU,
                 inplace: bool = True, drop_layer: type[nn.Module] | None = None):
        if group_size is not None and num_channels % group_size:
            raise ValueError(
                f"{num_channels} channels can't form groups of {group_size}: use a divisor of {num_channels}."
            )
        super().__init__(num_channels // group_size if group_size else num_groups, num_channels, eps=eps)
        self.drop = drop_layer() if drop_layer is not None else nn.Identity()
        self.act = create_act(act_layer if apply_act else None, inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class FilterResponseNormTlu2d(nn.Module):
    """Divide each channel by its root mean square over the map; then a ReLU whose threshold is learnt.

    [B, C, H, W] -> [B, C, H, W]. No mean is taken away, so zero is no natural threshold any more: `tau` is.
    act_layer is there so that it can stand in the place of `BatchNormAct2d`, and does nothing.
    Singh and Krishnan, "Filter Response Normalization Layer", 2019, equations 1 to 5.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, act_layer=None):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.tau = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor) -> Tensor:
        power = x.square().mean((2, 3), keepdim=True)  # [B, C, 1, 1]
        x = x * torch.rsqrt(power + self.eps)
        x = x * self.weight[:, None, None] + self.bias[:, None, None]
        return torch.maximum(x, self.tau[:, None, None])

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"
