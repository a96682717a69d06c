"""Finding the cluster: the one that is connected, the one that runs, or a small one on this computer."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from explorer.data.datasets import has_classes_alone


class ClusterError(RuntimeError):
    """The cluster can't do what was asked; the message says what to change."""


def find_ray() -> ModuleType:
    """`ray`, with the parts that are used here. Raises ModuleNotFoundError with what to install."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray that is started here reports to nobody
    try:
        import ray
        import ray.data
        import ray.train.torch
    except ImportError as error:
        raise ModuleNotFoundError(
            f"explorer.cluster needs Ray, which is not complete here ({error}): pip install "
            "'vision-explorer[cluster]'. Without it, explorer.finetune and explorer.predict do the same on "
            "this computer.") from error
    return ray


def connect(workers: int | None = None, *, cpus: int = 1, gpus: int = 0) -> ModuleType:
    """`ray`, connected to a cluster that has room for `workers` with so many CPUs and GPUs each.

    Raises ModuleNotFoundError without Ray, ClusterError where the cluster is too small, ValueError for
    impossible numbers.
    """
    for name, value, least in (("workers", workers, 1), ("cpus_per_worker", cpus, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(f"{name} is {value!r}: give a whole number from {least}.")
    ray = find_ray()
    if not ray.is_initialized():
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), **quiet)
        except ConnectionError:
            if "RAY_ADDRESS" in os.environ:
                raise
            room = max(os.cpu_count() or 1, (workers or 1) * cpus)
            ray.init(num_cpus=room, include_dashboard=False, **quiet)
    there = ray.cluster_resources()
    for kind, each in (("CPU", cpus), ("GPU", gpus)):
        if each and there.get(kind, 0) < (workers or 1) * each:
            raise ClusterError(
                f"The cluster has {there.get(kind, 0):g} {kind}s, and {workers or 1} workers with {each} "
                f"each need {(workers or 1) * each}: give workers={int(there.get(kind, 0) // each) or 1}, or "
                "add nodes.")
    return ray


def resolved(data: Any) -> Any:
    """A folder by its whole path, which says the same on all computers; all else as it is."""
    if not isinstance(data, (str, os.PathLike)) or has_classes_alone(data):
        return data
    folder = Path(data).expanduser()
    return str(folder.resolve()) if folder.exists() else os.fspath(data)
