"""What can be known of a run before it starts, asked at the call: a wrong setting is told at its place.

The settings alone are the recipe's matter (`explorer.training.loop.recipe`); here they meet data, model and
computer.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.data.images import ImageError
from explorer.data.photo_sets import Splits
from explorer.data.places.place_set import PlaceSplits
from explorer.data.transforms import resolve_data_config
from explorer.display.words import counted
from explorer.models.config import check_input_size
from explorer.models.contract import VisionModel, check_device, parameter_place
from explorer.models.doors.wrapped import WrappedModel
from explorer.models.surgery.packing import CANT_LEARN, Packed
from explorer.models.surgery.rates import parameter_groups
from explorer.training.loop.augmentation import create_augmentation
from explorer.training.loop.objective import kind_of
from explorer.training.loop.order import batches_of, drawn_by
from explorer.training.loop.recipe import Recipe, optimizer_class
from explorer.training.run.head import body_of, is_inside
from explorer.training.run.place_checks import check_places
from explorer.training.run.trying import as_it_was

TRIED = 20  # photos, until one opens: an augmentation is tried on it


def check_place(device: Any, input_size: Any) -> None:
    """Raises ValueError for a device that is not there, and for an input size that is none."""
    check_device(device)
    if device is not None and torch.device(device).type == "meta":
        raise ValueError(f"device is {device!r}, on which there are shapes and no numbers: leave it out.")
    check_input_size(input_size)


def check_backbone(backbone: str | None, model: Any, task: str) -> None:
    """Raises ValueError for a backbone where none can be chosen."""
    if backbone is None:
        return
    if task == "classification":
        raise ValueError(f"backbone is {backbone!r}: it is for networks that find boxes or masks, such as "
                         "retinanet or unet. One that tells classes is a backbone itself: give its name.")
    if not isinstance(model, str):
        raise ValueError(f"backbone is {backbone!r}, and the model is there already: create it with that "
                         "backbone, explorer.create_model(name, backbone=...).")


def check_data(recipe: Recipe, splits: Splits | PlaceSplits) -> None:
    """Raises ValueError where the settings do not fit the data."""
    kind_of(splits, recipe)
    weights, classes = recipe.class_weights, splits.train.classes
    if weights is not None and not isinstance(weights, str) and len(weights) != len(classes):
        raise ValueError(f"class_weights has {counted(len(weights), 'number')} for {len(classes)} classes: "
                         "give one for each, in this order: "
                         f"{', '.join(classes[:5])}{', ...' * (len(classes) > 5)}.")


def check_learning(recipe: Recipe, splits: Splits | PlaceSplits, model: VisionModel, *,
                   workers: int = 1) -> None:
    """Raises ValueError where the settings do not fit the model, whose learning parts are chosen already."""
    if any(isinstance(part, Packed) and part.weight.requires_grad for part in model.modules()):
        raise ValueError(CANT_LEARN)
    optimizer_for(model, model, recipe)
    if isinstance(splits, PlaceSplits):
        return check_places(recipe, splits, model, workers=workers)
    if callable(recipe.augment):
        _check_augmentation(recipe, splits, model)
    if workers == 1 and any(len(batch) == 1 for batch in batches_of(len(splits.train), recipe.batch_size)):
        _check_a_lone_photo(recipe, splits, model)
    if isinstance(model, WrappedModel) and not recipe.cached:
        _check_gradient(recipe, model)


def optimizer_for(model: VisionModel, network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of what learns. Raises ValueError for one that can't teach this model.

    network: `model` itself, or the part of it that learns behind a frozen body
    """
    rate, body_rate = recipe.rates
    if recipe.finds_places:
        groups: Any = place_groups(model, recipe)
    elif recipe.train == "head":
        learning = [p for p in network.parameters() if p.requires_grad]
        groups = [{"params": learning, "lr": rate, "weight_decay": recipe.decay}]
    else:
        groups = parameter_groups(model, lr=body_rate, head_lr=rate, weight_decay=recipe.decay,
                                  layer_decay=recipe.layer_decay)
        groups = [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups]
    extra = {"momentum": 0.9, "nesterov": True} if recipe.optimizer.lower() == "sgd" else {}
    try:
        return optimizer_class(recipe.optimizer)(groups, lr=rate, **extra)
    except (ValueError, TypeError, RuntimeError) as error:  # such as Muon, which takes matrices alone
        raise ValueError(f"optimizer {recipe.optimizer!r} can't teach this model "
                         f"({str(error).splitlines()[0]}): choose adamw or sgd.") from None


