"""`evaluate`: how good a model is, and where it errs. Each photo goes through it once.

    result = evaluate(run)                        # or: evaluate("tf_efficientnet_lite0", "my photos/")
    result.top1, result.worst, result             # an Evaluation, which shows itself in a notebook
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer._threads import thread_count
from explorer.arguments import checked
from explorer.data.collection import describe, existing_folder
from explorer.data.datasets import (
    BUNDLED,
    DataError,
    PhotoSet,
    Splits,
    as_photos,
    is_table,
    labelled,
    of_what,
    open_data,
    photos_of,
)
from explorer.data.images import ImageError
from explorer.data.labels import class_key, imagenet_labels, match_names, order_note
from explorer.data.photo_sets import joined
from explorer.data.photo_tables import PhotoTable, read_table, read_table_for
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.display.words import counted
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.looking import as_model, evaluating, model_name, notes_on, outputs_of
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import Outputs
from explorer.training.evaluation.evaluation import Evaluation, Throughput
from explorer.training.evaluation.numbers import NumberEvaluation
from explorer.training.loop.objective import target_tensor
from explorer.training.loop.sources import prepared
from explorer.training.run.loading import LoadedRun
from explorer.training.run.run import Run

SPLITS = ("val", "train", "all")
NAMED = 5  # broken photos that a note names each; the rest it counts


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
) -> Evaluation | NumberEvaluation:
    """Judge a model by photos whose classes are known; one that gives numbers by photos whose numbers are.

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
    should_stop: asked after each batch; once it says True, the photos done so far are judged, and a note says so

    What the scores mean is the model's to say (explorer.wrap(outputs=)): of one that tells several classes
    at once the likeliest is its answer to a photo of one class. A model that gives numbers gets a
    `NumberEvaluation`; of a table it takes the columns that are called as its numbers are.

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
    net, called, data, seed, notes = _model_and_data(model, data, seed)
    net.notice_head()
    if not net.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so there is nothing to judge.")
    outputs = outputs_of(net)
    photos, data_name, judged, more = _photos_to_judge(data, split, seed, outputs)
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
        read = lambda views: _log_probabilities(views, outputs, several)
    notes += more

    (answers, *contrary), opened, broken, throughput = _answers(
        net, photos, batch_size, tta, read, on_progress, should_stop)
    if (seen := len(opened) + len(broken)) < len(photos):
        notes.append(f"Stopped after {seen} of {len(photos)} photos, in the order of the data: of folders these are "
                     "the first classes' alone.")
    photos = photos.subset(opened) if len(opened) < len(photos) else photos
    notes += [f"Left out, {name}: {sentence}" for name, sentence in broken[:NAMED]]
    if len(broken) > NAMED:
        notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened; see `broken`.")
    facts = dict(names=photos.names, files=photos.files, notes=tuple(dict.fromkeys(notes)), broken=tuple(broken),
                 model_name=called, data_name=data_name, split=judged, tta=tta, throughput=throughput, data=photos)
    if outputs.numbers:
        truth = torch.tensor(photos.labels, dtype=torch.float64).view(len(photos), len(classes))
        return NumberEvaluation(numbers=classes, predicted=answers, truth=truth, scale=outputs.std, **facts)
    labels = target_tensor([_moved(label, place_of) for label in photos.labels], len(classes))
    if several:
        truth = labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, len(classes))
        losses = -(truth * answers + (1 - truth) * contrary[0]).mean(1)
        labels = labels.long()
    else:
        losses = -answers.gather(1, labels[:, None])[:, 0]
    return Evaluation(classes=classes, probabilities=answers.exp_().clamp_(0, 1), labels=labels,
                      losses=losses, topk=topk, **facts)


def read_as(model: VisionModel, outputs: Outputs, photos: PhotoSet) -> tuple[Outputs, list[str]]:
    """(how the scores are read for these photos, notes)."""
    if photos.multi_label and not model.config.outputs and outputs.kind == "one":
        return replace(outputs, kind="several"), [
            "Nobody said what the model's scores mean: as the photos show several classes, each score is "
            "read as a yes or no of its own. explorer.wrap(model, outputs=...) says it."]
    if outputs.several and not photos.multi_label:
        return outputs, ["The model tells several classes at once, each with a share of its own: the "
                         "likeliest counts as its answer, and the loss is the mean over its yes-or-no "
                         "answers."]
    if photos.multi_label and not outputs.several:
        return outputs, ["The model picks one of its classes: of a photo that shows several it can be right "
                         "about one alone."]
    return outputs, []


