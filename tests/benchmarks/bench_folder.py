"""A folder of photos through six backbones: is the time linear in the number of photos, and the memory flat?

    python tests/benchmarks/bench_folder.py            # 1,000 and 4,000 photos: half an hour on two cores
    python tests/benchmarks/bench_folder.py --quick    # 100 and 400 photos through two backbones

The photos are random crops of the bundled ones, turned to other colours, written as JPEG into a folder of
their own. Each backbone runs in a fresh process with a cache of its own, so that its peak memory (resident
set size) is its own; "again" is the same call a second time, when all is known. Weights are trained where
explorer has them without a network, else random: the time is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("mobilenetv3_small_100", "tf_efficientnet_lite0", "mobilenetv2_100", "regnety_002", "resnet18",
          "deit_tiny_patch16_224")
QUICK = ("mobilenetv3_small_100", "resnet18")
SIDE = (240, 480)  # of a photo, in pixels


def make_photos(folder: Path, count: int) -> None:
    """Crops of the bundled photos, each with other colours, so that no two files are alike."""
    from PIL import Image, ImageEnhance

    import explorer

    draw = random.Random(0)
    sources = [explorer.load_image(photo) for photo in explorer.sample_photos()]
    for number in range(count):
        photo = draw.choice(sources)
        side = draw.randint(min(photo.size) // 2, min(photo.size))
        left, top = draw.randint(0, photo.width - side), draw.randint(0, photo.height - side)
        length = draw.randint(*SIDE)
        box = (left, top, left + side, top + side)
        crop = photo.resize((length, length), Image.Resampling.BILINEAR, box=box)
        for change in (ImageEnhance.Brightness, ImageEnhance.Color):
            crop = change(crop).enhance(draw.uniform(0.6, 1.4))
        crop.save(folder / f"{number:05}.jpg", quality=88)


def one(name: str, folder: Path, cache: Path, count: int) -> dict[str, float]:
    """The measures of one backbone on the first `count` photos; runs in a process of its own."""
    import explorer

    trained = name.startswith("tf_efficientnet_lite")
    model = explorer.create_model(name, pretrained=trained).eval()
    photos = sorted(folder.iterdir())[:count]
    before = peak()
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        features = explorer.run_folder(model, photos, cache_dir=cache)
        seconds.append(time.perf_counter() - start)
        assert len(features) == count and not features.problems
    return {"seconds": seconds[0], "again": seconds[1], "before": before, "peak": peak(),
            "disk": features.disk / 2**20}


def peak() -> float:
    """The largest resident set so far, in MiB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer photos and backbones")
    parser.add_argument("--photos", type=int, nargs="+", help="how many; by default 1000 4000")
    parser.add_argument("--models", nargs="+", help="which backbones")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    # name, folder, cache, count: the process of one backbone
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.one:
        import torch

        torch.set_num_threads(options.threads)
        name, folder, cache, count = options.one
        print(json.dumps(one(name, Path(folder), Path(cache), int(count))))
        return
    counts = options.photos or ([100, 400] if options.quick else [1000, 4000])
    names = options.models or (QUICK if options.quick else MODELS)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.threads} threads\n")
    print(f"{'':24} {'photos':>7} {'seconds':>8} {'photos/s':>9} {'again':>7} "
          f"{'MiB before':>11} {'peak MiB':>9} {'disk MiB':>9}")
    with tempfile.TemporaryDirectory(prefix="explorer-bench-") as place:
        folder = Path(place, "photos")
        folder.mkdir()
        make_photos(folder, max(counts))
        totals: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for name in names:
            for count in counts:
                command = [sys.executable, __file__, "--threads", str(options.threads), "--one", name,
                           str(folder),
                           str(Path(place, f"cache-{name}-{count}")), str(count)]
                run = subprocess.run(command, capture_output=True, text=True)
                if run.returncode:
                    raise SystemExit(f"{name}: {run.stderr}")
                row = json.loads(run.stdout.splitlines()[-1])
                totals[count].append(row)
                pace = count / row["seconds"]
                print(f"{name:24} {count:7,} {row['seconds']:8.1f} {pace:9.1f} {row['again']:7.2f} "
                      f"{row['before']:11.0f} {row['peak']:9.0f} {row['disk']:9.1f}", flush=True)
        print()
        for count, rows in totals.items():
            seconds = sum(row["seconds"] for row in rows)
            print(f"{f'all {len(rows)}':24} {count:7,} {seconds:8.1f} {len(rows) * count / seconds:9.1f} "
                  f"{sum(row['again'] for row in rows):7.2f} {'':11} {max(row['peak'] for row in rows):9.0f} "
                  f"{sum(row['disk'] for row in rows):9.1f}")


if __name__ == "__main__":
    main()
