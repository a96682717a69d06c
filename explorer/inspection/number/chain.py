"""From a number back to the sum that it was: activations, normalisation, shortcuts, and views in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from explorer.inspection.number.recording import Made, made
from explorer.inspection.number.terms import LARGEST, MEANS, Index, Terms, ends, terms_of
from explorer.inspection.receptive import operations

NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit",
         "cudnn_batch_norm", "_batch_norm_with_update")
ACTIVATIONS = {"relu": "ReLU", "hardtanh": "clip", "clamp": "clip", "silu": "SiLU", "gelu": "GELU",
               "sigmoid": "sigmoid", "hardswish": "hard swish", "hardsigmoid": "hard sigmoid", "tanh": "tanh",
               "leaky_relu": "leaky ReLU", "elu": "ELU", "mish": "Mish", "_prelu_kernel": "PReLU",
               "celu": "CELU"}
STAYS = {"_to_copy", "clone", "contiguous", "detach", "alias", "lift_fresh", "native_dropout"}
MOVES = {name.removeprefix("aten::") for name, rule in operations.RULES.items() if rule is operations.move}
ELSEWHERE = {*STAYS, *MOVES, "cat", "constant_pad_nd"}  # the number is the same, perhaps in another place


@dataclass(frozen=True)
class Step:
    """One thing that is done to the sum. name: what; text: with which numbers; value: what it gives.

    other: what another branch adds, or the gate that multiplies: (its tensor, where in it the number lies)
    """

    name: str
    text: str
    value: float
    other: tuple[Tensor, Index] | None = field(default=None, repr=False, compare=False)


def trail(tensor: Tensor, index: Index) -> tuple[Terms, list[Step], float]:
    """(the terms of the sum that a number comes from, what is done to it, what that gives in float64)."""
    way: list[tuple[Made, Tensor, Index]] = []
    while (how := made(tensor)) is not None and not ends(how):
        before = operand_behind(how, tensor, index)
        if before is None:
            break
        if how.name not in ELSEWHERE:
            way.append((how, tensor, index))
        tensor, index = before
    terms = terms_of(tensor, index)
    value, steps = terms.total, []
    for how, one, place in reversed(way):
        step = _applied(how, one, place, value)
        value = step.value
        steps.append(step)
    return terms, steps, value


def operand_behind(how: Made, tensor: Tensor, index: Index) -> tuple[Tensor, Index] | None:
    """(the operand that a number came from, where it was in it); None for an operation that joins many."""
    operands = how.operands
    if how.name == "cat":
        return _part(how, index)
    if how.name == "constant_pad_nd":
        return _unpadded(how, index)
    if how.name in STAYS:
        return operands[0], index
    if how.name in MOVES:
        return operands[0], _moved(how, operands[0], index)
    if how.name in (*NORMS, "native_layer_norm") and how.number == 0:
        return operands[0], index
    if how.name in ACTIVATIONS or operations.rule_for(how.func) is operations.pointwise \
            or torch.Tag.pointwise in how.func.tags:
        main = main_operand(how)
        return None if main is None else (main, _broadcast(main, index))
    return None


def main_operand(how: Made) -> Tensor | None:
    """Of several operands the one whose sum is told: the nearest to a layer, of two such the one that was
    computed last; of a weight nothing is told.
    """
    most = max((one.numel() for one in how.operands), default=0)
    ranked = [(_distance(one) + 600 * (one.numel() < most), -_turn(one), number, one)  # not a map's gate
              for number, one in enumerate(how.operands) if one.ndim]
    ranked = [entry for entry in ranked if entry[0] < math.inf]
    return min(ranked, key=lambda entry: entry[:3])[3] if ranked else None


def _turn(tensor: Tensor) -> int:
    how = made(tensor)
    return how.turn if how is not None else 0


def _distance(tensor: Tensor, most: int = 40) -> float:
    """How many operations lie between a tensor and the layer that it comes from; a shortcut counts much."""
    count: float = 0
    for _ in range(most):
        how = made(tensor)
        if how is None:
            return math.inf if isinstance(tensor, torch.nn.Parameter) else 1000 + count
        if ends(how):
            return count + (500 if how.name in (*MEANS, *LARGEST) else 0)
        waiting = [one for one in how.operands if one.ndim and not isinstance(one, torch.nn.Parameter)]
        if not waiting:
            return math.inf
        count += 100 if how.name in ("add", "cat") and len(waiting) > 1 else 1
        tensor = max(waiting, key=Tensor.numel)  # of tokens not the class token
    return 1000 + count


def _broadcast(operand: Tensor, index: Index) -> Index:
    """Where a number lies in an operand that torch spread over the result."""
    own = index[len(index) - operand.ndim:]
    return tuple(0 if size == 1 else at for at, size in zip(own, operand.shape))


def _moved(how: Made, operand: Tensor, index: Index) -> Index:
    """Where a number was before a view or slice: the same done to the places' numbers says it."""
    places = torch.arange(operand.numel(), dtype=torch.float64).view(operand.shape)  # not all pad whole ones
    func = torch.ops.aten.reshape.default if how.name in ("view", "_unsafe_view") else how.func
    found = func(places, *how.args[1:], **how.kwargs)
    found = found[how.number] if isinstance(found, (list, tuple)) else found
    return tuple(int(at) for at in torch.unravel_index(found[index].long(), operand.shape))


