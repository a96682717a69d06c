"""The runs of a cross-validation: for each fold a fresh copy of the model that never sees the fold's photos.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.data.checks import broken_photos, ordered_as
from explorer.data.datasets import open_data
from explorer.data.folders import NAMED, DataError
from explorer.data.photo_sets import PhotoSet, Splits, joined
from explorer.display.words import sentence_of
from explorer.inspection.look.model import model_name, outputs_of
from explorer.models.contract import VisionModel
from explorer.models.surgery.inside import look_through
from explorer.training.choosing.learning import Hear, Learnt, Seen, learn, look_once, scores_from
from explorer.training.choosing.scored import Judged, judged_by
from explorer.training.evaluation.asking import ask_all
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.objective import kind_of
from explorer.training.loop.recipe import Recipe
from explorer.training.run.checks import check_place
from explorer.training.run.head import begun_with, keeps_head, labels_known, made_ready
from explorer.training.run.plan import check_settings, make_plan
from explorer.training.run.waiting_photos import opened_once

Ask = Callable[[], bool]
TAUGHT = ("The classifier of this model tells these very classes already. If it has learnt from these photos "
          "each fold judges by photos that it knows, and the figures are too good: give the model's name, or "
          "a fresh classifier (reset_classifier).")


@dataclass(frozen=True)
class Asked:
    """What is taught again and again: the model that every run begins with, how, and from which photos.

    net:  never changed: each run has a copy;  name: what it is called
    seen: what its frozen body saw of all photos; None where each run looks for itself
    """

    net: VisionModel
    name: str
    photos: PhotoSet
    data_name: str
    recipe: Recipe
    settings: dict[str, Any]
    seen: Seen | None
    notes: tuple[str, ...]


def recipe_of(settings: dict[str, Any], own: Sequence[str] = ()) -> Recipe:
    """Raises TypeError for a setting that `finetune` does not have, ValueError for a value that can't be.

    own: what the function takes beside the settings of `finetune`, to be named where one is unknown
    """
    check_settings(settings, own)
    return Recipe(**settings)


@dataclass(frozen=True)
class Opened:
    """photos: those that can be opened, of which the first `cut` are to learn from, where somebody has split
    them or a share was held out;  name: what the data is called;  notes: sentences
    """

    photos: PhotoSet
    cut: int
    name: str
    notes: list[str]


def opened(data: Any, split: str, recipe: Recipe) -> Opened:
    """Whatever `finetune` takes. split: "all" of the photos, or those to learn from ("train")."""
    splits = open_data(data, seed=recipe.seed, outputs=recipe.outputs)
    photos = splits.train if split == "train" else joined(splits.train, splits.val)
    notes = list(splits.notes)
    photos = opened_once(Splits(splits.name, photos, photos.subset(()))).train
    broken = broken_photos(photos)
    notes += [f"Left out, {photos.names[i]}: {why}" for i, why in list(broken.items())[:NAMED]]
    if len(broken) > NAMED:
        notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened.")
    if len(broken) == len(photos):
        raise DataError(f"None of the {len(photos)} photos of '{splits.name}' can be opened.")
    kept = [i for i in range(len(photos)) if i not in broken]
    return Opened(photos.subset(kept), sum(i < len(splits.train) for i in kept), splits.name, notes)


def asked(model: nn.Module | str, photos: PhotoSet, data_name: str, *, pretrained: bool,
          input_size: tuple[int, int, int] | None, device: Any, settings: dict[str, Any],
          on_progress: Callable[[int, int], None] | None = None, should_stop: Ask | None = None,
          seen_by: dict[Any, Seen | None] | None = None) -> Asked:
    """What was asked for, checked and made ready; the frozen body looks at all photos here.

    seen_by: what other runs' bodies have seen of the same photos, to be used again by the same model, which
             must not have changed; it is added to
    """
    recipe = recipe_of(settings)
    check_place(device, input_size)
    if isinstance(model, nn.Module):
        model = look_through(model)
    whole = ordered_as(labels_known(model), Splits(data_name, photos, photos))
    photos, kind = whole.train, kind_of(whole, recipe)
    net, device = begun_with(model, whole, recipe, pretrained, device, input_size)
    name = model if isinstance(model, str) else model_name(net)
    taught = not isinstance(model, str) and keeps_head(net, whole, kind) and net.config.labels
    net = copy.deepcopy(net) if net is model else net
    if device is not None:
        net.to(device)
    if input_size is not None:
        net.config = net.config.with_(input_size=tuple(input_size), test_input_size=None)
    seen, sees = None, recipe.cached and recipe.view_count == 1
    which = (model, pretrained or recipe.seed) if isinstance(model, str) else id(model)
    key = which, input_size, str(device)
    if sees and seen_by is not None and key in seen_by:
        seen = seen_by[key]
    elif sees:
        ready = made_ready(copy.deepcopy(net), whole, recipe, device, input_size, named=False)
        seen = look_once(ready, photos, recipe, on_progress=on_progress, should_stop=should_stop)
        if seen_by is not None and seen is not None:
            seen_by[key] = seen
    return Asked(net, name, photos, data_name, recipe, {**settings, "device": device,
                 "input_size": input_size}, seen, (TAUGHT,) if taught else ())


def run_once(it: Asked, train: Sequence[int], val: Sequence[int], *, last: bool = True,
             seed: int | None = None, hear: Hear | None = None, should_stop: Ask | None = None) -> Learnt:
    """A copy of the model learns from the photos `train`; those of `val` draw its validation curve, and with
    `last` choose nothing.
    """
    splits = Splits(it.data_name, it.photos.subset(train), it.photos.subset(val))
    settings = {**it.settings, **({} if seed is None else {"seed": seed})}
    plan = make_plan(copy.deepcopy(it.net), splits, name=f"{it.name} on {it.data_name}", **settings)
    seen = None if it.seen is None else it.seen.parts(train, val)
    return learn(plan, seen=seen, last=last, hear=hear, should_stop=should_stop)


def raw_scores(it: Asked, model: VisionModel, places: Sequence[int]) -> Tensor:
    """Raw scores [N, W] of some of the photos by a model that learnt."""
    if it.seen is not None:
        return scores_from(model, it.seen.vectors[list(places)])
    (raw,), kept, broken, _ = ask_all(model, it.photos.subset(places), 32, False, lambda views: (views[0],),
                                      None, None)
    if broken:
        raise DataError(f"'{broken[0][0]}' can't be opened any more: {broken[0][1]}")
    return raw


@dataclass(frozen=True)
class FoldRun:
    """One fold: number and repeat from 0, which photos were judged, from how many it was learnt, and how."""

    number: int
    repeat: int
    places: list[int]
    learnt: int
    result: Judged
    history: list[dict[str, Any]]
    notes: list[str]


def fold_runs(it: Asked, parts: Sequence[Sequence[int]], *, repeat: int = 0, hear: Hear | None = None,
              should_stop: Ask | None = None) -> Iterator[FoldRun]:
    """Each fold judged by a model that learnt from the others; ends where it was asked to stop. Photos that
    no fold judges are not learnt from either.

    Nothing of a fold's photos, nor of their labels, reaches the model that judges them: neither which epoch
    is kept nor how numbers are scaled. Raises TrainingError that names the fold whose run fails.
    """
    for number, val in enumerate(parts):
        train = sorted(i for part in parts if part is not val for i in part)
        try:
            done = run_once(it, train, val, seed=it.recipe.seed + repeat, hear=hear, should_stop=should_stop)
            if done.stopped or not done.history:
                return
            raw = raw_scores(it, done.model, val)
        except RuntimeError as error:
            raise TrainingError(f"Fold {number + 1} of {len(parts)}: {sentence_of(error)}") from error
        if not torch.isfinite(raw).all():
            raise TrainingError(f"Fold {number + 1} of {len(parts)}: the model's scores are not finite, so "
                                "its weights are broken. A training with too large steps does that.")
        result = judged_by(raw, outputs_of(done.model), it.photos.subset(val), model_name=it.name,
                           data_name=it.data_name, split=f"fold {number + 1}")
        yield FoldRun(number, repeat, list(val), len(train), result, done.history, done.notes)
