"""Rebuild `explorer/models/weights.json`: the published tags of every architecture in the catalog.

Facts only, taken from the metadata of the installed timm (its version is written into the table):

    python tests/tools/build_weights_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch

from explorer.models.catalog import FAMILY_OF
from explorer.models.config import ModelConfig
from explorer.models.weights import TABLE

# Published single-crop ImageNet-1k validation accuracy of the weights that install with explorer
# (the packages' own descriptions).
ACCURACY = {"tf_efficientnet_lite0.in1k": (74.8, 92.2), "tf_efficientnet_lite1.in1k": (76.7, 93.2),
            "tf_efficientnet_lite2.in1k": (77.5, 93.8)}
EMPTY = ModelConfig()


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


def entry(name: str) -> dict:
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
    known = [name for name in FAMILY_OF if timm.is_model(name)]
    table = {"source": f"timm {timm.__version__}", "models": {name: entry(name) for name in known}}
    lines = [f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in table["models"].items()]
    body = ",\n".join(lines)
    TABLE.write_text(f'{{"source": {json.dumps(table["source"])},\n"models": {{\n{body}\n}}}}\n', encoding="utf-8")
    print(f"{len(known)} architectures, {sum(len(e['tags']) for e in table['models'].values())} sets of weights, "
          f"{Path(TABLE).stat().st_size // 1024} KiB from {table['source']}")


if __name__ == "__main__":
    main()
