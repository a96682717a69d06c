"""`load_run`: a trained model back from its folder, with its history and settings.

    run = load_run("my flowers")                  # what Run.save wrote
    run = load_run("runs/flowers")                # or the run_dir of a run that still goes on, or was cut off
    run.model, run.labels, run.best, run.history
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from html import escape
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from explorer.arguments import checked, network
from explorer.files import given_path
from explorer.inspection.look.model import labels_of
from explorer.models.building import check_room
from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel
from explorer.models.create import create_model
from explorer.models.doors.saved import SAVED_OPTIONS
from explorer.models.doors.settings import MOST_SIDE, check_config, open_door
from explorer.models.doors.wrapping import wrap
from explorer.models.names import LIBRARIES, check_name, is_model, split_door
from explorer.models.surgery.inside import look_through, photo_size
from explorer.models.weights.choosing import own_tensors
from explorer.models.weights.kinds import read_content
from explorer.models.weights.loading import examine, load_into
from explorer.models.weights.reading import check_sizes, read_checkpoint
from explorer.models.weights.report import LoadReport
from explorer.models.weights.shapes import rows_in
from explorer.models.weights.table import config_for
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.features import Classifier
from explorer.training.loop.measures import best_of, best_text, epochs_html, measure_in, measure_of
from explorer.training.loop.objective import width_of
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import MOST_EPOCHS, Recipe, augmentations_of
from explorer.training.run import checkpoint
from explorer.training.run.home import HasLivePage
from explorer.training.run.kept import FOLDER, HasCheckpoints, KeptWeights
from explorer.training.run.saving import read_json, read_run

MOST_PARTS = 20  # of a loss


@dataclass(eq=False, repr=False)
class LoadedRun(HasCheckpoints, HasLivePage):
    """A run that is over, or was when its folder was written. It shows itself as a table in a notebook.

    model, labels: the trained model, in evaluation mode, and its classes;  folder: where it comes from
    history: one dict an epoch;  recipe: its settings;  data_name: what it learnt from;  notes: sentences
    checkpoints, model_at(epoch): the epochs whose weights the folder has, and the model as it was then
    """

    name: str
    folder: Path
    model: VisionModel
    labels: tuple[str, ...]
    recipe: Recipe
    history: list[dict[str, Any]] = field(default_factory=list)
    data_name: str = ""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        whole = sum(value.nbytes for value in self.model.state_dict().values())
        self.kept = KeptWeights(self.folder / FOLDER, largest=2 * whole + 1024**2)

    @property
    def best(self) -> dict[str, Any] | None:
        """The dict of the best epoch, whose weights the model has; None before the first."""
        return best_of(self.history)

    def __repr__(self) -> str:
        best = self.best
        top = f", best {best_text(self)} in epoch {best['epoch'] + 1}" if best else ""
        classes = measure_of(self).noun == "classes"
        what = f"{len(self.labels)} classes" if classes else ", ".join(self.labels)
        return f"LoadedRun({self.name!r}, {len(self.history)} of {self.recipe.epochs} epochs{top}, {what})"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.notes)
        return f"<div><b>{escape(repr(self))}</b>{epochs_html(self)}<ul>{notes}</ul></div>"


@checked(model=network)
def load_run(path: str | os.PathLike, *, model: nn.Module | None = None) -> LoadedRun:
    """Open a folder that `Run.save` wrote, or the run_dir of a run, whose best weights so far are taken.

    model: for a run that was started with a model of one's own, not with a name: that model, built again,
           whose weights then become the run's. A run_dir's checkpoint holds what learnt; a frozen body comes
           from where it came from before

    No code in the folder is run. Raises TrainingError for a folder that holds neither, or no whole
    checkpoint; WeightsError where the frozen body's weights can't be had.
    """
    folder = given_path(path)
    if (folder / "config.json").is_file():
        return _saved(folder, model)
    if (folder / checkpoint.RECIPE).is_file():
        return _run_dir(folder, model)
    what = "holds no run: neither config.json, as Run.save writes it, nor recipe.json, as a run_dir has" \
        if folder.is_dir() else "is no folder"
    raise TrainingError(f"'{folder}' {what}. Give the folder of run.save(...), or the run_dir of finetune.")


def _saved(folder: Path, model: nn.Module | None) -> LoadedRun:
    facts = read_run(folder)
    net = create_model(f"local-dir:{folder}", pretrained=True) if model is None else _filled(model, folder)
    labels = labels_of(net.eval())
    notes, recipe = [str(note) for note in listed(facts.get("notes"))], Recipe()
    if not facts:
        notes.append("The folder has no run.json: how the model was trained is unknown.")
    else:
        try:
            recipe = recipe_from(facts.get("recipe", {}))
        except (ValueError, TypeError) as error:
            notes.append("The settings in run.json can't be, so how the model was trained is unknown: "
                         f"{error}")
    return LoadedRun(str(facts.get("name") or folder.name), folder, net, labels, recipe,
                     history_from(facts.get("history")), str(facts.get("data", "")), notes)


def _wrapped(module: nn.Module, config: ModelConfig) -> VisionModel:
    """A module of one's own that takes photos of the saved size; a model of explorer as it is."""
    ours = isinstance(module, nn.Module) and isinstance(look_through(module), VisionModel)
    size = None if ours else config.input_size
    return wrap(module, input_size=size, outputs=_numbers(config))


