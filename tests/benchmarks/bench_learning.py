"""How long a class waits for a trained model: explorer's runs against a plain PyTorch loop and fastai.

    python tests/benchmarks/bench_learning.py                # all pairs: half an hour on two cores
    python tests/benchmarks/bench_learning.py --only head --epochs 5
    python tests/benchmarks/bench_learning.py --only plot    # what the live view costs a run

Every side starts from the same ImageNet weights of tf_efficientnet_lite0 and sees the same photos (flowers5,
at 224 x 224), in the same process and with the same threads. `pip install fastai` adds its side; without it,
it is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPOCHS_WATCHED = 150  # of runs with and without the live view: a few seconds of nothing but batches
Side = Callable[[int, str, int], tuple[float, float, float]]
MODEL, DATA = "tf_efficientnet_lite0", ROOT / "assets" / "data" / "flowers5"


def ours(epochs: int, train: str, threads: int, seed: int = 0, **settings) -> tuple[float, float, float]:
    """(seconds, share of val photos that are right, photos a second) of one run, everything included."""
    from explorer.training.run.finetuning import finetune

    start = time.perf_counter()
    run = finetune(MODEL, str(DATA), epochs=epochs, train=train, threads=threads, seed=seed, device="cpu",
                   **settings)
    run.wait()
    seconds = time.perf_counter() - start
    return seconds, run.best["val_top1"], epochs * len(run.data.train) / seconds


def plain(epochs: int, train: str, threads: int) -> tuple[float, float, float]:
    """The loop that every PyTorch tutorial has: ImageFolder, DataLoader, AdamW, cosine, one worker."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    import explorer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    start = time.perf_counter()
    config = explorer.create_model(MODEL, num_classes=5).config
    norm = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(config.mean, config.std)]
    vary = v2.Compose([v2.RandomResizedCrop(224, (0.7, 1.0), interpolation=v2.InterpolationMode.BICUBIC),
                       v2.RandomHorizontalFlip(), *norm])
    look = v2.Compose([v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224), *norm])
    beside = {"num_workers": 1, "persistent_workers": True}
    learn = DataLoader(ImageFolder(DATA / "train", vary), 32, shuffle=True, **beside)
    judge = DataLoader(ImageFolder(DATA / "val", look), 32, **beside)
    model = explorer.create_model(MODEL, pretrained=True, num_classes=5)
    head = model.get_classifier()
    if train == "head":
        model.requires_grad_(False)
        head.requires_grad_(True)
    elif train == "last_stage":
        model.freeze(model.stage_table[-2].name)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-2 if train == "head" else 1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(learn))
    best = 0.0
    for _ in range(epochs):
        model.eval() if train == "head" else model.train()
        for x, y in learn:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in judge)
        best = max(best, right / len(judge.dataset))
    seconds = time.perf_counter() - start
    return seconds, best, epochs * len(learn.dataset) / seconds


def with_fastai(epochs: int, train: str, threads: int) -> tuple[float, float, float]:
    """fastai's Learner with the same body, frozen as its `fine_tune` freezes it."""
    import torch
    from fastai.vision.all import (
        CrossEntropyLossFlat,
        ImageDataLoaders,
        Learner,
        Normalize,
        RandomResizedCrop,
        accuracy,
        params,
    )

    import explorer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    start = time.perf_counter()
    model = explorer.create_model(MODEL, pretrained=True, num_classes=5)
    norm = Normalize.from_stats(model.config.mean, model.config.std)
    data = ImageDataLoaders.from_folder(DATA, train="train", valid="val", bs=32, num_workers=1,
                                        item_tfms=RandomResizedCrop(224, min_scale=0.7), batch_tfms=[norm])

    def split(net):
        head = {id(p) for p in net.get_classifier().parameters()}
        return [[p for p in params(net) if id(p) not in head], [p for p in params(net) if id(p) in head]]

    learner = Learner(data, model, loss_func=CrossEntropyLossFlat(), splitter=split, metrics=accuracy)
    with learner.no_bar(), learner.no_logging():
        if train == "head":
            learner.freeze()
        learner.fit_one_cycle(epochs, 1e-2 if train == "head" else 1e-4)
    best = max(float(row[2]) for row in learner.recorder.values)
    seconds = time.perf_counter() - start
    return seconds, best, epochs * len(data.train_ds) / seconds


class Wire:
    """Stands for the notebook's connection: each message is packed as Jupyter packs it, and then let go."""

    def __init__(self) -> None:
        from comm.base_comm import BaseComm
        from jupyter_client.session import Session

        session, wire = Session(key=b"of this benchmark"), self
        self.messages = self.bytes = 0

        class Comm(BaseComm):
            def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
                message = session.msg(msg_type, content={"data": data or {}}, metadata=metadata or {})
                wire.messages += 1
                wire.bytes += sum(len(part) for part in session.serialize(message))
                wire.bytes += sum(memoryview(part).nbytes for part in buffers or ())

        self.make = Comm


