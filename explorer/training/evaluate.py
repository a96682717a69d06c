"""How good a model is, and where it errs: each photo once through it, and every figure from what it answered.

    result = evaluate(run)                        # or: evaluate("tf_efficientnet_lite0", "my photos/")
    result.top1, result.per_class["daisy"].recall
    result.most_confused[0]                       # Confused(true='roses', predicted='tulips', count=7, share=0.35)
    result.photos("roses", "tulips")              # the photos behind that cell
    result                                        # shows itself in a notebook

`evaluate` keeps probabilities and labels; an `Evaluation` works every figure out of them, by torchmetrics, when it is
first asked for. So one can also be made of somebody else's probabilities.
"""

from __future__ import annotations

import csv
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.data.datasets import BUNDLED, DataError, PhotoSet, Splits, as_photos, open_data, photos_in
from explorer.data.images import ImageError
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look import as_model, evaluating, labels_of, model_name, notes_on
from explorer.models.contract import VisionModel, parameter_place
from explorer.training.loading import LoadedRun
from explorer.training.run import Run
from explorer.training.sources import prepared, target_tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("val", "train", "all")
BINS = 15  # of the reliability diagram, as in Guo et al., https://arxiv.org/abs/1706.04599
WORST = 20  # photos in `worst`
NAMED = 5  # broken photos that a note names each; the rest it counts
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1


@dataclass(frozen=True)
class JudgedPhoto:
    """One photo and what the model made of it.

    index: its place in `probabilities`;  name, file: of the photo; file is "" where it has none
    true, predicted: class names; of several classes (multi-label) all, with commas
    probability: of the predicted class; of several the least sure answer's
    loss: cross-entropy in nats: 0 is sure and right
    """

    index: int
    name: str
    file: str
    true: str
    predicted: str
    probability: float
    loss: float

    @property
    def right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True)
class ClassFigures:
    """One class. precision: of the photos given this name, how many have it; recall: of the photos that have it, how many
    were given it; f1: their harmonic mean; all 0..1, NaN where there is nothing to divide by. support: its photos.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Curve:
    """How one class is told from the others, at each threshold. ROC: x is the share of other photos that pass, y of its own;
    area is the chance that a photo of the class gets more than another one. PR: x is recall, y precision; area is the average
    precision.
    """

    x: Tensor
    y: Tensor
    thresholds: Tensor
    area: float


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence is in low..high: how many, the mean confidence, the share that is right (NaN without any)."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """Whether 80 % sure means right in 80 of 100. error: the expected calibration error (ECE), the mean distance between
    confidence and share of right answers, weighted by the bins' counts (Guo et al., https://arxiv.org/abs/1706.04599).
    """

    error: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Confused:
    """`count` photos of the class `true` were taken for `predicted`: a share 0..1 of that class."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class Throughput:
    """photos_per_second: with opening and preparing; seconds: altogether; forward_seconds: of these, in the network.
    threads: that open photos, and torch's own; device: where the network ran.
    """

    photos_per_second: float
    seconds: float
    forward_seconds: float
    open_threads: int
    torch_threads: int
    device: str