def _filled(module: nn.Module, folder: Path) -> VisionModel:
    """A model of one's own with the weights that `Run.save` wrote. Raises WeightsError where they don't fit.
    """
    config, found = open_door("local-dir", str(folder))
    model = _wrapped(module, config)
    if model.num_classes != config.num_classes:
        model.reset_classifier(config.num_classes)
    report = LoadReport(source=f"the file {found.name}", name=config.name)
    tensors = own_tensors(model, read_checkpoint(found), report)
    load_into(model, tensors, report, trained_chans=config.input_size[0])
    if model.fixed_image_size:  # it may be built for photos of another size than the saved one
        config = config.with_(input_size=(config.input_size[0], *photo_size(model)[1:]), test_input_size=None)
    model.config, model.load_report = config, report
    model.claim_head()
    return model


def _numbers(config: ModelConfig) -> str | None:
    """What `wrap` must be told: of numbers nothing at a module's end is left out."""
    return "numbers" if config.outputs == "numbers" else None


def _run_dir(folder: Path, model: nn.Module | None) -> LoadedRun:
    try:
        recipe = recipe_from(read_json(folder / checkpoint.RECIPE))
        facts = read_json(folder / checkpoint.MODEL)
        content = read_content(folder / checkpoint.LAST)
        weights, notes = content["best_weights"], []
        if not weights:
            weights = content["network"]
            notes.append(f"No epoch was over: these are the weights of step {content['step']}, which nobody "
                         "has judged.")
        labels, config = tuple(map(str, facts["labels"])), ModelConfig.from_dict(facts["config"])
        config = config.with_(labels=labels, num_classes=width_of(config.outputs, len(labels)))
        check_config(config)
        channels = facts["channels"]
        whole = channels is None or type(channels) is int
        if not whole or not {"name", "by_name", "pretrained"} <= facts.keys():
            raise ValueError("another program's")
        named = all(isinstance(name, str) for name in weights)
        if not named or not all(isinstance(value, torch.Tensor) for value in weights.values()):
            raise ValueError("no weights")
        check_sizes(weights, checkpoint.LAST, (folder / checkpoint.LAST).stat().st_size)
        too_many = len(labels) > 1 + max(rows_in(weights), default=0)
        if too_many or not 1 <= (channels or 1) <= MOST_SIDE:
            raise ValueError("a larger model's")
        history = history_from(checkpoint.past_epochs(folder, content["epoch"]))
    except FileNotFoundError as error:
        raise TrainingError(f"The run in '{folder}' has no {Path(error.filename).name}: it was cut off "
                            "before its first checkpoint. Start it again.") from error
    except Exception as error:  # whatever a broken or foreign file can raise
        raise TrainingError(f"The run in '{folder}' can't be opened: a file in it is damaged "
                            f"({type(error).__name__}).") from error

    net = _network_for(facts, recipe, weights, folder) if model is None else _wrapped(model, config)
    if net.num_classes != config.num_classes:
        net.reset_classifier(config.num_classes)
    parts = (net, Classifier(net))  # what learnt: everything, or behind a frozen body the classifier
    fitting = next((part for part in parts if part.state_dict().keys() == weights.keys()), None)
    try:
        if fitting is None:
            raise RuntimeError("other layers")
        fitting.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"The checkpoint in '{folder}' is of another model than "
                            f"{config.name or 'this one'}: give the one that the run began with, "
                            "load_run(path, model=...).") from error
    net.config = config
    net.claim_head()
    net.load_report = LoadReport(source=f"the run in {folder}", name=config.name, loaded=len(weights))
    examine(weights, fitting.state_dict(), net.load_report)
    return LoadedRun(str(facts.get("run") or folder.name), folder, net.eval(), labels, recipe, history,
                     str(facts.get("data", "")), notes)


