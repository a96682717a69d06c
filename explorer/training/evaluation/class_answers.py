"""A model's answers to photos whose classes are known, and every figure on them.

It keeps probabilities and labels, and works a figure out by torchmetrics when it is first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.training.evaluation.figures import (
    WORST,
    Bin,
    Calibration,
    ClassFigures,
    Confused,
    Curve,
    JudgedPhoto,
    Throughput,
)

BINS = 15  # of the reliability diagram, as in Guo et al., https://arxiv.org/abs/1706.04599
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1


@dataclass(eq=False, repr=False)
class ClassAnswers:
    """The figures of an `Evaluation`, which says what its fields are and shows them."""

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
        if wide != len(self.classes) or {len(self.labels), len(self.losses), len(self.names)} != {count}:
            raise ValueError(f"The parts do not fit: probabilities {list(self.probabilities.shape)}, "
                             f"{len(self.classes)} classes, {len(self.labels)} labels, "
                             f"{len(self.losses)} losses, {len(self.names)} names.")

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
        """The share of photos whose true class is among the five likeliest; None with K <= 5."""
        return self.top(5)

    def top(self, k: int) -> float | None:
        """The share of photos whose true class is among the `k` likeliest; None: multi-label, or K <= k."""
        if self.multi_label or len(self.classes) <= k:
            return None
        from torchmetrics.functional.classification import multiclass_accuracy

        # As one-hot answers, argmax decides ties for k = 1 just as `predicted` and the confusion matrix do.
        answers = self.predicted if k == 1 else self._scores
        share = float(multiclass_accuracy(answers, self.labels, len(self.classes), average="micro", top_k=k))
        return round(share * len(self)) / len(self)  # torchmetrics divides in float32

    @cached_property
    def top1_interval(self) -> tuple[float, float] | None:
        """Where top-1 would lie with ever more such photos, in 95 of 100 tests: few photos say little.

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

        kind = "multilabel" if self.multi_label else "multiclass"
        answers, truth, count = self.predicted.long(), self.labels.long(), len(self.classes)
        precision, recall, f1 = (
            getattr(metrics, f"{kind}_{figure}")(answers, truth, count, average=None).tolist()
            for figure in ("precision", "recall", "f1_score"))
        given = (answers.sum(0) if self.multi_label else answers.bincount(minlength=count)).tolist()
        support = (truth.sum(0) if self.multi_label else truth.bincount(minlength=count)).tolist()
        # torchmetrics says 0 for 0 / 0. But a class that was never predicted has no precision, and one
        # without photos has no recall.
        return {
            name: ClassFigures(precision[i] if given[i] else math.nan, recall[i] if support[i] else math.nan,
                               f1[i] if given[i] or support[i] else math.nan, support[i])
            for i, name in enumerate(self.classes)
        }

    @cached_property
    def roc(self) -> Mapping[str, Curve]:
        """The ROC curve of each class against all others; only of classes with photos, not all of them."""
        from torchmetrics.functional.classification import binary_auroc, binary_roc

        def curve(scores: Tensor, truth: Tensor) -> Curve:
            x, y, thresholds = binary_roc(scores, truth)
            return Curve(x, y, thresholds, float(binary_auroc(scores, truth)))

        return _Curves(self, curve, needs_others=True)

    @cached_property
    def pr(self) -> Mapping[str, Curve]:
        """The precision-recall curve of each class that has photos."""
        from torchmetrics.functional.classification import (
            binary_average_precision,
            binary_precision_recall_curve,
        )

        def curve(scores: Tensor, truth: Tensor) -> Curve:
            precision, recall, thresholds = binary_precision_recall_curve(scores, truth)
            return Curve(recall, precision, thresholds, float(binary_average_precision(scores, truth)))

        return _Curves(self, curve, needs_others=False)

    @cached_property
    def calibration(self) -> Calibration:
        """Confidence against right answers; multi-label: how likely a yes is against how often it is one."""
        from torchmetrics.functional.classification import (
            binary_calibration_error,
            multiclass_calibration_error,
        )

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
            bins.append(Bin(i / BINS, (i + 1) / BINS, int(inside.sum()), float(confidence[inside].mean()),
                            float(right[inside].float().mean())))
        return Calibration(float(error), tuple(bins))

    @property
    def _scores(self) -> Tensor:
        """Probabilities within 0..1 to the last bit: torchmetrics silently takes all else for logits."""
        return self.probabilities.clamp(0, 1)

    # --- photo by photo ---------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> list[JudgedPhoto]:
        """Every photo, in the order of the data."""
        return [self._row(i) for i in range(len(self))]

    def _row(self, index: int) -> JudgedPhoto:
        probabilities = self.probabilities[index]
        if self.multi_label:
            true, predicted = (
                ", ".join(self.classes[i] for i in row.nonzero()[:, 0].tolist()) or "none of them"
                for row in (self.labels[index], self.predicted[index]))
            probability = float(torch.where(self.predicted[index], probabilities, 1 - probabilities).min())
        else:
            best = int(self.predicted[index])
            true, predicted = self.classes[int(self.labels[index])], self.classes[best]
            probability = float(probabilities[best])
        file = str(self.files[index]) if self.files else ""
        loss = float(self.losses[index])
        return JudgedPhoto(index, self.names[index], file, true, predicted, probability, loss)

    @cached_property
    def worst(self) -> list[JudgedPhoto]:
        """The photos with the highest loss, worst first, at most 20: wrong labels are found here too."""
        return [self._row(i) for i in self.losses.argsort(descending=True, stable=True)[:WORST].tolist()]

    @cached_property
    def most_confused(self) -> list[Confused] | None:
        """Which class is taken for which other one, most photos first; None for multi-label."""
        if self.multi_label:
            return None
        counts, totals = self.confusion, self.confusion.sum(1).tolist()
        pairs = [Confused(self.classes[i], self.classes[j], int(counts[i, j]), int(counts[i, j]) / totals[i])
                 for i, j in counts.nonzero().tolist() if i != j]
        return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))

    def photos(self, true: str | int | None = None, predicted: str | int | None = None) -> list[JudgedPhoto]:
        """The photos in one cell of the confusion matrix, highest loss first; None stands for any class.

        true, predicted: a class by name or index. Multi-label: photos that have it, that were given it.
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
        """That photo, upright RGB. Raises ImageError where it is gone, ValueError where none were given."""
        if self.data is None:
            raise ValueError("This evaluation has no photos, only their probabilities.")
        return self.data.open_one(row.index)


class _Curves(Mapping):
    """Class name -> its curve, worked out when it is asked for: a thousand classes have a thousand curves."""

    def __init__(self, result: ClassAnswers, curve: Callable[[Tensor, Tensor], Curve], *,
                 needs_others: bool):
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

    def __contains__(self, name: object) -> bool:
        return name in self._names  # a Mapping would work the curve out to see whether it is there

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