def check_kinds(outputs: Outputs, photos: PhotoSet) -> None:
    """Raise DataError where the model gives numbers and the photos have classes, or the other way round."""
    if outputs.numbers == photos.numbers:
        return
    if outputs.numbers:
        raise DataError(f"The model gives numbers ({', '.join(outputs.labels[:NAMED])}), and the photos have "
                        f"{of_what(photos)}: give a table with a column of numbers, or a data set of "
                        "(picture, number).")
    raise DataError(f"The model tells {len(outputs)} classes, and the photos have no classes but the "
                    f"{of_what(photos)}: give photos with class names, or teach it the numbers first "
                    f"(finetune). If its scores are numbers already, say so: explorer.wrap(model, "
                    "outputs='numbers').")


def match_numbers(outputs: Outputs, photos: PhotoSet) -> tuple[tuple[str, ...], list[str]]:
    """(what the numbers are called, notes). Raises DataError where the model gives another count of them."""
    theirs, own = photos.classes, outputs.labels
    if len(theirs) != len(own):
        raise DataError(f"The model gives {counted(len(own), 'number')} "
                        f"({', '.join(own[:NAMED])}), and the photos have {of_what(photos)}: choose the "
                        "columns with read_table(..., target=...).")
    if theirs == own or not outputs.named:
        return theirs, []
    return own, [f"The numbers of the photos are called {', '.join(theirs[:NAMED])}: they are taken to be "
                 f"the model's {', '.join(own[:NAMED])}, in their order."]


def _model_and_data(model: Any, data: Any, seed: int | None) -> tuple[VisionModel, str, Any, int, list[str]]:
    """(the network, what to call it, its photos, the split's seed, notes)."""
    if isinstance(model, Run | LoadedRun):
        if getattr(model, "running", False):
            raise ValueError(f"{model.name} still learns: wait for it (run.wait()), or stop it (run.stop()).")
        if data is None:
            data = getattr(model, "data", None)
            if not isinstance(data, Splits):
                raise DataError(f"{model.name} was opened from a folder, which holds no photos: give the data "
                                "to judge it by.")
        return model.model, model.name, data, model.recipe.seed if seed is None else seed, []
    if data is None:
        raise DataError("Give the photos to judge the model by: a folder of class folders, a data set, or a "
                        f"name such as {BUNDLED[0]!r}.")
    net = as_model(model)
    if isinstance(model, str) and torch.cuda.is_available():
        net.to("cuda")
    return net, model_name(net), data, seed or 0, list(notes_on(net))


