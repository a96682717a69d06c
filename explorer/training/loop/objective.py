"""What a run strives for: the loss that it lowers, the figure that it shows, and which epoch is the best.

Of classes it is the cross-entropy and the share of right answers; of a yes or no, or of several classes at
once, the binary cross-entropy; of numbers a distance (`LOSSES`) and the mean absolute error. Numbers are
learnt standardised: from each its mean over the photos that are learnt from is taken, and what is left is
divided by their standard deviation, so that one learning rate suits prices and ages alike. Losses are in
these units, errors in the number's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.folders import DataError
from explorer.data.photo_sets import PhotoSet, of_what
from explorer.data.places.place_set import AnySplits, PlaceSplits
from explorer.data.rows import Label
from explorer.models.contract import VisionModel, evaluation
from explorer.models.outputs import Outputs
from explorer.training.loop.aim import Aim, Batches, Judged, Passed
from explorer.training.loop.measures import MAE, TOP1, Measure
from explorer.training.loop.recipe import Recipe

# Of numbers. Huber's is squared up to a distance of 1 (one standard deviation) and grows evenly beyond:
# outliers pull less.
LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss}


@dataclass(frozen=True)
class Objective(Aim):
    """Of classes and numbers.

    outputs: how the model's scores are read;  loss_name: of numbers, in LOSSES;  class_weights: [K]
    """

    outputs: Outputs
    loss_name: str = "mse"
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None

    @property
    def measure(self) -> Measure:
        return MAE if self.outputs.numbers else TOP1

    def targets(self, labels: Sequence[Label]) -> Tensor:
        """Labels for the loss: class indices [B], rows of 0 and 1 [B, K], or standardised numbers [B, K]."""
        if self.outputs.numbers:
            numbers = torch.tensor(labels, dtype=torch.float64).view(len(labels), len(self.outputs))
            return self.standardised(numbers).float()
        return target_tensor(labels, len(self.outputs), rows=self.outputs.several)

    def passed(self, network: nn.Module, inputs: Tensor, targets: Tensor, place: dict[str, Any]) -> Passed:
        targets = targets.to(place["device"])
        raw = network(inputs.to(**place))
        return Passed(self.loss(raw, targets), self.figure(raw.detach(), targets))

    def judged(self, network: nn.Module, batches: Batches, place: dict[str, Any]) -> Judged:
        loss, figure, count = self.judged_sums(network, batches, place)
        return Judged(loss / max(count, 1), figure / max(count, 1))

    def judged_sums(self, network: nn.Module, batches: Batches,
                    place: dict[str, Any]) -> tuple[float, float, float]:
        """(sum of losses, sum of the figure, how many) of the photos to judge by."""
        loss = figure = count = 0.0
        with evaluation(network), torch.inference_mode():
            for inputs, targets in batches:
                targets = targets.to(place["device"])
                raw = network(inputs.to(**place)).float()
                loss += self.loss(raw, targets, judged=True).item() * len(inputs)
                figure += self.figure(raw, targets)
                count += len(inputs)
        return loss, figure, count

    def standardised(self, numbers: Tensor) -> Tensor:
        """Numbers [..., K] in their own unit as the scores that stand for them."""
        if not self.outputs.std:
            return numbers
        return (numbers - numbers.new_tensor(self.outputs.mean)) / numbers.new_tensor(self.outputs.std)

    def loss(self, raw: Tensor, targets: Tensor, *, judged: bool = False) -> Tensor:
        """The mean over a batch of raw scores [B, W]. Classes may be mixed: shares that add up to 1, [B, K].

        judged: as validation has it, without smoothing and class weights
        """
        raw = raw.float()
        smoothing, weights = (0.0, None) if judged else (self.label_smoothing, self.class_weights)
        if self.outputs.numbers:
            return LOSSES[self.loss_name](raw, targets)
        if weights is not None:
            weights = weights.to(raw.device)
        if self.outputs.several:
            return F.binary_cross_entropy_with_logits(raw, targets * (1 - smoothing) + smoothing / 2,
                                                      weight=weights)
        # A yes or no: the softmax over 0 and the score is its sigmoid, and its cross-entropy the binary one.
        return F.cross_entropy(self.scores(raw), targets, weight=weights, label_smoothing=smoothing)

    def scores(self, raw: Tensor) -> Tensor:
        """A score for each class [B, K]: of a yes or no, 0 stands for the no."""
        return torch.cat((torch.zeros_like(raw), raw), 1) if self.outputs.kind == "yes/no" else raw

    def figure(self, raw: Tensor, targets: Tensor) -> float:
        """The sum over the batch of what `measure` is the mean of: right answers, or errors in their unit.

        Of several classes at once the share of each photo's yeses and noes that is right; of several numbers
        their mean.
        """
        if self.outputs.numbers:
            errors = (raw.float() - targets).abs()
            if self.outputs.std:
                errors = errors * errors.new_tensor(self.outputs.std)
            return errors.double().mean(1).sum().item()
        if self.outputs.several:
            return ((raw > 0) == targets.bool()).float().mean(1).sum().item()
        if targets.ndim == 2:  # mixed photos: the larger share counts
            targets = targets.argmax(1)
        return float((self.scores(raw).argmax(1) == targets).sum().item())

    def weight(self, targets: Tensor) -> float:
        """What these photos' loss counts in a larger batch: how many they are, or their classes' weights."""
        if self.class_weights is None or targets.ndim == 2:
            return float(len(targets))
        return self.class_weights.to(targets.device)[targets].sum().item()

    def better(self, figure: float, loss: float, than: tuple[float, float]) -> bool:
        """Whether one epoch's (figure, loss) of the validation photos beats another's.

        More right answers, then a lower loss; of numbers the loss alone, which is what was to be lowered.
        """
        return loss < than[1] if self.outputs.numbers else (figure, -loss) > (than[0], -than[1])

    def figures(self, value: float, prefix: str = "") -> dict[str, float | None]:
        """The fields of an event: {"top1": value}, or of numbers {"top1": None, "mae": value}."""
        return {f"{prefix}top1": None, f"{prefix}{self.measure.key}": value}


def target_tensor(labels: Sequence[Label], classes: int, *, rows: bool = False) -> Tensor:
    """Class indices [B] int64, or for photos with several classes a row of 0 and 1 each [B, K] float32.

    rows: such a row also for those that have one
    """
    if not rows and not any(isinstance(label, tuple) for label in labels):
        return torch.tensor(labels)
    found = torch.zeros(len(labels), classes)
    for row, label in zip(found, labels):
        row[list(label) if isinstance(label, tuple) else label] = 1.0
    return found


#: Settings that need classes: name -> its value where it is off.
FOR_CLASSES = {"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0, "class_weights": None}
#: Those that are also for numbers, but for nothing that lies somewhere in a photo.
FOR_WHOLE_PHOTOS = {"outputs": None, "views": None, "rounds": None}


def kind_of(splits: AnySplits, recipe: Recipe) -> str:
    """What is to be learnt from the data: a kind of `explorer.models.outputs`, or "boxes" or "masks".

    Raises DataError where the data has something else than `recipe.outputs` wants, ValueError for settings of
    another kind.
    """
    has, wanted = splits.train.kind, recipe.outputs
    if isinstance(splits, PlaceSplits):
        for name, off in (FOR_CLASSES | FOR_WHOLE_PHOTOS).items():
            if getattr(recipe, name) != off:
                whom = "whole photos" if name in FOR_WHOLE_PHOTOS else "classes"
                raise ValueError(f"{name} is for {whom}, and '{splits.name}' has photos with {has}: leave it "
                                 "out.")
        return has
    kind = wanted or has
    if (has == "numbers") != (kind == "numbers"):
        told = "photos with class names"
        if kind == "numbers":
            told = "a table with a column of numbers, or a data set of (picture, number)"
        raise DataError(f"outputs={kind!r} does not fit '{splits.name}', which has {of_what(splits.train)}: "
                        f"give {told}, or leave outputs out.")
    if has == "several" and kind != "several":
        raise DataError(f"outputs={kind!r} tells one class, but photos of '{splits.name}' have several at "
                        f"once: give outputs='several', or leave it out.")
    if kind == "yes/no" and len(splits.classes) != 2:
        raise DataError(f"outputs='yes/no' tells two classes apart, and '{splits.name}' has "
                        f"{len(splits.classes)}: leave outputs out.")
    if kind == "numbers":
        for name, off in FOR_CLASSES.items():
            if getattr(recipe, name) != off:
                raise ValueError(f"{name} is for classes, and '{splits.name}' has {of_what(splits.train)}: "
                                 "leave it out.")
    elif recipe.loss is not None:
        raise ValueError(f"loss={recipe.loss!r} is for numbers, and '{splits.name}' has "
                         f"{of_what(splits.train)}, whose loss is the cross-entropy: leave it out.")
    return kind


def answers_of(net: VisionModel, splits: AnySplits, kind: str, *, fresh: bool) -> dict[str, Any]:
    """What the config of a model says of its outputs from now on: kind, names, and the scale of numbers.

    fresh: its classifier is new. One that stays keeps the scale that it has learnt in. Where it has none, as
           a head of somebody's own, its weights are turned into that of the data: its answers stay what they
           are
    """
    facts: dict[str, Any] = {"labels": splits.classes, "num_classes": width_of(kind, len(splits.classes)),
                             "outputs": "" if kind in ("one", "boxes", "masks") else kind,
                             "number_mean": (), "number_std": ()}
    if kind != "numbers" or isinstance(splits, PlaceSplits):
        return facts
    config, width = net.config, facts["num_classes"]
    scaled = config.outputs == "numbers" and len(config.number_mean) == len(config.number_std) == width
    if scaled and not fresh:
        mean, std = config.number_mean, config.number_std
    else:
        mean, std = scale_of(splits.train)
        if not fresh and not turned(net.get_classifier(), mean, std):
            mean, std = (), ()  # it goes on in the numbers' own unit
    return {**facts, "number_mean": mean, "number_std": std}


def turned(head: nn.Module, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Let a last layer give (number - mean) / std where it gave the number; False where it can't."""
    if not isinstance(head, nn.Linear) or head.bias is None:
        return False
    with torch.no_grad():
        head.bias.copy_((head.bias - head.bias.new_tensor(mean)) / head.bias.new_tensor(std))
        head.weight.div_(head.weight.new_tensor(std)[:, None])
    return True


def width_of(kind: str, count: int) -> int:
    """How many scores tell of `count` classes or numbers."""
    return 1 if kind == "yes/no" else count


def scale_of(photos: PhotoSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, standard deviation) of each number of these photos; the deviation 1 where all are the same."""
    numbers = torch.tensor(photos.labels, dtype=torch.float64).view(len(photos), -1)
    deviation, mean = torch.std_mean(numbers, 0, correction=0)
    flat = deviation <= (1e-12 * numbers.abs().amax(0)).clamp(min=1e-30)  # rounding, not a difference
    return tuple(mean.tolist()), tuple(torch.where(flat, torch.ones_like(deviation), deviation).tolist())
