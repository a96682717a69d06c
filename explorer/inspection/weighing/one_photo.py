"""What each member of an ensemble says of one photo: a pass of each, after which weights can be tried."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from explorer.data.images import load_image
from explorer.inspection.look.model import evaluating
from explorer.inspection.look.own_inputs import transform_for
from explorer.inspection.look.tail import ordinary
from explorer.models.contract import parameter_place
from explorer.models.ensembles.ensemble import EnsembleModel


def photo_answers(team: EnsembleModel, photo: Any) -> Tensor:
    """The members' raw scores for one photo [M, W], in the order of the first one's classes.

    photo: anything that `load_image` takes. Each member sees it by its own preprocessing. Raises ImageError
    for what is no photo, RuntimeError with the member's name where its pass fails.
    """
    picture = load_image(photo, channels=team.in_chans)
    inputs = transform_for(team)(picture)[None].to(**parameter_place(team))
    with evaluating(team), torch.inference_mode():
        return torch.stack([ordinary(raw)[0] for raw in team.member_logits(inputs)])