def _photos_to_judge(data: Any, split: str, seed: int,
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
    elif rows or (hasattr(data, "__getitem__") and not isinstance(data, (str, tuple, list, Mapping))):  # one set
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


def match_classes(model: VisionModel, photos: PhotoSet) -> tuple[tuple[str, ...], list[int], list[str]]:
    """(names of the model's classes, the model's index of each class of the data, notes).

    A name stands for itself, in any order, upper or lower case (`match_names`). A model that has no names
    takes the data's, in their order; data without names the model's; so does ImageNet's own folder, whose
    1000 folders have WordNet numbers. Raises DataError for classes that the model does not know.
    """
    theirs, outputs = photos.classes, outputs_of(model)
    own, named = outputs.labels, outputs.named
    in_order = list(range(len(own)))
    wordnet = len(own) == len(theirs) == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in theirs)
    if wordnet and list(theirs) == sorted(theirs):
        return _distinct(own if named else imagenet_labels()), in_order, []
    if not named and len(theirs) == len(own):
        note = (f"The model has no names for its {len(own)} classes: they are taken to be the data's, in their "
                "order.")
        return _distinct(theirs), in_order, list(filter(None, (note, order_note(theirs))))
    nameless = tuple(theirs) == tuple(f"class {i}" for i in range(len(theirs)))
    if named and nameless and len(theirs) <= len(own) and None in match_names(own, theirs):
        return _distinct(own), list(range(len(theirs))), [
            f"The data has no names for its classes: they are taken to be the model's first {len(theirs)}, "
            f"in their order (label 0 is {own[0]!r})."]
    places = match_names(own, theirs)
    unknown = [name for name, place in zip(theirs, places) if place is None]
    if unknown:
        unclear = [name for name in unknown if any(class_key(name) == class_key(one) for one in own)]
        if unclear:
            raise DataError(f"Which classes of the model are meant by {', '.join(map(repr, unclear[:5]))} is "
                            "unclear: names of the model's or the data's differ in case or spaces alone, or "
                            "are there twice. Name the folders as the model's classes.")
        known = ", ".join(own[:5]) + (", ..." if len(own) > 5 else "")
        strange = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError(f"The model knows {len(own)} classes ({known}), but not {strange}. Teach it these "
                        "first (finetune), or name the folders as its classes.")
    notes = []
    if len(theirs) < len(own):
        notes.append(f"The photos are of {len(theirs)} of the model's {len(own)} classes.")
    return _distinct(own), places, notes


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the index behind those that occur twice: a figure by name needs one class a name."""
    count = Counter(names)
    return tuple(name if count[name] == 1 else f"{name} ({i})" for i, name in enumerate(names))


def _moved(label: int | tuple[int, ...], place_of: Sequence[int]) -> int | tuple[int, ...]:
    return tuple(place_of[i] for i in label) if isinstance(label, tuple) else place_of[label]


def _answers(
    model: VisionModel, photos: PhotoSet, batch_size: int, tta: bool,
    read: Callable[[Tensor], Sequence[Tensor]],
    on_progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool] | None,
) -> tuple[list[Tensor], list[int], list[tuple[str, str]], Throughput]:
    """Every photo through the model. read: raw scores of each view [V, B, W] -> answers to keep, [B, K] each

    Returns the answers [N, K]; which photos could be opened; the names of the others, and why not; the pace.
    """
    config = resolve_data_config({}, model=model)
    transform, place = create_transform(**config), parameter_place(model)
    broken: dict[int, str] = {}
    guard = threading.Lock()
    blank = Image.new("RGB", (8, 8))

    def open_one(index: int) -> Image.Image:
        """A photo that can't be opened goes through as a black one, and is taken out of the results."""
        try:
            return photos.open_one(index)
        except ImageError as error:
            with guard:
                broken[index] = str(error)
            return blank

    def views_of(net: VisionModel, inputs: Tensor) -> tuple[np.ndarray, ...]:
        with evaluating(net), torch.inference_mode():
            inputs = inputs.to(**place)
            views = [inputs, inputs.flip(-1)] if tta else [inputs]
            return tuple(net(view).float().cpu().numpy() for view in views)

    scores = Faster(model, views_of)
    threads = thread_count(None, 8)
    groups = [range(i, min(i + batch_size, len(photos))) for i in range(0, len(photos), batch_size)]
    parts: list[tuple[Tensor, ...]] = []
    forward, done, started = 0.0, 0, time.perf_counter()
    with ThreadPoolExecutor(threads, thread_name_prefix="explorer-photos") as pool:
        for inputs, _ in prepared(replace(photos, open_one=open_one), transform, pool, groups):
            entered = time.perf_counter()
            views = scores(inputs, following=len(photos) - done - len(inputs))
            parts.append(read(_scores_of(list(map(torch.from_numpy, views)))))
            forward += time.perf_counter() - entered
            done += len(inputs)
            if on_progress is not None:
                on_progress(done, len(photos))
            if should_stop is not None and should_stop():
                break
    seconds = time.perf_counter() - started
    broken = {i: broken[i] for i in sorted(broken) if i < done}  # behind a stop, some were opened ahead
    opened = [i for i in range(done) if i not in broken]
    if not opened:
        first = f" The first: {broken[0]}" if broken else ""
        raise DataError(f"None of the {done} photos could be opened.{first}")
    # Copied outside the inference mode they become ordinary tensors.
    answers = [torch.cat(each)[opened].clone() for each in zip(*parts)]
    bad = answers[0].isnan().any(1).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"The model's scores are not finite for {len(bad)} of {len(opened)} photos, such as "
                         f"'{photos.names[opened[bad[0]]]}': its weights are broken. A training with too "
                         "large steps does that.")
    pace = Throughput(done / max(seconds, 1e-9), seconds, forward, threads, torch.get_num_threads(),
                      str(place["device"]))
    left_out = [(photos.names[i], broken[i]) for i in broken]
    return answers, opened, left_out, pace


def _scores_of(views: list[Tensor]) -> Tensor:
    """Raw scores of each view, [V, B, W]. Raises ValueError where they are maps."""
    if views[0].ndim != 2:
        raise ValueError(f"This model gives logits of shape {list(views[0].shape)}, not one score a class: "
                         'create it with a global_pool, e.g. "avg".')
    return torch.stack(views)


def _log_probabilities(views: Tensor, outputs: Outputs, contrary: bool) -> tuple[Tensor, ...]:
    """Raw scores [V, B, W] -> log of the views' mean probability [B, K]; with `contrary`: and of 1 minus it.

    In logarithms, a loss is right where a probability itself would round to 0 or 1.
    """
    count = math.log(len(views))
    log_yes = outputs.log_probabilities(views)
    log_no = (outputs.log_contraries(views),) if contrary else ()
    return tuple(each.logsumexp(0) - count for each in (log_yes, *log_no))
