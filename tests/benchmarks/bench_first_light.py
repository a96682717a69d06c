"""How much faster the first steps are than the same steps with timm, torchinfo and matplotlib.

    python tests/benchmarks/bench_first_light.py

Both sides run in turn, in the same process or as processes of the same kind, so that whatever else the
computer does hits both; medians and their ratio are printed. README.md beside this says what is compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from turns import interleaved

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = 64  # of each stage, on both sides
COLUMNS = 8


# --- listing the models: whole processes --------------------------------------------------------------------


def listing(repeats: int) -> dict[str, float]:
    # An installed explorer starts without PYTHONPATH, a checkout is put on it; timm is always installed.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(code: str) -> Callable[[], None]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)

    return interleaved({
        "explorer": run("import explorer; explorer.list_models()"),
        "timm": run("import timm; timm.list_models()"),
    }, repeats)


# --- looking: predictions, every stage's maps drawn, the table of modules ------------------------------


def looking(name: str, repeats: int) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """(median seconds of both sides, median seconds of their parts)."""
    import matplotlib

    matplotlib.use("Agg")
    import timm
    import torch
    import torchinfo
    from matplotlib import pyplot
    from PIL import Image

    import explorer
    from explorer.display.draw import png_bytes

    photo = ROOT / "assets" / "photos" / "cat_tabby.jpg"
    theirs = timm.create_model(name).eval()
    ours = explorer.create_model(name)
    ours.load_state_dict(theirs.state_dict())
    ours.eval()
    parts: dict[str, dict[str, list[float]]] = {"explorer": {}, "timm": {}}
    answers = {}

    def clock(side: str, part: str, start: float) -> float:
        now = time.perf_counter()
        parts[side].setdefault(part, []).append(now - start)
        return now

    def with_explorer() -> None:
        start = time.perf_counter()
        seen = explorer.look(ours, photo)
        start = clock("explorer", "predictions and maps", start)
        for stage in seen.stages:
            png_bytes(seen.mosaic(stage, limit=CHANNELS))
        start = clock("explorer", "pictures", start)
        str(explorer.module_tree(ours))
        clock("explorer", "modules", start)
        answers["explorer"] = seen.predictions[0].index

    def with_timm() -> None:
        start = time.perf_counter()
        transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=theirs))
        maps, handles = [], []
        for info in theirs.feature_info:
            module = theirs.get_submodule(info["module"])

            def keep(module, args, output):
                maps.append(output[0].clone())

            handles.append(module.register_forward_hook(keep))
        with Image.open(photo) as image, torch.inference_mode():
            logits = theirs(transform(image.convert("RGB"))[None])[0]
        probabilities, indices = logits.softmax(0).topk(5)
        for handle in handles:
            handle.remove()
        start = clock("timm", "predictions and maps", start)
        for stage in maps:
            strongest = stage.abs().mean((1, 2)).topk(min(CHANNELS, len(stage))).indices.sort().values
            rows = -(-len(strongest) // COLUMNS)
            figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(9, 9), squeeze=False)
            for axis in axes.flat:
                axis.axis("off")
            for axis, channel in zip(axes.flat, strongest.tolist()):
                axis.imshow(stage[channel].numpy(), cmap="viridis")
            figure.savefig(io.BytesIO(), format="png")
            pyplot.close(figure)
        start = clock("timm", "pictures", start)
        str(torchinfo.summary(theirs, (1, 3, 224, 224), depth=3, verbose=0))
        clock("timm", "modules", start)
        answers["timm"] = indices[0].item()

    total = interleaved({"explorer": with_explorer, "timm": with_timm}, repeats)
    if answers["explorer"] != answers["timm"]:
        raise SystemExit(f"{name}: the two sides disagree about the photo: {answers}")
    return total, {side: {part: statistics.median(seconds[1:]) for part, seconds in clocks.items()}
                   for side, clocks in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds of each pair (default 7)")
    parser.add_argument("--models", nargs="+", default=["resnet50", "efficientnet_lite0"])
    options = parser.parse_args()
    missing = [name for name in ("timm", "torchinfo", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"The other side is not installed: pip install {' '.join(missing)}")
    sys.path.insert(0, str(ROOT))

    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians of {options.repeats}\n")
    print(f"{'':48} {'explorer':>9} {'others':>9} {'ratio':>7}")

    def show(what: str, ours: float, theirs: float) -> None:
        print(f"{what:48} {ours:8.3f}s {theirs:8.3f}s {theirs / ours:6.1f}x", flush=True)

    listed = listing(options.repeats)
    show("list the models (whole process)", listed["explorer"], listed["timm"])
    for name in options.models:
        total, parts = looking(name, options.repeats)
        show(f"{name}: look, all stages drawn, module tree", total["explorer"], total["timm"])
        for part in parts["explorer"]:
            show(f"    {part}", parts["explorer"][part], parts["timm"][part])


if __name__ == "__main__":
    main()
