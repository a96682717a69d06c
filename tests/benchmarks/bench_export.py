"""Which families leave as one file: the smallest network of each family file, exported, or why not.

    python tests/benchmarks/bench_export.py                    # all; or: bench_export.py resnet vit ...
    python tests/benchmarks/bench_export.py --ways .onnx page

Random weights, 5 classes, all maps, photos as small as the family takes. A network that is "yes" was run
from its file and gave torch's numbers (`explorer.export` refuses it otherwise). Seconds are those of the
whole call. "page" is the ONNX file of a live page, weights in float16: with the stage and the places of its
heat map, which was held against `explorer.explain`, and how far the logits are from torch's in float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import explorer
from explorer.inspection.export.page_graph import page_file
from explorer.inspection.export.parts import opened
from tests.inspection.small_models import tiny
from tests.models.samples import ONE_A_FILE


def exported(model: explorer.VisionModel, end: str) -> str:
    """Seconds and megabytes of a file of `explorer.export`."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        path = explorer.export(model, Path(folder) / f"net{end}", maps="all")
        seconds = time.perf_counter() - started
        return f"yes, {seconds:.1f} s, {path.stat().st_size / 1e6:.2f} MB"


def page(model: explorer.VisionModel) -> str:
    """The same of the file of a live page, with its heat map."""
    started = time.perf_counter()
    whole, told = page_file(opened(model, "all"), precision="float16")
    cell = f"yes, {time.perf_counter() - started:.1f} s, {len(whole) / 1e6:.2f} MB"
    cell += f", {told['rounding']['logits']:.0e} off"
    if heat := told["heat"]:
        return f"{cell} | {heat['stage']} {heat['shape'][0]} x {heat['shape'][1]}"
    return f"{cell} | no: {told['no_heat']}"


WAYS = {".onnx": lambda model: exported(model, ".onnx"), ".pt2": lambda model: exported(model, ".pt2"),
        "page": page}


def row(module: str, ways: list[str]) -> str:
    """A family's line: its name, and for each way the figures, or the sentence."""
    cells, model = [], tiny(module)
    for way in ways:
        try:
            cells.append(WAYS[way](model))
        except ValueError as error:
            cells.append(f"no: {error}" + (" |" if way == "page" else ""))
    return f"| {module} | {ONE_A_FILE[module]} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    titles = [*asked.ways, *(["heat"] if "page" in asked.ways else [])]
    print(f"| file | network | {' | '.join(titles)} |\n|{'---|' * (2 + len(titles))}")
    for module in asked.families or sorted(ONE_A_FILE):
        print(row(module, asked.ways), flush=True)


if __name__ == "__main__":
    main()