def place_groups(model: VisionModel, recipe: Recipe) -> list[dict[str, Any]]:
    """What learns of a network for boxes or masks, by rate and weight decay: its body slower than the rest."""
    rate, body_rate = recipe.rates
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for group in parameter_groups(model, lr=body_rate, weight_decay=recipe.decay,
                                  layer_decay=recipe.layer_decay):
        for parameter in group["params"]:
            lr = group["lr"] if is_inside(names[parameter], body_of(model)) else rate
            place = groups.setdefault((lr, group["weight_decay"]), {
                "params": [], "lr": lr, "weight_decay": group["weight_decay"]})
            place["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: group["lr"])  # the last one's rate is told


def _check_augmentation(recipe: Recipe, splits: Splits, model: VisionModel) -> None:
    """One photo through a function of somebody's own, as the run will do it."""
    photo, name = _first_photo(splits)
    if photo is None:
        return  # the run says which photos can't be opened
    called = getattr(recipe.augment, "__name__", type(recipe.augment).__name__)
    config = resolve_data_config({}, model=model)
    with drawn_by(recipe.seed, -4):
        try:
            varied = recipe.augment(photo.copy())
        except Exception as error:
            raise ValueError(f"augment={called} failed with the photo '{name}' ({type(error).__name__}: "
                             f"{error}). It is called with a PIL image, and gives one back.") from error
        if not isinstance(varied, Image.Image):
            raise ValueError(f"augment={called} gave {type(varied).__name__} for the photo '{name}': it is "
                             "called with a PIL image, and gives one back.")
        try:
            shape = tuple(create_augmentation(lambda _: varied, config)(photo).shape)
        except (RuntimeError, ValueError, TypeError):
            shape = ()
    if shape != tuple(config["input_size"]):
        raise ValueError(f"augment={called} made a picture of mode {varied.mode} of the photo '{name}': this "
                         f"model takes {config['input_size'][0]} channels.")


def _first_photo(splits: Splits) -> tuple[Image.Image | None, str]:
    for index in range(min(TRIED, len(splits.train))):
        try:
            return splits.train.open_one(index), splits.train.names[index]
        except ImageError:
            pass
    return None, ""


def _check_a_lone_photo(recipe: Recipe, splits: Splits, model: VisionModel) -> None:
    """BatchNorm that learns takes no mean over one number a channel: one pass finds out whether it must."""
    learning = model.get_classifier() if recipe.cached else model  # behind a frozen body, that rests
    if not any(isinstance(module, _BatchNorm) for module in learning.modules()):
        return
    photo = torch.zeros(1, *resolve_data_config({}, model=model)["input_size"]).to(**parameter_place(model))
    with as_it_was(model), drawn_by(recipe.seed, -4), torch.no_grad():
        model.eval()
        learning.train()
        try:
            model(photo)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                return  # of another kind: the run tells it
            given = f"There is {len(splits.train)} photo to learn from"
            if recipe.batch_size == 1:
                given = "batch_size is 1"
            raise ValueError(f"{given}, and this model has BatchNorm layers that learn from the differences "
                             "within a batch: give 2 photos or more (accumulate= adds batches up), or "
                             "train='head', which leaves the body's alone.") from None
        except RuntimeError:
            return


def _check_gradient(recipe: Recipe, model: VisionModel) -> None:
    """A module of one's own may cut scores off from weights: one pass finds out whether anything can learn.
    """
    photo = torch.zeros(1, *resolve_data_config({}, model=model)["input_size"]).to(**parameter_place(model))
    with as_it_was(model), drawn_by(recipe.seed, -4), torch.enable_grad():
        try:
            learns = model.eval()(photo).requires_grad
        except RuntimeError as error:
            if "Inference tensors" not in str(error):
                return  # of another kind: the run tells it
            learns = False
    if not learns:
        raise ValueError(f"train is {recipe.train!r}, and no gradient can be followed from this model's "
                         "scores to the weights that are to learn: it runs its forward pass under "
                         "torch.no_grad or torch.inference_mode, or detaches what it computes. Take that "
                         "out, or give train='head' with cache=True, which teaches the classifier alone.")
