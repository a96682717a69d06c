"""A trained model as a folder: safetensors, labels, settings and a model card. No code is stored, and none is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer import __version__
from explorer.training.checkpoint import write_json, write_whole
from explorer.training.kept import save_epochs

if TYPE_CHECKING:
    import torch

    from explorer.training.run import Run

MOST_JSON_BYTES = 256 * 1024**2  # thousands of epochs take one or two


def save_run(run: Run, folder: Path) -> Path:
    """Write `run.model` as timm's hub repositories are: `create_model("local-dir:folder", pretrained=True)` opens it.

    A network that came through a door ("timm/NAME", "torchvision/NAME") is built by that library again; one that was built by
    hand must be built so again: `load_run(folder, model=model)`.
    The weights of each epoch go along where they are small, as those of a classifier are.
    Raises FileExistsError where the folder holds something else already.
    """
    from safetensors.torch import save_file

    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "config.json").is_file())):
        raise FileExistsError(f"'{folder}' is there already and holds something else: give another name.")
    folder.mkdir(parents=True, exist_ok=True)
    model, config = run.model, run.model.config
    state: dict[str, torch.Tensor] = {}
    places: set[int] = set()  # in memory: a layer that is used twice is written twice, as the format wants it
    for key, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        state[key] = value.clone() if value.data_ptr() in places else value
        places.add(value.data_ptr())
    write_whole(folder / "model.safetensors", lambda path: save_file(state, path, metadata={"format": "pt"}))
    own = {**config.as_timm(), "num_classes": model.num_classes, "tag": "", "hf_hub_id": "", "url": "",
           "input_size": (model.in_chans, *config.input_size[1:])}
    own.pop("labels", None)
    write_json(folder / "config.json", {
        "architecture": config.architecture, "num_classes": model.num_classes, "num_features": model.num_features,
        "label_names": list(run.labels), "pretrained_cfg": own,
    })
    write_json(folder / "run.json", {"name": run.name, "data": run.data.name, "recipe": run.recipe.as_dict(),
                                     "history": run.history, "notes": run.notes, "versions": versions()})
    save_epochs(run.kept, folder)
    write_whole(folder / "README.md", lambda path: path.write_text(card(run), encoding="utf-8"))
    return folder


def versions() -> dict[str, str]:
    import platform

    import torch

    return {"explorer": __version__, "torch": torch.__version__, "python": platform.python_version()}


def card(run: Run) -> str:
    """The model card: what it is, what it learnt from, how good it is, and what that does not say."""
    best, recipe, config = run.best, run.recipe, run.model.config
    judged = (f"{100 * best['val_top1']:.1f} % of {len(run.data.val)} photos that it did not learn from "
              f"(epoch {best['epoch'] + 1} of {recipe.epochs})" if best else "not judged yet")
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe.as_dict().items() if value is not None)
    return (f"# {run.name}\n\n`{config.architecture}`, trained with explorer {__version__} on {run.data.name}.\n\n"
            f"- Classes: {', '.join(run.labels)}\n- Learnt from: {len(run.data.train)} photos\n- Right: {judged}\n"
            f"- Began with: {run.began_with}"
            f"{f' ({config.license})' if config.license else ''}\n\n"
            "The figure holds for photos like these. The epoch was chosen by the very photos that judge it, so it is a "
            "little too good; photos from elsewhere may do much worse.\n\n"
            f"| setting | value |\n|---|---|\n{settings}\n")


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` says; empty where there is none that can be read."""
    try:
        facts = read_json(folder / "run.json")
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises ValueError for one that holds something else, or is too large to be a run's."""
    if path.exists() and (not path.is_file() or path.stat().st_size > MOST_JSON_BYTES):
        raise ValueError(f"'{path}' is no file of a run: it is larger than {MOST_JSON_BYTES // 1024**2} MB, or no file at all.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"'{path}' is nested too deep.") from error
