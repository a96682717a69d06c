"""Adversarial examples by the fast gradient sign method: every pixel pushed a little in the worst direction.

    fgsm("tf_efficientnet_lite0", "cat.jpg", epsilon=2 / 255)                # a change that nobody sees
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.inspection.experiments.before import logits_of, look_before
from explorer.inspection.experiments.changes import (
    Change,
    changes_of,
    curve_html,
    in_short,
    numbers_html,
    result_html,
    small_html,
)
from explorer.inspection.look.answers import Prediction, answer_of, said, top_predictions
from explorer.inspection.look.model import as_model, evaluating
from explorer.inspection.look.passes import expect_way_back, way_back
from explorer.inspection.look.pixels import as_picture, as_pixels
from explorer.inspection.look.result import Look
from explorer.inspection.look.targets import class_index
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import Outputs

EPSILONS = tuple(step / 255 for step in (0, 0.25, 0.5, 1, 2, 4, 8, 16))
WITHOUT_GRADIENT = ("An adversarial example (FGSM) is made from that gradient; "
                    "explorer.robustness needs the answers alone.")


@dataclass(frozen=True, eq=False, repr=False)
class Perturbed:
    """What the network sees, before and after a step of `fgsm`.

    epsilon: how far each value was moved at most, for values in 0..1
    aim:     the class in question, or the number;  towards: whether its probability was to rise, else to fall
    before, after: the likeliest classes, best first;  changes: what became of their probabilities
    answers: what was said before and is said now; where several classes may hold at once, of the class in
             question
    original, picture: what the network saw and sees, as pictures (rounded to 8 bits; it gets `input`)
    noise:   the difference, amplified `amplified` times, with grey for "no change"
    input:   what went into the network the second time: normalised [C, H, W]
    """

    model_name: str
    epsilon: float
    aim: Prediction
    towards: bool
    before: list[Prediction]
    after: list[Prediction]
    answers: tuple[Prediction, Prediction]
    changes: tuple[Change, ...]
    original: Image.Image
    picture: Image.Image
    noise: Image.Image
    amplified: float
    input: Tensor
    notes: tuple[str, ...] = ()

    @property
    def fooled(self) -> bool:
        """Whether the likeliest class is another one now; where several may hold at once, whether a yes to
        the class in question became a no, or the other way round. Numbers decide nothing: False."""
        return said(self.answers[0]) != said(self.answers[1])

    def __repr__(self) -> str:
        return f"Perturbed({self.model_name!r}, epsilon {_in_255(self.epsilon)}, {in_short(self.changes)})"

    def _repr_html_(self) -> str:
        ways = ("smaller", "larger") if self.aim.value is not None else ("away from", "towards")
        step = ways[self.towards]
        times = f", {self.amplified:.3g} times as strong" if self.amplified else ""
        now = f"What it sees now: epsilon {_in_255(self.epsilon)}, {step} {self.aim.label}"
        pictures = (small_html(self.original, "What the network saw")
                    + small_html(self.noise, f"The change{times}") + small_html(self.picture, now))
        return result_html(self.model_name, pictures, self.changes, self.notes)


@dataclass(frozen=True, eq=False, repr=False)
class PerturbedSweep(Sequence):
    """`fgsm` with several epsilons: a sequence of `Perturbed`. stopped: whether some are missing."""

    results: tuple[Perturbed, ...]
    stopped: bool = False

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index):
        return self.results[index]

    def __iter__(self) -> Iterator[Perturbed]:
        return iter(self.results)

    @property
    def first_fooled(self) -> Perturbed | None:
        """The smallest epsilon tried at which the likeliest class is another one; None: at none."""
        return min((one for one in self if one.fooled), key=lambda one: one.epsilon, default=None)

    def __repr__(self) -> str:
        found = self.first_fooled
        end = f"another answer from {_in_255(found.epsilon)} on" if found else "the same answer for all"
        if self[0].changes[0].number:
            end = f"{self[0].aim.label!r} {self[0].changes[0].texts[1]} to {self[-1].changes[0].texts[1]}"
        return f"PerturbedSweep({len(self)} epsilons, {end})"

    def _repr_html_(self) -> str:
        if self[0].changes[0].number:
            numbers = [(_in_255(one.epsilon), one.changes[0].texts[1]) for one in self]
            return f"<div>{numbers_html('epsilon', self[0].aim.label, numbers)}</div>"
        rows = [(_in_255(one.epsilon), one.changes[0].after, one.after[0].label, one.fooled) for one in self]
        return f"<div>{curve_html('epsilon', self[0].aim.label, rows)}</div>"


@checked
def fgsm(
    model: VisionModel | str,
    image: Any,
    *,
    epsilon: float = 2 / 255,
    target: int | str | None = None,
    towards: int | str | None = None,
    look: Look | None = None,
) -> Perturbed:
    """The fast gradient sign method: move every value of a photo by epsilon, the way that hurts most.

    x' = clip(x + epsilon * sign(gradient of the loss -log p(target)), 0, 1), on what the network sees after
    resize and crop, for values in 0..1 (before normalisation). One gradient. A number falls, or with
    `towards` rises.

    epsilon: 0..1; a step of an 8-bit picture is 1/255
    target:  the class whose probability shall fall, by index or name; None: the likeliest one
    towards: a class whose probability shall rise, in place of `target`
    look:    the Look of this model at this photo, where there is one

    A small network on a laptop falls for 1/255 or 2/255. That says that its decision is brittle in
    directions which no camera takes; `robustness` asks about the ones a camera does take. The model, its
    flags and gradients stay untouched.
    Raises ValueError for an epsilon outside 0..1, an unknown class, or a model without an answer that could
    change.
    Source: Goodfellow et al. 2014, "Explaining and Harnessing Adversarial Examples"; `towards` is the
    one-step target class method of Kurakin et al. 2016, "Adversarial Machine Learning at Scale".
    """
    return fgsm_sweep(model, image, epsilons=(epsilon,), target=target, towards=towards, look=look)[0]


def fgsm_sweep(
    model: VisionModel | str,
    image: Any,
    *,
    epsilons: Sequence[float] = EPSILONS,
    target: int | str | None = None,
    towards: int | str | None = None,
    look: Look | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PerturbedSweep:
    """`fgsm` for several epsilons: one gradient for all, and one pass each.

    on_progress(done, total) after each epsilon; should_stop() -> True ends it, and what is done is kept.
    """
    if not len(epsilons):
        raise ValueError("No epsilon was given: expected at least one number in 0..1, such as 2/255.")
    for epsilon in epsilons:
        number = isinstance(epsilon, (int, float, np.integer, np.floating)) and not isinstance(epsilon, bool)
        if not number or not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon is {epsilon!r}: expected a number in 0..1, such as 2/255.")
    if target is not None and towards is not None:
        raise ValueError("Give target=, the class to move away from, or towards=, one to move to; not both.")
    model = as_model(model)
    if not model.num_classes:
        raise ValueError("This model tells 0 classes apart: there is no decision to change. Take a model "
                         "with a classifier.")
    before = look_before(model, image, look)
    outputs = before.outputs
    index = class_index(target if towards is None else towards, before)
    aim = next(one for one in top_predictions(before.logits, outputs, len(outputs)) if one.index == index)

    pixels = as_pixels(before.seen)  # [C, H, W] in 0..1
    mean, std = (torch.tensor(before.config[key]).float().view(-1, 1, 1) for key in ("mean", "std"))
    with evaluating(model):
        gradient = _loss_gradient(model, (pixels - mean) / std, outputs, index)
    # Normalisation multiplies by 1 / std, above zero: the sign for the values in 0..1 is the same.
    direction = gradient.sign() if towards is None else -gradient.sign()
    notes = before.notes
    if not gradient.isfinite().all():
        raise ValueError("The gradient of this model at this photo is not a number: its weights or maps "
                         "hold NaN or infinite values (see explorer.activations).")
    if not gradient.any():
        notes += ("The gradient is zero everywhere, so nothing was changed: the loss is flat here.",)
    results = []
    for done, epsilon in enumerate(epsilons, start=1):
        epsilon = float(epsilon)
        moved = (pixels + epsilon * direction).clamp(0, 1)
        tensor = (moved - mean) / std
        with evaluating(model):  # for each pass: others may look through the model in between
            logits = logits_of(model, tensor)
        after = top_predictions(logits, outputs, max(5, len(before.predictions)))
        best = [index, *(p.index for p in (*before.predictions, *after))]
        amplified = 0.5 / epsilon if epsilon else 0.0
        results.append(Perturbed(
            model_name=before.model_name, epsilon=epsilon, aim=aim, towards=towards is not None,
            before=before.predictions, after=after,
            answers=(answer_of(before.logits, outputs, index), answer_of(logits, outputs, index)),
            changes=changes_of(before.logits, logits, outputs, best),
            original=before.seen.convert("RGB"), picture=as_picture(moved),
            noise=as_picture(0.5 + amplified * (moved - pixels)), amplified=amplified, input=tensor,
            notes=notes,
        ))
        if on_progress:
            on_progress(done, len(epsilons))
        if should_stop and done < len(epsilons) and should_stop():
            break
    return PerturbedSweep(tuple(results), stopped=len(results) < len(epsilons))


def _loss_gradient(model: nn.Module, tensor: Tensor, outputs: Outputs, index: int) -> Tensor:
    """Gradient at the input [C, H, W] of a loss that points the same way as -log p(index), on the CPU.

    The loss is -log(p / (1 - p)): its gradient is that of -log p, divided by 1 - p. For a network that is
    entirely sure, 1 - p is rounded to zero, and with it the gradient of -log p; here the direction stays.
    That of a number is the number, made smaller.
    """
    with torch.inference_mode(False), torch.enable_grad(), way_back(WITHOUT_GRADIENT):
        tensor = tensor[None].to(**parameter_place(model)).clone().requires_grad_()
        logits = model(tensor.clone())[0].float()
        expect_way_back(logits, tensor, WITHOUT_GRADIENT)
        loss = -outputs.log_odds(logits, index)
        (gradient,) = torch.autograd.grad(loss, tensor)  # of nothing else: no parameter's .grad is written
    return gradient[0].float().cpu()


def _in_255(epsilon: float) -> str:
    return f"{255 * epsilon:.3g}/255"
