"""What an experiment starts from: the Look at the photo as it is, and raw scores of one input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from explorer.inspection.look.looking import look as look_at
from explorer.inspection.look.model import model_name, outputs_of
from explorer.inspection.look.result import Look, is_at, still_holds
from explorer.models.contract import VisionModel, parameter_place


def look_before(model: VisionModel, image: Any, look: Look | None) -> Look:
    """The Look to start from: the given one, or a new one where none is given or the model has changed since.

    Raises ValueError for a Look of another model or photo, and for a model without classifier.
    """
    if not model.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so it has no answer that could "
                         "change: create it with its classes.")
    if model.in_chans not in (1, 3):
        raise ValueError(f"This model reads {model.in_chans} channels: only photos of one or three can be "
                         "painted on and spoilt.")
    if look is None:
        return look_at(model, image)
    if not is_at(look, image):
        raise ValueError("The given Look is of another photo: leave look= out, or give the photo that was "
                         "looked at (look.image).")
    if look.model_name != model_name(model) or len(look.logits) != model.num_classes:
        raise ValueError(f"The given Look is of {look.model_name} with {len(look.logits)} classes, not of "
                         f"{model_name(model)} with {model.num_classes}: leave look= out, or look again.")
    if not still_holds(look, model) or look.outputs != outputs_of(model):
        return look_at(model, look.image, topk=max(1, len(look.predictions)))
    return look


def logits_of(model: nn.Module, tensor: Tensor) -> Tensor:
    """One photo's input [C, H, W] -> logits [K], float32 on the CPU; the caller holds `evaluating`."""
    with torch.inference_mode():
        logits = model(tensor[None].to(**parameter_place(model)))[0].float().cpu()
    return logits.clone()  # outside of the inference mode: an ordinary tensor
