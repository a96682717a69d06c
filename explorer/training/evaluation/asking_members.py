"""Members of an ensemble asked about the same photos, each once; one that fails is named, the others go on.

    asked = ask_members({"lite0": open_lite0, "lite1": open_lite1}, "flowers5")
    asked.weighing.weigh([0.7, 0.3]).accuracy          # no network runs for that
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from explorer.data.folders import DataError
from explorer.data.photo_sets import PhotoSet, of_what
from explorer.data.photos import collect
from explorer.display.words import sentence_of
from explorer.inspection.features.folders import run_folder
from explorer.inspection.features.result import Features
from explorer.inspection.look.model import outputs_of
from explorer.inspection.look.passes import Stopped
from explorer.inspection.weighing.answers import MemberAnswers
from explorer.inspection.weighing.trying import Weighing
from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import align
from explorer.models.ensembles.assembling import assemble
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.members import check_members
from explorer.models.outputs import KINDS, Outputs
from explorer.training.evaluation.evaluating import photos_to_judge
from explorer.training.evaluation.matching import match_classes

log = logging.getLogger(__name__)

TOLD = 3  # classes that a sentence names

Openers = Mapping[str, Callable[[], VisionModel]]
Heard = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class AskedMembers:
    """team:  the members that answered, as one model in which all count the same
    weighing: what they said, ready for any weights; None where nobody gave photos
    problems: (name, why) of the members that could not be asked
    files:    of the photos, None for one without a file;  notes: what a reader of the figures must know
    """

    team: EnsembleModel
    weighing: Weighing | None = None
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path | None, ...] = ()
    _open: Callable[[int], Image.Image] | None = field(default=None, repr=False)

    @property
    def outputs(self) -> Outputs:
        """What their scores mean, in the order of the first one's classes."""
        return outputs_of(self.team)

    def open_photo(self, index: int) -> Image.Image:
        """One of the photos, upright RGB. Raises ImageError where its file has gone meanwhile."""
        if self._open is None:
            raise ValueError("These members were asked about no photos.")
        return self._open(index)


