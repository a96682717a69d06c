"""Photos a second with one worker and with two: `python tests/benchmarks/bench_cluster.py [MODEL]`.

Each worker has one CPU and one thread. Training counts from the first batch to the last one of one epoch (all
parameters, 16 photos a worker); prediction from the first finished file of answers to the last. The figures
mean something on a quiet computer with as many cores as workers only.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import explorer
from explorer import cluster
from explorer.data.datasets import Splits, open_data
from explorer.training.loop.events import Batch, Event

PHOTOS = 96


def training(model: str, workers: int, data: Splits) -> float:
    """Photos a second."""
    events: list[Event] = []
    run = cluster.finetune(model, data, workers=workers, batch_size=16, train="all", epochs=1,
                           on_event=events.append)
    run.wait()
    batches = [event for event in events if isinstance(event, Batch)]
    batches = batches[1:]  # the first one opens and joins much
    seconds = sum(run.recipe.batch_size / batch.examples_per_second for batch in batches)
    return len(batches) * run.recipe.batch_size / seconds


def prediction(model: str, workers: int, files: list[Path]) -> float:
    """Photos a second, from the first finished file of answers to the last."""
    stamps: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for i, file in enumerate(files):
            (photos / f"{i}{file.suffix}").write_bytes(file.read_bytes())
        cluster.predict(model, photos, output=Path(folder, "answers"), workers=workers, photos_per_file=8,
                        progress=lambda done, total: stamps.append((time.perf_counter(), done)))
    (start, first), (end, last) = stamps[0], stamps[-1]
    return (last - first) / (end - start)


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "tf_efficientnet_lite0"
    everything = open_data("flowers5")
    train, val = everything.train.subset(range(PHOTOS)), everything.val.subset(range(8))
    data = Splits("a part of flowers5", train, val)
    photos = list(everything.train.files)[:160]
    print(f"{name}, {os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}")
    for workers in (1, 2):
        print(f"training, {workers} worker(s): {training(name, workers, data):.1f} photos/s", flush=True)
    for workers in (1, 2):
        pace = prediction(name, workers, photos)
        print(f"prediction, {workers} worker(s): {pace:.1f} photos/s", flush=True)
    print(f"load after: {os.getloadavg()[0]:.1f}, explorer {explorer.__version__}")
