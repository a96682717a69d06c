"""What every method is given and gives, and how each of them answers.

A `Task` is one question to one model; it runs the model only for what no look holds. A method answers with
`Found`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.inspection.attribution import cams, gradients, occlusion, rollout
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.look.passes import OCCLUSION, Passes, no_way_back
from explorer.inspection.look.result import Look
from explorer.inspection.look.tail import Tail, default_stage, ordinary, walk
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs

#: Of a heat map of single pixels, so large a share is drawn in full; the few largest would hide all others.
SHOWN_SHARE = 0.995


@dataclass(eq=False)
class Task:
    """One question to one model. look: one that still holds;  input: what the network sees, [C, H, W].

    inputs: what a pass reads, where that is more than one picture (`look.own_inputs`); else the same
    """

    model: VisionModel
    input: Tensor
    inputs: Tensor
    config: dict[str, Any]
    stage: str | None
    look: Look | None
    passes: Passes
    outputs: Outputs
    target: int | None = None

    def class_index(self) -> int:
        """The class asked for, or else the likeliest, which costs a pass where no look knows it."""
        if self.target is None and self.outputs.numbers:
            self.target = 0
        elif self.target is None:
            if self.look is not None:
                self.target = int(self.outputs.likeliest(self.look.logits))
            else:
                scores = self.passes.logits(self.inputs[None])[0]  # one a class already
                self.target = int(scores.argmax())
        return self.target

    def usual_stage(self) -> str:
        """The stage that is taken where nobody asked for one."""
        return default_stage(self.model)

    def map(self, stage: str) -> Tensor:
        """A stage's map [C, h, w], from the look or from a pass."""
        if self.look is not None:
            return self.look.stages[stage]
        with evaluating(self.model):
            maps, _, logits, _ = walk(self.model, self.inputs, only=(stage,))
        self._ran(logits)
        return ordinary(maps[stage])

    def _ran(self, logits: Tensor) -> None:
        self.passes.photos += 1
        if self.target is None:
            self.target = int(self.outputs.likeliest(logits))

    def map_and_tail(self, stage: str, *, at_module: bool = False) -> tuple[Tensor, Tail | None]:
        """A stage's map [C, h, w] and what comes behind it: from the look that holds them, or a pass."""
        if self.look is not None and not at_module:
            tail = self.look._origin.tail
            if tail is not None and tail.stage == stage:
                self.target = self.class_index()
                return self.look.stages[stage], tail
        with evaluating(self.model):
            maps, _, logits, tail = walk(self.model, self.inputs, stage=stage, only=(stage,),
                                         at_module=at_module)
        self._ran(logits)
        return ordinary(maps[stage]), tail

    def map_with_gradient(self) -> tuple[Tensor, Tensor, str, list[str]]:
        """(a stage's map, the gradient of the class's score with respect to it, the stage's name, notes).

        Where nobody asked for a stage, one whose map has a single place or does not matter gives way to the
        one before.
        """
        asked, names = self.stage, [row.name for row in self.model.stage_table]
        stage, notes = asked or default_stage(self.model), []
        while True:
            maps, tail = self.map_and_tail(stage)
            gradient = tail.gradient(self.target, self.outputs.evidence) if tail is not None else None
            if gradient is None:
                maps, tail = self.map_and_tail(stage, at_module=True)
                gradient = tail.gradient(self.target, self.outputs.evidence) if tail is not None else None
            blank = gradient is None or not gradient.any()
            before = names.index(stage) - 1
            if asked is None and before >= 0 and (maps[0].numel() == 1 or blank and not self.model.pyramid):
                stage = names[before]
                notes = [f"Drawn from {stage}: behind it no map has places that the scores depend on."]
                continue
            if gradient is None and tail is None:
                raise no_way_back(OCCLUSION)
            if gradient is None:
                raise ValueError(f"The scores of {model_name(self.model)} don't depend on the map of "
                                 f"{stage!r} in a way that can be followed. Try another stage: "
                                 f"{', '.join(names)}; "
                                 "or method=\"occlusion\".")
            if maps[0].numel() == 1:
                notes.append(f"The map of {stage} has a single place: the heat is the same everywhere. "
                             "An earlier stage, or a larger photo, shows more.")
            return maps, gradient, stage, notes


