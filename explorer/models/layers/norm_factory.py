"""Norms by name, alone or with an activation behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.evo_norm import EvoNorm2dS0
from explorer.models.layers.norm import LayerNorm2d, RmsNorm2d, SimpleNorm2d
from explorer.models.layers.norm_act import FilterResponseNormTlu2d, GroupNormAct


class GroupNorm(nn.GroupNorm):
    """GroupNorm whose first argument is the channels, as in all other norms: [B, C, ...] -> the same shape.

    Wu and He, "Group Normalization", 2018.
    """

    def __init__(self, num_channels: int, num_groups: int = 32, eps: float = 1e-5, *, affine: bool = True):
        super().__init__(num_groups, num_channels, eps=eps, affine=affine)


# "layernorm" works on the last axis, [..., C]; all others on maps [B, C, H, W]
NORM_LAYERS: dict[str, Callable[..., nn.Module]] = {
    "batchnorm": nn.BatchNorm2d,
    "batchnorm2d": nn.BatchNorm2d,
    "groupnorm": GroupNorm,
    "groupnorm1": partial(GroupNorm, num_groups=1),
    "layernorm": nn.LayerNorm,
    "layernorm2d": LayerNorm2d,
    "rmsnorm2d": RmsNorm2d,
    "simplenorm2d": SimpleNorm2d,
}

NORM_ACT_LAYERS: dict[str, Callable[..., nn.Module]] = {
    "batchnorm": BatchNormAct2d,
    "batchnorm2d": BatchNormAct2d,
    "groupnorm": GroupNormAct,
    "groupnorm1": partial(GroupNormAct, num_groups=1),
    "evonorms0": EvoNorm2dS0,
    "frntlu": FilterResponseNormTlu2d,
}


def _by_name(norm: Any, known: dict[str, Callable[..., nn.Module]], what: str) -> Callable[..., nn.Module]:
    if isinstance(norm, str):
        key = norm.replace("_", "").lower()
        if key not in known:
            raise ValueError(f"Unknown {what} {norm!r}. Known: {', '.join(known)}.")
        return known[key]
    if isinstance(norm, nn.Module) or not callable(norm):
        raise TypeError(f"A {what} is a name or a class, such as 'batchnorm2d' or nn.BatchNorm2d; "
                        f"got {norm!r}.")
    return norm


def get_norm(norm: str | Callable[..., nn.Module] | None) -> Callable[..., nn.Module] | None:
    """What makes a norm of so many channels: from its name or class; None gives None.

    Raises ValueError with the known names, TypeError for what is neither.
    """
    return None if norm is None else _by_name(norm, NORM_LAYERS, "norm")


def create_norm(norm: str | Callable[..., nn.Module], num_features: int, **options: Any) -> nn.Module:
    """A norm of `num_features` channels, from its name ("batchnorm2d", "layernorm2d", ...) or class.

    Raises ValueError with the known names, TypeError for what is neither.
    """
    return _by_name(norm, NORM_LAYERS, "norm")(num_features, **options)


def create_norm_act(
    norm: str | Callable[..., nn.Module], num_features: int, *,
    act_layer: str | type[nn.Module] | None = nn.ReLU, apply_act: bool = True, **options: Any,
) -> nn.Module:
    """A norm with an activation behind it, [B, C, H, W] -> the same shape: "batchnorm2d", "groupnorm", or a
    class.

    "evonorms0" and "frntlu" bring an activation of their own. Raises ValueError with the known names.
    """
    make = _by_name(norm, NORM_ACT_LAYERS, "norm with an activation")
    if make is not FilterResponseNormTlu2d:  # its threshold is a part of it
        options["apply_act"] = apply_act
    return make(num_features, act_layer=act_layer, **options)


# timm's names
create_norm_layer, get_norm_layer, create_norm_act_layer = create_norm, get_norm, create_norm_act
