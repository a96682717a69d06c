"""`EnsembleModel`: several classifiers that answer together, behind the contract of one.

    photo -> member 1 -> its logits \\
          -> member 2 -> its logits  -> combined -> logits [B, num_classes]
          -> member 3 -> its logits /

Its stages are those of all members, called "member/stage"; its vector in front of the classifier is the
members' vectors in a row, so embeddings and trained heads work as with any other network. Members with one
body share its pass. Which members see what of a photo is told in `frames.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import VisionModel, parameter_place
from explorer.models.ensembles.aligning import align
from explorer.models.ensembles.combining import combine_scores
from explorer.models.ensembles.frames import Frames
from explorer.models.ensembles.holding import ARCHITECTURE, Holding
from explorer.models.ensembles.members import (
    bodies,
    by_name,
    check_device,
    check_members,
    stages_of,
)
from explorer.models.outputs import Outputs, read_outputs


class EnsembleModel(Holding, VisionModel):
    """Several classifiers, or networks that give numbers, as one `VisionModel`; see `explorer.Ensemble`.

    members: the networks themselves;  names: what each is called
    combine: one of `combining.COMBINATIONS`;  weights: a buffer, [M] or one a class [M, W], that adds up to 1
    frames:  what each member sees of a photo
    """

    fixed_image_size = True

    def __init__(self, members: Mapping[str, VisionModel], *, combine: str = "mean", weights: Any = None):
        """Raises ValueError, with the member's name, for one that can't take part."""
        super().__init__()
        check_members(members)
        models, self.names = list(members.values()), tuple(members)
        first = models[0]
        self.alignments = [align(first, model, name, self.names[0]) for name, model in members.items()]
        self.combine = combine
        self.frames = Frames(members)
        self.in_chans = self.frames.channels
        self.members = nn.ModuleList(models)
        self.num_classes = first.num_classes
        self.num_features = sum(model.head_hidden_size for model in models)
        self.body_of = bodies(models, self.frames.way_of)
        self.pyramid = False
        self.stages = tuple(stage for number, name in enumerate(self.names)
                            if self.body_of[number] == number
                            for stage in stages_of(name, number, models[number]))
        self.register_buffer("weights", self._read(weights))
        self._describe()

    def _describe(self) -> None:
        """The config: the frame, what the scores mean, and what the ensemble is built of again."""
        own = self.members[0].config
        self.config = self.frames.config.with_(
            architecture=ARCHITECTURE, num_classes=self.num_classes, labels=own.labels, outputs=own.outputs,
            number_mean=own.number_mean, number_std=own.number_std,
            build_options=(("combine", self.combine), ("names", self.names)),
            members=tuple(model.config.with_(num_classes=model.num_classes) for model in self.members))

    # --- how the answers are combined -------------------------------------------------------------------

    @property
    def outputs(self) -> Outputs:
        """What the combined scores mean."""
        return read_outputs(self.config, self.num_classes)

    def combined(self, logits: Sequence[Tensor]) -> Tensor:
        """Raw scores [B, W] of each member, in its own order and unit -> those of all together."""
        wrong = next((number for number, raw in enumerate(logits) if raw.ndim != 2), None)
        if wrong is not None:
            raise ValueError(f"The member {self.names[wrong]} gives scores of shape "
                             f"{list(logits[wrong].shape[1:])} for one photo, not one score a class: create "
                             'it with a global_pool, e.g. "avg".')
        raws = [alignment(raw) for alignment, raw in zip(self.alignments, logits)]
        scores = combine_scores(raws, self.outputs, self.combine, self.weights)
        return scores.to(torch.promote_types(scores.dtype, logits[0].dtype))

    def member_logits(self, x: Tensor) -> list[Tensor]:
        """Photos -> each member's raw scores [B, W], brought into the order and unit of the first one's."""
        return self.scores_of_members(self.forward_features(x))

    def scores_of_members(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The same from each member's final features, as `forward_features` gives them."""
        return [alignment(raw) for alignment, raw in zip(self.alignments, self._each(features))]

    # --- the contract -----------------------------------------------------------------------------------

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Tensor]]:
        """Yield the maps of one member after the other; return each one's final features."""
        inputs = self.frames.unpack(x)
        found: list[Tensor] = []
        device = parameter_place(self.members[0])["device"]
        for number, model in enumerate(self.members):
            if (same := self.body_of[number]) != number:
                found.append(found[same])
                continue
            place = parameter_place(model)
            check_device(self.names[number], place["device"], self.names[0], device)
            own = inputs[self.frames.way_of[number]].to(**place)  # a half beside a float
            with by_name(self.names[number]):
                found.append((yield from model.forward_stages(own)))
        return found

    def forward_head(self, x: Sequence[Tensor], pre_logits: bool = False) -> Tensor:
        """x: each member's final features, as `forward_features` gives them.

        With `pre_logits` the members' vectors in a row, [B, num_features].
        """
        if pre_logits or not self.num_classes:
            return self._row([model.forward_head(own, pre_logits=True)
                              for model, own in zip(self.members, x)])
        return self.combined(self._each(x))

    def _each(self, features: Sequence[Tensor]) -> list[Tensor]:
        found = []
        for name, model, own in zip(self.names, self.members, features):
            with by_name(name):
                found.append(model.forward_head(own))
        return found

    def _row(self, vectors: Sequence[Tensor]) -> Tensor:
        """Vectors in a row; of a member that does not pool the mean over its places."""
        flat = [vector if vector.ndim == 2 else vector.mean((2, 3)) if vector.ndim == 4 else vector.mean(1)
                for vector in vectors]
        return torch.cat(flat, dim=1)

    def forward_vector_and_logits(self, x: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        pairs = [model.forward_vector_and_logits(own) for model, own in zip(self.members, x)]
        return self._row([vector for vector, _ in pairs]), self.combined([logits for _, logits in pairs])

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        """The members' vectors in a row [B, num_features] -> logits.

        Raises ValueError where a member's logits don't follow from its vector.
        """
        parts = pre_logits.split([model.head_hidden_size for model in self.members], dim=1)
        return self.combined([model.forward_classifier(part.to(**parameter_place(model)))
                              for model, part in zip(self.members, parts)])

    def get_classifier(self) -> nn.ModuleList:
        """The members' classifiers, in a list."""
        return nn.ModuleList(model.get_classifier() for model in self.members)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier on every member; 0 leaves the vectors in a row. Weights by class become one
        a member.
        """
        for name, model in zip(self.names, self.members):
            try:
                model.reset_classifier(num_classes, global_pool)
            except ValueError as error:
                raise ValueError(f"The member {name} can't get another classifier. {error}") from error
            model.notice_head()
            model.config = model.config.without_head().with_(num_classes=num_classes)
        self.num_classes = num_classes
        self.num_features = sum(model.head_hidden_size for model in self.members)
        weights = self.weights if self.weights.ndim == 1 else self.weights.mean(1)
        self.weights = weights / weights.sum()
        if num_classes:
            self.alignments = [align(self.members[0], model, name, self.names[0])
                               for name, model in zip(self.names, self.members)]
        self._describe()

    def notice_head(self) -> bool:
        """Raises ValueError, with the member's name, where a member was given another classifier by hand."""
        for name, model in zip(self.names, self.members):
            if model.notice_head() and model.num_classes != self.num_classes:
                raise ValueError(f"The member {name} has another classifier than when the ensemble was made: "
                                 "make a new one, explorer.Ensemble(models).")
        return super().notice_head()

    @property
    def img_size(self) -> tuple[int, int]:
        """(height, width) of the frame that its photos are prepared for, in pixels."""
        return self.frames.config.input_size[1:]

    @property
    def head_hidden_size(self) -> int:
        return self.num_features

    @property
    def heaviest(self) -> int:
        """The number of the member whose weight is the largest, the first of several."""
        weights = self.weights if self.weights.ndim == 1 else self.weights.mean(1)
        return self.body_of[int(weights.argmax())]