@dataclass(eq=False, repr=False)
class Evaluation:
    """What a model made of photos whose classes are known. It shows itself in a notebook.

    classes:       names in index order
    probabilities: [N, K] float32; multi-label: a probability for each class by itself
    labels:        the true classes: indices [N] int64, or for multi-label rows of 0 and 1 [N, K]
    losses:        cross-entropy of each photo, [N], in nats; multi-label: the mean over its yes-or-no answers
    names, files:  of the photos; files is empty where they have none
    notes:         sentences that a reader of the figures must know;  broken: (name, why) of photos that were left out
    topk:          the k of the second accuracy that is shown;  tta: whether mirror images were looked at too

    With several classes a photo (multi-label) top1, top5, confusion and most_confused are None: there is no one answer.
    `exact_match` and `mean_average_precision` are for these alone. With as few as k classes top-k is None: it is always 1.
    """

    classes: tuple[str, ...]
    probabilities: Tensor
    labels: Tensor
    losses: Tensor
    names: tuple[str, ...]
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    model_name: str = ""
    data_name: str = ""
    split: str = ""
    topk: int = 5
    tta: bool = False
    throughput: Throughput | None = None
    data: PhotoSet | None = None  # the judged photos, to open one again

    def __post_init__(self) -> None:
        count, wide = self.probabilities.shape
        if wide != len(self.classes) or len(self.labels) != count or len(self.losses) != count or len(self.names) != count:
            raise ValueError(f"The parts do not fit: probabilities {list(self.probabilities.shape)}, {len(self.classes)} classes, "
                             f"{len(self.labels)} labels, {len(self.losses)} losses, {len(self.names)} names.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multi_label(self) -> bool:
        return self.labels.ndim == 2

    @cached_property
    def predicted(self) -> Tensor:
        """The likeliest class of each photo [N]; multi-label: which are likelier than not, [N, K] bool."""
        return self.probabilities > 0.5 if self.multi_label else self.probabilities.argmax(1)

    # --- one number for all -----------------------------------------------------------------------------

    @cached_property
    def loss(self) -> float:
        return float(self.losses.double().mean())

    @cached_property
    def top1(self) -> float | None:
        """The share of photos whose likeliest class is the true one, 0..1."""
        return self.top(1)

    @cached_property
    def top5(self) -> float | None:
        """The share of photos whose true class is among the five likeliest; None with fewer than six classes."""
        return self.top(5)

    def top(self, k: int) -> float | None:
        """The share of photos whose true class is among the `k` likeliest, 0..1; None for multi-label, or K <= k."""
        if self.multi_label or len(self.classes) <= k:
            return None
        from torchmetrics.functional.classification import multiclass_accuracy

        # As one-hot answers, argmax decides ties for k = 1 just as `predicted` and the confusion matrix do.
        answers = self.predicted if k == 1 else self._scores
        share = float(multiclass_accuracy(answers, self.labels, len(self.classes), average="micro", top_k=k))
        return round(share * len(self)) / len(self)  # torchmetrics divides in float32

    @cached_property
    def top1_interval(self) -> tuple[float, float] | None:
        """Where the top-1 of ever more photos like these would lie, in 95 of 100 such tests: few photos say little.

        Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
        """
        if self.top1 is None:
            return None
        z, n, p = 1.959964, len(self), self.top1
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max((middle - half) / (1 + z * z / n), 0.0), min((middle + half) / (1 + z * z / n), 1.0)

    @cached_property
    def exact_match(self) -> float | None:
        """Multi-label: the share of photos with every yes and no right."""
        if not self.multi_label:
            return None
        from torchmetrics.functional.classification import multilabel_exact_match

        return float(multilabel_exact_match(self.predicted.long(), self.labels.long(), len(self.classes)))

    @cached_property
    def mean_average_precision(self) -> float | None:
        """Multi-label: the mean of `pr` areas over the classes that have photos."""
        areas = [curve.area for curve in self.pr.values()]
        return sum(areas) / len(areas) if self.multi_label and areas else None

    @cached_property
    def balanced(self) -> float:
        """The mean recall of the classes that have photos: each class counts alike, a rare one too."""
        recalls = [figures.recall for figures in self.per_class.values() if figures.support]
        return sum(recalls) / len(recalls)

    # --- class by class ---------------------------------------------------------------------------------

    @cached_property
    def confusion(self) -> Tensor | None:
        """How many photos of class i were taken for class j: [K, K] int64, rows true, columns predicted."""
        if self.multi_label:
            return None
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        return multiclass_confusion_matrix(self.predicted, self.labels, len(self.classes))

    @cached_property
    def per_class(self) -> dict[str, ClassFigures]:
        """Precision, recall, F1 and number of photos of each class."""
        from torchmetrics.functional import classification as metrics

        kind, answers = ("multilabel", self.predicted.long()) if self.multi_label else ("multiclass", self.predicted)
        truth, count = self.labels.long(), len(self.classes)
        precision, recall, f1 = (getattr(metrics, f"{kind}_{figure}")(answers, truth, count, average=None).tolist()
                                 for figure in ("precision", "recall", "f1_score"))
        given = (answers.sum(0) if self.multi_label else answers.bincount(minlength=count)).tolist()
        support = (truth.sum(0) if self.multi_label else truth.bincount(minlength=count)).tolist()
        # torchmetrics says 0 for 0 / 0. A class that was never predicted has no precision, one without photos no recall.
        return {name: ClassFigures(precision[i] if given[i] else math.nan, recall[i] if support[i] else math.nan,
                                   f1[i] if given[i] or support[i] else math.nan, support[i])
                for i, name in enumerate(self.classes)}

    @cached_property
    def roc(self) -> Mapping[str, Curve]:
        """The ROC curve of each class against all others; only of classes that have photos, and not all of them."""
        from torchmetrics.functional.classification import binary_auroc, binary_roc

        def curve(scores: Tensor, truth: Tensor) -> Curve:
            x, y, thresholds = binary_roc(scores, truth)
            return Curve(x, y, thresholds, float(binary_auroc(scores, truth)))

        return _Curves(self, curve, needs_others=True)

    @cached_property
    def pr(self) -> Mapping[str, Curve]:
        """The precision-recall curve of each class that has photos."""
        from torchmetrics.functional.classification import binary_average_precision, binary_precision_recall_curve

        def curve(scores: Tensor, truth: Tensor) -> Curve:
            precision, recall, thresholds = binary_precision_recall_curve(scores, truth)
            return Curve(recall, precision, thresholds, float(binary_average_precision(scores, truth)))

        return _Curves(self, curve, needs_others=False)

    @cached_property
    def calibration(self) -> Calibration:
        """Confidence against right answers; multi-label: the probability of each yes against how often it is one."""
        from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

        # A confidence of 1 belongs to the last bin; torchmetrics would give it one of its own.
        if self.multi_label:
            confidence, right = self._scores.flatten(), self.labels.flatten().bool()
            confidence = confidence.clamp(max=BELOW_ONE)
            error = binary_calibration_error(confidence, right.long(), n_bins=BINS)
        else:
            scores = self._scores.clamp(max=BELOW_ONE)
            confidence, right = scores.amax(1), self.predicted == self.labels
            error = multiclass_calibration_error(scores, self.labels, len(self.classes), n_bins=BINS)
        edges = torch.linspace(0, 1, BINS + 1)
        places = torch.bucketize(confidence, edges, right=True) - 1
        bins = []
        for i in range(BINS):
            inside = places == i
            bins.append(Bin(i / BINS, (i + 1) / BINS, int(inside.sum()), float(confidence[inside].mean()), float(right[inside].float().mean())))
        return Calibration(float(error), tuple(bins))

    @property
    def _scores(self) -> Tensor:
        """Probabilities within 0..1 to the last bit: torchmetrics takes anything else for logits, without a word."""
        return self.probabilities.clamp(0, 1)

    # --- photo by photo ---------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> list[JudgedPhoto]:
        """Every photo, in the order of the data."""
        return [self._row(i) for i in range(len(self))]

    def _row(self, index: int) -> JudgedPhoto:
        probabilities = self.probabilities[index]
        if self.multi_label:
            true, predicted = (", ".join(self.classes[i] for i in row.nonzero()[:, 0].tolist()) or "none of them"
                               for row in (self.labels[index], self.predicted[index]))
            probability = float(torch.where(self.predicted[index], probabilities, 1 - probabilities).min())
        else:
            best = int(self.predicted[index])
            true, predicted, probability = self.classes[int(self.labels[index])], self.classes[best], float(probabilities[best])
        file = str(self.files[index]) if self.files else ""
        return JudgedPhoto(index, self.names[index], file, true, predicted, probability, float(self.losses[index]))

    @cached_property
    def worst(self) -> list[JudgedPhoto]:
        """The photos with the highest loss, worst first, at most 20: wrong labels are found here too."""
        return [self._row(i) for i in self.losses.argsort(descending=True, stable=True)[:WORST].tolist()]

    @cached_property
    def most_confused(self) -> list[Confused] | None:
        """Which class is taken for which other one, most photos first; None for multi-label."""
        if self.multi_label:
            return None
        totals = self.confusion.sum(1).tolist()
        pairs = [Confused(self.classes[i], self.classes[j], count, count / totals[i])
                 for i, j in self.confusion.nonzero().tolist() if i != j and (count := int(self.confusion[i, j]))]
        return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))

    def photos(self, true: str | int | None = None, predicted: str | int | None = None) -> list[JudgedPhoto]:
        """The photos in one cell of the confusion matrix, highest loss first; None stands for any class.

        true, predicted: a class by name or index. Multi-label: photos that have it, photos that were given it.
        """
        chosen = torch.ones(len(self), dtype=torch.bool)
        for which, answers in ((true, self.labels), (predicted, self.predicted)):
            if which is not None:
                i = self.index(which)
                chosen &= answers[:, i].bool() if self.multi_label else answers == i
        order = self.losses.argsort(descending=True, stable=True)
        return [self._row(i) for i in order[chosen[order]].tolist()]

    def index(self, which: str | int) -> int:
        """A class by name or index. Raises ValueError for one that is not there."""
        if isinstance(which, str):
            if which in self.classes:
                return self.classes.index(which)
        elif 0 <= int(which) < len(self.classes):
            return int(which)
        names = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
        raise ValueError(f"There is no class {which!r}: there are {names}.")

    def open_photo(self, row: JudgedPhoto) -> Image.Image:
        """That photo, upright RGB. Raises ImageError where it is gone, ValueError where there are probabilities alone."""
        if self.data is None:
            raise ValueError("This evaluation has no photos, only their probabilities.")
        return self.data.open_one(row.index)

    # --- to keep ----------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None for what is not defined. The photos' rows: see `rows` and `to_csv`."""
        per_class = {
            name: {**asdict(figures), "roc_area": self.roc[name].area if name in self.roc else None,
                   "average_precision": self.pr[name].area if name in self.pr else None}
            for name, figures in self.per_class.items()
        }
        facts = {
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self), "tta": self.tta,
            "classes": list(self.classes), "top1": self.top1, "top1_interval": self.top1_interval, "top5": self.top5,
            "loss": self.loss, "balanced": self.balanced, "exact_match": self.exact_match,
            "mean_average_precision": self.mean_average_precision, "calibration": asdict(self.calibration),
            "per_class": per_class, "confusion": None if self.confusion is None else self.confusion.tolist(),
            "most_confused": None if self.most_confused is None else [asdict(pair) for pair in self.most_confused],
            "worst": [asdict(row) for row in self.worst],
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken], "notes": list(self.notes),
        }
        if self.topk not in (1, 5):
            facts[f"top{self.topk}"] = self.top(self.topk)
        return _plain(facts)

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file, true class, predicted class, its probability, the loss, whether it is right."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "file", "true", "predicted", "probability", "loss", "right"])
            for row in self.rows:
                writer.writerow([row.name, row.file, row.true, row.predicted, row.probability, row.loss, int(row.right)])

    def plot_confusion(self) -> Figure:
        """The confusion matrix; shades are shares of the true class. Raises ValueError for multi-label."""
        from explorer.training import report

        return report.plot_confusion(self)

    def plot_reliability(self) -> Figure:
        """Confidence against the share of right answers."""
        from explorer.training import report

        return report.plot_reliability(self)

    def plot_roc(self, classes: Sequence[str] | None = None) -> Figure:
        """ROC curves; classes: of these alone (None: of the ten with the smallest area)."""
        from explorer.training import report

        return report.plot_curves(self, "roc", classes)

    def plot_pr(self, classes: Sequence[str] | None = None) -> Figure:
        """Precision against recall; classes: as in `plot_roc`."""
        from explorer.training import report

        return report.plot_curves(self, "pr", classes)

    # --- to look at -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from explorer.training.report import headline

        return f"Evaluation({self.model_name!r}, {self.data_name!r}, {headline(self)})"

    def __str__(self) -> str:
        from explorer.training.report import as_text

        return as_text(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        from explorer.training.report import as_html

        return as_html(self)


class _Curves(Mapping):
    """Class name -> its curve, worked out when it is asked for: a thousand classes have a thousand curves."""

    def __init__(self, result: Evaluation, curve: Callable[[Tensor, Tensor], Curve], *, needs_others: bool):
        self._result, self._curve, self._known = result, curve, {}
        count = len(result)
        self._names = [name for name, figures in result.per_class.items()
                       if figures.support and (figures.support < count or not needs_others)]

    def __getitem__(self, name: str) -> Curve:
        if name not in self._names:
            raise KeyError(f"{name!r} has no curve: no photos are of that class, or all are.")
        if name not in self._known:
            result, i = self._result, self._result.classes.index(name)
            truth = result.labels[:, i] if result.multi_label else result.labels == i
            self._known[name] = self._curve(result._scores[:, i].contiguous(), truth.long())
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _plain(value: Any) -> Any:
    """NaN becomes None, a tuple a list."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


# --- looking at every photo ---------------------------------------------------------------------------------


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
) -> Evaluation:
    """Judge a model by photos whose classes are known.

    model: a model, a name (created with its trained weights), or a run: its model, judged by its own photos where no data
           is given
    data:  whatever `finetune` takes, of which `split` is judged; a `PhotoSet` or a PyTorch dataset is judged whole
    tta:   test-time augmentation: each photo and its mirror image, whose probabilities are averaged. Twice the time
    topk:  the k of the second accuracy that is shown
    split: "val" (the held-out photos), "train" or "all" (every photo; of a folder also without classes' train/ and val/)
    seed:  draws which photos are held out where nobody has split; None: as the run did, otherwise 0. Another seed than the
           training had would judge by photos that were learnt from
    on_progress: called with (photos done, of how many) after each batch

    Classes are told by name: the folder "roses" is the model's class "roses", in whatever order. One pass a photo (two
    with tta), in evaluation mode and without gradients; the model's training flags are as they were afterwards. Photos
    that can't be opened are left out and named in `notes`.

    Raises ValueError for a model without classifier, one whose scores are not finite, a run that still learns; DataError for
    data whose classes the model does not know, or without any photo.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    if isinstance(topk, bool) or not isinstance(topk, int) or topk < 1:
        raise ValueError(f"topk is {topk!r}: expected how many answers may be given, a number from 1.")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}.")
    net, called, data, seed, notes = _model_and_data(model, data, seed)
    if not net.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so there is nothing to judge.")
    photos, data_name, judged, more = _photos_to_judge(data, split, seed)
    notes += more
    classes, place_of, more = match_classes(net, photos)
    notes += more

    log_yes, log_no, opened, broken, throughput = _answers(net, photos, batch_size, tta, on_progress)
    photos = photos.subset(opened) if broken else photos
    labels = target_tensor([_moved(label, place_of) for label in photos.labels], len(classes))
    if labels.ndim == 2:
        losses = -(labels * log_yes + (1 - labels) * log_no).mean(1)
        labels = labels.long()
    else:
        losses = -log_yes.gather(1, labels[:, None])[:, 0]
    notes += [f"Left out, {name}: {sentence}" for name, sentence in broken[:NAMED]]
    if len(broken) > NAMED:
        notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened; see `broken`.")
    return Evaluation(
        classes=classes, probabilities=log_yes.exp().clamp(0, 1), labels=labels, losses=losses, names=photos.names,
        files=photos.files, notes=tuple(dict.fromkeys(notes)), broken=tuple(broken), model_name=called, data_name=data_name,
        split=judged, topk=topk, tta=tta, throughput=throughput, data=photos,
    )


