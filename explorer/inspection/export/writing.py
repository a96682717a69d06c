"""From a module to the bytes of a file, and the file's numbers held against the module's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from explorer.display.words import megabytes
from explorer.inspection.export.attention import PlainAttention
from explorer.inspection.export.checking import difference
from explorer.inspection.export.formats import Kind
from explorer.inspection.export.narrowing import bytes_of
from explorer.inspection.export.parts import Leaving, Portable
from explorer.inspection.export.strided import without_strides
from explorer.inspection.look.model import evaluating

_one_at_a_time = threading.Lock()  # the exporter's settings are the process's


@contextmanager
def leaving_torch(leaving: Leaving) -> Iterator[Portable]:
    """What is written of a model, with nobody else at it or at torch's exporter meanwhile."""
    with evaluating(leaving.model), _one_at_a_time, torch.inference_mode(False), torch.no_grad():
        part = Portable(leaving)
        part.training = False  # its model's parts already are in evaluation
        yield part


def answers(part: Portable, photos: Tensor, name: str) -> dict[str, Tensor]:
    """What the network says itself. Raises ValueError for numbers that are none."""
    found = part(photos)
    if not all(bool(torch.isfinite(result).all()) for result in found.values()):
        raise ValueError(f"{name} gives numbers that are none (NaN or infinite), so there is nothing to "
                         "check a file by: its weights are broken.")
    return found


def file_of(
    kind: Kind, name: str, part: nn.Module, inputs: Mapping[str, Tensor], told: Mapping[str, Any],
    precision: str, *, any_number: bool = False,
) -> bytes:
    """A module as the bytes of a file. Raises ValueError for one that can't leave.

    name: of the network, for sentences;  inputs: by name, as the module takes them, one after the other
    told: the facts that go with it;  precision: in which the weights lie there, "float32" or "float16"
    any_number: whether it takes any number of photos at once, or as many as these inputs have
    """
    size = bytes_of(part, precision)
    if kind.most_bytes is not None and size > kind.most_bytes:
        raise ValueError(f"{name} has {megabytes(size)} of weights, and a file of {kind.title} holds "
                         f"{megabytes(kind.most_bytes)}: give a path that ends in .pt2.")
    try:
        shapes = tuple({0: Dim("batch", min=1)} for _ in inputs) if any_number else None
        with PlainAttention():
            program = torch.export.export(kind.stored(part, precision), tuple(inputs.values()), strict=False,
                                          dynamic_shapes=shapes)
        program = without_strides(program)
        for graph in program.graph_module.modules():
            for node in getattr(getattr(graph, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # where on this computer each line of code lies
        return kind.as_bytes(program, [*inputs], [*told["results"]], told, precision)
    except MemoryError:
        raise
    except Exception as error:  # of whatever class: torch's exporter has dozens
        how = " for any number of photos: give batch_size one" if any_number else ""
        raise ValueError(f"{name} can't be written as {kind.title}{how}: torch's exporter does not manage it "
                         f"({reason(error)}).") from error


def check(
    kind: Kind, file: Path, inputs: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str,
    precision: str,
) -> None:
    """Raises ValueError for a file that does not run, or gives other numbers than expected."""
    try:
        found = kind.run(file, inputs, list(expected))
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{name} was written as {kind.title}, but the file does not run, so it was thrown "
                         f"away ({reason(error)}).") from error
    if told := difference(expected, found, precision):
        raise ValueError(f"{name} was written as {kind.title}, but the file does not say what the network "
                         f"says ({told}), so it was thrown away. Please report this model.")


def reason(error: BaseException) -> str:
    """What went wrong at the bottom of it, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return (text if len(text) <= 200 else f"{text[:197]}...").rstrip(".")
