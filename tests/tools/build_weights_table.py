"""Rebuild `explorer/models/weights.json`: the published tags of every architecture in the catalog.

Facts only, taken from the metadata of the installed timm, or torchvision for families that timm does not have
(their versions are written into the table):

    python tests/tools/build_weights_table.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import timm
import torch
import torchvision

from explorer.models.catalog import FAMILY_OF
from explorer.models.config import ModelConfig
from explorer.models.factory import create_model
from explorer.models.weights import TABLE

# Published single-crop ImageNet-1k validation accuracy of the weights that install with explorer
# (the packages' own descriptions).
ACCURACY = {"tf_efficientnet_lite0.in1k": (74.8, 92.2), "tf_efficientnet_lite1.in1k": (76.7, 93.2),
            "tf_efficientnet_lite2.in1k": (77.5, 93.8)}
EMPTY = ModelConfig()
# torchvision's GoogLeNet turns ImageNet-normalised pixels into -1..1 inside the model (`transform_input`): as timm
# does for the Inception that came the same way, the table says so instead.
INSIDE = {"googlenet": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}
# Names that have a paper and no published weights. Digits are small enough to be seen whole.
PAPER = {"lenet5": {"input_size": (1, 32, 32), "min_input_size": (1, 32, 32), "crop_pct": 1.0, "mean": (0.5,),
                    "std": (0.5,), "num_classes": 10, "first_conv": "c1", "classifier": "output",
                    "labels": tuple("0123456789"), "has_weights": False}}


def facts_of(name: str, tag: str) -> dict:
    """What timm says of one set of weights, less what a ModelConfig says by default."""
    cfg = timm.get_pretrained_cfg(f"{name}.{tag}" if tag else name).to_dict()
    hub_id = cfg.get("hf_hub_id") or ""
    facts = {}
    for field in EMPTY.__dataclass_fields__:
        value = cfg.get(field, getattr(EMPTY, field))
        value = tuple(value) if isinstance(value, list) else value
        if field not in ("architecture", "tag", "labels") and value is not None and value != getattr(EMPTY, field):
            facts[field] = value
    if not (hub_id or cfg.get("url")):
        facts["has_weights"] = False
    if f"{name}.{tag}" in ACCURACY:
        facts["top1"], facts["top5"] = ACCURACY[f"{name}.{tag}"]
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
            "origin_url": "https://github.com/pytorch/vision", "top1": metrics["acc@1"], "top5": metrics["acc@5"],
            **INSIDE.get(name, {}),
        }
        version = w.name.removeprefix("IMAGENET1K_V")
        tag = "tv_in1k" if version == "1" else f"tv{version}_in1k"
        tags[tag] = {key: value for key, value in facts.items() if value != getattr(EMPTY, key)}
    return {"params": params.pop(), "common": {}, "tags": tags}


def paper_entry(name: str) -> dict:
    with torch.device("meta"):
        params = sum(p.numel() for p in create_model(name, num_classes=PAPER[name]["num_classes"]).parameters())
    return {"params": params, "common": PAPER[name], "tags": {"untrained": {}}}


def entry(name: str) -> dict:
    if FAMILY_OF[name].oracle != "timm":
        return {"torchvision": torchvision_entry, "paper": paper_entry}[FAMILY_OF[name].oracle](name)
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


def main() -> None:
    source = f"timm {timm.__version__}, torchvision {torchvision.__version__.partition('+')[0]}"
    table = {"source": source, "models": {name: entry(name) for name in FAMILY_OF}}
    lines = [f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in table["models"].items()]
    body = ",\n".join(lines)
    timm_only = json.dumps(sorted(set(timm.list_models()) - set(FAMILY_OF)))
    TABLE.write_text(f'{{"source": {json.dumps(table["source"])},\n"timm_only": {timm_only},\n"models": {{\n{body}\n}}}}\n', encoding="utf-8")
    print(f"{len(FAMILY_OF)} architectures, {sum(len(e['tags']) for e in table['models'].values())} sets of weights, "
          f"{Path(TABLE).stat().st_size // 1024} KiB from {table['source']}")


if __name__ == "__main__":
    main()
