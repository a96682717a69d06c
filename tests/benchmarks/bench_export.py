"""Which families leave as one file: the smallest network of each family file, exported, or why not.

    python tests/benchmarks/bench_export.py                    # all; or: bench_export.py resnet vit ...
    python tests/benchmarks/bench_export.py --ends .onnx

Random weights, 5 classes, all maps, photos as small as the family takes. A network that is "yes" was run
from its file and gave torch's numbers (`explorer.export` refuses it otherwise). Seconds are those of the
whole call.
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
from tests.inspection.small_models import tiny
from tests.models.samples import ONE_A_FILE


def row(module: str, ends: list[str], folder: Path) -> str:
    """A family's line: its name, and for each kind of file seconds and megabytes, or the sentence."""
    cells, model = [], tiny(module)
    for end in ends:
        started = time.perf_counter()
        try:
            path = explorer.export(model, folder / f"{module}{end}", maps="all")
        except ValueError as error:
            cells.append(f"no: {error}")
        else:
            seconds = time.perf_counter() - started
            cells.append(f"yes, {seconds:.1f} s, {path.stat().st_size / 1e6:.1f} MB")
            path.unlink()
    return f"| {module} | {ONE_A_FILE[module]} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    parser.add_argument("--ends", nargs="+", default=[".onnx", ".pt2"], choices=[".onnx", ".pt2"])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| file | network | {' | '.join(asked.ends)} |\n|{'---|' * (2 + len(asked.ends))}")
    with tempfile.TemporaryDirectory() as folder:
        for module in asked.families or sorted(ONE_A_FILE):
            print(row(module, asked.ends, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
