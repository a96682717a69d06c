"""`stack` and `blend`: a small model learns whom of several to believe, without having seen their homework.

    found = explorer.stack(["tf_efficientnet_lite0", "tf_efficientnet_lite1"], "flowers5")
    found.evaluation.top1, found.alone            # on photos that nobody has learnt from
    found.predict("photo.jpg")
    explorer.explain(found.model, "photo.jpg")    # members and meta learner as one network

What a model says of a photo that it has learnt from is no measure of what it knows. So the meta learner reads
answers to photos that the members had not seen: out-of-fold ones (`stack`), or those to a share that was held
out (`blend`, which costs one run a member and some photos).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from explorer.arguments import checked, number, whole, word
from explorer.data.folders import DataError
from explorer.data.photo_sets import PhotoSet
from explorer.display.words import sentence_of
from explorer.inspection.look.model import outputs_of
from explorer.models.contract import VisionModel
from explorer.models.ensembles.given import named_members
from explorer.models.ensembles.members import check_single
from explorer.models.ensembles.stacked_model import StackedModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import look_through
from explorer.training.choosing.fold_runs import (
    Asked,
    Opened,
    asked,
    fold_runs,
    opened,
    raw_scores,
    recipe_of,
    run_once,
)
from explorer.training.choosing.folds import fold_parts, most_folds
from explorer.training.choosing.meta import LEARNERS, Meta, features_of
from explorer.training.choosing.scored import Judged, judged_by, put_together
from explorer.training.choosing.stacked import Stacked
from explorer.training.evaluation.numbers import NumberEvaluation
from explorer.training.loop.errors import TrainingError

Stop = Callable[[], bool]


@checked(folds=whole(2, 1000), meta=word, device=None)
def stack(models: Any, data: Any, *, folds: int = 5, meta: str = "logistic", seed: int = 0,
          pretrained: bool = True, device: str | torch.device | None = None,
          on_progress: Callable[[int, int], None] | None = None, should_stop: Stop | None = None,
          **settings: Any) -> Stacked:
    """Teach each model in folds, a meta learner from their out-of-fold answers, and each model once more from
    all photos to learn from; judge by the data's held-out part.

    models:  names, models or runs, two at least, in a list or a dict; models are copied
    data:    whatever `finetune` takes;  settings: further ones of `finetune`, the same for all
    folds:   of the photos to learn from, alike in classes, drawn by `seed`
    meta:    "logistic" (logistic regression on the members' log-probabilities; of numbers ridge regression)
             or "mlp" (a hidden layer of 16)
    on_progress: called with (runs done, of how many);  should_stop: True from it ends with TrainingError

    What comes back answers photos (`.predict`) and is judged by others (`.evaluate`); `.evaluation`,
    `.alone` and `.mean` tell of it, of each member and of the mean of their answers on the held-out photos.
    The mean is the one to beat: it learns nothing, and is often no worse.

    No photo's label reaches the answer to it that the meta learner reads, and no held-out photo anything.
    Raises as `finetune` does; TrainingError that names the member which fails.
    Source: D. H. Wolpert, Stacked generalization, 1992.
    """
    return _stacked("stack", models, data, meta, seed, pretrained, device, settings, on_progress, should_stop,
                    lambda photos: fold_parts(photos, folds, seed))


@checked(share=number(0, 0.9, above=True), meta=word, device=None)
def blend(models: Any, data: Any, *, share: float = 0.2, meta: str = "logistic", seed: int = 0,
          pretrained: bool = True, device: str | torch.device | None = None,
          on_progress: Callable[[int, int], None] | None = None, should_stop: Stop | None = None,
          **settings: Any) -> Stacked:
    """As `stack`, with one run a model: a share of the photos to learn from is held out for the meta learner,
    and no member ever learns from it.

    share: of the photos to learn from, above 0, of each class alike, drawn by `seed`
    Raises as `stack` does.
    """
    def parts(photos: PhotoSet) -> tuple[list[list[int]], list[str]]:
        pieces = max(round(20 * share), 1)
        most = 20 if len(photos) >= 40 else max(len(photos) // 2, 2)
        found, notes = fold_parts(photos, max(min(most, most_folds(photos)), 2), seed)
        count = max(min(round(pieces * len(found) / 20), len(found) - 1), 1)
        return [sorted(i for part in found[:count] for i in part)], notes

    return _stacked("blend", models, data, meta, seed, pretrained, device, settings, on_progress, should_stop,
                    parts)


def _stacked(method: str, models: Any, data: Any, learner: str, seed: int, pretrained: bool, device: Any,
             settings: dict[str, Any], on_progress: Callable[[int, int], None] | None,
             should_stop: Stop | None, parts_of: Callable[[PhotoSet], tuple[list[list[int]], list[str]]],
             ) -> Stacked:
    if learner not in LEARNERS:
        raise ValueError(f"meta is {learner!r}: expected one of {', '.join(LEARNERS)}.")
    if settings.get("patience") is not None:
        raise ValueError("patience would let the photos that are answered choose the epoch: leave it out.")
    named = named_members(models)
    if len(named) < 2:
        raise ValueError(f"models has one member, {next(iter(named))}: give two at least, which are taught "
                         "the same.")
    for name, model in named.items():
        if isinstance(model, nn.Module):
            check_single(name, look_through(model))
    settings = {**settings, "seed": seed}
    found = opened(data, "all", recipe_of(settings, ("folds" if method == "stack" else "share", "meta")))
    parts, notes = parts_of(found.photos.subset(range(found.cut)))
    runs = len(named) * (len(parts) + 1 if method == "stack" else 1)
    steps = _Runs(on_progress, runs)
    members: dict[str, VisionModel] = {}
    read: dict[str, Judged] = {}
    held: dict[str, Judged] = {}
    for name, model in named.items():
        try:
            it = asked(model, found.photos, found.name, pretrained=pretrained, input_size=None, device=device,
                       settings=settings, should_stop=should_stop)
            it = replace(it, name=name)
            members[name], read[name], held[name] = _taught(it, found, parts, method, steps, should_stop)
        except (TrainingError, ValueError) as error:
            kind = TrainingError if isinstance(error, TrainingError) else \
                DataError if isinstance(error, DataError) else ValueError
            raise kind(f"Member {name} of models: {sentence_of(error)}") from error
        notes += it.notes
    outputs = _outputs(next(iter(members.values())), found.photos)
    learnt, judged = next(iter(read.values())), next(iter(held.values()))
    photos = found.photos.subset(range(found.cut, len(found.photos)))
    own = Meta(learner, outputs, seed).fit(features_of(_answers(read, outputs), outputs),
                                           _truth(learnt, outputs))
    answers = _answers(held, outputs)
    facts = {"data_name": found.name, "split": "val"}
    result = judged_by(own.scores(features_of(answers, outputs)), outputs, photos,
                       model_name=f"{method} of {', '.join(members)}", **facts)
    shares = own.shares(len(members))
    model = StackedModel(members, meta=own.head(), labels=photos.classes).eval()
    return Stacked(model, members, own, read, held, _mean(answers, outputs, photos, facts), result,
                   None if shares is None else dict(zip(members, shares)), method, found.name, len(learnt),
                   tuple(dict.fromkeys([*found.notes, *notes, *judged.notes])))


def _taught(it: Asked, found: Opened, parts: Sequence[Sequence[int]], method: str, steps: _Runs,
            should_stop: Stop | None) -> tuple[VisionModel, Judged, Judged]:
    """(the model, its answers for the meta learner, those to the held-out photos)."""
    held, train = range(found.cut, len(found.photos)), range(found.cut)
    answers: list[tuple[Sequence[int], Judged]] = []
    if method == "stack":
        for run in fold_runs(it, parts, should_stop=should_stop):
            answers.append((run.places, run.result))
            steps.one()
        if len(answers) < len(parts):
            raise TrainingError("Stopped before the members were taught: there is no result yet.")
    else:
        train = sorted(set(train) - set(parts[0]))
        if not train:
            raise DataError(f"Nothing of the {found.cut} photos is left to learn from: take a smaller share.")
    done = run_once(it, train, held, should_stop=should_stop)
    if done.stopped or not done.history:
        raise TrainingError("Stopped before the members were taught: there is no result yet.")
    steps.one()
    outputs = outputs_of(done.model)

    def said(places: Sequence[int], split: str) -> Judged:
        return judged_by(raw_scores(it, done.model, places), outputs, it.photos.subset(places),
                         model_name=it.name, data_name=it.data_name, split=split)

    if method == "blend":
        answers = [(list(parts[0]), said(parts[0], "held out"))]
    own = put_together(answers, it.photos, model_name=it.name, data_name=it.data_name, split="out-of-fold")
    return done.model, own, said(held, "val")


def _outputs(model: VisionModel, photos: PhotoSet) -> Outputs:
    """How the stacked answers are read: by the data's classes, in its order."""
    kind = outputs_of(model)
    return Outputs("numbers" if kind.numbers else "several" if kind.several else "one", photos.classes)


def _answers(results: dict[str, Judged], outputs: Outputs) -> torch.Tensor:
    """[M, N, K] of each member, its classes in the order of `outputs`."""
    rows = []
    for result in results.values():
        if isinstance(result, NumberEvaluation):
            rows.append(result.predicted)
        else:
            rows.append(result.probabilities[:, [result.classes.index(name) for name in outputs.labels]])
    return torch.stack(rows).double()


def _truth(result: Judged, outputs: Outputs) -> Any:
    """What is known of the photos of a result, for scikit-learn."""
    if isinstance(result, NumberEvaluation):
        return result.truth.numpy()
    order = [result.classes.index(name) for name in outputs.labels]
    if result.multi_label:
        return result.labels[:, order].numpy()
    return torch.tensor([order.index(i) for i in result.labels.tolist()]).numpy()


def _mean(answers: torch.Tensor, outputs: Outputs, photos: PhotoSet, facts: dict[str, Any]) -> Judged:
    """The mean of the members' answers, to hold the stacked ones against."""
    mean = answers.mean(0)
    if outputs.numbers:
        raw = mean
    else:
        raw = torch.logit(mean.clamp(1e-12, 1 - 1e-12)) if outputs.several else mean.clamp(min=1e-38).log()
    return judged_by(raw, outputs, photos, model_name="mean of the members", **facts)


class _Runs:
    """Progress, a run at a time."""

    def __init__(self, on_progress: Callable[[int, int], None] | None, total: int):
        self.on_progress, self.total, self.done = on_progress, total, 0

    def one(self) -> None:
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(self.done, self.total)
