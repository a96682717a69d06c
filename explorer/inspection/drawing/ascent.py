"""Gradient ascent: step by step the picture is changed in the way that raises what is wished for, or lowers
a loss.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.data.transforms import resolve_data_config
from explorer.display.words import is_out_of_memory
from explorer.inspection.drawing.canvas import Canvas
from explorer.inspection.drawing.methods import Method
from explorer.inspection.drawing.shaking import roughened, shaken
from explorer.inspection.drawing.wishes import Wish
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.look.passes import expect_way_back, way_back
from explorer.inspection.look.pixels import as_picture
from explorer.models.contract import parameter_place

LOUDER, FLAT = 1.3, 30  # how the contrast of noise grows that moves nothing, and for how many steps
PICTURES = 40  # shown while it is drawn
LAST_RATE = 0.1  # where each step has other grain, as a share of the first one's: what is there settles
WITHOUT_GRADIENT = ("A picture is drawn by that gradient; explorer.top_photos shows what a channel answers "
                    "to without one.")


@dataclass(frozen=True)
class Heard:
    """Who hears of it while it runs; see `explorer.visualize`."""

    on_progress: Callable[[int, int], None] | None = None
    on_picture: Callable[[Image.Image], None] | None = None
    on_value: Callable[[float], None] | None = None
    should_stop: Callable[[], bool] | None = None

    def step(self, done: int, total: int, value: float, canvas: Canvas) -> bool:
        """A step is done. True where that was the last one."""
        if self.on_value is not None:
            self.on_value(value)
        if self.on_progress is not None:
            self.on_progress(done, total)
        due = done in (1, total) or done % max(1, total // PICTURES) == 0
        if self.on_picture is not None and due:
            self.on_picture(as_picture(canvas.picture()[0].detach()))
        return done == total or self.should_stop is not None and self.should_stop()


class Reading:
    """How a network reads a picture in 0..1: normalised by its own config, where its weights are."""

    def __init__(self, wish: Wish):
        self.wish, config = wish, resolve_data_config({}, model=wish.model)
        self.mean, self.std = (torch.tensor(config[key], dtype=torch.float32).view(-1, 1, 1)
                               for key in ("mean", "std"))

    def inputs(self, picture: Tensor) -> Tensor:
        """[1, C, H, W] in 0..1 -> the input of a pass."""
        return ((picture - self.mean) / self.std).to(**parameter_place(self.wish.model))

    def value(self, picture: Tensor) -> Tensor:
        """What is wished for, of a picture [1, C, H, W] in 0..1; in evaluation mode, others may look between.

        Raises ValueError where the network can't run on it, or gives no number.
        """
        model = self.wish.model
        try:
            with evaluating(model), way_back(WITHOUT_GRADIENT):
                value = self.wish.value(self.inputs(picture)).cpu()
        except (RuntimeError, AssertionError) as error:
            if is_out_of_memory(error):
                raise
            height, width = picture.shape[-2:]
            reason = (str(error).splitlines() or [""])[0]
            raise ValueError(f"{model_name(model)} can't run on a picture of {width} x {height} pixels "
                             f"({type(error).__name__}: {reason[:200]}). Choose another size, or the usual "
                             "one.") from error
        if not value.isfinite():
            raise no_number(self.wish)
        return value


@dataclass
class Sofar:
    """Where a drawing stands, to go on from there: what is learnt, Adam's averages, the chances to come.

    history: the wished value in each step, as the picture was shaken then
    """

    learnt: Tensor
    averages: dict[str, Any]
    chances: Tensor
    history: list[float] = field(default_factory=list)


def climb(reading: Reading, canvas: Canvas, method: Method, generator: torch.Generator, *, rate: float,
          steps: int, heard: Heard, sofar: Sofar | None = None) -> Sofar:
    """Draw on the canvas up to `steps` steps in all, those of `sofar` included. rate: of Adam, a step

    Raises ValueError where no gradient leads back, or where nothing moves it however strong the noise.
    """
    optimizer = torch.optim.Adam([canvas.learnt], lr=rate)
    history: list[float] = []
    if sofar is not None:
        with torch.no_grad():
            canvas.learnt.copy_(sofar.learnt)
        optimizer.load_state_dict(copy.deepcopy(sofar.averages))  # which it would write into
        generator.set_state(sofar.chances)
        history += sofar.history
    first, flat, sign = len(history) + 1, 0, 1 if reading.wish.falls else -1
    for done in range(first, steps + 1):
        seen = canvas.picture()
        if method.moved:
            seen = shaken(seen, generator)
        if method.rough:
            seen = roughened(seen, generator)
            optimizer.param_groups[0]["lr"] = rate * (1 - (1 - LAST_RATE) * (done - 1) / steps)
        value = reading.value(seen)
        if done == first:
            expect_way_back(value, seen, WITHOUT_GRADIENT)
        (gradient,) = torch.autograd.grad(value, canvas.learnt)  # no parameter's .grad is written
        if not gradient.isfinite().all():
            raise no_number(reading.wish)
        history.append(float(value.detach()))
        if gradient.any():
            canvas.learnt.grad = sign * gradient
            optimizer.step()
        elif (flat := flat + 1) < FLAT:
            canvas.amplify(LOUDER)
        else:
            raise ValueError(f"{reading.wish.called} is moved by nothing: its gradient was zero everywhere "
                             f"for {FLAT} pictures of noise, ever stronger. It may be dead (always 0 behind "
                             "a ReLU); another seed begins with other noise.")
        if heard.step(done, steps, history[-1], canvas):
            break
    learnt, averages = canvas.learnt.detach().clone(), copy.deepcopy(optimizer.state_dict())
    return Sofar(learnt, averages, generator.get_state(), history)


def no_number(wish: Wish) -> ValueError:
    return ValueError(f"{wish.called} is no number (NaN or infinite), or its gradient isn't: the model's "
                      "weights or maps are broken (see explorer.activations).")
