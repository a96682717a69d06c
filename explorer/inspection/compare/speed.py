"""How fast a model is here: the time of a pass and its spread, photos a second, the memory that a pass takes.

    print(measure_speed("tf_efficientnet_lite0"))
    # tf_efficientnet_lite0.in1k: a pass over 1 photo of 224 x 224 takes 21.4 ms (half of the passes ...

Times belong to one computer in one state. So several models take turns, pass by pass (`measure_speeds`): a
busy moment then hits all of them and not one alone, and what is left of it shows in the quartiles.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from explorer.arguments import checked
from explorer.display.words import counted, is_out_of_memory, megabytes, milliseconds
from explorer.inspection.look.model import as_model, evaluating, model_name
from explorer.inspection.look.passes import Stopped
from explorer.models.contract import VisionModel, parameter_place

WARM_UP = 3   # the first passes also choose algorithms and fill caches
REPEATS = 15

TENSORS_HELD = ("the weights and the most that the tensors of one pass took at any moment; what single "
                "operations work in is not counted")
ALLOCATED = "the weights and the most that PyTorch's allocator had given out for one pass at any moment"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Speed:
    """The speed of one model on this computer.

    passes:       seconds of each timed pass, in the order in which they were taken
    batch_size:   photos in a pass;  input_size: (channels, height, width) of each
    device:       e.g. "cpu" or "cuda:0", `device_name` what it is called; threads: PyTorch's, None on a GPU
    weight_bytes: of all parameters and buffers, as a file of them has
    pass_bytes:   most memory that one pass took at any moment, beyond the weights; None where it was not
                  measured
    memory_means: what exactly that is, or why there is none
    beside:       how many models took turns
    """

    model_name: str
    passes: tuple[float, ...] = field(repr=False)
    batch_size: int
    input_size: tuple[int, int, int]
    device: str
    device_name: str
    dtype: str
    threads: int | None
    warm_up: int
    weight_bytes: int
    pass_bytes: int | None
    memory_means: str = TENSORS_HELD
    beside: int = 1

    @property
    def latency(self) -> float:
        """Median seconds of a pass."""
        return statistics.median(self.passes)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the passes took between these two, in seconds."""
        if len(self.passes) < 2:
            return self.latency, self.latency
        low, _, high = statistics.quantiles(self.passes, n=4, method="inclusive")
        return low, high

    @property
    def photos_per_second(self) -> float:
        return self.batch_size / self.latency

    @property
    def peak_memory(self) -> int | None:
        """Bytes of the weights and of what a pass holds at most; None where that could not be measured."""
        return None if self.pass_bytes is None else self.weight_bytes + self.pass_bytes

    @property
    def caption(self) -> str:
        """All of it in sentences, with what it was measured on."""
        low, high = self.quartiles
        photos = counted(self.batch_size, "photo")
        size = " x ".join(map(str, self.input_size[1:]))
        text = (f"{self.model_name}: a pass over {photos} of {size} takes {milliseconds(self.latency)} "
                f"(half of the passes {milliseconds(low)} to {milliseconds(high)}), "
                f"{self.photos_per_second:.3g} photos a second.")
        memory = self.memory_means
        if self.peak_memory is not None:
            memory = f"Peak memory {megabytes(self.peak_memory)}: {memory}."
        return f"{text} {memory} {self.conditions}"

    @property
    def conditions(self) -> str:
        """What the numbers were measured on, in one sentence."""
        threads = "" if self.threads is None else f", {counted(self.threads, 'thread')}"
        turns = f", {self.beside} models taking turns" if self.beside > 1 else ""
        return (f"Median of {counted(len(self.passes), 'pass', 'es')} after {self.warm_up} to warm "
                f"up{turns}, on {self.device} ({self.device_name}{threads}), {self.dtype}, "
                f"PyTorch {torch.__version__}.")

    def __str__(self) -> str:
        return self.caption


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of all parameters and buffers: a safetensors file of them is a few kB larger."""
    state = model.state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in state if isinstance(tensor, Tensor))


@checked
def measure_speed(
    model: VisionModel | str,
    *,
    batch_size: int = 1,
    input_size: int | Sequence[int] | None = None,
    warm_up: int = WARM_UP,
    repeats: int = REPEATS,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Speed:
    """Time forward passes of one model on the device and with the dtype that its weights have.

    model:       an explorer model, or a name, created with its trained weights
    batch_size:  photos in a pass: 1 tells how long an answer takes, more how many photos a second are
                 possible
    input_size:  the side in pixels, (height, width) or (channels, height, width); by default what its weights
                 expect
    warm_up:     passes before the first that counts;  repeats: passes that count
    on_progress: called with (passes done, of how many);  should_stop: True ends it, with the passes that were
                 timed

    The photos are random numbers; a network's time doesn't depend on them. Of a network for boxes it is the
    pass to its raw maps alone, without what is read off them. Memory is that of a pass of its own, that is
    not timed. Raises Stopped if it is stopped before a pass was timed, ValueError for numbers that make no
    sense or an input that the model can't take.
    """
    [speed] = measure_speeds(
        [model],
        batch_size=batch_size,
        input_size=input_size,
        warm_up=warm_up,
        repeats=repeats,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    if speed is None:
        raise Stopped("Stopped before the first pass was timed.")
    return speed


@checked
def measure_speeds(
    models: Sequence[VisionModel | str],
    *,
    batch_size: int = 1,
    input_size: int | Sequence[int] | None = None,
    warm_up: int = WARM_UP,
    repeats: int = REPEATS,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Speed | None]:
    """`measure_speed` for several models that take turns, pass by pass; None for one that was not timed."""
    models = [as_model(model, task=None) for model in models]
    inputs = [_input(model, batch_size, input_size) for model in models]
    passes: list[list[float]] = [[] for _ in models]
    unmeasured = None, "Stopped before the memory of a pass was measured."
    memory: list[tuple[int | None, str]] = [unmeasured] * len(models)
    total, done = (warm_up + 1 + repeats) * len(models), 0

    for turn in range(-warm_up - 1, repeats):
        for index, model in enumerate(models):
            if should_stop is not None and should_stop():
                break
            if turn == -1:  # warm, and not timed: watching slows it down
                memory[index] = pass_memory(model, inputs[index])
            else:
                seconds = _time_of_a_pass(model, inputs[index])
                if turn >= 0:
                    passes[index].append(seconds)
            done += 1
            if on_progress is not None:
                on_progress(done, total)
        else:
            continue
        break
    return [_speed(*facts, warm_up, len(models)) if facts[2] else None
            for facts in zip(models, inputs, passes, memory)]


def _speed(
    model: VisionModel, photos: Tensor, passes: list[float], memory: tuple[int | None, str], warm_up: int,
    beside: int,
) -> Speed:
    place, (taken, means) = parameter_place(model), memory
    device = place["device"]
    count, channels, height, width = photos.shape
    return Speed(
        model_name=model_name(model),
        passes=tuple(passes),
        batch_size=count,
        input_size=(channels, height, width),
        device=str(device),
        device_name=_device_name(device),
        dtype=str(place["dtype"]).removeprefix("torch."),
        threads=torch.get_num_threads() if device.type == "cpu" else None,
        warm_up=warm_up,
        weight_bytes=weight_bytes(model),
        pass_bytes=taken,
        memory_means=means,
        beside=beside,
    )


def _input(model: VisionModel, batch_size: int, size: int | Sequence[int] | None) -> Tensor:
    """Random photos [B, C, H, W] beside the model's weights."""
    if size is None:
        size = model.config.input_size[1:]
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    if len(sizes) not in (2, 3) or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(f"input_size is {size!r}: expected the side in pixels, (height, width) or "
                         "(channels, height, width).")
    channels = sizes[0] if len(sizes) == 3 else model.in_chans
    photos = torch.randn(batch_size, channels, *sizes[-2:], generator=torch.Generator().manual_seed(0))
    return photos.to(**parameter_place(model))


