"""Heat maps of a box or a region: the methods of `explain`, asked about one score of such a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.inspection.attribution.questions import Question, deepest
from explorer.inspection.attribution.tasks import Task
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.look.passes import OCCLUSION, Passes, no_way_back
from explorer.inspection.look.tail import Watch, begin_notes, layout_of, ordinary
from explorer.models.contract import Stage, parameter_place
from explorer.models.surgery.inside import stage_modules
from explorer.models.watching import watching

MOST_PIXELS = 600_000  # of inputs that run at a time: their maps are larger than a classifier's


class PlacePasses(Passes):
    """`Passes` of a network for boxes or masks, whose scores [B, 1] are those that a question asks for."""

    def __init__(self, question: Question, **listeners: Any):
        super().__init__(question.model, **listeners)
        self.question = question

    def _forward(self, inputs: Tensor) -> Tensor:
        return self.question.score(inputs.to(**parameter_place(self.model)))


class Notes:
    """The maps of some stages, and what stands for each in a gradient, taken down while a network runs.

    maps: {stage: [C, h, w]}, float32 on the CPU
    """

    def __init__(self, model: Any, stages: set[str], *, at_module: bool, gradients: bool = True):
        self.kept, self.at_module = stages, at_module
        self.names = stages if gradients and not at_module else set()
        watched = gradients and at_module
        self.rows = [row for row in model.stage_table if row.name in stages and watched]
        network, _ = stage_modules(model)
        self.watches = {row.name: Watch(row) for row in self.rows}
        self.parts = {row.module: network.get_submodule(row.module) for row in self.rows}
        self.maps: dict[str, Tensor] = {}
        self.leaves: dict[str, Any] = {}

    def before(self, row: Stage) -> None:
        if row.name in self.names:
            torch.set_grad_enabled(True)

    def after(self, row: Stage, found: Tensor) -> None:
        if row.name in self.kept:  # a copy: the next layer may work in place
            self.maps[row.name] = found[0].detach().clone()
        if row.name in self.names:
            self.leaves[row.name] = begin_notes(found)

    def output(self, turn: Any, module: Any, inputs: tuple, output: Any) -> Any:
        for row in self.rows:
            if row.module == turn.path:
                changed = self.watches[row.name](turn, module, inputs, output)
                if changed is not None:
                    return changed
        return None

    def gradient(self, score: Tensor, stage: str) -> Tensor | None:
        """d score / d map, float32 [C, h, w] on the CPU; None where the score does not depend on it."""
        if self.at_module:
            leaf = self.watches[stage].leaf
            as_map = None if leaf is None else layout_of(tuple(leaf.shape), self.maps[stage].shape)
            found = None if as_map is None else (leaf, as_map)
        else:
            found = self.leaves.get(stage)
        if found is None or score.grad_fn is None:
            return None
        leaf, as_map = found
        (gradient,) = torch.autograd.grad(score, leaf, allow_unused=True)
        return None if gradient is None else ordinary(as_map(gradient)[0])


@dataclass(eq=False)
class PlaceTask(Task):
    """One question to one network for boxes or masks; its target among the scores [B, 1] is 0."""

    question: Question = None  # pyright: ignore[reportAssignmentType]  # behind fields with defaults

    def class_index(self) -> int:
        self.settle()
        return 0

    def settle(self) -> None:
        """See that it is known which box or pixels are asked for: a pass where no look tells."""
        if not self.question.settled or self.question.probability is None:
            self.passes.logits(self.input[None])

    def usual_stage(self) -> str:
        self.settle()
        return self.question.usual_stage()

    def map(self, stage: str) -> Tensor:
        if self.look is not None:
            return self.look.stages[stage]
        notes, _ = self._run({stage}, at_module=False, gradients=False)
        return ordinary(notes.maps[stage])

    def map_with_gradient(self) -> tuple[Tensor, Tensor, str, list[str]]:
        """As `Task.map_with_gradient`: one pass, which settles the question too, and one backward pass."""
        network, _ = stage_modules(self.model)
        for at_module in (False, True) if network is self.model else (True,):
            notes, score = self._run(self._wanted(), at_module=at_module)
            stage = self.stage or self.question.usual_stage()
            with torch.inference_mode(False), torch.enable_grad(), evaluating(self.model):
                gradient = notes.gradient(score[0, 0], stage)
            if gradient is not None:
                break
        if gradient is None and score.grad_fn is None:
            raise no_way_back(OCCLUSION)
        usual = self.question.usual_stage()
        if gradient is None or stage != usual and not gradient.any():
            raise ValueError(f"This score of {model_name(self.model)} does not depend on the map of "
                             f"{stage!r} in a way that can be followed: leave stage out, which is {usual!r} "
                             'then, or use method="occlusion".')
        maps, said = ordinary(notes.maps[stage]), []
        if maps[0].numel() == 1:
            said.append(f"The map of {stage} has a single place: the heat is the same everywhere. "
                        "An earlier stage, or a larger photo, shows more.")
        return maps, gradient, stage, said

    def _wanted(self) -> set[str]:
        if self.stage is not None:
            return {self.stage}
        if self.question.settled:
            return {self.question.usual_stage()}
        return {*self.question.of_levels, deepest(self.question.model)} - {""}

    def _run(self, stages: set[str], *, at_module: bool, gradients: bool = True) -> tuple[Notes, Tensor]:
        """One pass over the photo. gradients: whether notes for them are taken from these stages on"""
        notes = Notes(self.model, stages, at_module=at_module, gradients=gradients)
        batch = self.input[None].to(**parameter_place(self.model), copy=True)
        with evaluating(self.model), torch.inference_mode(False), torch.no_grad(), \
                watching(notes.parts, after=notes.output):
            score = self.question.score(batch, notes.before, notes.after)
        self.passes.photos += 1
        return notes, score


def check_batch(options: dict[str, Any], known: dict[str, Any], pixels: int) -> dict[str, Any]:
    """The options of a method with a batch that large inputs fit in, where nobody gave one."""
    if "batch_size" not in known or "batch_size" in options:
        return options
    return options | {"batch_size": max(1, min(known["batch_size"], MOST_PIXELS // pixels))}
