"""A saved ensemble, built again from its folder: see `EnsembleModel.save`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel
from explorer.models.ensembles.assembling import assemble
from explorer.models.ensembles.combining import COMBINATIONS
from explorer.models.ensembles.fused import FUSED, FusedModel
from explorer.models.ensembles.parts_head import HOW
from explorer.models.ensembles.stacked_model import STACK, MetaHead, StackedModel
from explorer.models.request import Request
from explorer.models.weights.reading import read_checkpoint
from explorer.models.weights.report import WeightsError

MOST_SCORES = 10**7  # that a saved meta learner may read
OTHERS = "of other parts"  # what `LoadReport.found` says of tensors beside a member's own


def open_ensemble(config: ModelConfig, found: Path | None, inside: str, request: Request,
                  open_member: Callable[[ModelConfig, str], VisionModel]) -> VisionModel:
    """A saved ensemble, built again.

    config: as saved;  found: the file of its weights
    open_member: (its config, where its tensors are) -> the member
    Raises WeightsError for a folder that does not hold what it says, with the name of the member.
    """
    if found is None:
        raise WeightsError(f"'{inside}' is an ensemble, which is opened from a folder of this computer: "
                           "download it, then create_model('local-dir:folder', pretrained=True).")
    asked = {"in_chans": request.in_chans, "checkpoint_path": request.checkpoint_path,
             **request.network_options}
    if given := next((key for key, value in asked.items() if value not in (None, 0.0, 32)), None):
        raise ValueError(f"{given} can't be set for a saved ensemble, which opens as it is: leave it out.")
    saved, fused = dict(config.build_options), config.architecture == FUSED
    names, combine, taken = (saved.get(key) for key in ("names", "combine", "taken"))
    known = isinstance(taken, tuple) and len(taken) == len(config.members) and saved.get("how") in HOW \
        if fused else combine in COMBINATIONS or combine == STACK and is_meta(saved, config)
    if not isinstance(names, tuple) or len(set(names)) != len(config.members) or not known:
        raise WeightsError(f"The config.json of '{inside}' does not describe an ensemble: it is damaged.")
    members: dict[str, VisionModel] = {}
    for number, (name, own) in enumerate(zip(names, config.members)):
        try:
            members[str(name)] = open_member(own, f"{found}#members.{number}")
        except (WeightsError, ValueError, ImportError) as error:
            raise type(error)(f"The member {str(name)[:60]!r} of '{inside}' can't be had. {error}") from error
    try:
        if fused:
            model: VisionModel = FusedModel(members, taken=taken, how=saved["how"],
                                            num_classes=config.num_classes)
            if request.pretrained:
                fill_head(model, found, inside)
        elif combine == STACK:
            meta = MetaHead(config.outputs, len(config.labels or ()), saved["sizes"], saved["seen"])
            model = StackedModel(members, meta=meta.eval().requires_grad_(False), labels=config.labels or ())
            if request.pretrained:
                fill_part(meta, "meta", found, inside)
        else:
            weights = _own(found, inside, "weights")["weights"] if request.pretrained else None
            model = assemble(members, combine=combine, weights=weights)
    except (ValueError, StopIteration) as error:
        raise WeightsError(f"The members in '{inside}' don't belong together. {error}") from error
    for each in members.values():  # the others' tensors lie in the same file
        if each.load_report is not None:
            each.load_report.skipped[:] = [text for text in each.load_report.skipped if OTHERS not in text]
    model.config = model.config.with_(labels=config.labels, outputs=config.outputs,
                                      number_mean=config.number_mean, number_std=config.number_std)
    if request.num_classes is not None and request.num_classes != model.num_classes:
        model.reset_classifier(request.num_classes)
    return model


def _own(found: Path, inside: str, name: str) -> dict[str, torch.Tensor]:
    """The tensors of the file that are no member's: `name` itself, or those below it."""
    for table in read_checkpoint(found).tables.values():
        if own := {key: value for key, value in table.items() if key.partition(".")[0] == name}:
            return own
    raise WeightsError(f"The file {found.name} of '{inside}' has no {name}: it is damaged.")


def is_meta(saved: Mapping[str, Any], config: ModelConfig) -> bool:
    """Whether a config describes a meta learner over so many members."""
    sizes, seen, classes = saved.get("sizes"), saved.get("seen"), len(config.labels or ())
    return (isinstance(sizes, tuple) and 2 <= len(sizes) <= 3 and type(seen) is int and 0 < seen <= classes
            and all(type(size) is int and 0 < size <= MOST_SCORES for size in sizes)
            and sizes[0] == classes * len(config.members) and config.outputs in ("one", "several", "numbers"))


def fill_head(model: FusedModel, found: Path, inside: str) -> None:
    """Give a fused network its trained head. Raises WeightsError for one of another size."""
    if model.num_classes:
        fill_part(model.head, "head", found, inside)


def fill_part(part: nn.Module, name: str, found: Path, inside: str) -> None:
    """Give a part that is no member's its weights. Raises WeightsError for those of another size."""
    state = {key.partition(".")[2]: value for key, value in _own(found, inside, name).items()}
    try:
        part.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"The {name} in '{inside}' does not fit its members: it is damaged.") from error
