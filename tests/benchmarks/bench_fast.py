"""How fast explorer is on a CPU: one forward pass against timm, ONNX Runtime and OpenVINO; a pass in a job
against one in the main thread; one command, one table, one plot.

    pip install "vision-explorer[bench]"
    python tests/benchmarks/bench_fast.py --plot fast.png

The sides of a row take turns in one process, with the same random weights and as many threads each; medians.
A peer that is not installed is left out and said so. Ratios carry over to another computer, seconds do not.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor
from turns import interleaved

import explorer
from explorer import _memory, _teams

MODELS = ("tf_efficientnet_lite0", "resnet50", "vit_small_patch16_224", "convnext_tiny",
          "swin_tiny_patch4_window7_224")
Sides = dict[str, Callable[[], object]]


def run(model: Callable[[Tensor], Any], photos: Tensor) -> Callable[[], object]:
    def work() -> object:
        with torch.inference_mode():
            return model(photos)
    return work


def forward_sides(name: str, photos: Tensor, folder: Path) -> Sides:
    """The same weights behind every side; SystemExit where one of them answers otherwise."""
    import timm

    model = explorer.create_model(name).eval()
    theirs = timm.create_model(name).eval()
    theirs.load_state_dict(model.state_dict())
    sides: Sides = {"timm": run(theirs, photos), "explorer": run(model, photos),
                    "explorer, optimized": run(explorer.optimize(model), photos)}
    file = folder / f"{name}.onnx"
    if any(map(importlib.util.find_spec, ("onnxruntime", "openvino"))):
        torch.onnx.export(theirs, (photos,), str(file), dynamo=True, verbose=False)
    if importlib.util.find_spec("onnxruntime"):
        sides["ONNX Runtime"] = onnx_runtime(file, photos)
    if importlib.util.find_spec("openvino"):
        sides["OpenVINO"] = open_vino(file, photos)
    wanted = torch.as_tensor(sides["timm"]())
    for side, work in sides.items():
        found = torch.as_tensor(work())
        if float((found - wanted).abs().max() / wanted.abs().max()) > 1e-3:
            raise SystemExit(f"{name}: {side} answers otherwise than timm")
    return sides


def onnx_runtime(file: Path, photos: Tensor) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: photos.numpy()}
    return lambda: session.run(None, given)[0]


def open_vino(file: Path, photos: Tensor) -> Callable[[], object]:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(file), "CPU", settings)
    return lambda: compiled(photos.numpy())[0]


def in_a_job(work: Callable[[], object]) -> Callable[[], object]:
    """The same in a lasting thread, as a dashboard does: who waits rests, and so does who is done."""
    pool = ThreadPoolExecutor(1)

    def done() -> None:
        work()
        _teams.rest()

    def wait() -> None:
        _teams.rest()
        pool.submit(done).result()
    return wait


def faults(work: Callable[[], object], passes: int = 10) -> float:
    """Page faults of one pass."""
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(passes):
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / passes


def table(title: str, rows: dict[str, dict[str, float]], base: str) -> str:
    """Milliseconds, and how many times those of `base`."""
    sides = list(dict.fromkeys(side for row in rows.values() for side in row))
    lines = [f"{title:32}" + "".join(f"{side:>26}" for side in sides)]
    for name, row in rows.items():
        cells = [f"{1e3 * row[side]:.1f} ms ({row[side] / row[base]:.2f})" if side in row else "-"
                 for side in sides]
        lines.append(f"{name:32}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def plot(rows: dict[str, dict[str, float]], base: str, path: str) -> None:
    """Each model's sides as bars, as shares of the base's time."""
    from matplotlib.figure import Figure

    sides = list(dict.fromkeys(side for row in rows.values() for side in row))
    axes = (figure := Figure(figsize=(9, 4), layout="constrained")).subplots()
    width = 0.8 / len(sides)
    for number, side in enumerate(sides):
        places = [index + number * width for index in range(len(rows))]
        axes.bar(places, [row.get(side, 0) / row[base] for row in rows.values()], width, label=side)
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(rows))], list(rows), fontsize=8)
    axes.set_ylabel(f"time of a pass, {base} = 1")
    axes.legend(ncols=len(sides), fontsize=8)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--plot", default="", metavar="FILE")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, "
          f"{torch.get_num_threads()} threads, medians of {options.repeats}\n")
    for peer in ("onnxruntime", "openvino"):
        if not importlib.util.find_spec(peer):
            print(f"{peer} is not installed, so its column is missing")

    forward, jobs, faulting = {}, {}, []
    for name in options.models:  # before the peers, whose own threads go on spinning for a while
        model = explorer.create_model(name).eval()
        fast = run(explorer.optimize(model), torch.randn(1, *model.config.input_size))
        before = faults(fast)
        with _memory.kept():
            faulting.append(f"{name:32}{before:26.0f}{faults(fast):26.0f}")
            # One after the other: a team that was given back is made anew at each change of sides.
            jobs[name] = {"main thread": interleaved({"it": fast}, options.repeats)["it"],
                          "job": interleaved({"it": in_a_job(fast)}, options.repeats)["it"]}
    with tempfile.TemporaryDirectory() as folder, _memory.kept():
        for name in options.models:
            photos = torch.randn(1, *explorer.create_model(name).config.input_size)
            forward[name] = interleaved(forward_sides(name, photos, Path(folder)), options.repeats)
    print(table("forward, one photo", forward, "timm"), end="\n\n")
    print(table("optimized, one photo", jobs, "main thread"), end="\n\n")
    print(f"{'page faults of a pass':32}{'before':>26}{'memory kept':>26}", *faulting, sep="\n")
    if options.plot:
        plot(forward, "timm", options.plot)


if __name__ == "__main__":
    main()
