"""What each module of a model gives and costs: shapes and FLOPs, from one pass that computes nothing.

torch's "meta" tensors have a shape and no content. Where a model can't run on them, it runs on its own
device.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from explorer.inspection.look.model import evaluating, model_name
from explorer.models.contract import parameter_place
from explorer.models.watching import Turn, watching

Found = TypeVar("Found")
# A tuple of sizes; a list or dict of shapes where a module returns several tensors; None for none.
Shape = Any


@dataclass
class Measured:
    """What a forward pass showed, by the modules' paths."""

    device: str = ""
    shapes: dict[str, list[Shape]] = field(default_factory=dict)  # of all calls, each once
    calls: dict[str, int] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)  # each module's own


def measure(model: nn.Module, shape: tuple[int, ...]) -> Measured:
    """Run the model on meta; where that fails, on its own device."""
    return on_meta(model, shape, _run)


def on_meta(model: nn.Module, shape: tuple[int, ...], run: Callable[[nn.Module, Tensor], Found]) -> Found:
    """What `run(network, photo)` gives for the model's twin on meta, and a photo of that shape [B, C, H, W].

    Where the twin can't run, the model does, on its own device and a black photo. Raises ValueError where
    that can't either.
    """
    place = parameter_place(model)
    # Outside the caller's modes: only then do composed operations come apart into those with a FLOP formula.
    with torch.inference_mode(False), torch.no_grad(), _no_fast_path():
        try:
            twin = meta_twin(model)
            return run(twin, torch.empty(shape, device="meta", dtype=place["dtype"]))
        except Exception as there:  # anybody's code: .item(), a constant on the CPU, a lock in it
            if place["device"].type == "meta":
                raise cannot_run(model, shape, there) from there
            try:
                with evaluating(model):
                    return run(model, torch.zeros(shape, **place))
            except Exception as error:
                raise cannot_run(model, shape, error) from error


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """torch's own transformer layers run their parts, and come apart into operations that are known."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def cannot_run(model: nn.Module, shape: tuple[int, ...], error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [""])[0]
    return ValueError(f"{model_name(model)} can't run on an input of {shape_text(shape)} "
                      f"({type(error).__name__}: {reason[:200]}). Give the input_size that it is made for.")


def meta_twin(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode with all tensors on meta and without the hooks; no weight is copied."""
    memo: dict[int, Any] = {}  # what deepcopy believes that it has copied already
    for module in model.modules():
        for key, value in vars(module).items():
            if isinstance(value, dict) and "_hooks" in key:
                memo[id(value)] = OrderedDict()
            elif isinstance(value, Tensor):  # e.g. the weight that weight_norm recomputes
                memo[id(value)] = _on_meta(value)
        for parameter in module._parameters.values():
            if parameter is not None and id(parameter) not in memo:
                memo[id(parameter)] = nn.Parameter(_on_meta(parameter), requires_grad=False)
        for buffer in module._buffers.values():
            if buffer is not None:
                memo.setdefault(id(buffer), _on_meta(buffer))
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        module.training = False
    return twin


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta", requires_grad=False)


def _run(model: nn.Module, x: Tensor) -> Measured:
    """One pass of `x`; notes each module's output and who does how many FLOPs. Leaves no hook behind."""
    measured = Measured(device=str(x.device))
    with _watched(model, measured) as active, _FlopCounter(measured.flops, active):
        model(x)
    return measured


@contextmanager
def _watched(model: nn.Module, measured: Measured) -> Iterator[list[str]]:
    """Yields the stack of the paths of the modules that are running, and fills `measured` as they do."""
    places: dict[nn.Module, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        places.setdefault(module, []).append(path)
    active: list[str] = []

    def enter(_turn: Turn, module: nn.Module, *_: Any) -> None:
        paths = places[module]
        # A module that is shared stands in several places: it is the one below the module that calls it.
        here = [p for p in paths[1:] if active and p.rpartition(".")[0] == active[-1]]
        active.append(here[0] if here and paths[0].rpartition(".")[0] != active[-1] else paths[0])

    def leave(_turn: Turn, _module: nn.Module, _inputs: tuple, output: Any) -> None:
        path = active.pop()
        measured.calls[path] = measured.calls.get(path, 0) + 1
        shapes, shape = measured.shapes.setdefault(path, []), shape_of(output)
        if shape not in shapes:
            shapes.append(shape)

    with watching({paths[0]: module for module, paths in places.items()}, before=enter, after=leave):
        yield active


# --- counting operations ---------------------------------------------------------------------------------


_aten = torch.ops.aten

#: Operations whose (first) output is a tensor like their input, and which cost no FLOPs by the formulas'
#: count. On meta torch works their shapes out in Python, up to half a millisecond each: for most networks
#: that was nearly all of the time.
_LIKE_INPUT = {getattr(_aten, name).default for name in (
    "hardtanh", "hardswish", "hardsigmoid", "leaky_relu", "elu", "mish", "gelu", "silu", "relu", "sigmoid",
    "_safe_softmax")}
_IN_PLACE = {getattr(_aten, name).default for name in (
    "hardtanh_", "hardswish_", "hardsigmoid_", "leaky_relu_", "elu_", "mish_")}
#: Their other outputs are for the way back.
_NORMS = {_aten.native_batch_norm.default, _aten.native_layer_norm.default}


def shortcut(func: Any, args: tuple) -> Any:
    """What `func` gives for a meta tensor, where that is known without asking torch; otherwise None."""
    if not args or not isinstance(args[0], Tensor) or not args[0].is_meta or not args[0].is_floating_point():
        return None
    if func in _IN_PLACE:
        return args[0]
    if func in _LIKE_INPUT:
        return torch.empty_like(args[0])
    if func in _NORMS:
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    return None


class _FlopCounter(TorchDispatchMode):
    """Adds the FLOPs of every operation to the innermost active module.

    torch's FlopCounterMode has the same formulas, but hooks every module of the process, in all threads.
    """

    def __init__(self, flops: dict[str, int], active: list[str]):
        super().__init__()
        self.flops, self.active = flops, active

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = shortcut(func, args)
        if out is None:
            out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None and self.active:
            path = self.active[-1]
            self.flops[path] = self.flops.get(path, 0) + formula(*args, **kwargs, out_val=out)
        return out


# --- shapes ----------------------------------------------------------------------------------------------


def shape_of(output: Any) -> Shape:
    """The shape, or a list or dict of shapes, of what a module gave."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, Mapping):
        return {str(key): shape_of(value) for key, value in output.items()}
    if isinstance(output, (list, tuple)):
        return [shape_of(value) for value in output]
    return None


def shape_text(shape: Shape, most: int = 4) -> str:
    if isinstance(shape, tuple):
        return " × ".join(map(str, shape)) if shape else "one number"
    if isinstance(shape, dict):
        parts = [f"{key}: {text}" for key, value in shape.items() if (text := shape_text(value))]
    elif isinstance(shape, list):
        parts = [text for value in shape if (text := shape_text(value))]
    else:
        return ""
    return "; ".join(parts[:most]) + ("; …" if len(parts) > most else "")
