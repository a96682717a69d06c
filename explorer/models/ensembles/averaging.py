"""Weights of several models of one architecture, averaged: a model soup.

Models that were finetuned from the same weights, with other settings or seeds, lie in one valley of the loss.
The mean of their weights lies there too, often deeper than each of them, and costs one pass, not one each.
Models that were trained from different beginnings lie in different valleys, and their mean in none.

Source: Wortsman et al., Model soups (ICML 2022).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import outputs_of_member
from explorer.models.weights.report import LoadReport


def check_alike(members: Mapping[str, VisionModel]) -> None:
    """Raise ValueError, with the member's name, for models whose weights can't be averaged."""
    (first, lead), *_ = members.items()
    shapes = {key: value.shape for key, value in lead.state_dict().items()}
    for name, model in members.items():
        what = model.config.architecture or type(model).__name__
        ours = lead.config.architecture or type(lead).__name__
        if type(model) is not type(lead) or what != ours and str(model) != str(lead):  # layer by layer
            raise ValueError(f"The member {name} is a {what}, and {first} a {ours}: only weights of one "
                             "architecture can be averaged. explorer.Ensemble(models) averages the answers "
                             "of any.")
        own = {key: value.shape for key, value in model.state_dict().items()}
        if own != shapes:
            key = next(key for key in (*shapes, *own) if own.get(key) != shapes.get(key))
            raise ValueError(f"The member {name} has another {key} than {first} "
                             f"({_size(own.get(key))}, not {_size(shapes.get(key))}): only weights of the "
                             "same sizes can be averaged. explorer.Ensemble(models) averages answers.")
        said, theirs = outputs_of_member(lead), outputs_of_member(model)
        if (said.kind, said.labels) != (theirs.kind, theirs.labels):
            raise ValueError(f"The member {name} was trained with other classes than {first}, or in another "
                             "order: their weights mean different things. explorer.Ensemble(models) brings "
                             "classes into one order.")
        if (said.mean, said.std) != (theirs.mean, theirs.std):
            raise ValueError(f"The member {name} has its numbers in another unit than {first} (they were "
                             "standardised by other photos): the same weight means another number in each. "
                             "explorer.Ensemble(models) brings numbers into one unit.")


def _size(shape: torch.Size | None) -> str:
    return "none" if shape is None else " x ".join(map(str, shape)) or "one number"


def averaged(members: Mapping[str, VisionModel], weights: Sequence[float] | Tensor) -> VisionModel:
    """A new model, whose weights, and statistics of norms, are the weighted mean of the members'.

    weights: one a member, adding up to 1. Counts (of batches seen) are the first one's
    """
    models = list(members.values())
    states = [model.state_dict() for model in models]
    mean = {}
    for key, value in states[0].items():
        if not value.is_floating_point():
            mean[key] = value
            continue
        total = sum(float(share) * state[key].detach().double().to(value.device)
                    for share, state in zip(weights, states))
        mean[key] = total.to(value.dtype) if isinstance(total, Tensor) else value
    made = copy.deepcopy(models[0])
    made.load_state_dict(mean)
    report = LoadReport("the mean of " + ", ".join(members), name=f"soup of {len(models)}",
                        loaded=len(mean))
    made.load_report = report
    return made
