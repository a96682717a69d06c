"""A trained model as a folder: safetensors, labels, settings and a model card. No code is stored, and none is
run.
"""

from __future__ import annotations

import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from explorer import __version__
from explorer.data.places.place_set import AnySplits
from explorer.files import (
    DiskError,
    beside_folder,
    discard_folder,
    make_folder,
    remove_stale,
    write_text,
    write_whole,
    writing,
)
from explorer.models.contract import VisionModel
from explorer.training.loop.measures import TOP1, best_of, measure_of
from explorer.training.loop.recipe import Recipe
from explorer.training.run.checkpoint import write_json
from explorer.training.run.kept import FOLDER, KeptWeights, save_epochs

FILES = ("run.json", "model.safetensors", "config.json", "README.md")  # what save_run writes, in this order
SAVING = "saving"  # the folder in which they become whole
OURS = SAVING + "|" + "|".join(map(re.escape, FILES))
CARD_SAYS = "trained with explorer"  # in every card
MOST_JSON_BYTES = 256 * 1024**2  # thousands of epochs take one or two


@dataclass(frozen=True)
class Trained:
    """What is to be saved of a run.

    labels: of its classes or numbers;  history: its epochs;  data: what it learnt from and was judged by
    began_with: where its first weights came from;  kept: the weights by epoch, which go along where they are
                small
    taught_by: its teacher, in words
    """

    name: str
    model: VisionModel
    labels: tuple[str, ...]
    recipe: Recipe
    history: list[dict[str, Any]]
    notes: list[str]
    data: AnySplits
    began_with: str
    kept: KeptWeights
    taught_by: str = ""

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best epoch, whose weights the model has; None before the first."""
        return best_of(self.history)


def check_free(folder: Path) -> None:
    """See that `save_run` may write into a folder: it is new, empty, or what `save_run` has written before.

    Raises FileExistsError for anything else, whose files would be written over.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"'{folder}' is a file: give a folder, or a name that is free.")
    remove_stale(folder, OURS)  # of a save that was killed
    there = {path.name for path in folder.iterdir()}
    if there and not _own(folder):
        strange = next(name for name in (*FILES, *sorted(there)) if name in there)
        raise FileExistsError(f"'{folder}' is there already and holds something else ({strange}): give "
                              "another name.")


def _own(folder: Path) -> bool:
    """Whether run.json says that explorer wrote this folder, and the card is the one that it wrote."""
    if "explorer" not in (read_run(folder).get("versions") or ()):
        return False
    try:
        return CARD_SAYS in (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True


def save_run(run: Trained, folder: Path) -> Path:
    """Write a model as timm's hub repositories are: `create_model("local-dir:folder", pretrained=True)` opens
    it.

    A network that came through a door ("timm/NAME", "torchvision/NAME") is built by that library again; one
    that was built by hand must be built so again: `load_run(folder, model=model)`. The weights of each epoch
    go along where they are small, as those of a classifier are. All files are whole in a folder beside their
    places before the first takes its place: what was saved there before stays until then. Raises
    FileExistsError where the folder holds something else already, DiskError where it can't be written.
    """
    from safetensors.torch import save_file

    check_free(folder)
    fresh = not folder.exists()
    make_folder(folder)
    model, config = run.model, run.model.config
    state = _written_weights(model)
    own = {**config.as_timm(), "num_classes": model.num_classes, "tag": "", "hf_hub_id": "", "url": "",
           "input_size": (model.in_chans, *config.input_size[1:])}
    own.pop("labels", None)
    made = beside_folder(folder, SAVING)
    try:
        write_json(made / "run.json", {
            "name": run.name, "data": run.data.name, "recipe": run.recipe.as_dict(), "history": run.history,
            "notes": run.notes, "versions": versions(),
        })
        write_whole(made / "model.safetensors",
                    lambda path: save_file(state, path, metadata={"format": "pt"}))
        write_json(made / "config.json", {
            "architecture": config.architecture, "num_classes": model.num_classes,
            "num_features": model.num_features, "label_names": list(run.labels), "pretrained_cfg": own,
        })
        write_text(made / "README.md", card(run))
        save_epochs(run.kept, made)
        with writing(folder):
            KeptWeights(folder / FOLDER).forget(behind=-1)  # the epochs of another training, from here on
            for name in FILES:
                os.replace(made / name, folder / name)
            if (made / FOLDER).is_dir():
                make_folder(folder / FOLDER)
                for path in (made / FOLDER).iterdir():
                    os.replace(path, folder / FOLDER / path.name)
    except DiskError as error:  # about a file that has not taken its place
        raise DiskError(folder / error.path.name, error) from error
    finally:
        discard_folder(made)
        if fresh:
            with suppress(OSError):  # it is not empty, but for a failure
                folder.rmdir()
    return folder


def _written_weights(model: VisionModel) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    places: set[int] = set()  # in memory: a layer that is used twice is written twice, as the format wants it
    for key, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        state[key] = value.clone() if value.data_ptr() in places else value
        places.add(value.data_ptr())
    return state


def versions() -> dict[str, str]:
    return {"explorer": __version__, "torch": torch.__version__, "python": platform.python_version()}


def card(run: Trained) -> str:
    """The model card: what it is, what it learnt from, how good it is, and what that does not say."""
    best, recipe, config = run.best, run.recipe, run.model.config
    measure = measure_of(run)
    held_out = f"{len(run.data.val)} photos that it did not learn from"
    judged = "not judged yet"
    if best:
        figure = measure.text(best[measure.judged])
        judged = (f"{figure} of {held_out}" if measure is TOP1 else f"{figure}, over {held_out}") + \
            f" (epoch {best['epoch'] + 1} of {recipe.epochs})"
    what = "Numbers, each in its own unit" if measure.noun == "numbers" else "Classes"
    figure = "Right" if measure is TOP1 else f"{measure.name.capitalize()} ({measure.word})"
    settings = "\n".join(f"| {key} | {value} "
                         "|" for key, value in recipe.as_dict().items() if value is not None)
    taught = f"- Taught by: {run.taught_by}\n" if run.taught_by else ""
    license = f" ({config.license})" if config.license else ""
    return (f"# {run.name}\n\n`{config.architecture}`, {CARD_SAYS} {__version__} on {run.data.name}.\n\n- "
            f"{what}: {', '.join(run.labels)}\n- Learnt from: {len(run.data.train)} photos\n{taught}- "
            f"{figure}: {judged}\n- Began with: {run.began_with}{license}\n\n"
            "The figure holds for photos like these. The epoch was chosen by the very photos that judge it, "
            "so it is a little too good; photos from elsewhere may do much worse.\n\n| setting | value "
            f"|\n|---|---|\n{settings}\n")


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` says; empty where there is none that can be read."""
    try:
        facts = read_json(folder / "run.json")
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises ValueError for one that holds something else, or is too large to be a
    run's.
    """
    if path.exists() and (not path.is_file() or path.stat().st_size > MOST_JSON_BYTES):
        raise ValueError(f"'{path}' is no file of a run: it is larger than {MOST_JSON_BYTES // 1024**2} MB, "
                         "or no file at all.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"'{path}' is nested too deep.") from error
