"""How long it takes to create a model, against timm: with the weights of a file, and with random ones.

    python tests/benchmarks/bench_create.py

Both sides read the same folder (`local-dir:`, timm's config.json and model.safetensors), in turn, in one
process; medians and their ratio are printed, and the run stops if the two models don't hold the same numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from functools import partial
from pathlib import Path

from turns import interleaved

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["resnet50", "efficientnet_b0", "densenet121", "convnext_tiny", "vit_base_patch16_224",
         "swin_tiny_patch4_window7_224"]


def save(name: str, folder: Path) -> None:
    """A folder as timm's hub repositories are: the configuration and the weights."""
    import timm
    from safetensors.torch import save_file

    model = timm.create_model(name)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": name, "num_classes": model.num_classes, "num_features": model.num_features,
              "pretrained_cfg": model.pretrained_cfg | {"tag": "bench"}}
    (folder / "config.json").write_text(json.dumps(config, default=list), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds of each pair (default 7)")
    parser.add_argument("--models", nargs="+", default=NAMES)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import timm
    import torch

    import explorer

    print(f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}, "
          f"{os.cpu_count()} cores, medians of {options.repeats}\n")
    print(f"{'':52} {'explorer':>9} {'timm':>9} {'ratio':>7}")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            save(name, Path(folder))
            ours, theirs = (library.create_model(f"local-dir:{folder}", pretrained=True).state_dict()
                            for library in (explorer, timm))
            if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in ours):
                raise SystemExit(f"{name}: the two sides hold different numbers")
            local = f"local-dir:{folder}"
            rows = {
                "with weights": (local, {"pretrained": True}),
                "with weights, 5 classes": (local, {"pretrained": True, "num_classes": 5}),
                "with random weights": (name, {}),
            }
            for row, (model, wanted) in rows.items():
                sides = {side: partial(library.create_model, model, **wanted)
                         for side, library in (("explorer", explorer), ("timm", timm))}
                median = interleaved(sides, options.repeats)
                mine, other = median["explorer"], median["timm"]
                print(f"{f'{name} {row}':52} {mine:8.3f}s {other:8.3f}s {other / mine:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
