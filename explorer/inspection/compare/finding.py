"""The passes of several networks for boxes, or of several for masks, over the same photos.

Photo by photo all models look at it, so that masks are compared as they come and not kept: one of a large
photo takes 12 MB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from explorer.data.images import ImageError
from explorer.inspection.compare.compared import FEW, MOST_LOOKS, Progress, why
from explorer.inspection.compare.facts import ModelRow
from explorer.inspection.compare.joining import class_sets_note, distinct
from explorer.inspection.compare.overlaps import Regions
from explorer.inspection.compare.photos import ComparedPhotos
from explorer.inspection.compare.place_comparison import (
    BoxComparison,
    MaskComparison,
    PlaceComparison,
    shared_of,
)
from explorer.inspection.compare.sizes import macs_of, published_of
from explorer.inspection.compare.speed import weight_bytes
from explorer.inspection.detect.detecting import detect_in
from explorer.inspection.detect.result import Detections
from explorer.inspection.look.passes import Stopped
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.result import Segmentation
from explorer.inspection.segment.segmenting import segment_in
from explorer.models.contract import VisionModel

log = logging.getLogger(__name__)

SCORE = 0.3  # of boxes, as `detect` has it


@dataclass
class _Passes:
    """What has been found so far. found: [model][photo];  all others: [photo]"""

    found: dict[str, list[Any]]
    photos: list[str] = field(default_factory=list)
    notes: dict[str, dict[str, None]] = field(default_factory=dict)  # of each model, each once
    things: list[dict[str, list[int]]] = field(default_factory=list)  # the class indices that each found
    answers: list[dict[str, str]] = field(default_factory=list)
    shared: list[dict[tuple[str, str], Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [*self.found]

    def leave_out(self, name: str) -> None:
        """A model that failed: nothing of it is kept."""
        del self.found[name]


def find_all(
    opened: dict[str, VisionModel], photos: ComparedPhotos, problems: list[tuple[str, str]],
    heard: Progress, stop: Callable[[], bool],
) -> PlaceComparison:
    """All that the models found; stopped, of the photos that all had looked at.

    Raises ImageError where no photo opens, Stopped before the first was done, ValueError where every model
    fails.
    """
    asks = {name: _asker(model) for name, model in opened.items()}
    done = _Passes({name: [] for name in opened})
    pictured = min(FEW, MOST_LOOKS // len(opened))
    broken: ImageError | None = None
    stopped = False
    for number, (name, open_one, _right) in enumerate(photos):
        if stopped := stop():
            break
        try:
            photo = open_one()
        except ImageError as error:
            broken = error
            problems.append((name, str(error)))
            continue
        new = _look_at(photo, asks, done, problems, stop, lambda model, name=name, number=number: heard(
            number, len(photos), f"{model} looks at {name}"))
        if not done.found:
            raise ValueError("None of the models can be compared. "
                             + " ".join(f"{who}: {reason}" for who, reason in problems))
        if stopped := new is None:
            break
        _keep(done, name, new, opened, whole=len(done.photos) < pictured)
    if not done.photos:
        raise broken if broken is not None and not stopped else Stopped("Stopped before the first photo "
                                                                        "was done.")
    heard(len(photos), len(photos), "done")
    left = f"Stopped: {len(done.photos)} of {len(photos)} photos were shown to all models."
    return _compared(done, {name: opened[name] for name in done.names}, problems,
                     min(pictured, len(done.photos)), (*photos.notes, *((left,) if stopped else ())))


def _asker(model: VisionModel) -> Callable[[Image.Image], Any]:
    """Photo -> what that network finds in it."""
    if model.task == "detection":
        thresholds = {"score_threshold": SCORE, "iou_threshold": model.iou_threshold}
        return lambda photo: detect_in(model, photo, **thresholds)[1]
    prepare = preparation(model)
    return lambda photo: segment_in(model, photo, prepare)[1]


def _look_at(
    photo: Image.Image, asks: dict[str, Callable[[Image.Image], Any]], done: _Passes,
    problems: list[tuple[str, str]], stop: Callable[[], bool], heard: Callable[[str], None],
) -> dict[str, Any] | None:
    """What each model found; one that fails is left out. None where it was stopped in between."""
    new = {}
    for name in done.names:
        if stop():
            return None
        heard(name)
        try:
            new[name] = asks[name](photo)
        except Exception as error:  # one that fails does not keep the others from being compared
            log.info("%s can't look", name, exc_info=error)
            problems.append((name, why(error)))
            done.leave_out(name)
    return new


def _keep(done: _Passes, photo: str, new: dict[str, Any], opened: dict[str, VisionModel], *, whole: bool
          ) -> None:
    done.photos.append(photo)
    done.things.append({})
    done.answers.append({})
    for name, found in new.items():
        done.notes.setdefault(name, {}).update(dict.fromkeys(found.notes))
        done.answers[-1][name] = found.in_words
        if isinstance(found, Detections):
            done.found[name].append(found if whole else found.without_photo())
            continue
        done.things[-1][name] = found.found
        if whole:
            done.found[name].append(replace(found, scores=None))
    if all(isinstance(found, Segmentation) for found in new.values()):
        names = [*new]
        regions = [Regions(found.mask.numpy(), distinct(found.labels)) for found in new.values()]
        done.shared.append({(names[i], names[j]): parts
                            for (i, j), parts in shared_of(regions).items()})


def _compared(
    done: _Passes, models: dict[str, VisionModel], problems: list[tuple[str, str]], pictured: int,
    notes: tuple[str, ...],
) -> PlaceComparison:
    labels = {name: done.found[name][0].names if isinstance(done.found[name][0], Detections)
              else done.found[name][0].labels for name in models}
    rows = []
    for name, model in models.items():
        found = done.found[name]
        things = sum(map(len, found)) if isinstance(found[0], Detections) \
            else len({index for one in done.things for index in one[name]})
        rows.append(ModelRow(
            name=name, parameters=sum(p.numel() for p in model.parameters()), macs=macs_of(model, name),
            weight_bytes=weight_bytes(model), input_size=model.config.input_size,
            num_classes=model.num_classes, published=published_of(model), notes=tuple(done.notes[name]),
            found=things,
        ))
    shared: dict[str, Any] = {
        "rows": rows, "photos": tuple(done.photos), "problems": problems, "models": tuple(models.values()),
        "labels": tuple(labels.values()), "pictured": pictured,
        "notes": (*(f"{row.name}: {note}" for row in rows for note in row.notes),
                  *class_sets_note([*models], [distinct(each) for each in labels.values()]), *notes),
    }
    found = tuple(tuple(done.found[name]) for name in models)
    if next(iter(models.values())).task == "detection":
        return BoxComparison(found=found, **shared)
    names = [*models]
    return MaskComparison(
        found=found, answers=tuple(tuple(one[name] for name in names) for one in done.answers),
        shared=tuple({(i, j): one[names[i], names[j]]
                      for i in range(len(names)) for j in range(i, len(names))} for one in done.shared),
        **shared)
