"""What a run was asked for, checked before anything starts: from the arguments of `finetune` to a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer.data.places.place_set import AnySplits
from explorer.files import given_path
from explorer.models.contract import VisionModel
from explorer.models.surgery.inside import look_through
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.objective import kind_of
from explorer.training.loop.recipe import BATCH_SIZE, Recipe
from explorer.training.run import checkpoint
from explorer.training.run.checks import check_backbone, check_data, check_learning, check_place
from explorer.training.run.claim import Claim, teacher_of
from explorer.training.run.given import data_for, task_of
from explorer.training.run.head import beginning_notes, begun_with, exchange_notes, made_ready
from explorer.training.run.identity import ADVICE, Identity, began_as, compare, identity_of, others_file
from explorer.training.run.other_words import hint_for


@dataclass(frozen=True)
class Taught:
    """A run's teacher. words: who it is, for a reader;  facts: what a resumed run is compared by"""

    words: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a run was asked for, checked: it can start in this process, or in several.

    taught_by: who teaches, in words; "" for labels alone
    """

    net: VisionModel
    splits: AnySplits
    recipe: Recipe
    folder: Path | None
    resume: bool
    name: str
    claim: Claim
    taught_by: str = ""


def check_settings(settings: Mapping[str, Any], own: Sequence[str] = (), *, of: str = "finetune") -> None:
    """Raises TypeError for a setting that `finetune` does not have.

    own: what the function takes beside the settings of `finetune`, to be named where one is unknown
    of:  the function that was called
    """
    known = {f.name for f in fields(Recipe)} - {"task"}
    if unknown := sorted(set(settings) - known):
        hint = hint_for(unknown[0], [*own, *known])
        beside = f"Beside {', '.join(own)} there are the settings of finetune" if own else "Its settings"
        raise TypeError(f"{of} has no setting {unknown[0]!r}.{hint} {beside}: {', '.join(sorted(known))}.")


def make_plan(model: VisionModel | str, data: Any, *, batch_size: int | None = None,
              run_dir: str | os.PathLike | None = None, resume: bool = False, pretrained: bool = True,
              backbone: str | None = None, input_size: tuple[int, int, int] | None = None,
              device: str | torch.device | None = None, name: str = "", workers: int = 1, writes: bool = True,
              taught: Taught | None = None, **settings: Any) -> Plan:
    """Check what `finetune` was given; raises as it says. settings: those of `Recipe`.

    workers: batch_size photos each make a step;  writes: False for all but one of several processes
    taught: by whom, where there is a teacher beside the labels
    """
    check_settings(settings)
    task = task_of(model)
    batch_size = BATCH_SIZE[task] if batch_size is None else batch_size
    recipe = Recipe(batch_size=batch_size, task=task, **settings)
    recipe = replace(recipe, batch_size=workers * recipe.batch_size)
    check_place(device, input_size)
    check_backbone(backbone, model, task)
    splits = data_for(model, data, recipe)
    check_data(recipe, splits)
    folder = None if run_dir is None else given_path(run_dir, "run_dir")
    if isinstance(model, nn.Module):
        model = look_through(model)
    if isinstance(model, VisionModel) and (by := teacher_of(model)):  # its weights are on the move
        raise TrainingError(f"{by} is teaching this model at present. Stop it first, or give a copy of the "
                            "model: copy.deepcopy(model).")
    exchanged = exchange_notes(model, splits, kind_of(splits, recipe))
    splits = replace(splits, notes=(*splits.notes, *exchanged))
    if taught is not None:
        splits = replace(splits, notes=(*splits.notes, f"Taught by {taught.words}."))
    net, device = begun_with(model, splits, recipe, pretrained, device, input_size, backbone)
    if isinstance(model, str) and recipe.finds_places:
        splits = replace(splits, notes=(*splits.notes, *beginning_notes(net)))
    name = name or (folder.name if folder else f"{net.config.architecture} on {splits.name}")
    goes_on = resume and folder is not None and (folder / checkpoint.LAST).is_file()
    claim = Claim(net, folder if writes else None, name=name)
    identity = None
    if claim.folder is not None:
        identity = identity_of(net, splits, recipe, input_size, None if taught is None else taught.facts)
        claim.notes = _check(folder, goes_on, identity, net)
        if goes_on:
            identity = began_as(folder, identity)

        def check(again: bool) -> list[str]:
            there = goes_on or again and (folder / checkpoint.LAST).is_file()
            return _check(folder, there, identity, net)

        claim.check = check
    claim.take()
    try:
        # From here on the folder and the model are this run's.
        net = made_ready(net, splits, recipe, device, input_size, named=isinstance(model, str))
        check_learning(recipe, splits, net, workers=workers)
        if identity is not None:
            began = {
                "run": name, "name": model if isinstance(model, str) else net.config.architecture,
                "by_name": isinstance(model, str), "pretrained": pretrained, "data": splits.name,
                "labels": list(splits.classes),
                "channels": input_size[0] if input_size is not None and input_size[0] != 3 else None,
                "config": net.config.as_timm(),
            }
            claim.facts = {checkpoint.RECIPE: recipe.as_dict(), checkpoint.IDENTITY: identity.facts,
                           checkpoint.MODEL: began}
            claim.write()
    except BaseException:
        claim.release()
        raise
    return Plan(net, splits, recipe, folder, resume, name, claim, "" if taught is None else taught.words)


def _check(folder: Path, goes_on: bool, identity: Identity, net: VisionModel) -> list[str]:
    """See that the folder is free, or is this run's: sentences for the reader of the result. Only reads.

    Raises TrainingError for another run's folder, and for one with files that a run would write over.
    """
    if goes_on:
        return compare(folder, identity, net)
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"run_dir '{folder}' is a file. Give a folder, or a name that is free.")
    if (folder / checkpoint.RECIPE).is_file() and (folder / checkpoint.LAST).is_file():
        raise TrainingError(f"'{folder}' holds a run already. Add resume=True to go on with it, or give "
                            "another run_dir.")
    if (strange := others_file(folder)) is not None:
        raise TrainingError(f"'{folder}' holds a {strange} that no run has written, and that a run would "
                            f"write over. {ADVICE}")
    return []
