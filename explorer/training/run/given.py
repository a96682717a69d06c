"""What `finetune` is given, opened: which task the model is for, and the data as that task reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from explorer.data.checks import named_as, ordered_as
from explorer.data.datasets import check_for_places, open_data
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import AnySplits, PlaceSplits, held_out
from explorer.models.catalog.detection import BEHIND_TORCHVISION
from explorer.models.doors.settings import open_door
from explorer.models.names import LIBRARIES, door_of, split_name
from explorer.models.surgery.inside import look_through
from explorer.models.tasks import task_of_name
from explorer.models.weights.table import config_for
from explorer.training.loop.recipe import Recipe
from explorer.training.run.head import labels_known


def task_of(model: Any) -> str:
    """"detection", "segmentation", else "classification". Of a name nothing is built, of a folder its
    config.json is read.
    """
    if isinstance(model, nn.Module):
        return getattr(look_through(model), "task", "classification")
    if not isinstance(model, str):
        return "classification"  # no model: whoever makes it ready has the words for it
    door, inside = door_of(model)
    if not door:
        return task_of_name(model) or "classification"
    if door in LIBRARIES:
        found = door == "torchvision" and inside.partition(".")[0] in BEHIND_TORCHVISION
        return "detection" if found else "classification"
    return task_of(open_door(door, inside)[0].architecture)


def data_for(model: Any, data: Any, recipe: Recipe) -> AnySplits:
    """The data as the model's task reads it, its classes in the order that the model knows them in.

    Raises DataError for data of another task.
    """
    if not recipe.finds_places:
        return ordered_as(labels_known(model), open_data(data, seed=recipe.seed, outputs=recipe.outputs))
    check_for_places(data, recipe.task)
    known = _names_known(model)
    return ordered_as(known, named_as(known, place_splits(data, recipe.task, recipe.seed)))


def _names_known(model: Any) -> Sequence[str]:
    """The names of the classes that a model tells, or the trained weights of a name; () where nobody says."""
    if not isinstance(model, str) or not task_of_name(model):
        return labels_known(model)
    config = config_for(*split_name(model.strip()))
    return config.labels if len(config.labels or ()) == config.num_classes else ()


def place_splits(data: Any, task: str, seed: int) -> PlaceSplits:
    """Whatever `open_places` takes, in two parts: of a set in one piece a fifth is held out."""
    found = open_places(data, task, seed=seed)
    if isinstance(found, PlaceSplits):
        return found
    name = os.path.basename(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else \
        found.name or "the data"
    return held_out(name, found, 0.2, seed)
