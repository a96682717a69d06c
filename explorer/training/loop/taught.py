"""A loss with a teacher in it: a student learns from the labels, and from what a teacher says of each photo.

    (1 - alpha) * cross-entropy(labels)  +  alpha * T^2 * KL(softmax(teacher / T) || softmax(student / T))

At a high temperature T the teacher's small shares count too: which wrong classes a photo resembles. T^2 keeps
the gradient as large as that of the labels. Source: Hinton, Vinyals, Dean, Distilling the knowledge in a
neural network, 2015. Of several classes at once the teacher's part is T^2 times the binary cross-entropy
between sigmoid(teacher / T) and sigmoid(student / T), of numbers their mean squared difference, in standard
deviations; the labels' part is that of `Objective`. What a student learns from the teacher's maps is added
(`explorer.training.loop.hints`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.transforms import resolve_data_config
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.models.outputs import Outputs
from explorer.training.loop.aim import Passed
from explorer.training.loop.hints import FeatureLoss
from explorer.training.loop.objective import Objective
from explorer.training.loop.order import batches_of, order_of
from explorer.training.loop.sources import PhotoSource

LABELS, TEACHER = "labels", "teacher"  # the parts of the loss


@dataclass(frozen=True)
class Lesson:
    """Who teaches, and how he is listened to.

    teacher: a classifier, which stays as it is;  name: what it is called
    outputs: what its scores mean;  order: for each class of the data its place among the teacher's
    temperature: above 0;  alpha: the teacher's share of the loss, 0 to 1
    inside:  what is learnt from its maps; None: nothing
    """

    teacher: VisionModel
    name: str
    outputs: Outputs
    order: tuple[int, ...]
    temperature: float
    alpha: float
    inside: FeatureLoss | None = None

    @property
    def words(self) -> str:
        """Who taught, for the reader of a card."""
        heat = "" if self.outputs.numbers else f"temperature {self.temperature:g}, "
        return f"{self.name} ({heat}alpha {self.alpha:g})"

    @property
    def asked(self) -> bool:
        """Whether the teacher counts at all."""
        return self.alpha > 0 or self.inside is not None

    @property
    def width(self) -> int:
        """How many numbers it says of one photo."""
        scores = len(self.order) if self.alpha else 0
        return scores + (sum(self.inside.widths) if self.inside is not None else 0)

    def says(self, inputs: Tensor, student: Objective) -> Tensor:
        """Photos as the teacher takes them [B, C, H, W] -> what the loss needs of it, [B, width] float32: its
        scores of the data's classes, numbers as the student has them, and then its maps.
        """
        if self.inside is None:
            return self._learnable(self.scores(inputs), student)
        with evaluation(self.teacher), torch.no_grad():
            inputs = inputs.to(**parameter_place(self.teacher))
            maps, features = self.inside.told_by(self.teacher, inputs, to_the_end=self.alpha > 0)
            if not self.alpha:
                return maps
            raw = self.teacher.forward_head(features).float()
        return torch.cat((self._learnable(self._in_order(raw), student), maps), 1)

    def _learnable(self, scores: Tensor, student: Objective) -> Tensor:
        """Numbers in their own unit as the student's scores that stand for them."""
        return student.standardised(scores).float()

    def scores(self, inputs: Tensor) -> Tensor:
        """Photos as the teacher takes them [B, C, H, W] -> its scores of the data's classes [B, K], float32;
        numbers in their own unit, float64. Raises ValueError where it gives maps.
        """
        with evaluation(self.teacher), torch.no_grad():
            raw = self.teacher(inputs.to(**parameter_place(self.teacher))).float()
        return self._in_order(raw)

    def _in_order(self, raw: Tensor) -> Tensor:
        if raw.ndim != 2:
            raise ValueError(f"The teacher {self.name} gives scores of shape {list(raw.shape[1:])} for one "
                             'photo, not one score a class: create it with a global_pool, e.g. "avg".')
        scores = Objective(self.outputs).scores(raw)
        if self.outputs.numbers and self.outputs.std:
            scores = scores.double() * raw.new_tensor(self.outputs.std, dtype=torch.float64) + \
                raw.new_tensor(self.outputs.mean, dtype=torch.float64)
        return scores[:, list(self.order)]

    def loss(self, scores: Tensor, told: Tensor) -> Tensor:
        """The teacher's part, the mean over the photos. scores, told: the student's and the teacher's, [B, K]
        """
        if self.outputs.numbers:
            return F.mse_loss(scores.float(), told)
        heat = self.temperature
        if self.outputs.several:
            return heat ** 2 * F.binary_cross_entropy_with_logits(scores.float() / heat,
                                                                  (told / heat).sigmoid())
        ours, theirs = (scores.float() / heat).log_softmax(1), (told / heat).softmax(1)
        return heat ** 2 * F.kl_div(ours, theirs, reduction="batchmean")

    def seen(self, inputs: Tensor, config: Mapping[str, Any]) -> Tensor:
        """The student's inputs [B, C, H, W] as the teacher takes them: the same view, at its size and scale.

        config: how the student's photos are prepared
        """
        own = resolve_data_config({}, model=self.teacher)
        mean, std, own_mean, own_std = (inputs.new_tensor(values)[:, None, None] for values in (
            config["mean"], config["std"], own["mean"], own["std"]))
        pixels, size = inputs * std + mean, tuple(own["input_size"][1:])
        if tuple(inputs.shape[-2:]) != size:
            pixels = F.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)
        return (pixels - own_mean) / own_std