def _time_of_a_pass(model: VisionModel, photos: Tensor) -> float:
    with evaluating(model), torch.inference_mode():
        _wait(photos.device)
        started = time.perf_counter()
        _run(model, photos)
        _wait(photos.device)
        return time.perf_counter() - started


def _run(model: VisionModel, photos: Tensor) -> None:
    try:
        model(photos)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        size, reason = " x ".join(map(str, photos.shape[1:])), str(error).splitlines()[0][:200]
        raise ValueError(f"{model_name(model)} can't run on photos of {size} ({reason}). "
                         "Give the input_size that it is made for.") from error


def _wait(device: torch.device) -> None:
    """A GPU works on while Python goes on: the clock is read when it has finished."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine() or 'unknown processor'}, {os.cpu_count()} cores"


# --- memory ------------------------------------------------------------------------------------------------


def pass_memory(model: VisionModel, photos: Tensor) -> tuple[int | None, str]:
    """(most bytes that a pass over photos [B, C, H, W] held at a time, what that means), or (None, why not).

    On a GPU it is the peak that PyTorch's allocator reports. A CPU has no such report, so the tensors that
    the pass makes are counted one by one, until they are let go of. Neither another thread nor what the
    process held before is in that.
    """
    with evaluating(model), torch.inference_mode():
        if photos.device.type == "cuda":
            _wait(photos.device)
            before = torch.cuda.memory_allocated(photos.device)
            torch.cuda.reset_peak_memory_stats(photos.device)
            _run(model, photos)
            _wait(photos.device)
            return torch.cuda.max_memory_allocated(photos.device) - before, ALLOCATED
        held = _TensorsHeld([*model.parameters(), *model.buffers(), photos])
        with held:
            _run(model, photos)
        return held.peak, TENSORS_HELD


class _TensorsHeld(TorchDispatchMode):
    """Counts the memory of all tensors that operations make in this thread: `held` now, `peak` at most.

    It counts storages, not tensors: a view, or a result written in place, takes nothing.
    """

    def __init__(self, there_before: Sequence[Tensor]):
        super().__init__()
        self.held = self.peak = 0
        # A storage's address tells it from the others as long as it lives; the weak reference says when that
        # ends.
        self._known: dict[int, Any] = {tensor.untyped_storage()._cdata: None for tensor in there_before}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in tree_iter(results):
            if isinstance(result, Tensor):
                self._count(result.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def gone(_reference: Any) -> None:
            self._known.pop(key, None)
            self.held -= size

        self._known[key] = weakref.ref(storage, gone)
        self.held += size
        self.peak = max(self.peak, self.held)
