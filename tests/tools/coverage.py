"""Which share of timm's names works in explorer: by its own code, and through the door `timm/NAME`.

    python tests/tools/coverage.py                  # every name, shapes only: some minutes
    python tests/tools/coverage.py "vit_*" --limit 20

A name counts as open through the door where all that a `Look` asks of a model works: the model is created,
one pass gives every stage of its table as a map with the channels the table says, and the vector and the
logits come out as rows. The passes run on torch's "meta" device, which works out shapes and no numbers; a
model that timm itself can't build or run there is tried again on the CPU.
"""

from __future__ import annotations

import argparse
import fnmatch
import time
import warnings

import timm
import torch

import explorer
from explorer.models.contract import Stage, VisionModel, evaluation, parameter_place
from explorer.models.watching import walk


def check_map(stage: Stage, found: torch.Tensor) -> None:
    shape = tuple(found.shape)
    assert len(shape) == 4 and shape[1] == stage.channels, f"{stage} gave a map of shape {shape}"


def check(model: VisionModel) -> None:
    """What `explorer.look` does with a model. Raises AssertionError with what is wrong."""
    x = torch.zeros(1, *model.config.input_size, **parameter_place(model))
    with evaluation(model), torch.no_grad():
        features = walk(model, x, after=check_map)
        assert model.stage_table, "no stage found"
        if not model.num_classes:
            vector = model.forward_head(features, pre_logits=True)
            assert vector.ndim in (2, 3, 4), f"the vector has shape {tuple(vector.shape)}"
            return
        vector, logits = model.forward_vector_and_logits(features)
        assert logits.shape == (1, model.num_classes), f"logits of shape {tuple(logits.shape)}"


def through_the_door(name: str) -> str:
    """"" where the door works, else what went wrong."""
    problem = ""
    for device in ("meta", "cpu"):  # some of timm's models ask for a number on the way, which "meta" has not
        try:
            with torch.device(device):
                check(explorer.create_model(f"timm/{name}"))
            return ""
        except Exception as error:  # a report of all names: whatever it is, it is written down
            problem = problem or f"{type(error).__name__}: {error}".partition("\n")[0]
    return problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--limit", type=int, help="try the door of so many names only")
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    names = fnmatch.filter(timm.list_models(), args.pattern)
    own = [name for name in names if explorer.is_model(name)]
    print(f"timm {timm.__version__}: {len(names)} names; by explorer's own code {len(own)} "
          f"({100 * len(own) / len(names):.1f} %)", flush=True)
    started, failed = time.perf_counter(), {}
    tried = names[: args.limit]
    for name in tried:
        if problem := through_the_door(name):
            failed[name] = problem
            print(f"  {name}: {problem}", flush=True)
    print(f"through the door timm/NAME: {len(tried) - len(failed)} of {len(tried)} "
          f"({100 * (1 - len(failed) / len(tried)):.1f} %), {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
