"""The first run: a foreign module on a photo of noise, while we write down what each of its parts did."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.models.doors.given import in_channels
from explorer.models.doors.maps import map_layout, sides_of
from explorer.models.doors.misfit import where_it_stops
from explorer.models.endings import Squash, Squashes
from explorer.models.surgery.inside import photo_size
from explorer.models.watching import Turn, watching

SIDES = (224, 96, 64, 32, 28)  # tried one after another where nobody says


#: By how many pixels a photo is made larger to see how many places a map gains; strides are divisors of it.
GROWTH = 96


class Call(NamedTuple):
    """One module's turn: its class, and the shapes of what went in and came out (batch left out)."""

    turn: Turn
    kind: type
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]

    @property
    def path(self) -> str:
        return self.turn.path


class Watched(NamedTuple):
    """What one run showed; `larger`: of one on a photo larger by GROWTH pixels, as far as it came, if any."""

    calls: list[Call]
    input_size: tuple[int, int, int]
    scores: int  # K of the result [B, K]
    larger: dict[Turn, Call] = {}
    ending: str = ""  # what follows the last linear layer: "" nothing, "softmax", "sigmoid", or "other"
    squash: Squash | None = None  # what the result is of whatever came before it, where it is known


TOGETHER = ("To combine them, explorer.Ensemble(models) joins their answers, and "
            "explorer.fuse_features(models, num_classes=n) puts one new head, of the size that it needs, on "
            "what they see.")


def first_run(
    module: nn.Module, input_size: tuple[int, int, int] | None, body: VisionModel | None
) -> tuple[tuple[int, int, int], Watched]:
    """The input size that works, and what happened."""
    sizes = [photo_size(body)] if body is not None else []
    sizes += [(in_channels(module), side, side) for side in SIDES]
    if input_size is not None:
        sizes = [input_size]
    problem: Exception | None = None
    for size in sizes:
        try:
            return size, watch(module, size)
        except (RuntimeError, IndexError, AssertionError) as error:  # a layer that does not fit this size
            problem = problem or error
    tried = ", ".join(" x ".join(map(str, size)) for size in sizes)
    count = len(models_inside(module))
    todo = "Give input_size=(channels, height, width)."
    if count > 1:
        todo = f"It holds {count} models. {TOGETHER}"
    elif input_size is not None:
        todo = "Make what that part takes fit what it gets, or give the input_size that it was made for."
    where = where_it_stops(module, noise(sizes[0]).to(**parameter_place(module)))
    where = f"{where} ({problem})" if where and str(problem) else where or str(problem)
    if len(sizes) > 1:
        where = f"with the first of them {where}"
    raise ValueError(f"{type(module).__name__} can't be run on a photo of {tried}: {where}. {todo}") \
        from problem


def models_inside(module: nn.Module) -> list[VisionModel]:
    """The models of explorer's that are parts of a module, without those that are parts of another one."""
    bodies = [part for part in module.modules() if isinstance(part, VisionModel)]
    inside = {part for body in bodies for part in body.modules() if part is not body}
    return [body for body in bodies if body not in inside]


def watch(module: nn.Module, input_size: tuple[int, int, int]) -> Watched:
    """Run a module once on a photo of noise, in evaluation mode, and write down what each of its parts did.

    Raises ValueError where the result is not one row of scores for each photo.
    """
    with Squashes() as squashes:
        calls, linear, result = record(module, input_size)
    if not isinstance(result, Tensor) or result.ndim != 2:
        is_tensor = isinstance(result, Tensor)
        found = f"of shape {list(result.shape)}" if is_tensor else f"of type {type(result).__name__}"
        raise ValueError(
            f"{type(module).__name__} gives a result {found}; explorer needs one row of scores for each "
            "photo, [B, K]. "
            + ("Leave out the squeeze or flatten at its end that takes the scores' axis away."
               if isinstance(result, Tensor) and result.ndim < 2 else
               "Add a pooling and a linear layer, or wrap the classifying part.")
        )
    photo, larger = input_size[1:], []
    maps = [sides_of(call.shape_out, photo) for call in calls if map_layout(call.shape_out, photo)]
    if any(side % part for sides in maps for side, part in zip(photo, sides)):  # no padding: see `stride_of`
        larger, _, _ = record(module, (input_size[0], *(side + GROWTH for side in photo)), to_the_end=False)
    return Watched(calls, input_size, result.shape[1], {call.turn: call for call in larger},
                   ending_of(result, linear[0]) if linear else "", squashes.behind(result))


def record(
    module: nn.Module, input_size: tuple[int, int, int], *, to_the_end: bool = True
) -> tuple[list[Call], list[Tensor], Any]:
    """(what ran, what the last linear layer gave, the result) for a photo of noise, in evaluation mode.

    to_the_end: whether a layer that does not fit the photo is an error, or ends the run without a result
    """
    calls: list[Call] = []
    linear: list[Tensor] = []

    def note(turn: Turn, part: nn.Module, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            if isinstance(part, nn.Linear):
                linear[:] = [output.clone()]  # the next step may work in place
            given = inputs[0].shape[1:] if inputs and isinstance(inputs[0], Tensor) else ()
            calls.append(Call(turn, type(part), tuple(given), tuple(output.shape[1:])))

    parts = {path: part for path, part in module.named_modules() if path}
    result = None
    with evaluation(module), torch.no_grad(), watching(parts, after=note):
        try:
            result = module(noise(input_size).to(**parameter_place(module)))
        except Exception:  # anybody's code; a first linear layer, or a check of the photo's size
            if to_the_end:
                raise
    return calls, linear, result


def noise(size: tuple[int, int, int]) -> Tensor:
    """A photo [1, C, H, W] of noise, the same each time."""
    return torch.rand(1, *size, generator=torch.Generator().manual_seed(0))


def ending_of(result: Tensor, linear: Tensor) -> str:
    """What a module does to the scores [1, K] of its last linear layer.

    "" is nothing, then there are "softmax" (or its log), "sigmoid" (or its log), and "other".
    """
    if result.is_meta or result.shape != linear.shape or not result.isfinite().all():
        return ""  # there is nothing to compare
    result, linear = result.float(), linear.float()
    if torch.allclose(result, linear, rtol=1e-3, atol=1e-6):
        return ""
    usual = {"sigmoid": (linear.sigmoid(), linear.sigmoid().log())}
    if result.shape[1] > 1:  # that of one score is 1, whatever the score
        usual["softmax"] = (linear.softmax(1), linear.log_softmax(1))
    return next((name for name, ways in usual.items()
                 if any(torch.allclose(result, one, rtol=1e-2, atol=1e-6) for one in ways)), "other")
