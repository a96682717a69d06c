"""BatchNorm that stays as it was trained: two large photos in a batch say too little of means and spreads."""

from __future__ import annotations

from torch import nn
from torchvision.ops import FrozenBatchNorm2d


def freeze_norms(body: nn.Module, eps: float | None) -> None:
    """Turn BatchNorm layers into ones that never learn and never count, with the same numbers.

    Raises ValueError for a backbone whose BatchNorm layers do more than that.
    """
    for owner in [*body.modules()]:
        for name, layer in [*owner.named_children()]:
            if type(layer) is not nn.BatchNorm2d:
                continue
            fixed = FrozenBatchNorm2d(layer.num_features, layer.eps if eps is None else eps)
            held = layer.state_dict()
            for key in fixed.state_dict():
                setattr(fixed, key, held[key])
            setattr(owner, name, fixed)
    if any(isinstance(layer, nn.BatchNorm2d) for layer in body.modules()):
        raise ValueError("This backbone's BatchNorm layers hold their activations too, so frozen_norm can't "
                         "replace them: leave it out, and freeze the backbone instead.")