def _model_and_data(model: Any, data: Any, seed: int | None) -> tuple[VisionModel, str, Any, int, list[str]]:
    """(the network, what to call it, its photos, the split's seed, notes)."""
    if isinstance(model, Run | LoadedRun):
        if getattr(model, "running", False):
            raise ValueError(f"{model.name} still learns: wait for it (run.wait()), or stop it (run.stop()).")
        if data is None:
            data = getattr(model, "data", None)
            if not isinstance(data, Splits):
                raise DataError(f"{model.name} was opened from a folder, which holds no photos: give the data to judge it by.")
        return model.model, model.name, data, model.recipe.seed if seed is None else seed, []
    if data is None:
        raise DataError("Give the photos to judge the model by: a folder of class folders, a data set, or a name such as "
                        f"{BUNDLED[0]!r}.")
    net = as_model(model)
    if isinstance(model, str) and torch.cuda.is_available():
        net.to("cuda")
    return net, model_name(net), data, seed or 0, list(notes_on(net))


def _photos_to_judge(data: Any, split: str, seed: int) -> tuple[PhotoSet, str, str, list[str]]:
    """(the photos, what to call them, which part they are, notes)."""
    one_dataset = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, tuple, list, Splits))
    if isinstance(data, PhotoSet) or one_dataset:
        return as_photos(data), type(data).__name__, "all", []
    if split == "all" and isinstance(data, (str, os.PathLike)) and data not in BUNDLED and Path(data).expanduser().is_dir():
        folder = Path(data).expanduser()
        names = {entry.name for entry in folder.iterdir() if entry.is_dir()}
        if not names & {"train", "training"}:
            photos, notes = photos_in(folder)
            if not len(photos):
                raise DataError(f"'{folder}' has no photos to judge by. Add some to its class folders.")
            return photos, folder.name, "all", list(notes)
    splits = open_data(data, seed=seed)
    if split == "all":
        return joined(splits.train, splits.val), splits.name, "all", list(splits.notes)
    return (splits.val if split == "val" else splits.train), splits.name, split, list(splits.notes)