@dataclass(frozen=True)
class TaughtObjective(Objective):
    """`Objective` with a teacher in the loss that is learnt from. Photos to judge by have the labels' alone,
    so that a run is judged as one without teacher is.

    config: how the student's photos are prepared
    told: whether targets hold what the teacher says, as `with_told` puts it; else it looks at each batch
    """

    lesson: Lesson = field(kw_only=True)
    config: Mapping[str, Any] = field(kw_only=True)
    told: bool = field(default=False, kw_only=True)

    @property
    def beside(self) -> nn.Module | None:
        inside = self.lesson.inside
        return inside if inside is not None and inside.regressors else None

    @property
    def looks_inside(self) -> bool:
        return self.lesson.inside is not None

    @classmethod
    def of(cls, plain: Objective, lesson: Lesson, config: Mapping[str, Any], *,
           told: bool) -> TaughtObjective:
        """A plain objective with a teacher."""
        own = {each.name: getattr(plain, each.name) for each in fields(Objective)}
        return cls(**own, lesson=lesson, config=config, told=told)

    def passed(self, network: nn.Module, inputs: Tensor, targets: Tensor, place: dict[str, Any]) -> Passed:
        device, lesson, alpha = place["device"], self.lesson, self.lesson.alpha
        labels, told = self._parted(targets) if self.told else (targets, None)
        labels = labels.to(device)
        raw, maps = self._seen(network, inputs.to(**place))
        parts: dict[str, Tensor] = {}
        if alpha < 1:
            parts[LABELS] = (1 - alpha) * self.loss(raw, labels)
        if lesson.asked:
            if told is None:
                told = lesson.says(lesson.seen(inputs, self.config), self)
            told = told.to(device)
        if alpha > 0:
            scores = told[:, :len(lesson.order)]
            parts[TEACHER] = alpha * lesson.loss(self.scores(raw), scores)
        if lesson.inside is not None:
            theirs = told[:, len(lesson.order) if alpha else 0:]
            parts[lesson.inside.kind] = lesson.inside(maps, theirs)
        return Passed(torch.stack([*parts.values()]).sum(), self.figure(raw.detach(), labels), parts)

    def _seen(self, network: nn.Module, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The student's raw scores, and its maps that learn from the teacher's."""
        if self.lesson.inside is None:
            return network(inputs), {}
        assert isinstance(network, VisionModel)
        maps, features = self.lesson.inside.seen_in(network, inputs)
        return network.forward_head(features), maps

    def _parted(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What `with_told` has put together: targets as the labels' loss takes them, and what was told."""
        if self.outputs.several or self.outputs.numbers:
            return targets[:, :len(self.outputs)], targets[:, len(self.outputs):]
        return targets[:, 0].long(), targets[:, 1:]


def with_told(targets: Tensor, told: Tensor) -> Tensor:
    """Class indices [B], or rows [B, K], and what the teacher says [B, W] as one tensor [B, 1 + W], or
    [B, K + W], which is cut and shared as targets are.
    """
    own = targets[:, None] if targets.ndim == 1 else targets
    return torch.cat((own.to(told), told), 1)


class ToldPhotos(PhotoSource):
    """Photos, each with what the teacher said of it.

    said: [N, W] of the photos to learn from
    """

    def __init__(self, *given: Any, said: Tensor, **settings: Any):
        super().__init__(*given, **settings)
        self.said = said

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.tensor(order_of(len(self.said), self.recipe.seed, epoch))
        parts = batches_of(len(self.said), self.recipe.batch_size)
        for part, (inputs, labels) in zip(parts[start:], super().batches(epoch, start)):
            yield inputs, with_told(labels, self.said[order[part.start:part.stop]])
