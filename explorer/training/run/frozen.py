"""The frozen part of a network that learns, as its faster copy has it.

    network = with_fast_frozen_part(model)     # the model's own learning layers behind the copy's frozen ones

Behind a frozen part nothing has to be known of how it computes: no gradient flows through it. So while the
last stage learns, what comes before it can be the folded and packed layers of the model's copy
(`explorer.inspection.look.faster`).
"""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor, nn

from explorer.data.transforms import resolve_data_config
from explorer.inspection.look.faster import SAME, far, refuse, stand_in
from explorer.inspection.look.model import evaluating
from explorer.models.contract import VisionModel, parameter_place
from explorer.training.loop.order import drawn_by
from explorer.training.run.trying import as_it_was

log = logging.getLogger(__name__)


def with_fast_frozen_part(model: VisionModel) -> nn.Module | None:
    """A network of the model's own layers where something learns, and of its copy's where nothing does.

    None where nothing is frozen, or where it does not say the same as the model while that learns, as behind
    a frozen layer with dropout: one pass by each finds out.
    """
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    if len(learning) == sum(1 for _ in model.parameters()) or parameter_place(model)["device"].type != "cpu":
        return None
    with evaluating(model):
        fast = stand_in(model)
    if fast is model:
        return None
    try:
        network = _joined(model, fast)
        if {id(p) for p in network.parameters() if p.requires_grad} != learning:
            return None
        wanted, found = _scores(model, model), _scores(model, network)
    except (RuntimeError, ValueError, TypeError) as error:
        log.info("no faster frozen part: %s", error)
        return None
    if far(found.numpy(), wanted.numpy()) <= SAME:
        return network
    refuse(model)
    return None


def _joined(own: nn.Module, fast: nn.Module) -> nn.Module:
    """The module itself where all of its weights learn, or it has none; the copy's where none learns; else a
    twin of it that holds both kinds.
    """
    learns = [weight.requires_grad for weight in own.parameters()]
    if all(learns):
        return own
    if not any(learns):
        return fast
    twin = copy.copy(own)
    twin._modules = {name: child if child is None or fast._modules.get(name) is None
                     else _joined(child, fast._modules[name]) for name, child in own._modules.items()}
    twin.training = True
    return twin


def _scores(model: VisionModel, network: nn.Module) -> Tensor:
    """What a network that learns says of noise, as float32 on the CPU; the model's state stays what it is."""
    noise = torch.Generator().manual_seed(0)
    photos = torch.randn(2, *resolve_data_config({}, model=model)["input_size"], generator=noise)
    with as_it_was(model), drawn_by(0), torch.no_grad():
        model.train()
        return network(photos.to(**parameter_place(model))).float().cpu()