def _network_for(facts: dict[str, Any], recipe: Recipe, weights: dict[str, Any], folder: Path) -> VisionModel:
    """The network that the run began with, built again: with its trained weights only where the checkpoint
    lacks them."""
    name, by_name = str(facts["name"]), bool(facts["by_name"])
    classes = width_of(ModelConfig.from_dict(facts["config"]).outputs, len(facts["labels"]))
    options: dict[str, Any] = {} if facts["channels"] is None else {"in_chans": int(facts["channels"])}
    if by_name and facts["pretrained"] and is_model(name):
        needed = dict(config_for(*check_name(name)).build_options)
    else:
        needed = {}
    if not by_name:
        config = ModelConfig.from_dict(facts["config"])
        name = config.built_as or name
        options |= dict(config.build_options)
    elif "backbone" in (built := dict(ModelConfig.from_dict(facts["config"]).build_options)):
        options["backbone"] = built["backbone"]
    if by_name or is_model(name):  # of the catalog: whatever a file can hold
        known = None not in options.values()
    else:
        known = split_door(name)[0] in LIBRARIES and not options.keys() - {"in_chans", *SAVED_OPTIONS}
    if not known:
        raise TrainingError(f"The run in '{folder}' began with a model of your own: give it, "
                            "load_run(path, model=...).")
    # A body that was frozen is not in the checkpoint. Keys of a classifier alone begin with "layers.".
    body_missing = recipe.train == "head" and all(key.startswith("layers.") for key in weights)
    if body_missing and not by_name:
        raise TrainingError(f"The run in '{folder}' taught only the classifier of a model of yours, and "
                            "holds no more than that: give the model, load_run(path, model=...).")
    pretrained = body_missing and bool(facts["pretrained"])
    check_room(name, str(folder), num_classes=classes, **options)
    with drawn_by(recipe.seed, -2):  # as finetune does: a random body that was never trained is drawn again
        return create_model(name, pretrained=pretrained, num_classes=classes, **(needed | options))


class _Lost:
    """An augmentation that was a function of the program that trained: its name is known, what it did is
    not."""

    def __init__(self, name: str):
        self.__name__ = name

    def __call__(self, image: Image.Image) -> Image.Image:
        raise TrainingError(f"The augmentation {self.__name__!r} was a function of the program that trained. "
                            "To train again, give it: finetune(..., augment=...).")


def recipe_from(facts: dict[str, Any]) -> Recipe:
    """The settings as they were written down; a setting that this version does not know is left out.

    Raises ValueError or TypeError for settings that can't be.
    """
    if not isinstance(facts, dict):
        raise TypeError(f"settings are a table of names and values, not a {type(facts).__name__}.")
    known = {f.name for f in fields(Recipe)}
    given = {key: value for key, value in facts.items() if key in known}
    names = augmentations_of(str(given.get("task", "classification")))
    if given.get("augment") is not None and str(given["augment"]) not in names:
        given["augment"] = _Lost(str(given["augment"]))
    return Recipe(**given)


def history_from(rows: Any) -> list[dict[str, Any]]:
    """The epochs of a file that anybody may have written: a row whose figures are none is left out."""
    def number(value: Any) -> bool:
        is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_one and not abs(value) > 1e30  # NaN is one

    kept = []
    for row in listed(rows):
        epoch = row.get("epoch") if isinstance(row, dict) else None
        if type(epoch) is not int or not 0 <= epoch < MOST_EPOCHS:
            continue
        measure = measure_in(row)
        figures = ("loss", "val_loss", measure.judged, *[measure.key] * measure.learnt)
        if all(number(row.get(name)) for name in figures) and number(row.get("seconds", 0)):
            parts = {name: row[name] for name in ("parts", "val_parts") if name in row}
            row = {key: value for key, value in row.items() if key not in parts}
            sound = {name: values for name, values in parts.items() if isinstance(values, dict)
                     and len(values) <= MOST_PARTS and all(map(number, values.values()))}
            kept.append({**row, "seconds": row.get("seconds", 0.0), **sound})
    return kept


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
