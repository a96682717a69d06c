"""`evaluate`: how good a model is, and where it errs. Each photo goes through it once.

    result = evaluate(run)                        # or: evaluate("tf_efficientnet_lite0", "my photos/")
    result.top1, result.worst, result             # an Evaluation, which shows itself in a notebook
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from explorer.arguments import checked
from explorer.data.collection import describe, existing_folder
from explorer.data.datasets import (
    BUNDLED,
    as_photos,
    check_for_places,
    is_table,
    labelled,
    open_data,
    photos_of,
)
from explorer.data.folders import DataError
from explorer.data.photo_sets import PhotoSet, Splits, joined
from explorer.data.photo_tables import read_table, read_table_for
from explorer.data.table_columns import PhotoTable
from explorer.inspection.look.model import as_model, model_name, notes_on, outputs_of
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import task_inside
from explorer.models.tasks import task_of_name
from explorer.training.evaluation.asking import ask_all, log_probabilities
from explorer.training.evaluation.box_evaluation import DetectionEvaluation
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.figures import Throughput
from explorer.training.evaluation.mask_evaluation import MaskEvaluation
from explorer.training.evaluation.matching import (
    NAMED,
    check_kinds,
    match_classes,
    match_numbers,
    moved,
    read_as,
)
from explorer.training.evaluation.numbers import NumberEvaluation
from explorer.training.evaluation.place_judging import judge_places
from explorer.training.loop.objective import target_tensor
from explorer.training.run.loading import LoadedRun
from explorer.training.run.run import Run

SPLITS = ("val", "train", "all")


class _Facts(TypedDict):
    """What both kinds of evaluation are told, whatever the answers."""

    names: tuple[str, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    model_name: str
    data_name: str
    split: str
    tta: bool
    throughput: Throughput | None
    data: PhotoSet


@checked
def evaluate(
    model: VisionModel | str | Run | LoadedRun,
    data: Any = None,
    *,
    batch_size: int = 32,
    tta: bool = False,
    topk: int = 5,
    split: str = "val",
    seed: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | NumberEvaluation | DetectionEvaluation | MaskEvaluation:
    """Judge a model by photos whose classes are known; one that gives numbers by photos whose numbers are;
    one that finds boxes or masks by photos whose boxes or masks are.

    model: a model, a name (created with its trained weights), or a run: its model, judged by its own photos
           where no data is given
    data:  whatever `finetune` takes, of which `split` is judged; a `PhotoSet` or a PyTorch dataset is judged
           whole
    tta:   test-time augmentation: the mean over each photo and its mirror image. Twice the time
    topk:  the k of the second accuracy that is shown
    split: "val" (the held-out photos), "train" or "all" (every photo; of a folder also without classes'
           train/ and val/)
    seed:  draws which photos are held out where nobody has split; None: as the run did, otherwise 0. Another
           seed than the training had would judge by photos that were learnt from
    on_progress: called with (photos done, of how many) after each batch
    should_stop: asked after each batch; once it says True, the photos so far are judged, and a note says so

    What the scores mean is the model's to say (explorer.wrap(outputs=)): of one that tells several classes
    at once the likeliest is its answer to a photo of one class. A model that gives numbers gets a
    `NumberEvaluation`; of a table it takes the columns that are called as its numbers are. A model that finds
    boxes gets a `DetectionEvaluation`, one that finds masks a `MaskEvaluation`: photo by photo, without tta,
    by whatever `explorer.data.open_places` takes.

    Classes are told by name: the folder "roses" is the model's class "roses", in whatever order. One pass a
    photo (two with tta), in evaluation mode and without gradients; the model's training flags are as they
    were afterwards. Photos that can't be opened are left out and named in `notes`.

    Raises ValueError for a model without classifier, one whose scores are not finite, a run that still
    learns; DataError for data whose classes the model does not know, classes for one that gives numbers or
    numbers for one that tells classes, or data without any photo.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    if isinstance(topk, bool) or not isinstance(topk, int) or topk < 1:
        raise ValueError(f"topk is {topk!r}: expected how many answers may be given, a number from 1.")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}.")
    if data is not None:
        model = _known(model)
    if (task := task_of(model)) != "classification":
        check_for_places(data, task)
        return _judge_places(model, data, split, seed, tta, on_progress, should_stop)
    net, called, data, seed, notes = _model_and_data(model, data, seed)
    net.notice_head()
    if not net.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so there is nothing to judge.")
    outputs = outputs_of(net)
    photos, data_name, judged, more = photos_to_judge(data, split, seed, outputs)
    notes += more
    check_kinds(outputs, photos)
    if outputs.numbers:
        classes, more = match_numbers(outputs, photos)
        read: Callable[[Tensor], Sequence[Tensor]] = lambda views: (outputs.values(views.double()).mean(0),)
    else:
        classes, place_of, more = match_classes(net, photos)
        outputs, said = read_as(net, outputs, photos)
        more = [*more, *said]
        several = photos.multi_label or outputs.several
        read = lambda views: log_probabilities(views, outputs, several)
    notes += more

    (answers, *contrary), opened, broken, throughput = ask_all(
        net, photos, batch_size, tta, read, on_progress, should_stop)
    if (seen := len(opened) + len(broken)) < len(photos):
        notes.append(f"Stopped after {seen} of {len(photos)} photos, in the order of the data: of folders "
                     "these are the first classes' alone.")
    photos = photos.subset(opened) if len(opened) < len(photos) else photos
    notes += [f"Left out, {name}: {sentence}" for name, sentence in broken[:NAMED]]
    if len(broken) > NAMED:
        notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened; see `broken`.")
    facts = _Facts(names=photos.names, files=photos.files, notes=tuple(dict.fromkeys(notes)),
                   broken=tuple(broken), model_name=called, data_name=data_name, split=judged, tta=tta,
                   throughput=throughput, data=photos)
    if outputs.numbers:
        truth = torch.tensor(photos.labels, dtype=torch.float64).view(len(photos), len(classes))
        return NumberEvaluation(numbers=classes, predicted=answers, truth=truth, scale=outputs.std, **facts)
    labels = target_tensor([moved(label, place_of) for label in photos.labels], len(classes))
    if several:
        truth = labels if labels.ndim == 2 else one_hot(labels, len(classes))
        losses = -(truth * answers + (1 - truth) * contrary[0]).mean(1)
        labels = labels.long()
    else:
        losses = -answers.gather(1, labels[:, None])[:, 0]
    return Evaluation(classes=classes, probabilities=answers.exp_().clamp_(0, 1), labels=labels,
                      losses=losses, topk=topk, **facts)


