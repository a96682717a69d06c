"""Other libraries' names for the tensors of a backbone inside a network for masks.

The decoders carry the names that their libraries gave them; what differs is what the backbone is called.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from explorer.models.backbones.mobilenetv3 import MobileNetV3


def from_smp(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """segmentation-models-pytorch's names: its own ResNets are called as ours, and a backbone that it takes
    from timm ("tu-convnext_tiny") stands behind "model.", with an underscore for a dot.
    """
    def ours(key: str) -> str:
        if not key.startswith("encoder.model."):
            return key
        inside = re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", key.removeprefix("encoder.model."))
        return f"encoder.{inside}"

    return {ours(key): value for key, value in state.items()}


def from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names, which are ours but for MobileNetV3's: its layers are counted, and come in the same
    order.

    Raises ValueError where a tensor has another shape than ours in its place.
    """
    if "backbone.0.0.weight" not in state:
        return state
    with torch.device("meta"):
        own = MobileNetV3(num_classes=0).state_dict()
    theirs = [key for key in state if key.startswith("backbone.")]
    mapped = {key: value for key, value in state.items() if key not in theirs}
    for key, foreign in zip(own, theirs):
        if own[key].shape != state[foreign].shape:
            raise ValueError(f"{foreign} {tuple(state[foreign].shape)} does not fit {key} "
                             f"{tuple(own[key].shape)}: another network's.")
        mapped[f"backbone.{key}"] = state[foreign]
    return mapped