def _unpadded(how: Made, index: Index) -> tuple[Tensor, Index] | None:
    """Where a number was before more were put around it; None for one of those."""
    operand, pads = how.operands[0], how.given["pad"]
    befores = [pads[2 * axis] if 2 * axis < len(pads) else 0 for axis in reversed(range(len(index)))]
    place = tuple(at - before for at, before in zip(index, befores))
    inside = all(0 <= at < size for at, size in zip(place, operand.shape))
    return (operand, place) if inside else None


def _part(how: Made, index: Index) -> tuple[Tensor, Index]:
    """Which of the tensors that were laid end to end a number lies in."""
    parts = [one for one in how.given["tensors"] if tuple(one.shape) != (0,)]
    axis = how.given["dim"] % len(index)
    at = index[axis]
    for part in parts:
        if at < part.shape[axis]:
            return part, (*index[:axis], at, *index[axis + 1:])
        at -= part.shape[axis]
    raise IndexError(f"{index} lies in none of the parts.")


# --- what is done to the sum --------------------------------------------------------------------------------


def _applied(how: Made, tensor: Tensor, index: Index, value: float) -> Step:
    if how.name in NORMS:
        return _batch_norm(how, index, value)
    if how.name == "native_layer_norm":
        return _layer_norm(how, index, value)
    main = main_operand(how)
    others: list[float] = []
    branches: list[tuple[Tensor, Index]] = []

    def number(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        if one is main:
            return torch.tensor(value, dtype=torch.float64)
        found = one[_broadcast(one, index)] if one.ndim else one
        others.append(float(found.detach()))
        if one.ndim and not isinstance(one, torch.nn.Parameter):
            branches.append((one, _broadcast(one, index)))
        return found.detach().cpu().double() if found.is_floating_point() else found.cpu()

    args, kwargs = [number(one) for one in how.args], {key: number(one) for key, one in how.kwargs.items()}
    func = how.func
    if func._schema.is_mutable:
        args[0] = args[0].clone()
    result = float(func(*args, **kwargs))
    constants = [one for one in how.args[1:] if isinstance(one, (int, float)) and not isinstance(one, bool)]
    other = branches[0] if how.name in ("add", "mul") and len(branches) == 1 else None
    return Step(*_words(how, others, constants), result, other)


def _words(how: Made, others: list[float], constants: Sequence[float]) -> tuple[str, str]:
    """(what an operation is called, what it does with which numbers)."""
    if how.name in ACTIVATIONS:
        name = ACTIVATIONS[how.name]
        limits = " to ".join(f"{one:g}" for one in constants)
        return name, f"clip to the range {limits}" if name == "clip" and limits else name
    shown = ", ".join(f"{one:.6g}" for one in (others or constants[:1]))
    if how.name == "add":
        learnt = any(isinstance(one, torch.nn.Parameter) for one in how.operands)
        text = plus(others[0]) if others else f"+ {shown}"
        return "add", f"{text}{' (a weight)' if learnt else ' (the other branch)' if others else ''}"
    if how.name == "mul":
        return "multiply", f"× {shown}"
    if how.name == "div":
        return "divide", f"÷ {shown}"
    if how.name == "sub":
        return "subtract", f"- {shown}"
    return how.name.replace("_", " "), f"{how.name.replace('_', ' ')} {shown}".strip()


def _batch_norm(how: Made, index: Index, value: float) -> Step:
    given, channel = how.given, index[1]
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (default if one is None else float(one[channel].detach()) for one, default
                                    in zip(map(given.get, names), (0.0, 1.0, 1.0, 0.0)))
    if operations.by_own_statistics(given):
        numbers = given["input"][:, channel].detach().cpu().double()
        mean, variance = float(numbers.mean()), float(numbers.var(correction=0))
    deviation = math.sqrt(variance + given.get("eps", given.get("epsilon", 1e-5)))
    return _normalised("batch normalisation", value, mean, deviation, weight, bias)


def _layer_norm(how: Made, index: Index, value: float) -> Step:
    given = how.given
    count = len(given["normalized_shape"])
    place, own = index[:len(index) - count], index[len(index) - count:]
    numbers = given["input"][place].detach().cpu().double().clone()
    numbers[own] = value
    mean, deviation = float(numbers.mean()), math.sqrt(float(numbers.var(correction=0)) + given["eps"])
    weight, bias = (default if one is None else float(one[own].detach())
                    for one, default in ((given["weight"], 1.0), (given["bias"], 0.0)))
    return _normalised("layer normalisation", value, mean, deviation, weight, bias)


def _normalised(name: str, value: float, mean: float, deviation: float, weight: float, bias: float) -> Step:
    text = f"(x {plus(-mean)}) / {deviation:.6g} × {weight:.6g} {plus(bias)}"
    return Step(name, text, (value - mean) / deviation * weight + bias)


def plus(value: float) -> str:
    """"+ 2" and "- 2"."""
    return f"{'-' if value < 0 else '+'} {abs(value):.6g}"