def joined(first: PhotoSet, second: PhotoSet) -> PhotoSet:
    """Two sets of the same classes, one behind the other."""
    cut = len(first)
    return PhotoSet(first.classes, first.labels + second.labels, first.names + second.names,
                    lambda i: first.open_one(i) if i < cut else second.open_one(i - cut),
                    first.files + second.files if first.files and second.files else ())


def match_classes(model: VisionModel, photos: PhotoSet) -> tuple[tuple[str, ...], list[int], list[str]]:
    """(names of the model's classes, the model's index of each class of the data, notes).

    A name stands for itself, in any order, upper or lower case. A model that has no names takes the data's, in their order;
    so does ImageNet's own folder, whose 1000 folders have WordNet numbers. Raises DataError for classes that the model
    does not know.
    """
    theirs, own = photos.classes, labels_of(model)
    named = bool(model.config.labels) and len(model.config.labels) == model.num_classes or model.num_classes == 1000
    if not named and len(theirs) == len(own):
        return _distinct(theirs), list(range(len(own))), [
            f"The model has no names for its {len(own)} classes: they are taken to be the data's, in their order."]
    if len(theirs) == len(own) == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in theirs):
        return _distinct(own), list(range(1000)), []
    place_of = {_key(name): i for i, name in enumerate(own)}
    unknown = [name for name in theirs if _key(name) not in place_of]
    if unknown or len({_key(name) for name in theirs}) < len(theirs):
        known = ", ".join(own[:5]) + (", ..." if len(own) > 5 else "")
        strange = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError(f"The model knows {len(own)} classes ({known}), but not {strange or 'two that differ in case alone'}. "
                        "Teach it these first (finetune), or name the folders as its classes.")
    notes = [f"The photos are of {len(theirs)} of the model's {len(own)} classes."] if len(theirs) < len(own) else []
    return _distinct(own), [place_of[_key(name)] for name in theirs], notes


