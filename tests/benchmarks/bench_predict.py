"""A folder of photos, predicted and judged: photos a second, and memory, beside the loop that people write
themselves.

    python tests/benchmarks/bench_predict.py             # 300 photos, three rounds in turns

All contestants answer for the same files (of ImageNet's usual size, 500 x 375) with the same weights: the
loop of PyTorch's tutorial over a DataLoader, in this process (0 workers) and with two, the first also on
`explorer.optimize`d weights; `explorer.predict` and `explorer.evaluate`; and `run_folder` into a new cache
each time. Peak memory is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from turns import interleaved  # noqa: E402

import explorer  # noqa: E402
from explorer.data.datasets import photos_in  # noqa: E402

SIZES = ((500, 375), (500, 333), (375, 500))  # of most of ImageNet's photos
LOOP = "DataLoader loop, 0 workers"


class Files(torch.utils.data.Dataset):
    """What everybody writes: a list of files and a transform."""

    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return self.transform(Image.open(self.files[index]).convert("RGB"))


def make_photos(folder: Path, number: int) -> None:
    """Crops of the bundled photos, each another one, as JPEG."""
    draw = random.Random(0)
    sources = [explorer.load_image(photo) for photo in explorer.sample_photos()]
    folder.mkdir(parents=True)
    for index in range(number):
        photo, (width, height) = draw.choice(sources), draw.choice(SIZES)
        scale = draw.uniform(0.6, 1) * min(photo.width / width, photo.height / height)
        left = draw.uniform(0, photo.width - scale * width)
        top = draw.uniform(0, photo.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        crop = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
        crop.save(folder / f"{index:05}.jpg", quality=92)


def contestants(name: str, place: Path) -> dict[str, Callable[[], object]]:
    """What to time for the photos in `place`/photos, by name."""
    folder, caches = place / "photos", count()
    files = sorted(folder.iterdir())
    model = explorer.create_model(name, pretrained=name.startswith("tf_efficientnet_lite")).eval()
    transform = explorer.data.create_transform(**explorer.data.resolve_data_config({}, model=model))

    def loop(network: torch.nn.Module, workers: int) -> None:
        loader = torch.utils.data.DataLoader(Files(files, transform), batch_size=32, num_workers=workers)
        with torch.inference_mode():
            for batch in loader:
                network(batch).softmax(1).topk(5)

    return {
        LOOP: lambda: loop(model, 0),
        "explorer.predict": lambda: explorer.predict(model, folder),
        "DataLoader loop, 2 workers": lambda: loop(model, 2),
        "DataLoader loop, optimized model": lambda: loop(explorer.optimize(model), 0),
        "explorer.evaluate": lambda: explorer.evaluate(model, photos_in(place)[0]),
        "explorer.run_folder": lambda: explorer.run_folder(
            model, folder, cache_dir=place / f"cache{os.getpid()}-{next(caches)}"),
    }


def peak() -> float:
    """The largest resident set so far, in MiB; Linux alone says that without the parent's at the start."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10


def peak_of(name: str, contestant: str, place: Path) -> float:
    """Peak memory in MiB of a process that does nothing but this."""
    command = [sys.executable, __file__, "--model", name, "--one", contestant, str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{contestant}: {done.stderr}")
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="these contestants alone")
    parser.add_argument("--memory", action="store_true",
                        help="peak memory too, in processes of their own (Linux)")
    # contestant, place: a process of its own
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contestant, place = options.one
        contestants(options.model, Path(place))[contestant]()
        print(peak())
        return
    with tempfile.TemporaryDirectory(prefix="explorer-bench-") as place:
        make_photos(Path(place, "photos"), options.photos)
        every = contestants(options.model, Path(place))
        chosen = {side: work for side, work in every.items() if side in (options.only or every)}
        seconds = interleaved({LOOP: every[LOOP], **chosen}, options.repeats)
        measured = list(seconds) if options.memory else []
        memory = {side: peak_of(options.model, side, Path(place)) for side in measured}
    print(f"Python {platform.python_version()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, "
          f"{options.model}, {options.photos} photos, medians of {options.repeats}\n")
    plain = seconds[LOOP]
    for side, each in seconds.items():
        taken = f"  peak {memory[side]:6.0f} MiB" if side in memory else ""
        print(f"{side:34} {options.photos / each:7.1f} photos/s {plain / each:6.2f}x{taken}")


if __name__ == "__main__":
    main()