@dataclass(frozen=True)
class Found:
    """What a method gives. raw: as in `Attribution`;  heat: [h, w] from 0; None: the positive part of raw."""

    raw: Tensor
    heat: Tensor | None = None
    stage: str = ""
    details: dict[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


# --- from a stage's map -------------------------------------------------------------------------------------


def from_gradient(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Found]:
    def run(task: Task) -> Found:
        maps, gradient, stage, notes = task.map_with_gradient()
        return Found(rule(maps, gradient), stage=stage, notes=notes)

    return run


def score_cam(task: Task, *, channels: int | None = None, batch_size: int = 16) -> Found:
    if channels is not None:
        gradients.check_count("channels", channels)
    gradients.check_count("batch_size", batch_size)
    stage = task.stage or task.usual_stage()
    maps = task.map(stage)
    if task.stage is None and maps[0].numel() == 1:  # now that it has run, it is known whose maps have places
        stage = task.usual_stage()
        maps = task.map(stage)
    target = task.class_index()
    unit = task.outputs.std[target] if task.outputs.std else 1.0
    raw, notes = cams.score_cam(
        task.passes, task.input, maps, target, channels=channels, batch_size=batch_size, unit=unit
    )
    return Found(raw, stage=stage, notes=notes)


# --- of single pixels ---------------------------------------------------------------------------------------


def _pixels(raw: Tensor, *, absolute_sum: bool = False, **more: Any) -> Found:
    """Raw values of single pixels, with a heat map of their sizes."""
    heat = raw.sum(0).abs() if absolute_sum else raw.abs().amax(0)  # [H, W]
    finite = heat[torch.isfinite(heat)]
    if finite.numel() and (limit := float(np.quantile(finite.numpy(), SHOWN_SHARE))) > 0:
        heat = heat.clamp_max(limit)
    return Found(raw, heat, **more)


def saliency(task: Task) -> Found:
    return _pixels(gradients.saliency(task.passes, task.input, task.class_index()))


def input_x_gradient(task: Task) -> Found:
    return _pixels(gradients.input_x_gradient(task.passes, task.input, task.class_index()), absolute_sum=True)


def guided_backprop(task: Task) -> Found:
    return _pixels(gradients.guided_backprop(task.passes, task.input, task.class_index()))


def smooth_grad(
    task: Task, *, samples: int = 25, noise: float = 0.15, seed: int = 0, batch_size: int = 8
) -> Found:
    raw = gradients.smooth_grad(task.passes, task.input, task.class_index(), samples=samples, noise=noise,
                                seed=seed, batch_size=batch_size)
    return _pixels(raw)


def integrated_gradients(
    task: Task, *, steps: int = 50, baseline: str = "black", batch_size: int = 8
) -> Found:
    target, empty = task.class_index(), gradients.empty_photo(task.input, baseline, task.config)
    raw, delta = gradients.integrated_gradients(task.passes, task.input, empty, target, steps=steps,
                                                batch_size=batch_size)
    total = float(raw.double().sum())
    what = "numbers" if task.outputs.numbers else "scores"
    note = (f"Completeness: the {what} of the photo and of a {baseline} one differ by {total - delta:.3g}; "
            f"all pixels together make {total:.3g}, so {abs(delta):.2g} is "
            f"{'too much' if delta * total > 0 else 'missing'}.")
    return _pixels(raw, absolute_sum=True, details={"delta": delta, "sum": total}, notes=[note])


def gradient_shap(
    task: Task, *, samples: int = 25, baseline: str = "black", noise: float = 0.09, seed: int = 0,
    batch_size: int = 8,
) -> Found:
    target, empty = task.class_index(), gradients.empty_photo(task.input, baseline, task.config)
    raw = gradients.gradient_shap(task.passes, task.input, empty[None], target, samples=samples, noise=noise,
                                  seed=seed, batch_size=batch_size)
    return _pixels(raw, absolute_sum=True)


# --- by covering, by attention ------------------------------------------------------------------------------


def occlude(
    task: Task, *, window: int | None = None, stride: int | None = None, fill: str = "grey",
    batch_size: int = 16,
) -> Found:
    gradients.check_count("batch_size", batch_size)
    window, stride = occlusion.windows(tuple(task.input.shape[-2:]), window, stride)
    cover = gradients.empty_photo(task.input, fill, task.config)
    raw, notes = occlusion.occlusion(task.passes, task.input, cover, task.class_index(), window=window,
                                     stride=stride, batch_size=batch_size)
    return Found(raw, details={"window": window, "stride": stride}, notes=notes)


def roll_out(task: Task) -> Found:
    maps = rollout.read_attention(task.model, task.input)
    task.passes.photos += 1
    raw = rollout.rollout(maps, reads_class_token=rollout.reads_class_token(task.model))
    # All places give a little: shown is what one gives more than the least.
    return Found(raw, raw - raw.min())


def attend(
    task: Task, *, block: int = -1, head: int | None = None, query: tuple[int, int] | None = None
) -> Found:
    maps = rollout.read_attention(task.model, task.input)
    task.passes.photos += 1
    raw = rollout.attention_of(maps, head=head, block=block, query=query)
    return Found(raw, raw - raw.min(), stage=list(maps)[block])
