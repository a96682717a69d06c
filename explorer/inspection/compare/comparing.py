"""Several models and the same photos: what they answer, where they look, how large and how fast they are.

    result = compare(["tf_efficientnet_lite0", "tf_efficientnet_lite2"], "cat.jpg")
    result                                      # in a notebook: the table, the answers on one axis
    result.figure("scatter").savefig("speed.svg")
    result.to_markdown()

A few photos are kept as a `Look` of every model: predictions, maps at equal stride and heat maps all come
from that one pass. Of many photos only the logits are kept, on the disk. What comes back is a
`comparison.Comparison`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.labels import class_key
from explorer.display.words import counted
from explorer.inspection.compare.answers import JUDGED
from explorer.inspection.compare.compared import FEW, MOST_LOOKS, Progress, why
from explorer.inspection.compare.comparison import Comparison
from explorer.inspection.compare.facts import ModelRow
from explorer.inspection.compare.finding import find_all
from explorer.inspection.compare.joining import class_sets_note, first_answers
from explorer.inspection.compare.photos import ComparedPhotos
from explorer.inspection.compare.place_comparison import PlaceComparison
from explorer.inspection.compare.sizes import macs_of, published_of
from explorer.inspection.compare.speed import REPEATS, WARM_UP, weight_bytes
from explorer.inspection.detect.detecting import as_detector
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look.looking import look
from explorer.inspection.look.model import as_model, notes_on, outputs_of
from explorer.inspection.look.passes import Stopped
from explorer.inspection.look.result import Look
from explorer.inspection.segment.segmenting import as_segmenter
from explorer.models.contract import VisionModel
from explorer.models.detection.detector import Detector
from explorer.models.ensembles.given import Several, named_members
from explorer.models.outputs import Outputs
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.tasks import check_one_kind, task_of_name
from explorer.models.weights.report import WeightsError

log = logging.getLogger(__name__)

FEWEST, MOST = 2, 8   # models


@checked
def compare(
    models: Several,
    images: Any,
    *,
    measure: bool = True,
    warm_up: int = WARM_UP,
    repeats: int = REPEATS,
    batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Comparison | PlaceComparison:
    """Show the same photos to 2 to 8 models.

    models:      names, models that you built, or runs; or {what to call it: one of these}
    images:      one photo or a list of them (anything `load_image` takes), {what to call it: photo}, a
                 folder, a `PhotoSet`, or "flowers5". Where the right classes are known (a `PhotoSet`, a
                 folder with a folder for each class, explorer's own photos), the answers are judged as well
    measure:     time the models here (`Comparison.measure` does it later); warm_up, repeats: passes of each
    batch_size, cache_dir: for many photos, see `run_folder`
    on_progress: called with (done, of how many, what);  should_stop: True ends it, keeping the models that
                 are done

    Networks for boxes give a `BoxComparison`, those for masks a `MaskComparison`: what each found, and how
    far they agree, as IoU. Only models of one kind are compared with each other. Up to 16 photos are kept as
    Looks, or with what was found drawn over them, of more only the logits, boxes and figures. A model or
    photo that fails is a sentence in `.problems`, and the others go on. Raises ValueError for fewer than 2 or
    more than 8 models or for no photo, or for models of different kinds, ImageError where no photo opens,
    WeightsError or ValueError where no model can be had.
    """
    wanted = _named(models)
    photos = ComparedPhotos.of(images)
    heard = on_progress or (lambda done, total, what: None)
    stop = should_stop or (lambda: False)
    problems: list[tuple[str, str]] = []
    opened = _open(wanted, problems, heard, stop)
    if next(iter(opened.values())).task != "classification":
        return _compare_places(opened, photos, problems, heard, stop, measure=measure, warm_up=warm_up,
                               repeats=repeats)
    few = len(photos) <= FEW and len(photos) * len(opened) <= MOST_LOOKS
    if few:
        done = _look_at_all(opened, photos, problems, heard, stop)
    else:
        done = _stream(opened, photos, problems, heard, stop, batch_size=batch_size, cache_dir=cache_dir)
    if not done.models:
        raise Stopped("Stopped before the first model was done.") if stop() else _all_failed(problems, None)
    result = Comparison(
        rows=[
            _facts(name, model, done.outputs[i], done.logits[i], done.truth)
            for i, (name, model) in enumerate(done.models.items())
        ],
        photos=done.photos,
        outputs=tuple(done.outputs),
        logits=tuple(done.logits),
        looks=tuple(done.looks),
        truth=done.truth if any(done.truth) else (),
        problems=problems,
        notes=(),
        models=tuple(done.models.values()),
        source=photos.source,
    )
    stopped = len(done.models) < len(opened) and stop()
    result.notes = tuple(_notes(result, photos.notes, len(wanted), stopped=stopped))
    if measure and not stop():
        result.measure(warm_up=warm_up, repeats=repeats, on_progress=on_progress, should_stop=should_stop)
    return result


@dataclass
class _Done:
    """What the passes gave, of the models that got through them."""

    photos: tuple[str, ...]
    truth: tuple[frozenset[str], ...]
    models: dict[str, VisionModel] = field(default_factory=dict)
    outputs: list[Outputs | None] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)
    looks: list[tuple[Look, ...]] = field(default_factory=list)


def _named(models: Any) -> dict[str, Any]:
    """{what to call it: name or model}. Raises ValueError for too few, too many, or the same one twice."""
    if isinstance(models, (str, nn.Module)) or not isinstance(models, Iterable):
        raise ValueError(f"Compare needs at least {FEWEST} models, as a list: "
                         f"compare(['tf_efficientnet_lite0', 'tf_efficientnet_lite1'], photo). For one "
                         "alone: look(model, photo).")
    given = models if isinstance(models, Mapping) else list(models)
    if not FEWEST <= len(given) <= MOST:
        raise ValueError(f"Compare takes {FEWEST} to {MOST} models, not {len(given)}.")
    if not isinstance(given, Mapping):
        names = Counter(model.strip() for model in given if isinstance(model, str))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"{twice[0]!r} is there twice: name each model once.")
    return named_members(given)


def _open(wanted: dict[str, Any], problems: list[tuple[str, str]], heard: Progress, stop: Callable[[], bool]
          ) -> dict[str, VisionModel]:
    check_one_kind({name: task_of_name(model) for name, model in wanted.items() if isinstance(model, str)})
    opened: dict[str, VisionModel] = {}
    first: Exception | None = None
    for number, (name, model) in enumerate(wanted.items()):
        if stop():
            break
        heard(number, len(wanted), f"opening {name}")
        try:
            opened[name] = _with_head(as_model(model, task=None))
        except Exception as error:  # one that can't be had does not keep the others from being compared
            log.info("%s can't be compared", name, exc_info=error)
            first = first or error
            problems.append((name, why(error)))
    if not opened:
        if first is None:
            raise Stopped("Stopped before the first model was opened.")
        raise _all_failed(problems, first)
    check_one_kind({name: model.task for name, model in opened.items()})
    return opened


def _with_head(model: VisionModel) -> VisionModel:
    """Itself. Raises ValueError for a network for boxes or masks that can find none."""
    if isinstance(model, Detector):
        return as_detector(model)
    return as_segmenter(model) if isinstance(model, Segmenter) else model


def _compare_places(
    opened: dict[str, VisionModel], photos: ComparedPhotos, problems: list[tuple[str, str]],
    heard: Progress, stop: Callable[[], bool], *, measure: bool, warm_up: int, repeats: int,
) -> PlaceComparison:
    result = find_all(opened, photos, problems, heard, stop)
    if measure and not stop():
        result.measure(warm_up=warm_up, repeats=repeats, on_progress=heard, should_stop=stop)
    return result


def _all_failed(problems: list[tuple[str, str]], first: Exception | None) -> Exception:
    kind = type(first) if isinstance(first, (WeightsError, ValueError, TypeError)) else ValueError
    error = (kind if kind in (WeightsError, ValueError, TypeError) else ValueError)(
        "None of the models can be compared. " + " ".join(f"{who}: {why}" for who, why in problems))
    error.__cause__ = first
    return error


def _look_at_all(
    opened: dict[str, VisionModel], photos: ComparedPhotos, problems: list[tuple[str, str]],
    heard: Progress, stop: Callable[[], bool],
) -> _Done:
    """One Look of every model at every photo that opens."""
    pictures, names, truth = [], [], []
    broken: Exception | None = None
    for name, open_one, right in photos:
        try:
            pictures.append(open_one())
        except ImageError as error:
            broken = error
            problems.append((name, str(error)))
            continue
        names.append(name)
        truth.append(right)
    if broken is not None and not pictures:
        raise broken
    done, total = _Done(tuple(names), tuple(truth)), len(opened) * len(pictures)
    for number, (name, model) in enumerate(opened.items()):
        looks = []
        try:
            for picture in pictures:
                if stop():
                    return done
                heard(number * len(pictures) + len(looks), total, f"{name} looks")
                looks.append(look(model, picture))
        except Exception as error:
            log.info("%s can't look", name, exc_info=error)
            problems.append((name, why(error)))
            continue
        done.models[name] = model
        done.outputs.append(looks[0].outputs if model.num_classes else None)
        done.logits.append(np.stack([one.logits.numpy() for one in looks]))  # [N, W]
        done.looks.append(tuple(looks))
    heard(total, total, "done")
    return done


def _stream(
    opened: dict[str, VisionModel], photos: ComparedPhotos, problems: list[tuple[str, str]],
    heard: Progress, stop: Callable[[], bool], *, batch_size: int, cache_dir: Any,
) -> _Done:
    """The logits of every model for many photos; only a batch is in memory at a time."""
    features: dict[str, Any] = {}
    for number, (name, model) in enumerate(opened.items()):
        if stop():
            break
        try:
            found = run_folder(
                model, photos.source, batch_size=batch_size, cache_dir=cache_dir, should_stop=stop,
                on_progress=lambda done, total, number=number, name=name: heard(
                    number * total + done, len(opened) * total, f"{name} looks"))
        except Exception as error:
            log.info("%s can't look", name, exc_info=error)
            problems.append((name, why(error)))
            continue
        if len(found):
            features[name] = found
    if not features:
        return _Done((), ())
    # Where it was stopped, one model has seen fewer photos than those before it: it is left out.
    features = {name: found for name, found in features.items() if found.complete} or features
    first = next(iter(features.values()))
    problems += first.problems  # a photo that is broken is broken for all
    names = tuple(first.names)
    right = dict(zip(photos.source.names, photos.truth))
    done = _Done(names, tuple(right.get(name, frozenset()) for name in names))
    for name, found in features.items():
        done.models[name] = opened[name]
        done.outputs.append(outputs_of(opened[name]) if opened[name].num_classes else None)
        done.logits.append(found.logits)
    return done


def _facts(name: str, model: VisionModel, outputs: Outputs | None, logits: np.ndarray,
           truth: tuple[frozenset[str], ...]) -> ModelRow:
    channels, height, width = model.config.input_size
    right = judged = 0
    labels = outputs.labels if outputs is not None and not outputs.numbers else ()
    keys = [class_key(label) for label in labels]
    known = set(keys)
    for index, answers in zip(first_answers(logits, outputs), truth):
        if answers & known:
            judged += 1
            right += keys[index] in answers
    return ModelRow(
        name=name, parameters=sum(p.numel() for p in model.parameters()), macs=macs_of(model, name),
        weight_bytes=weight_bytes(model), input_size=(channels, height, width), num_classes=len(keys),
        published=published_of(model), right=right if judged else None, judged=judged,
        notes=notes_on(model, torch.from_numpy(logits)),
    )


def _notes(result: Comparison, photo_notes: Sequence[str], wanted: int, *, stopped: bool) -> Iterator[str]:
    if stopped:
        yield f"Stopped: {counted(len(result), 'model')} of {wanted} got through the photos."
    for row in result.rows:
        yield from (f"{row.name}: {note}" for note in row.notes)
    for name, outputs in zip(result.names, result.outputs):
        if outputs is not None and outputs.several:
            yield (f"{name} tells several classes at once, each with a share of its own: its first answer is "
                   "the likeliest of them.")
    kinds = {outputs.numbers for outputs in result.outputs if outputs is not None}
    if len(kinds) > 1:
        yield ("Some of the models give numbers and others tell classes: those have nothing in common to be "
               "compared by.")
    yield from class_sets_note(result.names, result.keys)
    judged = [row for row in result.rows if row.judged]
    if judged:
        few = sorted({row.judged for row in judged})
        of = f"{few[0]}" if len(few) == 1 else f"{few[0]} to {few[-1]}"
        of = f"{of} of {counted(len(result.photos), 'photo')}"
        yield (f"“Right here” is judged by {of}: those whose class a model knows by name."
               + (f" Fewer than {JUDGED} say little." if few[0] < JUDGED else ""))
    elif result.truth:
        yield "The photos are labelled, but no model knows a class of these names: nothing is judged."
    yield from photo_notes
