"""How much faster `explorer.optimize` makes a network predict, and what memory checkpointing saves.

    python tests/benchmarks/bench_optimize.py

A network and its optimized copies take turns in one process, on one photo at a time, so that whatever else
the computer does hits all of them; medians and their ratio are printed. Ratios carry over to another
computer, seconds do not.
"""

from __future__ import annotations

import argparse
import copy
import platform
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor, nn
from turns import interleaved

import explorer

MODELS = ("resnet50", "efficientnet_lite0", "mobileone_s0", "repvgg_a0")


def predicting(name: str, batch: int, repeats: int) -> tuple[dict[str, float], explorer.VisionModel]:
    """Median seconds of one forward pass: plain, folded, and folded with maps channels-last."""
    model = explorer.create_model(name).eval()
    photos = torch.randn(batch, *model.config.input_size)

    def forward(network: nn.Module) -> Callable[[], None]:
        def work() -> None:
            with torch.inference_mode():
                network(photos)
        return work

    folded = explorer.optimize(model, example=photos, channels_last=False)
    last = explorer.optimize(model, example=photos, channels_last=True)
    sides = {"plain": forward(model), "folded": forward(folded), "channels-last": forward(last)}
    return interleaved(sides, repeats), last


def kept_for_backward(model: nn.Module, photos: Tensor) -> int:
    """Bytes of the tensors that a training step keeps for its backward pass, beside the parameters."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(photos).sum()
    return sum(storage.nbytes() for place, storage in kept.items() if place not in own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
          f"batch {options.batch}")
    print(f"{'model':22} {'plain ms':>9} {'folded':>8} {'ratio':>6} {'ch.-last':>9} {'ratio':>6}   "
          "training keeps, MB of 4 photos")
    for name in options.models:
        seconds, fast = predicting(name, options.batch, options.repeats)
        plain = seconds["plain"]
        model = explorer.create_model(name, num_classes=10)
        photos = torch.randn(4, *model.config.input_size)
        saving = copy.deepcopy(model)
        saving.set_grad_checkpointing()
        before, after = kept_for_backward(model, photos), kept_for_backward(saving, photos)
        print(f"{name:22} {1e3 * plain:9.1f} {1e3 * seconds['folded']:8.1f} {plain / seconds['folded']:6.2f} "
              f"{1e3 * seconds['channels-last']:9.1f} {plain / seconds['channels-last']:6.2f}   "
              f"{before / 1e6:.0f} -> {after / 1e6:.0f} with checkpointing")
        print("   " + str(fast.optimize_report).replace("\n", "; "))


if __name__ == "__main__":
    main()