def watched(epochs: int, threads: int, *, view: bool) -> dict[str, float]:
    """A head-only run, whose batches follow each other fastest, with or without the panel's view of it:
    seconds from its first batch to its end, and what its listeners took of the run's own thread, by a clock
    around each call.
    """
    import comm

    from explorer.training.run.finetuning import finetune

    wire, before = Wire(), comm.create_comm
    comm.create_comm = lambda *args, **keys: wire.make(*args, **keys)
    spent, times = {"wall": 0.0, "processor": 0.0, "charts": 0.0}, {}

    def clocked(listener):
        def hear(event):
            wall, processor = time.perf_counter(), time.thread_time()
            listener(event)
            if "started" in times:
                spent["processor"] += time.thread_time() - processor
                spent["wall"] += time.perf_counter() - wall
        return hear

    def clocked_chart(method):
        def draw(*args, **options):
            processor = time.thread_time()
            method(*args, **options)
            spent["charts"] += time.thread_time() - processor
        return draw

    try:
        run = finetune(MODEL, str(DATA), epochs=epochs, threads=threads, device="cpu",
                       on_event=lambda event: times.setdefault(event.kind, time.perf_counter()))
        looked = 0.0
        if view:
            from explorer.widgets.panels.learn.run_view import RunView
            from explorer.widgets.session import Session

            session = Session()
            panel = RunView(session)
            session.run = run
            run._listeners[-1] = clocked(run._listeners[-1])
            for chart in (panel.loss, panel.right):
                chart.extend, chart.flush = clocked_chart(chart.extend), clocked_chart(chart.flush)
        run.wait()
        if view:
            panel.wait()
            looked = panel.epochs.spent
            panel.close()
            session.close()
    finally:
        comm.create_comm = before
    return {"seconds": times["finished"] - times["started"], "batches": len(run.batches),
            "messages": wire.messages, "bytes": wire.bytes, "looked": looked, **spent}


def live_plot(threads: int, repeats: int) -> None:
    """What the live view costs: the ratio of whole runs that take turns, and the listeners' own time."""
    kept: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for turn in range(repeats + 1):
        for view in kept:
            figures = watched(EPOCHS_WATCHED, threads, view=view)
            if turn:  # one round before the first is not counted
                kept[view].append(figures)
    without, along = (statistics.median(one["seconds"] for one in kept[view]) for view in (False, True))
    middle = {name: statistics.median(one[name] for one in kept[True]) for name in kept[True][0]}
    print(f"\nlive view of a head-only run, {EPOCHS_WATCHED} epochs, {middle['batches']:.0f} batches, "
          f"{repeats} runs of each kind in turns")
    print(f"{'without the view':40} {without:8.3f} s")
    print(f"{'with the view':40} {along:8.3f} s {100 * (along / without - 1):+9.1f} %")
    for name, what in (("charts", "the two live charts, processor time"),
                       ("processor", "all its callbacks, processor time"),
                       ("wall", "all its callbacks, by the wall clock"),
                       ("looked", "looks at photos, in a thread beside")):
        print(f"{what:40} {middle[name]:8.3f} s {100 * middle[name] / along:9.2f} %")
    print(f"{'messages to the page':40} {middle['messages']:8.0f} {middle['bytes'] / 1024:11.0f} kB")


def taking_turns(sides: dict[str, Side], train: str, epochs: int, options: argparse.Namespace) -> None:
    """One row a side: medians of runs that take turns, explorer first."""
    kept: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
    for _ in range(options.turns):
        for side, work in sides.items():
            kept[side].append(work(epochs, train, options.threads))
    first = statistics.median(seconds for seconds, _, _ in kept["explorer"])
    for side, runs in kept.items():
        seconds, right, pace = (statistics.median(column) for column in zip(*runs))
        print(f"{f'{train}, {epochs} epochs: {side}':40} {seconds:8.1f} {100 * right:6.1f}% {pace:9.1f} "
              f"{seconds / first:16.1f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["head", "last_stage", "all", "seeds", "plot"], help="one part")
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 20], help="of the head-only runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5, help="of the runs with and without the live view")
    parser.add_argument("--turns", type=int, default=2, help="runs of each side, which take turns")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    sides: dict[str, Side] = {"explorer": ours, "plain loop": plain}
    if importlib.util.find_spec("fastai"):
        sides["fastai"] = with_fastai
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.threads} threads, "
          f"{MODEL} on {DATA.name}\n")
    print(f"{'':40} {'seconds':>8} {'right':>7} {'photos/s':>9} {'against explorer':>17}")
    pairs = [("head", epochs) for epochs in options.epochs] + [("last_stage", 1), ("all", 1)]
    for train, epochs in pairs:
        if options.only in (None, train):
            some = {side: work for side, work in sides.items() if (side, train) != ("fastai", "last_stage")}
            taking_turns(some, train, epochs, options)
    if options.only in (None, "seeds"):
        for seed in range(3):
            seconds, right, pace = ours(5, "head", options.threads, seed)
            title = f"head, 5 epochs, seed {seed}: explorer"
            print(f"{title:40} {seconds:8.1f} {100 * right:6.1f}% {pace:9.1f}", flush=True)
        seconds, right, pace = ours(2, "all", options.threads)
        print(f"{'all, 2 epochs: explorer':40} {seconds:8.1f} {100 * right:6.1f}% {pace:9.1f}", flush=True)

    if options.only in (None, "plot"):
        live_plot(options.threads, options.repeats)


if __name__ == "__main__":
    main()
