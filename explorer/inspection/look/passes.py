"""Running a network many times for one question: counted, shown as it goes on, and stopped when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from explorer.inspection.look.model import evaluating, not_pooled
from explorer.inspection.look.tail import ordinary
from explorer.models.contract import VisionModel, parameter_place

OCCLUSION = 'Use method="occlusion", which needs its answers alone.'


def no_way_back(instead: str) -> ValueError:
    """What is said where no gradient can be followed through a model. instead: what to do, in a sentence."""
    return ValueError("No gradient can be followed through this model to the photo: it runs all or a part of "
                      "its forward pass under torch.no_grad or torch.inference_mode, detaches what it "
                      f"computes, or has layers without a derivative, such as quantised ones. {instead}")


def expect_way_back(scores: Tensor, inputs: Tensor, instead: str) -> None:
    """See that the scores lead back to the inputs, without a backward pass; else raise ValueError."""
    wanted, waiting, seen = get_gradient_edge(inputs).node, [scores.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is wanted:
            return
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    raise no_way_back(instead)


@contextmanager
def way_back(instead: str) -> Iterator[None]:
    """Torch's word for a pass that left autograd in the middle, as a sentence of ours."""
    try:
        yield
    except RuntimeError as error:
        if "nference tensor" in str(error) or "does not require grad" in str(error):
            raise no_way_back(instead) from None
        raise


class Stopped(RuntimeError):
    """Somebody asked to stop before there was anything to show."""


class Passes:
    """A model that answers for batches of inputs, and keeps count.

    score:  logits [B, W] -> one score a class [B, K], which every question is about; by default the logits
            themselves
    photos: how many inputs it was run on so far

    The model is held (in evaluation, other threads waiting) for a batch at a time, so that somebody else may
    look through it in between.
    """

    def __init__(
        self, model: VisionModel, *, on_progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        score: Callable[[Tensor], Tensor] = lambda logits: logits,
        on_step: Callable[[Any], None] | None = None,
    ):
        """on_step: is called with what a method that can show its work has after each batch"""
        self.model, self.score = model, score
        self.photos = 0
        self._done, self._total = 0, 0
        self._on_progress, self._should_stop, self.on_step = on_progress, should_stop, on_step

    def expect(self, total: int) -> None:
        """How many inputs the question takes; from here on progress counts from 0 to that."""
        self._done, self._total = 0, total
        self._report(0)

    def logits(self, inputs: Tensor) -> Tensor:
        """Scores [B, K] of inputs [B, C, H, W], float32 on the CPU, without gradients."""
        with evaluating(self.model), torch.inference_mode():
            scores = ordinary(self._forward(inputs))
        self._report(len(inputs))
        return scores

    def differentiable(self, inputs: Tensor) -> Tensor:
        """Scores [B, K], float32 on the CPU, with the way back to the inputs.

        Raises Stopped when asked to stop, ValueError where there is no way back.
        """
        if self.stopped:
            raise Stopped("Stopped before the heat map was complete: "
                          "this method has nothing to show until its end.")
        with evaluating(self.model), torch.inference_mode(False), torch.enable_grad(), way_back(OCCLUSION):
            # A copy: a first layer that works in place must not write into the caller's tensor.
            scores = self._forward(inputs.clone()).to("cpu", torch.float32)
            if inputs.requires_grad:
                expect_way_back(scores, inputs, OCCLUSION)
        self._report(len(inputs))
        return scores

    def _forward(self, inputs: Tensor) -> Tensor:
        scores = self.model(inputs.to(**parameter_place(self.model)))
        if scores.ndim != 2:
            raise not_pooled(scores)
        return self.score(scores)

    @property
    def stopped(self) -> bool:
        return self._should_stop is not None and bool(self._should_stop())

    def _report(self, photos: int) -> None:
        self.photos += photos
        self._done += photos
        if self._on_progress is not None and self._total:
            self._on_progress(min(self._done, self._total), self._total)
