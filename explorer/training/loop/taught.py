"""A loss with a teacher in it: a student learns from the labels, and from what a teacher says of each photo.

    (1 - alpha) * cross-entropy(labels)  +  alpha * T^2 * KL(softmax(teacher / T) || softmax(student / T))

At a high temperature T the teacher's small shares count too: which wrong classes a photo resembles. T^2 keeps
the gradient as large as that of the labels. Source: Hinton, Vinyals, Dean, Distilling the knowledge in a
neural network, 2015.
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
    """

    teacher: VisionModel
    name: str
    outputs: Outputs
    order: tuple[int, ...]
    temperature: float
    alpha: float

    @property
    def words(self) -> str:
        """Who taught, for the reader of a card."""
        return f"{self.name} (temperature {self.temperature:g}, alpha {self.alpha:g})"

    def scores(self, inputs: Tensor) -> Tensor:
        """Photos as the teacher takes them [B, C, H, W] -> its scores of the data's classes [B, K], float32.

        Raises ValueError where it gives maps.
        """
        with evaluation(self.teacher), torch.no_grad():
            raw = self.teacher(inputs.to(**parameter_place(self.teacher))).float()
        if raw.ndim != 2:
            raise ValueError(f"The teacher {self.name} gives scores of shape {list(raw.shape[1:])} for one "
                             'photo, not one score a class: create it with a global_pool, e.g. "avg".')
        return Objective(self.outputs).scores(raw)[:, list(self.order)]

    def loss(self, scores: Tensor, told: Tensor) -> Tensor:
        """T^2 * KL(teacher || student), the mean over the photos. scores, told: the student's and the
        teacher's, [B, K]
        """
        heat = self.temperature
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

    @classmethod
    def of(cls, plain: Objective, lesson: Lesson, config: Mapping[str, Any], *,
           told: bool) -> TaughtObjective:
        """A plain objective with a teacher."""
        own = {each.name: getattr(plain, each.name) for each in fields(Objective)}
        return cls(**own, lesson=lesson, config=config, told=told)

    def passed(self, network: nn.Module, inputs: Tensor, targets: Tensor, place: dict[str, Any]) -> Passed:
        device, alpha = place["device"], self.lesson.alpha
        labels, told = (targets[:, 0].long(), targets[:, 1:]) if self.told else (targets, None)
        labels = labels.to(device)
        raw = network(inputs.to(**place))
        parts: dict[str, Tensor] = {}
        if alpha < 1:
            parts[LABELS] = (1 - alpha) * self.loss(raw, labels)
        if alpha > 0:
            if told is None:
                told = self.lesson.scores(self.lesson.seen(inputs, self.config))
            parts[TEACHER] = alpha * self.lesson.loss(self.scores(raw), told.to(device))
        return Passed(torch.stack([*parts.values()]).sum(), self.figure(raw.detach(), labels), parts)


def with_told(labels: Tensor, told: Tensor) -> Tensor:
    """Class indices [B] and the teacher's scores [B, K] as one tensor [B, 1 + K], which is cut and shared as
    targets are.
    """
    return torch.cat((labels[:, None].to(told), told), 1)


class ToldPhotos(PhotoSource):
    """Photos, each with what the teacher said of it.

    said: [N, K] of the photos to learn from
    """

    def __init__(self, *given: Any, said: Tensor, **settings: Any):
        super().__init__(*given, **settings)
        self.said = said

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.tensor(order_of(len(self.said), self.recipe.seed, epoch))
        parts = batches_of(len(self.said), self.recipe.batch_size)
        for part, (inputs, labels) in zip(parts[start:], super().batches(epoch, start)):
            yield inputs, with_told(labels, self.said[order[part.start:part.stop]])
