"""Rebuild `explorer/models/weights/weights.json`: size, stages and published weights of every architecture.

Facts only: weights from the metadata of the installed timm, or torchvision for families that timm does not
have (their versions are written into the table); parameters, multiply-adds and stages counted on models
without content; accuracy from timm's tables of results (`imagenet_results*.csv` beside this file) or
torchvision's metadata.

    python tests/tools/build_weights_table.py            # what is missing; what left the catalog goes
    python tests/tools/build_weights_table.py 'swin*'    # these names anew, and no others
    python tests/tools/build_weights_table.py --all      # everything anew (also after an upgrade of timm)

Several runs at a time share the work and don't lose each other's rows. A name that can't be built is reported
and costs only itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.models import get_deprecated_models

try:
    import fcntl
except ImportError:  # Windows: there, don't start two runs at once
    fcntl = None

from explorer.inspection.look.modules import module_tree
from explorer.models.catalog import FAMILY_OF
from explorer.models.config import ModelConfig
from explorer.models.contract import Stage
from explorer.models.create import create_model
from explorer.models.weights.table import TABLE
from tests.tools.dense_facts import dense_entry

RESULTS = tuple(map(Path(__file__).with_name, ("imagenet_results.csv", "imagenet_results_later.csv")))
SOURCE = f"timm {timm.__version__}, torchvision {torchvision.__version__.partition('+')[0]}"
BATCH = 25  # names between two writings of the table
# Published accuracy of the weights that install with explorer (the packages' own descriptions), should the
# table of results not have them.
ACCURACY = {"tf_efficientnet_lite0.in1k": (74.8, 92.2), "tf_efficientnet_lite1.in1k": (76.7, 93.2),
            "tf_efficientnet_lite2.in1k": (77.5, 93.8)}
EMPTY = ModelConfig()
# torchvision's GoogLeNet turns ImageNet-normalised pixels into -1..1 inside the model (`transform_input`): as
# timm does for the Inception that came the same way, the table says so instead.
INSIDE = {"googlenet": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}
# What published weights need and their name alone does not say: timm builds this one with TensorFlow's
# epsilon where it loads its weights, and with PyTorch's where it does not. (A test compares every name, built
# for its weights.)
NEEDED = {"fbnetc_100.rmsp_in1k": {"build_options": (("norm_eps", 1e-3),)}}
# Names that have a paper and no published weights. Digits are small enough to be seen whole.
PAPER = {"lenet5": {"input_size": (1, 32, 32), "min_input_size": (1, 32, 32), "crop_pct": 1.0, "mean": (0.5,),
                    "std": (0.5,), "num_classes": 10, "first_conv": "c1", "classifier": "output",
                    "labels": tuple("0123456789"), "has_weights": False}}


# --- published weights -----------------------------------------------------------------------------------


def facts_of(name: str, tag: str) -> dict:
    """What timm says of one set of weights, less what a ModelConfig says by default."""
    cfg = timm.get_pretrained_cfg(f"{name}.{tag}" if tag else name).to_dict()
    hub_id = cfg.get("hf_hub_id") or ""
    facts = {}
    for field in EMPTY.__dataclass_fields__:
        value = cfg.get(field, getattr(EMPTY, field))
        value = tuple(value) if isinstance(value, list) else value
        left_out = field in ("architecture", "tag", "labels") or value is None
        if not left_out and value != getattr(EMPTY, field):
            facts[field] = value
    facts |= NEEDED.get(f"{name}.{tag}", {})
    if not (hub_id or cfg.get("url")):
        facts["has_weights"] = False
    return facts


def torchvision_entry(name: str) -> dict:
    """What torchvision says of its weights, in timm's words; the default first."""
    with torch.device("meta"):
        options = {"init_weights": False} if name == "googlenet" else {}  # quick, and without a warning
        modules = list(torchvision.models.get_model(name, **options).named_modules())
    layers = [path for path, module in modules if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    weights = torchvision.models.get_model_weights(name)
    params = {w.meta["num_params"] for w in weights}
    assert len(params) == 1, f"{name}: {params}"
    tags = {}
    for w in sorted(weights, key=lambda w: w is not weights.DEFAULT):
        preset, metrics = w.transforms(), w.meta["_metrics"]["ImageNet-1K"]
        (crop,), (resize,) = preset.crop_size, preset.resize_size
        crop_pct = round(crop / resize - 0.0005, 3)  # as timm writes it: 0.875, 0.965
        assert math.floor(crop / crop_pct) == resize, f"{name}: {crop} of {resize}"
        facts = {
            "input_size": (3, crop, crop), "min_input_size": (3, *w.meta["min_size"]),
            "interpolation": preset.interpolation.value, "crop_pct": crop_pct,
            "mean": tuple(preset.mean), "std": tuple(preset.std), "num_classes": len(w.meta["categories"]),
            "first_conv": layers[0], "classifier": layers[-1], "license": "bsd-3-clause", "url": w.url,
            "origin_url": "https://github.com/pytorch/vision", "top1": metrics["acc@1"],
            "top5": metrics["acc@5"], **INSIDE.get(name, {}),
        }
        version = w.name.removeprefix("IMAGENET1K_V")
        tag = "tv_in1k" if version == "1" else f"tv{version}_in1k"
        tags[tag] = {key: value for key, value in facts.items() if value != getattr(EMPTY, key)}
    return {"params": params.pop(), "common": {}, "tags": tags}


def paper_entry(name: str) -> dict:
    with torch.device("meta"):
        model = create_model(name, num_classes=PAPER[name]["num_classes"])
        params = sum(p.numel() for p in model.parameters())
    return {"params": params, "common": PAPER[name], "tags": {"untrained": {}}}


def timm_entry(name: str) -> dict:
    with torch.device("meta"):
        params = sum(p.numel() for p in timm.create_model(name).parameters())
    names = timm.list_models(name, include_tags=True) or [name]
    found = {full.partition(".")[2]: None for full in names if full.partition(".")[0] == name}
    default = timm.get_pretrained_cfg(name).tag or ""
    order = [default, *(tag for tag in found if tag != default)]  # the default first
    found = {tag: facts_of(name, tag) for tag in order}
    shared = {k: v for k, v in found[default].items() if all(k in f and f[k] == v for f in found.values())}
    tags = {tag: {k: v for k, v in facts.items() if k not in shared} for tag, facts in found.items()}
    return {"params": params, "common": shared, "tags": tags}


# --- size and stages ---------------------------------------------------------------------------------------


def entry(name: str) -> dict[str, Any]:
    """The row of one name: params, macs, stages, common facts, tags."""
    facts_from = {"timm": timm_entry, "torchvision": torchvision_entry, "paper": paper_entry}
    family = FAMILY_OF[name]
    published = facts_from[family.oracle](name) if family.task == "classification" else dense_entry(name)
    default = ModelConfig.from_dict({**published["common"], **next(iter(published["tags"].values()))})
    with torch.device("meta"):
        model = create_model(name, num_classes=default.num_classes)
    flops = module_tree(model, default.input_size).flops
    assert flops and flops % 2 == 0, f"{name}: {flops} FLOPs"
    return {"params": published["params"], "macs": flops // 2, "stages": stage_runs(model.stage_table),
            "common": published["common"], "tags": published["tags"]}


def stage_runs(stages: Sequence[Stage]) -> list[list]:
    """[name, channels, reduction] a stage.

    Three or more alike whose names count on are one row, with their count.
    """
    runs: list[list] = []  # [name, channels, reduction, count]
    for stage in stages:
        if runs:
            name, channels, reduction, count = runs[-1]
            number = re.search(r"\d+$", name)
            following = f"{name[:number.start()]}{int(number[0]) + count}" if number else None
            if stage.name == following and (stage.channels, stage.reduction) == (channels, reduction):
                runs[-1][3] += 1
                continue
        runs.append([stage.name, stage.channels, stage.reduction, 1])
    rows = []
    for name, channels, reduction, count in runs:
        if count > 2:
            rows.append([name, channels, reduction, count])
            continue
        number = re.search(r"\d+$", name)
        rows.append([name, channels, reduction])
        if count == 2:
            rows.append([f"{name[:number.start()]}{int(number[0]) + 1}", channels, reduction])
    return rows


# --- published accuracy ------------------------------------------------------------------------------------


#: One measurement: top-1 and top-5 in per cent, side of the photo in pixels.
Result = tuple[float, float, int]


def read_results(path: Path) -> list[tuple[str, Result]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(row["name"].lower(), (float(row["top1"]), float(row["top5"]), int(row["img_size"])))
                for row in rows]


def published_results() -> dict[str, list[Result]]:
    """{"resnet50.a1_in1k": [(81.214, 95.102, 288), (80.382, 94.598, 224)]}."""
    results: dict[str, list[Result]] = {}
    for path in RESULTS:
        for name, result in read_results(path):
            results.setdefault(name, []).append(result)
    return results


def put_accuracy(name: str, row: dict, results: dict[str, list[Result]]) -> dict:
    """The row with the published accuracy of its tags.

    Only what was measured with photos of the size that the weights expect: those are what explorer shows
    them. (Most of them are a little more accurate with larger photos.)
    """
    if FAMILY_OF[name].oracle != "timm":
        return row  # torchvision says it itself; papers' networks have no weights
    common, tags = without_accuracy(row["common"]), {}
    for tag, facts in row["tags"].items():
        facts = tags[tag] = without_accuracy(facts)
        config = ModelConfig.from_dict({**common, **facts})
        if config.num_classes != 1000:
            continue
        own, full = config.input_size[1], f"{name}.{tag}"
        measured = {side: (top1, top5) for top1, top5, side in results.get(full, ())}
        found = measured.get(own) or ACCURACY.get(full)
        if found:
            facts["top1"], facts["top5"] = found
    return {**row, "common": common, "tags": tags}


def without_accuracy(facts: dict) -> dict:
    return {key: value for key, value in facts.items() if key not in ("top1", "top5")}


# --- the table ---------------------------------------------------------------------------------------------


def read_table(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"source": "", "models": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def is_complete(row: dict[str, Any]) -> bool:
    return {"params", "macs", "stages", "common", "tags"} <= row.keys()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: the table is read, merged and replaced in one go."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def merge_into(
    path: Path, built: dict[str, dict], gone: set[str], results: dict[str, list[Result]]
) -> dict[str, Any]:
    """Put the rows that were built into the newest table on disk. Returns the table as written.

    gone: names that left the catalog. Rows of other names, which another run may have written just now, stay.
    """
    with one_at_a_time(path.parent):
        newest = read_table(path)["models"]
        rows = {name: row for name, row in (newest | built).items() if name not in gone}
        order = [name for name in FAMILY_OF if name in rows]
        order += [name for name in rows if name not in FAMILY_OF]  # of a catalog newer than this run's
        rows = {name: put_accuracy(name, rows[name], results) if name in FAMILY_OF else rows[name]
                for name in order}
        timm_only = sorted(set(timm.list_models()) - set(FAMILY_OF) - set(rows))
        old = old_names()
        # one row a line: readable in a diff, and small
        body = ",\n".join(f"{json.dumps(name)}:{compact(row)}" for name, row in rows.items())
        text = (f'{{"source":{json.dumps(SOURCE)},\n"timm_only":{compact(timm_only)},\n'
                f'"old_names":{compact(old)},\n"models":{{\n{body}\n}}}}\n')
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    return {"source": SOURCE, "timm_only": timm_only, "old_names": old, "models": rows}


def old_names() -> dict[str, str]:
    """Names that timm answers with a model of another name -> that name, with the tag of the weights meant.

    A few of timm's point at a tag that was renamed later (`sam` for `sam_in1k`), and fail there: the one that
    goes on from it is meant.
    """
    found = {}
    for old, today in sorted(get_deprecated_models().items()):
        if today is None:  # gone for good
            continue
        name, _, tag = today.partition(".")
        tags = [full.partition(".")[2] for full in timm.list_models(f"{name}.*", include_tags=True)]
        if tag and tag not in tags:
            (tag,) = (each for each in tags if each.startswith(f"{tag}_"))
        found[old] = f"{name}.{tag}" if tag else name
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="build these anew; wildcards allowed")
    parser.add_argument("--all", action="store_true", help="build every row anew")
    parser.add_argument("--table", type=Path, default=TABLE,
                        help="where the table is (default: explorer's own)")
    args = parser.parse_args(argv)

    before = read_table(args.table)
    afresh = args.all or bool(args.patterns) or before["source"] != SOURCE
    patterns = args.patterns or ["*"]
    chosen = [name for name in FAMILY_OF if any(fnmatchcase(name, pattern) for pattern in patterns)]
    missing = [name for name in chosen if afresh or not is_complete(before["models"].get(name, {}))]
    random.shuffle(missing)  # several runs at a time begin at different ends
    gone = set(before["models"]) - set(FAMILY_OF)
    results = published_results()
    newest, built, failed = before, {}, {}
    for count, name in enumerate(missing, start=1):
        if not afresh and is_complete(newest["models"].get(name, {})):
            continue  # another run was faster
        try:
            built[name] = entry(name)
        except Exception as error:  # a family that is being written
            failed[name] = error
        if count % BATCH == 0:
            newest = merge_into(args.table, built, gone, results)
            print(f"{count} of {len(missing)}", flush=True)
    table = merge_into(args.table, built, gone, results)

    tags = [(name, facts) for name, row in table["models"].items() for facts in row["tags"].values()]
    with_figure = sum("top1" in facts for _, facts in tags)
    print(f"{len(table['models'])} architectures ({len(built)} built now, {len(gone)} gone), "
          f"{len(tags)} sets of weights, {with_figure} with published accuracy, "
          f"{args.table.stat().st_size // 1024} KiB from {SOURCE}")
    for name, error in failed.items():
        first_line = (str(error).splitlines() or [""])[0][:200]
        print(f"Not built: {name} ({type(error).__name__}: {first_line})", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
