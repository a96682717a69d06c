"""A run's folder: what it must keep to go on after a crash, written so that a crash in the middle loses nothing.

    recipe.json      the settings
    model.json       which model began, and its classes and preparation of photos: what `load_run` builds it of
    history.jsonl    every event but the batches, one a line
    last.pt          where the run is: weights, optimizer, averages, counters (tensors and plain values only)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from explorer.training.loop import State, TrainingError

RECIPE, MODEL, HISTORY, LAST = "recipe.json", "model.json", "history.jsonl", "last.pt"
COUNTERS = ("epoch", "batch", "step", "seconds", "sums", "best_epoch", "best", "pieces")


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside `path`, then put it in its place in one step: a reader finds the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, facts: Any) -> None:
    write_whole(path, lambda beside: beside.write_text(json.dumps(facts, indent=1), encoding="utf-8"))


def save(folder: Path, state: State) -> Path:
    """Write where the run is; the path. Raises OSError, for example for a full disk; what was there before stays."""
    content = {
        "network": state.network.state_dict(), "optimizer": state.optimizer.state_dict(),
        "average": None if state.average is None else state.average.state_dict(), "best_weights": state.best_weights,
        "gradients": state.gradients_now(),
        **{name: list(value) if isinstance(value := getattr(state, name), tuple) else value for name in COUNTERS},
    }

    def write(beside: Path) -> None:
        try:
            torch.save(content, beside)
        except RuntimeError as error:  # torch's word for a write that failed
            raise OSError(str(error).splitlines()[0]) from error

    write_whole(folder / LAST, write)
    return folder / LAST


def restore(folder: Path, state: State) -> None:
    """Put a run where its folder says it was. Raises TrainingError for a file that does not fit or can't be read."""
    path = folder / LAST
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state.network.load_state_dict(content["network"])
        state.optimizer.load_state_dict(content["optimizer"])
        if state.average is not None:
            state.average.load_state_dict(content["average"])
        state.best_weights = content["best_weights"]
        for name in COUNTERS:
            setattr(state, name, content[name])
        state.best = tuple(state.best)
        state.gradients = content.get("gradients", {})
        state.take_gradients_back()
    except Exception as error:  # whatever a broken or foreign file can raise
        raise TrainingError(
            f"The run in '{folder}' can't go on: {path.name} is damaged or of another model ({type(error).__name__}). Start "
            "afresh with another run_dir, or with resume=False."
        ) from error