def ask_members(
    members: Openers, data: Any = None, *, split: str = "val", seed: int = 0, batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None, on_progress: Heard | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AskedMembers:
    """Open members and ask each once about photos whose classes are known.

    members: {what to call it: what opens it}
    data, split, seed: the photos as `evaluate` takes them; None: the members are only opened
    cache_dir: where the answers are kept, as in `run_folder`: who has answered before is not asked again
    on_progress: called with (passes done, of how many, what is being done)

    A member that can't be opened, that does not tell one class of several or whose pass fails is left out
    and named in `problems`. Raises ValueError where fewer than two are left or where they tell different
    classes, DataError for photos without classes or with others than theirs, Stopped where fewer than two
    had seen all photos.
    """
    heard = on_progress or (lambda done, total, what: None)
    problems: list[tuple[str, str]] = []
    models = _opened(members, problems, heard, should_stop)
    _check_same_classes(models)
    if data is None:
        return AskedMembers(_team(models), None, tuple(problems))
    first = next(iter(models.values()))
    photos, _name, _split, notes = photos_to_judge(data, split, seed, outputs_of(first))
    if photos.kind != "one":
        raise DataError(f"The photos have {of_what(photos)}, not one class each: give a folder with one "
                        "folder of photos for each class.")
    _classes, places, more = match_classes(first, photos)
    said = _asked(models, photos, problems, batch_size, cache_dir, heard, should_stop)
    team = _team({name: models[name] for name in said})
    kept = next(iter(said.values()))
    # the first one may have failed, and the others' classes may be in another order
    places = align(team.members[0], first, next(iter(models)), next(iter(said))).places(places)
    logits = torch.stack([alignment(torch.from_numpy(features.logits.copy()))
                          for alignment, features in zip(team.alignments, said.values())])
    answers = MemberAnswers(team.names, kept.names, logits, torch.tensor(places)[kept.labels],
                            outputs_of(team), team.combine)
    left_out = [f"Left out, {name}: {why}" for name, why in kept.problems[:5]]
    told = tuple(dict.fromkeys([*notes, *more, *left_out]))
    return AskedMembers(team, Weighing(answers), tuple(problems), told, kept.files, kept.open_photo)


def _opened(members: Openers, problems: list[tuple[str, str]], heard: Heard,
            should_stop: Callable[[], bool]) -> dict[str, VisionModel]:
    models: dict[str, VisionModel] = {}
    for number, (name, opens) in enumerate(members.items()):
        if should_stop():
            raise Stopped("Stopped before the members were open.")
        heard(number, len(members), f"members are open; opening {name}")
        try:
            model = opens()
            check_members({name: model})
            if model.task != "classification":
                raise ValueError(f"It is for {model.task}, not for telling one class of several.")
            if (kind := outputs_of(model).kind) not in ("one", "yes/no"):
                raise ValueError(f"It gives {KINDS[kind]}, not one class of several.")
            if models:
                check_members({**dict([next(iter(models.items()))]), name: model})
        except Exception as error:
            _leave_out(name, error, problems)
        else:
            models[name] = model
    if len(models) < 2:
        raise ValueError(_too_few(models, problems))
    return models


def _asked(models: Mapping[str, VisionModel], photos: PhotoSet, problems: list[tuple[str, str]],
           batch_size: int, cache_dir: Any, heard: Heard, should_stop: Callable[[], bool]
           ) -> dict[str, Features]:
    """What each member makes of the photos; those that fail, or that nobody asked in time, are left out."""
    several = collect(photos)
    if len(set(several.names)) < len(several):
        several = replace(several, names=tuple(f"{name} (number {i})"
                                               for i, name in enumerate(several.names, 1)))
    said: dict[str, Features] = {}
    kept: tuple[str, ...] | None = None
    total, stopped = len(models) * len(several), False
    for number, (name, model) in enumerate(models.items()):
        def told(done: int, _total: int, before: int = number * len(several), name: str = name) -> None:
            heard(before + done, total, f"answers; asking {name}")

        try:
            features = run_folder(model, several, batch_size=batch_size, cache_dir=cache_dir,
                                  on_progress=told, should_stop=should_stop)
            if stopped := not features.complete:
                break
            if not bool(torch.isfinite(torch.from_numpy(features.logits.copy())).all()):
                raise ValueError("Its scores are not finite, so its weights are broken.")
            if kept is not None and features.names != kept:
                raise ValueError("It could not open the photos that the others saw.")
        except Exception as error:
            _leave_out(name, error, problems)
        else:
            said[name], kept = features, features.names
    if stopped and len(said) < 2:
        raise Stopped("Stopped before two members had seen all photos.")
    if len(said) < 2:
        raise ValueError(_too_few(said, problems))
    if stopped:
        problems += [(name, "Stopped before it had seen all photos.") for name in [*models][number:]]
    return said


def _team(models: Mapping[str, VisionModel]) -> EnsembleModel:
    team = assemble(models, combine="mean", weights=None)
    assert isinstance(team, EnsembleModel)
    return team


def _leave_out(name: str, error: Exception, problems: list[tuple[str, str]]) -> None:
    log.warning("the member %s can't be asked", name, exc_info=error)
    problems.append((name, sentence_of(error)))


def _too_few(left: Mapping[str, Any], problems: Sequence[tuple[str, str]]) -> str:
    whys = " ".join(f"{name}: {why}" for name, why in problems)
    only = f" {next(iter(left))} alone could be asked." if left else ""
    return f"An ensemble takes two members.{only} {whys}".strip()


def _check_same_classes(models: Mapping[str, VisionModel]) -> None:
    """Raise ValueError, with the members' names, where some tell other classes than others."""
    groups: list[list[str]] = []
    for name, model in models.items():
        for group in groups:
            try:
                align(models[group[0]], model, name, group[0])
            except ValueError:
                continue
            group.append(name)
            break
        else:
            groups.append([name])
    if len(groups) > 1:
        told = "; ".join(_told(group, models[group[0]]) for group in groups)
        raise ValueError(f"The members tell different classes: {told}. An ensemble's members tell the same "
                         "ones: untick some, or teach them the same classes under Train.")


def _told(names: Sequence[str], model: VisionModel) -> str:
    labels = outputs_of(model).labels
    some = ", ".join(label[:40] for label in labels[:TOLD]) + (", ..." if len(labels) > TOLD else "")
    several = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{several} {'tell' if len(names) > 1 else 'tells'} {len(labels):,} ({some})"
