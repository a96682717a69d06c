"""`FusedModel`: the features of several bodies in a row, under one new head.

    photo -> body 1 -> vector [B, D1] \\
          -> body 2 -> vector [B, D2]  -> in a row [B, D1 + D2] -> head -> logits

An ensemble averages answers; here a head learns from all bodies' features at once, so it may use what one
body sees where the other is blind. With frozen bodies the row of a photo never changes: `explorer.finetune`
works it out once and trains the head on it, as with any frozen body.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import VisionModel, parameter_place
from explorer.models.ensembles.frames import Frames
from explorer.models.ensembles.holding import Members
from explorer.models.ensembles.members import by_name, stages_of
from explorer.models.ensembles.parts_head import PartsHead

FUSED = "fused"  # the architecture in the config of a saved one


class FusedModel(Members, VisionModel):
    """Several bodies under one head; see `explorer.fuse_features`.

    members: the bodies, without their classifiers;  frames: what each sees of a photo
    taken:   for each body the stage whose map is averaged over its places; "" for the vector in front of
             what was its classifier
    """

    classifier_path = "head"
    fixed_image_size = True
    title = "fused features of"

    def __init__(self, members: Mapping[str, VisionModel], *, taken: Sequence[str], how: str = "concat",
                 num_classes: int = 0):
        super().__init__()
        models, self.names, self.taken, self.how = list(members.values()), tuple(members), tuple(taken), how
        self.frames = Frames(members)
        self.in_chans = self.frames.channels
        self.members = nn.ModuleList(models)
        self.pyramid = False
        self.stages = tuple(
            row for number, (name, model, stage) in enumerate(zip(self.names, models, self.taken))
            for row in stages_of(name, number, model)[:_count(model, stage)])  # what comes behind never runs
        self.widths = tuple(
            next(row.channels for row in model.stage_table if row.name == stage) if stage
            else model.head_hidden_size for model, stage in zip(models, self.taken))
        self.num_features, self.num_classes = sum(self.widths), num_classes
        self.head = PartsHead(self.widths, num_classes, how).to(**parameter_place(models[0]))
        self._describe()

    def _describe(self) -> None:
        self.config = self.frames.config.with_(
            architecture=FUSED, num_classes=self.num_classes, labels=(),
            build_options=(("names", self.names), ("taken", self.taken), ("how", self.how)),
            members=tuple(model.config.with_(num_classes=0, labels=(), outputs="") for model in self.members))

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        """Yield the maps of one body after the other; return their vectors in a row, [B, num_features]."""
        inputs, found = self.frames.unpack(x), []
        for number, (model, wanted) in enumerate(zip(self.members, self.taken)):
            own = inputs[self.frames.way_of[number]].to(**parameter_place(model))  # a half beside a float
            way, vector = model.forward_stages(own), None
            with by_name(self.names[number]):
                for row in model.stage_table[:_count(model, wanted)]:
                    made = next(way)
                    if row.name == wanted:
                        vector = made.mean((2, 3))
                    yield made
                    del made  # else it stays in memory while the next layers run
                if vector is None:
                    vector = model.forward_head(_rest(way), pre_logits=True)
                way.close()
            found.append(vector if vector.ndim == 2 else vector.flatten(2).mean(2) if vector.ndim == 4
                         else vector.mean(1))
        return torch.cat(found, dim=1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return x if pre_logits or not self.num_classes else self.forward_classifier(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        """The vectors in a row [B, num_features] -> logits."""
        return self.head(pre_logits.to(**parameter_place(self.head)))

    def get_classifier(self) -> nn.Module:
        """The head; nothing where there are no classes."""
        return self.head if self.num_classes else nn.Identity()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh head on, of the same kind; 0 leaves the vectors in a row. Nothing is pooled here."""
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: each body pools as it does, so leave it out.")
        place = parameter_place(self)
        self.head = PartsHead(self.widths, num_classes, self.how).to(**place)
        self.num_classes = num_classes
        self._describe()

    def _count_scores(self, head: nn.Module | None) -> int:
        return getattr(head, "num_classes", 0)

    @property
    def heaviest(self) -> int:
        """The number of the body that most of the row is of, the first of several."""
        return self.widths.index(max(self.widths))

    @property
    def img_size(self) -> tuple[int, int]:
        """(height, width) of the frame that its photos are prepared for, in pixels."""
        return self.frames.config.input_size[1:]

    def extra_repr(self) -> str:
        shown = [f"{name} ({stage})" if stage else name for name, stage in zip(self.names, self.taken)]
        return f"{', '.join(shown)}; how={self.how!r}"


def _count(model: VisionModel, stage: str) -> int:
    """How many of a body's stages run, up to the one whose map is taken; all for its vector."""
    names = [row.name for row in model.stage_table]
    return names.index(stage) + 1 if stage else len(names)


def _rest(way: Generator[Tensor, None, Any]) -> Any:
    """What a generator returns at its end."""
    try:
        next(way)
    except StopIteration as end:
        return end.value
    raise RuntimeError("forward_stages yielded more maps than the model has stages")
