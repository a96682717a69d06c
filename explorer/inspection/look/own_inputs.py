"""From a photo to what a model's pass reads, where several networks in it want the photo each in its own way.

    transform = transform_for(model)          # photo -> the input of a pass, [C, H, W]

Of an ensemble the input is packed: each member's own, made from the photo as that member alone would have it
(`explorer.models.ensembles.frames`). Of every other model it is what `explorer.data.create_transform` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image
from torch import Tensor

from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look.bodies import features_config
from explorer.models.contract import VisionModel
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel


def transform_for(model: VisionModel) -> Callable[[Image.Image], Tensor]:
    """What makes the input [C, H, W] of a model's pass of a photo that is open."""
    if not isinstance(model, EnsembleModel | FusedModel) or model.frames.exact:
        return create_transform(**features_config(model))
    return Packing(model)


def packed_inputs(model: VisionModel, photo: Image.Image, tensor: Tensor) -> Tensor:
    """The input of a model's pass. tensor: the photo as the model's config has it."""
    if not isinstance(model, EnsembleModel | FusedModel) or model.frames.exact:
        return tensor
    return Packing(model)(photo)


def preparation_of(model: VisionModel) -> dict[str, Any]:
    """All that tells how a model's photos are prepared, to know one model's features from another's."""
    config = features_config(model)
    if not isinstance(model, EnsembleModel | FusedModel):
        return config
    return config | {"ways": model.frames.ways, "combine": getattr(model, "combine", "")}


def stage_config(model: VisionModel, stage: str, config: dict[str, Any]) -> dict[str, Any]:
    """How the photo was prepared that a stage's map is of: `config`, or as its member wants it."""
    if not isinstance(model, EnsembleModel | FusedModel) or not stage:
        return config
    return resolve_data_config({}, model=model.member_of_stage(stage)[0])


def mirrored(model: VisionModel, inputs: Tensor) -> Tensor:
    """Inputs of a pass [B, C, H, W] of the same photos with left and right exchanged."""
    return model.frames.mirrored(inputs) if isinstance(model, EnsembleModel | FusedModel) else inputs.flip(-1)


class Packing:
    """Photo -> each member's own input, packed."""

    def __init__(self, model: EnsembleModel | FusedModel):
        self.frames = model.frames
        first = [model.frames.way_of.index(number) for number in range(len(model.frames.ways))]
        self.transforms: list[Any] = [
            create_transform(**resolve_data_config({}, model=model.members[number])) for number in first]

    def __call__(self, photo: Image.Image) -> Tensor:
        return self.frames.pack([transform(photo) for transform in self.transforms])
