"""A model of several networks as one folder: all weights in one file, and a config that names the parts."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from explorer.files import given_path, make_folder, write_text, write_whole
from explorer.models.contract import VisionModel


def save_parts(model: VisionModel, folder: str | Path) -> Path:
    """Write a folder that `create_model("local-dir:folder", pretrained=True)` opens again.

    Members that were built by hand can't be built from a file: of such an ensemble the weights are written,
    and opening it says which member it is. Raises FileExistsError where something else is in the folder.
    """
    target = given_path(folder, "folder")
    names = ("config.json", "model.safetensors")
    if target.exists() and (not target.is_dir() or {path.name for path in target.iterdir()} - {*names}):
        raise FileExistsError(f"'{target}' is there already and holds something else: give another name.")
    make_folder(target)
    state = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    write_whole(target / "model.safetensors", lambda path: save_file(state, path, metadata={"format": "pt"}))
    own = model.config.as_timm()
    labels = own.pop("labels", None)
    facts = {"architecture": own["architecture"], "num_classes": model.num_classes,
             "num_features": model.num_features, "pretrained_cfg": own}
    facts |= {"label_names": list(labels)} if labels else {}
    write_text(target / "config.json", json.dumps(facts, indent=1, ensure_ascii=False))
    return target
