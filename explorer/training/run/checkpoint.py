"""A run's folder: what it must keep to go on after a crash, written so that no crash loses anything.

    recipe.json      the settings
    model.json       which model began, its classes and preparation of photos: what `load_run` builds it of
    identity.json    what the run is: model, weights, labels, photos, preparation, augmentation
    history.jsonl    every event but the batches, one a line
    last.pt          where the run is: weights, optimizer, averages, counters (tensors and plain values only)
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from explorer.files import write_whole
from explorer.models.weights.kinds import read_content
from explorer.models.weights.reading import check_sizes
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.state import State

RECIPE, MODEL, IDENTITY = "recipe.json", "model.json", "identity.json"
HISTORY, LAST = "history.jsonl", "last.pt"
COUNTERS = ("epoch", "batch", "step", "seconds", "sums", "part_sums", "best_epoch", "best", "pieces")
MOST_HISTORY_BYTES = 256 * 1024**2  # of a history file: thousands of epochs take one or two
OURS = "|".join(map(re.escape, (RECIPE, MODEL, LAST, IDENTITY)))  # the names of what is written whole


def write_json(path: Path, facts: Any) -> None:
    write_whole(path, lambda beside: beside.write_text(json.dumps(facts, indent=1), encoding="utf-8"))


def append_lines(path: Path, lines: list[str]) -> None:
    """Add lines to a file; one that was cut off there by a full disk does not swallow the first of them."""
    with open(path, "ab+") as file:
        size = file.tell()
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                lines = ["", *lines]
        file.write("".join(f"{line}\n" for line in lines).encode())


def save(folder: Path, state: State) -> Path:
    """Write where the run is; the path. Raises DiskError; what was there before stays."""
    counters = {name: getattr(state, name) for name in COUNTERS}
    content = {
        "network": state.network.state_dict(), "optimizer": state.optimizer.state_dict(),
        "average": None if state.average is None else state.average.state_dict(),
        "beside": None if state.beside is None else state.beside.state_dict(),
        "best_weights": state.best_weights, "gradients": state.gradients_now(),
        **{name: list(value) if isinstance(value, tuple) else value for name, value in counters.items()},
    }
    write_whole(folder / LAST, lambda beside: torch.save(content, beside))
    return folder / LAST


def read(folder: Path, *, mmap: bool = False) -> dict[str, Any]:
    """What `save` has written, on the CPU. Raises TrainingError for a damaged file, or somebody else's.

    mmap: leave the numbers on the disk until they are asked for
    """
    try:
        path = folder / LAST
        if mmap:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:
            content = read_content(path)
        needed = {"network", "optimizer", "best_weights", "epoch"}
        if not isinstance(content, dict) or not needed <= content.keys():
            raise ValueError("another program's")
        for weights in (content["network"], content["best_weights"] or {}):
            check_sizes(weights, LAST, path.stat().st_size)
    except Exception as error:  # whatever a broken or foreign file can raise
        raise TrainingError(f"The run in '{folder}' can't go on: {LAST} is damaged, or another program's "
                            f"({type(error).__name__}). Give another run_dir, or empty this one.") from error
    return content


def restore(folder: Path, state: State) -> None:
    """Put a run where its folder says it was. Raises TrainingError for a file that is damaged or does not
    fit.
    """
    content = read(folder)
    try:
        state.network.load_state_dict(content["network"])
        state.optimizer.load_state_dict(content["optimizer"])
        if state.average is not None:
            state.average.load_state_dict(content["average"])
        if state.beside is not None:
            state.beside.load_state_dict(content["beside"])
        state.best_weights = content["best_weights"]
        for name in COUNTERS:
            if name != "part_sums" or name in content:  # an earlier explorer has not written it
                setattr(state, name, content[name])
        state.best = tuple(state.best)
        state.gradients = content.get("gradients", {})
        state.take_gradients_back()
    except Exception as error:  # whatever a foreign file can raise
        raise TrainingError(
            f"The run in '{folder}' can't go on: {LAST} is of another model ({type(error).__name__}). Give "
            "another run_dir, or empty this one."
        ) from error


def past_epochs(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """The epochs in the history file, up to where the checkpoint is; a line that was cut off is left out."""
    rows: dict[int, dict[str, Any]] = {}
    path = folder / HISTORY
    try:
        if path.stat().st_size >= MOST_HISTORY_BYTES:
            return []
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict) or event.pop("kind", "") != "epoch":
            continue
        if type(epoch := event.get("epoch")) is int and epoch < epochs:
            rows[epoch] = event
    return [rows[epoch] for epoch in sorted(rows)]
