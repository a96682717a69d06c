"""`WrappedModel`: somebody else's module behind the contract."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn

from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.doors.first_run import Watched, watch
from explorer.models.doors.maps import to_map
from explorer.models.doors.stages import find_head, find_stages, is_pyramid
from explorer.models.watching import Turn, watching


class WrappedModel(VisionModel):
    """Somebody else's module behind the contract; see `wrap`. The module itself is `.module`."""

    def __init__(self, module: nn.Module, watched: Watched, config: ModelConfig):
        super().__init__()
        self.module = module
        stages, self._layouts = find_stages(watched)
        self.stages = tuple(stages)
        self.pyramid = is_pyramid(self.stages)
        self.classifier_path = find_head(module, watched)
        self._ending = watched.ending if self.classifier_path else ""
        self.squash = watched.squash
        if config.outputs == "numbers" and self._ending:
            self._ending = "other"  # a number between 0 and 1 is a number, not the share of a class
        # Where the scores in front of it are not the last linear layer's, the squash is undone.
        elsewhere = config.outputs != "numbers" and self._ending not in ("softmax", "sigmoid")
        self._undone = self.squash if elsewhere else None
        head = self.get_classifier()
        self.num_classes = watched.scores
        behind_a_vector = isinstance(head, nn.Linear) and self._ending != "other"
        self.num_features = head.in_features if behind_a_vector else watched.scores
        self.in_chans = watched.input_size[0]
        self.config = config.with_(num_classes=watched.scores, classifier=self.classifier_path)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, K]: what the module gives, without a softmax or sigmoid at its end."""
        if self._ending not in ("softmax", "sigmoid"):
            return self._unsquashed(self.module(x))
        scores: list[Tensor] = []

        def keep(_turn: Turn, _head: nn.Module, _inputs: tuple, output: Tensor) -> None:
            scores.append(output.clone())

        with watching({"": self.get_classifier()}, after=keep):
            self.module(x)
        if not scores:
            raise self._goes_another_way(self.classifier_path)
        return scores[-1]

    def _unsquashed(self, result: Tensor) -> Tensor:
        return result if self._undone is None else self._undone.undo(result)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        """The maps of one whole run: a foreign module can't be stopped half-way, but it runs only once."""
        kept: dict[str, Tensor | None] = {}
        vectors: list[Tensor] = []
        layouts = {stage.name: layout for stage, layout in zip(self.stages, self._layouts)}
        parts = {stage.module: self.module.get_submodule(stage.module) for stage in self.stages}
        head = self.get_classifier() if self.classifier_path and self._ending != "other" else None

        def keep_vector(_turn: Turn, _head: nn.Module, inputs: tuple, options: dict) -> None:
            vectors.extend([*inputs, *options.values()][:1])

        def keep_map(turn: Turn, _part: nn.Module, _inputs: tuple, output: Any) -> None:
            if turn.name in layouts and isinstance(output, Tensor):
                kept[turn.name] = to_map(output, layouts[turn.name])

        heads = {"": head} if head is not None else {}
        with watching(heads, before=keep_vector), watching(parts, after=keep_map):
            scores = self._unsquashed(self.module(x))
        if head is not None and not vectors:
            raise self._goes_another_way(self.classifier_path)
        for stage in self.stages:
            if kept.get(stage.name) is None:
                raise self._goes_another_way(stage.name)
            yield kept[stage.name]
        return vectors[-1] if vectors else scores

    def _goes_another_way(self, missing: str) -> ValueError:
        return ValueError(
            f"{self.config.architecture} did not come by {missing!r} with these photos as it did when it was "
            "wrapped: it takes another way, or its maps have another form. Features, heat maps and training "
            "need a module that does the same with every photo: wrap the part of it that does."
        )

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """x: the vector [B, D] in front of the last layer, as `forward_features` gives it.

        Where the module changes the scores behind its last linear layer, that vector is the scores
        themselves.
        """
        if pre_logits or not self.classifier_path or self._ending == "other":
            return x
        return self.get_classifier()(x)

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        if self._ending == "other":
            raise ValueError("This module changes its scores behind its last linear layer, in a way that "
                             "only it knows.")
        return self.get_classifier()(pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.module.get_submodule(self.classifier_path) if self.classifier_path else nn.Identity()

    def _count_scores(self, head: nn.Module | None) -> int:
        if isinstance(head, nn.Identity):
            return 0
        self.watch_again()
        return self.num_classes

    def watch_again(self) -> None:
        """Find stages, classifier and scores anew:
        where the module was rebuilt by hand, they stand elsewhere.
        """
        training = self.training
        self.__init__(self.module, watch(self.module, self.config.input_size), self.config)
        self.training = training

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Exchange the last linear layer. Raises ValueError where there is none, or for another pooling."""
        if global_pool is not None:
            raise ValueError("The pooling of a wrapped model is part of it: leave global_pool out.")
        if not self.classifier_path:
            raise ValueError(f"{self.config.architecture} has no last linear layer that could be exchanged: "
                             "put a torch.nn.Linear behind it, and wrap both.")
        old = self.get_classifier()
        width = old.in_features if isinstance(old, nn.Linear) else self.num_features
        new = nn.Linear(width, num_classes, **parameter_place(self)) if num_classes else nn.Identity()
        parent, _, name = self.classifier_path.rpartition(".")
        setattr(self.module.get_submodule(parent), name, new.train(old.training))
        self.num_classes = num_classes