def _key(name: str) -> str:
    """Folders can't always be called as classes are: "School_Bus" is "school bus"."""
    return " ".join(name.replace("_", " ").casefold().split())


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the index behind those that occur twice: a figure by name needs one class a name."""
    count = Counter(names)
    return tuple(name if count[name] == 1 else f"{name} ({i})" for i, name in enumerate(names))


def _moved(label: int | tuple[int, ...], place_of: Sequence[int]) -> int | tuple[int, ...]:
    return tuple(place_of[i] for i in label) if isinstance(label, tuple) else place_of[label]


def _answers(
    model: VisionModel, photos: PhotoSet, batch_size: int, tta: bool, on_progress: Callable[[int, int], None] | None,
) -> tuple[Tensor, Tensor, list[int], list[tuple[str, str]], Throughput]:
    """Every photo through the model: (log-probabilities [N, K], of the contrary [N, K], which photos were opened, the broken
    ones, pace). The contrary, log(1 - p), is for multi-label losses, where p itself would round to 1.
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

    threads = min(8, os.cpu_count() or 1)
    parts: list[tuple[Tensor, Tensor]] = []
    forward, done, started = 0.0, 0, time.perf_counter()
    with ThreadPoolExecutor(threads, thread_name_prefix="explorer-photos") as pool:
        for inputs, _ in prepared(replace(photos, open_one=open_one), transform, pool, batch_size):
            entered = time.perf_counter()
            with evaluating(model), torch.inference_mode():
                inputs = inputs.to(**place)
                views = [model(inputs).float().cpu()]
                if tta:
                    views.append(model(inputs.flip(-1)).float().cpu())
                parts.append(_log_probabilities(views, photos.multi_label))
            forward += time.perf_counter() - entered
            done += len(inputs)
            if on_progress is not None:
                on_progress(done, len(photos))
    seconds = time.perf_counter() - started
    opened = [i for i in range(len(photos)) if i not in broken]
    if not opened:
        first = f" The first: {broken[0]}" if broken else ""
        raise DataError(f"None of the {len(photos)} photos could be opened.{first}")
    # Copied outside the inference mode they become ordinary tensors.
    log_yes, log_no = (torch.cat(each)[opened].clone() for each in zip(*parts))
    bad = (~log_yes.exp().isfinite()).any(1).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"The model's scores are not finite for {len(bad)} of {len(opened)} photos, such as "
                         f"'{photos.names[opened[bad[0]]]}': its weights are broken. A training with too large steps does that.")
    pace = Throughput(len(photos) / max(seconds, 1e-9), seconds, forward, threads, torch.get_num_threads(), str(place["device"]))
    return log_yes, log_no, opened, [(photos.names[i], broken[i]) for i in sorted(broken)], pace


def _log_probabilities(views: list[Tensor], multi_label: bool) -> tuple[Tensor, Tensor]:
    """Logits [B, K] of each view -> log of the mean probability over the views, and of the mean contrary."""
    if views[0].ndim != 2:
        raise ValueError(f"This model gives logits of shape {list(views[0].shape)}, not one score a class: create it with a "
                         'global_pool, e.g. "avg".')
    stacked = torch.stack(views)  # [V, B, K]
    count = math.log(len(views))
    if multi_label:
        return F.logsigmoid(stacked).logsumexp(0) - count, F.logsigmoid(-stacked).logsumexp(0) - count
    log_yes = stacked.log_softmax(-1).logsumexp(0) - count
    return log_yes, log_yes  # the contrary is not asked for
