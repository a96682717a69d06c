"""How long the whole look at a photo takes, and how long comparing models on many photos.

    python tests/benchmarks/bench_compare.py look    # against timm, torchinfo, pytorch-grad-cam, matplotlib
    python tests/benchmarks/bench_compare.py many    # 6 models, 1,000 photos and 4,000: time and peak memory

The whole look: predictions, every stage, the module tree, Grad-CAM, all of it drawn.

The sides of `look` take turns in one process, so that whatever else the computer does hits all of them;
printed are medians, their ratio, and what explorer takes in bare forward passes of the same network: for what
needs the network (`look` with every map, and Grad-CAM from it), and for all of it with the module tree and
the drawing, which cost about the same for a quick network as for a slow one.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turns import interleaved

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = 64  # of each stage, on both sides
COLUMNS = 8
SIX = ("resnet18", "mobilenetv3_small_100", "tf_efficientnet_lite0", "regnety_002", "convnext_atto",
       "vit_tiny_patch16_224")


# --- one photo, everything to see ---------------------------------------------------------------------------


def looking(name: str, repeats: int) -> dict[str, float]:
    """Median seconds of explorer's whole look ("of which the network": look and Grad-CAM), of the same with
    the other libraries, and of a bare forward pass.
    """
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    import timm
    import torch
    import torchinfo
    from matplotlib import pyplot
    from PIL import Image
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    import explorer
    from explorer.display import draw
    from explorer.inspection.look.tail import default_stage

    photo = ROOT / "assets" / "photos" / "cat_tabby.jpg"
    theirs = timm.create_model(name).eval()
    ours = explorer.create_model(name)
    ours.load_state_dict(theirs.state_dict())
    ours.eval()
    # Both sides explain the same layer: explorer's default stage, by the name of its module.
    stage = next(row for row in ours.stage_table if row.name == default_stage(ours))
    layer = theirs.get_submodule(stage.module)
    answers, heat = {}, {}
    network: list[float] = []

    def with_explorer() -> None:
        started = time.perf_counter()
        seen = explorer.look(ours, photo)
        found = explorer.explain(ours, photo, look=seen)
        network.append(time.perf_counter() - started)
        for maps in seen.stages.values():
            draw.png_bytes(draw.palette_mosaic(maps, limit=CHANNELS))  # as a Look draws itself in a notebook
        str(explorer.module_tree(ours))
        draw.jpeg_bytes(draw.thumbnail(found.overlay(), 320))
        answers["explorer"], heat["explorer"] = seen.predictions[0].index, found.raw.clamp_min(0).numpy()

    def saved(figure) -> None:
        figure.savefig(io.BytesIO(), format="png")
        pyplot.close(figure)

    def with_the_others() -> None:
        transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=theirs))
        maps, handles = [], []
        for info in theirs.feature_info:
            handles.append(theirs.get_submodule(info["module"]).register_forward_hook(
                lambda module, args, output: maps.append(output[0].clone())))
        with Image.open(photo) as image:
            tensor = transform(image.convert("RGB"))
        with torch.inference_mode():
            best = theirs(tensor[None])[0].softmax(0).topk(5).indices
        for handle in handles:
            handle.remove()
        for each in maps:
            strongest = each.abs().mean((1, 2)).topk(min(CHANNELS, len(each))).indices.sort().values
            rows = -(-len(strongest) // COLUMNS)
            figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(9, 9), squeeze=False)
            for axis in axes.flat:
                axis.axis("off")
            for axis, channel in zip(axes.flat, strongest.tolist()):
                axis.imshow(each[channel].numpy(), cmap="viridis")
            saved(figure)
        str(torchinfo.summary(theirs, (1, 3, 224, 224), depth=3, verbose=0))
        with GradCAM(model=theirs, target_layers=[layer]) as cam:
            grey = cam(input_tensor=tensor[None], targets=[ClassifierOutputTarget(int(best[0]))])[0]
        backdrop = ((tensor - tensor.min()) / (tensor.max() - tensor.min())).permute(1, 2, 0).numpy()
        figure, axis = pyplot.subplots()
        axis.imshow(show_cam_on_image(np.ascontiguousarray(backdrop), grey, use_rgb=True))
        axis.axis("off")
        saved(figure)
        answers["others"], heat["others"] = int(best[0]), grey

    with torch.inference_mode():
        inputs = explorer.look(ours, photo).input[None]

    def bare() -> None:
        with torch.inference_mode():
            ours(inputs)

    seconds = interleaved({"explorer": with_explorer, "others": with_the_others, "bare pass": bare}, repeats)
    if answers["explorer"] != answers["others"]:
        raise SystemExit(f"{name}: the two sides disagree about the photo: {answers}")
    largest = heat["explorer"].max() or 1
    size = heat["others"].shape[::-1]
    mine = Image.fromarray((heat["explorer"] / largest).astype("float32")).resize(size, Image.BILINEAR)
    alike = float(np.corrcoef(np.asarray(mine).ravel(), heat["others"].ravel())[0, 1])
    if not alike > 0.9:
        raise SystemExit(f"{name}: the two heat maps are not of the same thing (correlation {alike:.3f})")
    return {**seconds, "of which the network": statistics.median(network[1:])}


# --- many photos --------------------------------------------------------------------------------------------


def write_photos(folder: Path, count: int, side: int) -> None:
    """Photos of noise over a gradient, each another one, so that nothing is known from the one before."""
    import numpy as np
    from PIL import Image

    ramp = np.linspace(0, 160, side)[None, :, None] * np.array([1.0, 0.6, 0.3])
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 90, (side, side, 3))
        Image.fromarray((noise + ramp).astype(np.uint8)).save(folder / f"{number:05d}.jpg", quality=85)


MANY = """
import json, resource, sys, time
import explorer
names, folder, cache = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
models = {name: explorer.create_model(name).eval() for name in names}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
result = explorer.compare(models, folder, measure=False, cache_dir=cache)
result.agreement
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
counts = {"photos": len(result.photos), "models": len(result)}
print(json.dumps({**counts, "seconds": seconds, "before": before, "peak": peak}))
"""


def many(counts: list[int], models: list[str], side: int) -> list[dict[str, float]]:
    """Each count of photos in a process and with a cache of its own: seconds, peak memory (ru_maxrss, kB)."""
    found = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as place:
        for count in counts:
            folder = Path(place, f"photos{count}")
            folder.mkdir()
            write_photos(folder, count, side)
            cache = Path(place, f"cache{count}")
            words = [sys.executable, "-c", MANY, ",".join(models), str(folder), str(cache)]
            printed = subprocess.check_output(words, text=True, env=environment, cwd=ROOT)
            found.append(json.loads(printed.splitlines()[-1]))
    return found


# --- printing -----------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("look", "many", "all"), default="all")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds of each side (default 7)")
    parser.add_argument("--models", nargs="+", default=["resnet50", "efficientnet_lite0"],
                        help="of the whole look")
    parser.add_argument("--photos", nargs="+", type=int, default=[1000, 4000],
                        help="how many, of the comparison")
    parser.add_argument("--compared", nargs="+", default=list(SIX), help="models of the comparison")
    parser.add_argument("--side", type=int, default=256, help="of the photos, in pixels")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")

    if options.what in ("look", "all"):
        needed = {"timm": "timm", "torchinfo": "torchinfo", "pytorch_grad_cam": "grad-cam",
                  "matplotlib": "matplotlib"}
        missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
        if missing:
            raise SystemExit(f"The other side is not installed: pip install {' '.join(missing)}")
        print(f"the whole look, medians of {options.repeats}: "
              "predictions, all stages, module tree, Grad-CAM, all drawn")
        print(f"{'':28} {'explorer':>9} {'others':>9} {'ratio':>7} {'bare pass':>10} "
              f"{'in bare passes: look, Grad-CAM':>31} {'all of it':>10}")
        for name in options.models:
            took = looking(name, options.repeats)
            ours, theirs, bare = took["explorer"], took["others"], took["bare pass"]
            print(f"{name:28} {ours:8.3f}s {theirs:8.3f}s {theirs / ours:6.1f}x {bare:9.3f}s "
                  f"{took['of which the network'] / bare:31.2f} {ours / bare:10.2f}", flush=True)
    if options.what in ("many", "all"):
        print(f"\ncomparing {len(options.compared)} models: {', '.join(options.compared)}")
        print(f"{'photos':>8} {'seconds':>9} {'ms a photo and model':>21} "
              f"{'peak memory':>12} {'before the photos':>18}")
        started = time.perf_counter()
        for row in many(options.photos, options.compared, options.side):
            each = 1000 * row["seconds"] / row["photos"] / row["models"]
            print(f"{row['photos']:8} {row['seconds']:8.1f}s {each:21.2f} "
                  f"{row['peak'] / 1e3:9.0f} MB {row['before'] / 1e3:15.0f} MB", flush=True)
        print(f"(with writing the photos {time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