def task_of(model: Any) -> str:
    """What a model answers with: "detection", "segmentation", else "classification"; nothing is opened."""
    if isinstance(model, str):
        return task_of_name(model) or "classification"
    return task_inside(model.model if isinstance(model, Run | LoadedRun) else model)


def _known(model: Any) -> Any:
    """A model by a name whose task the catalog does not tell (a folder, a hub, another library), opened."""
    if not isinstance(model, str) or task_of_name(model):
        return model
    net = as_model(model, task=None)
    return net.to("cuda") if torch.cuda.is_available() else net


def _judge_places(model: Any, data: Any, split: str, seed: int | None, tta: bool,
                  on_progress: Callable[[int, int], None] | None,
                  should_stop: Callable[[], bool] | None) -> DetectionEvaluation | MaskEvaluation:
    if tta:
        raise ValueError("tta is True: mirror images are for models that tell classes; leave it out.")
    called = ""
    if isinstance(model, Run | LoadedRun):
        if getattr(model, "running", False):
            raise ValueError(f"{model.name} still learns: wait for it (run.wait()), or stop it (run.stop()).")
        data = getattr(model, "data", None) if data is None else data
        seed = model.recipe.seed if seed is None else seed
        model, called = model.model, model.name
    if data is None:
        raise DataError("Give the photos to judge the model by, with their boxes or masks: a folder, a COCO "
                        "file, "
                        "or a data set of (photo, target).")
    net = as_model(model, task=None)
    if isinstance(model, str) and torch.cuda.is_available():
        net.to("cuda")
    return judge_places(net, data, called=called, split=split, seed=seed or 0, on_progress=on_progress,
                        should_stop=should_stop)


def _model_and_data(model: Any, data: Any, seed: int | None) -> tuple[VisionModel, str, Any, int, list[str]]:
    """(the network, what to call it, its photos, the split's seed, notes)."""
    if isinstance(model, Run | LoadedRun):
        if getattr(model, "running", False):
            raise ValueError(f"{model.name} still learns: wait for it (run.wait()), or stop it (run.stop()).")
        if data is None:
            data = getattr(model, "data", None)
            if not isinstance(data, Splits):
                raise DataError(f"{model.name} was opened from a folder, which holds no photos: give the "
                                "data to judge it by.")
        return model.model, model.name, data, model.recipe.seed if seed is None else seed, []
    if data is None:
        raise DataError("Give the photos to judge the model by: a folder of class folders, a data set, or a "
                        f"name such as {BUNDLED[0]!r}.")
    net = as_model(model)
    if isinstance(model, str) and torch.cuda.is_available():
        net.to("cuda")
    return net, model_name(net), data, seed or 0, list(notes_on(net))


def _is_one_set(data: Any) -> bool:
    """Whether it gives (picture, class) by index, as PyTorch's data sets do."""
    return hasattr(data, "__getitem__") and not isinstance(data, (str, tuple, list, Mapping))


def photos_to_judge(data: Any, split: str, seed: int,
                    outputs: Outputs) -> tuple[PhotoSet, str, str, list[str]]:
    """(the photos, what to call them, which part they are, notes)."""
    wanted = "numbers" if outputs.numbers else None
    rows = isinstance(data, list) and len(data) != 2
    if is_table(data):
        if outputs.numbers and not isinstance(data, PhotoTable):
            data = read_table_for(data, outputs.labels if outputs.named else ())
        if split == "all":
            table = data if isinstance(data, PhotoTable) else read_table(data)
            return photos_of(table), table.name, "all", list(table.notes)
    elif rows or _is_one_set(data):
        return as_photos(data, wanted), type(data).__name__, "all", []
    elif isinstance(data, (str, os.PathLike)) and data not in (*BUNDLED, "cifar10", "cifar-10"):
        folder = existing_folder(data, "data", f", or one of the names {', '.join(BUNDLED)}, cifar10")
        described = describe(folder)
        judged = described.part("val") or described.part("test")
        if described.parts and split == "all":
            return labelled(described), folder.name, "all", list(described.sentences)
        if judged and split == "val":  # whether one could learn from the rest does not matter
            return labelled(described, judged.role), folder.name, "val", list(described.sentences)
    splits = open_data(data, seed=seed, outputs=wanted)
    if split == "all":
        return joined(splits.train, splits.val), splits.name, "all", list(splits.notes)
    return (splits.val if split == "val" else splits.train), splits.name, split, list(splits.notes)
