"""`StackedModel`: several networks, and a small one over their answers that has learnt whom to believe.

    photo -> member 1 -> log-probabilities [B, K] \\
          -> member 2 -> log-probabilities [B, K]  -> in a row [B, M * K] -> meta learner -> logits [B, K]

An ensemble of whose way of combining the weights are learnt, class by class (`explorer.stack`). All else is
that of an ensemble: each member's own preprocessing, shared bodies, stages, saving.
Source: D. H. Wolpert, Stacked generalization, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import name_key, outputs_of_member
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.outputs import Outputs

STACK = "stack"  # as `combine` in the config of a saved one
LEAST = 1e-6     # a probability below which members are all as sure
NEVER = 1e-12    # what a class gets that the meta learner has not seen


def answers_in_a_row(answers: Sequence[Tensor], outputs: Outputs) -> Tensor:
    """What the meta learner reads: of each member log-probabilities [B, K], of several classes at once log
    odds, of numbers the numbers in their own unit -> [B, M * K].
    """
    if outputs.numbers:
        return torch.cat(list(answers), dim=-1)
    most = math.log(1 - LEAST) - math.log(LEAST)
    low, high = (-most, most) if outputs.several else (math.log(LEAST), 0.0)
    return torch.cat([each.clamp(low, high) for each in answers], dim=-1)


class MetaHead(nn.Module):
    """A row of answers [B, M * K] -> raw scores [B, K]: to mean 0 and deviation 1, then linear layers.

    kind, classes: what the scores mean (`Outputs.kind`), and how many there are
    sizes: of the row, of the layers between, and of what the last one gives, which are the classes in `seen`;
           of two classes it may be one score, for the second
    """

    def __init__(self, kind: str, classes: int, sizes: Sequence[int], seen: int):
        super().__init__()
        self.kind, self.classes = kind, classes
        self.register_buffer("mean", torch.zeros(sizes[0]))
        self.register_buffer("deviation", torch.ones(sizes[0]))
        self.register_buffer("seen", torch.arange(seen))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(self.mean), *(layer.out_features for layer in self.layers))

    def forward(self, x: Tensor) -> Tensor:
        x = (x.to(self.mean.dtype) - self.mean) / self.deviation
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        x = self.layers[-1](x)
        if self.kind == "numbers":
            return x
        if self.kind == "several":
            most = math.log(1 - LEAST) - math.log(LEAST)
            return x.clamp(-most, most)
        if x.shape[-1] < len(self.seen):  # the log odds of the second of two
            x = torch.cat((torch.zeros_like(x), x), -1)
        told = x.log_softmax(-1).clamp_min(math.log(NEVER))
        found = told.new_full((*told.shape[:-1], self.classes), math.log(NEVER))
        return found.index_copy(-1, self.seen, told)


class StackedModel(EnsembleModel):
    """Several networks under a meta learner, as one `VisionModel`.

    meta:   reads the members' answers, in the order of `labels`
    labels: the classes or numbers that it tells
    """

    title = "stack of"

    def __init__(self, members: Mapping[str, VisionModel], *, meta: MetaHead, labels: Sequence[str]):
        """Raises ValueError, with the member's name, for one that can't take part or knows other classes."""
        super().__init__(members)
        self.combine, self.meta, self.num_classes = STACK, meta, len(labels)
        self.orders = [_order(name, outputs_of_member(model), labels) for name, model in members.items()]
        self.config = self.config.with_(
            num_classes=len(labels), labels=tuple(labels), outputs=meta.kind, number_mean=(), number_std=(),
            build_options=(("combine", STACK), ("names", self.names), ("sizes", meta.sizes),
                           ("seen", len(meta.seen))))

    def combined(self, logits: Sequence[Tensor]) -> Tensor:
        """Raw scores [B, W] of each member, in its own order and unit -> those of the meta learner."""
        outputs, answers = self.outputs, []
        for model, order, raw in zip(self.members, self.orders, logits):
            own, raw = outputs_of_member(model), raw.to(torch.promote_types(raw.dtype, torch.float32))
            said = own.values(raw) if own.numbers else raw if own.several else own.log_probabilities(raw)
            answers.append(said[..., order].to(self.meta.mean.device))
        return self.meta(answers_in_a_row(answers, outputs))

    def set_weights(self, weights: Any) -> None:
        """Raises ValueError: its meta learner weighs the members."""
        raise ValueError("A stack has no weights to set: its meta learner weighs the members. "
                         "explorer.Ensemble(models, weights=...) has some.")

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """0 leaves the vectors in a row. Raises ValueError for classes: the meta learner knows its own."""
        if num_classes:
            raise ValueError("The meta learner of a stack reads the answers of these very classifiers: teach "
                             "another one, explorer.stack(models, data), or give the members a new head, "
                             "explorer.fuse_features(models, num_classes=n).")
        super().reset_classifier(0, global_pool)


def _order(name: str, own: Outputs, labels: Sequence[str]) -> list[int]:
    known = [name_key(label) for label in own.labels]
    if own.named and {*known} != {name_key(label) for label in labels} or len(own) != len(labels):
        raise ValueError(f"The member {name} tells other {'numbers' if own.numbers else 'classes'} than the "
                         "meta learner reads.")
    return [known.index(name_key(label)) for label in labels] if own.named else list(range(len(labels)))
