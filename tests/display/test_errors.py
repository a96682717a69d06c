"""One error is one sentence, whoever shows it: command line, panel, session, run or comparison."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import explorer
from explorer.cli.printing import sentence_for
from explorer.cluster.connection import ClusterError
from explorer.data.images import ImageError
from explorer.display.words import is_out_of_memory, sentence_of
from explorer.files import DiskError
from explorer.inspection.compare.answers import why
from explorer.inspection.features.cache import StoreError
from explorer.models.weights.report import WeightsError
from explorer.training.loop.errors import TrainingError
from explorer.training.run.run import Run
from explorer.widgets import wishes
from explorer.widgets.panels.evaluate import words as evaluate
from explorer.widgets.panels.learn import run_words as run_view


def shown_by_a_run(error: Exception) -> str:
    """What a run that ended so says of itself in a notebook."""
    run = SimpleNamespace(error=error, history=[], best=None, notes=[], model=None)
    return unescape(re.search(r"role='alert'>(.*?)</p>", Run._repr_html_(run), re.DOTALL)[1])


def shown_by_its_view(error: Exception) -> str:
    recipe = SimpleNamespace(epochs=3)
    run = SimpleNamespace(error=error, history=[], best=None, state="failed", recipe=recipe)
    return run_view.how_far(run)[1].removeprefix("Failed after 0 of 3 epochs: ")


#: Whoever tells a person of an error.
PLACES: dict[str, Callable[[Exception], str]] = {
    "panel": sentence_of,
    "comparison": why,
    "training panel": run_view.problem_text,
    "evaluation panel": evaluate.problem_text,
    "session": lambda error: wishes.Wish(model="resnet18").sentence(error),
    "command line": sentence_for,
    "run": shown_by_a_run,
    "view of a run": shown_by_its_view,
}
SHORT_OF_MEMORY = {
    "Python": MemoryError(),
    "CPU, Linux": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 40 bytes. Error code 12 (Cannot allocate memory)"),
    "CPU, Windows": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried it."),
    "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 18.10 GB)."),
    "system": OSError(errno.ENOMEM, "Cannot allocate memory"),
}
#: Explorer's own classes, and the kinds whose text is for a person.
TOLD = [
    ImageError("The picture is broken."), WeightsError("There are no weights for it."),
    StoreError("The store is in use."), DiskError(Path("a", "b"), OSError(errno.ENOSPC, "No space left")),
    TrainingError("The loss is no number."), ClusterError("The workers failed."), ValueError("topk is 0."),
    TypeError("path is a list."), IndexError("There is no block 9."), FileNotFoundError("There is no 'x'."),
    ImportError("Maps need umap-learn: pip install umap-learn."),
]
UNEXPECTED = [KeyError("rate"), ZeroDivisionError("division by zero"),
              RuntimeError("shapes differ\n  at frame #3"), AssertionError()]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SHORT_OF_MEMORY)
def test_short_memory_is_told_in_the_same_words(kind, place):
    said = PLACES[place](SHORT_OF_MEMORY[kind])
    assert said.startswith("There is not enough memory for ")
    assert "allocate" not in said and "Error" not in said


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", TOLD, ids=lambda error: type(error).__name__)
def test_a_sentence_passes_as_it_is(error, place):
    assert PLACES[place](error) == str(error)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", UNEXPECTED, ids=lambda error: type(error).__name__)
def test_a_mistake_in_the_program_is_told_with_its_kind_in_one_line(error, place):
    said = PLACES[place](error)
    first = (str(error) or "no message").splitlines()[0]
    assert f"{type(error).__name__}: {first}" in said and "\n" not in said


def test_a_missing_package_is_named():
    for place in PLACES.values():
        assert place(ModuleNotFoundError("No module named 'umap'", name="umap")) == \
            "The Python package 'umap' is missing. Install explorer again with pip."


def test_explorers_own_sentence_about_memory_stays():
    for error in (ImageError("There is not enough memory to open this picture: make it smaller first."),
                  TrainingError("There was not enough memory for 8 photos a worker. Give half the batch.")):
        assert not is_out_of_memory(error) and sentence_of(error) == str(error)


def test_nobody_else_knows_how_torch_runs_out_of_memory():
    """A second list of its texts would soon say something else."""
    folder = Path(explorer.__file__).parent
    said = re.compile(r"out of memory[\"']|can't allocate|cannot allocate|did not work \(\{type", re.I)
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert [path.name for path, text in texts.items() if said.search(text)] == ["words.py"]
