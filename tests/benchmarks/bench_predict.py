"""A folder of photos, predicted and judged: photos a second beside the loop that people write themselves.

    python tests/benchmarks/bench_predict.py             # 600 photos, three rounds in turns

All contestants answer for the same files with the same weights: a torch DataLoader with two workers and a
plain loop, the same loop on `explorer.optimize`d weights, `explorer.predict` and `explorer.evaluate` as they
are, and `run_folder` into a new cache each time.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import torch  # noqa: E402
from bench_folder import make_photos  # noqa: E402
from turns import interleaved  # noqa: E402

import explorer  # noqa: E402
from explorer.data.datasets import photos_in  # noqa: E402


class Files(torch.utils.data.Dataset):
    """What everybody writes: a list of files and a transform."""

    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.open(self.files[index]).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    trained = options.model.startswith("tf_efficientnet_lite")
    model = explorer.create_model(options.model, pretrained=trained).eval()
    fast = explorer.optimize(model)
    with tempfile.TemporaryDirectory(prefix="explorer-bench-") as place:
        folder, caches = Path(place, "tench"), count()
        folder.mkdir()
        make_photos(folder, options.photos)
        files = sorted(folder.iterdir())
        transform = explorer.data.create_transform(**explorer.data.resolve_data_config({}, model=model))

        def loop(network: torch.nn.Module) -> None:
            loader = torch.utils.data.DataLoader(Files(files, transform), batch_size=32, num_workers=2)
            with torch.inference_mode():
                for batch in loader:
                    network(batch).softmax(1).topk(5)

        def run_folder() -> None:
            explorer.run_folder(model, folder, cache_dir=Path(place, f"cache{next(caches)}"))

        seconds = interleaved({
            "DataLoader loop": lambda: loop(model),
            "DataLoader loop, optimized model": lambda: loop(fast),
            "explorer.predict": lambda: explorer.predict(model, folder),
            "explorer.evaluate": lambda: explorer.evaluate(model, photos_in(place)[0]),
            "explorer.run_folder": run_folder,
        }, options.repeats)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, "
          f"{options.model}, {options.photos} photos, medians of {options.repeats}\n")
    plain = seconds["DataLoader loop"]
    for name, each in seconds.items():
        print(f"{name:34} {options.photos / each:7.1f} photos/s {plain / each:6.2f}x")


if __name__ == "__main__":
    main()
