"""What can be known of a run that learns boxes or masks before it starts."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.data.errors import ImageError
from explorer.data.folders import DataError
from explorer.data.places.augment import Augmented
from explorer.data.places.place_set import PlaceSplits
from explorer.models.contract import VisionModel
from explorer.training.evaluation.coco_tables import check_pycocotools
from explorer.training.loop.order import batches_of, drawn_by
from explorer.training.loop.recipe import Recipe

TRIED = 20  # photos, until one opens: an augmentation is tried on it


def check_places(recipe: Recipe, splits: PlaceSplits, model: VisionModel, *, workers: int) -> None:
    """Raises ValueError or DataError where settings, data and model do not fit each other."""
    if workers > 1:
        raise ValueError(f"A network for {splits.train.kind} learns in one process, and here are {workers}: "
                         "start one.")
    if model.in_chans not in (1, 3):
        raise ValueError(f"This model reads {model.in_chans} channels, and photos with {splits.train.kind} "
                         "have three.")
    if not len(splits.train) or not len(splits.val):
        raise DataError(f"'{splits.name}' has {len(splits.train)} photos to learn from and {len(splits.val)} "
                        "to judge by: give one at least of both.")
    if splits.train.boxes is not None:
        check_pycocotools()
        _check_boxes(splits)
        if getattr(model, "has_masks", False):
            raise DataError(f"{model.config.architecture} learns a mask for each box too, and "
                            f"'{splits.name}' has boxes alone: take a network for boxes, such as "
                            "fasterrcnn_resnet50_fpn.")
    _try_augmentation(recipe, splits)
    _check_a_lone_photo(recipe, splits, model)


def _check_boxes(splits: PlaceSplits) -> None:
    for photos, purpose in ((splits.train, "to learn from"), (splits.val, "to judge by")):
        if not any(photos.counts().values()):
            raise DataError(f"The {len(photos)} photos {purpose} of '{splits.name}' have no box that counts: "
                            "give some with boxes.")


def _try_augmentation(recipe: Recipe, splits: PlaceSplits) -> None:
    """One photo through a function of somebody's own, as the run will do it."""
    if not callable(recipe.augment):
        return
    vary: Any = Augmented(recipe.augment)
    for index in range(min(TRIED, len(splits.train))):
        try:
            photo, places = splits.train[index]
        except ImageError:
            continue
        called = getattr(recipe.augment, "__name__", type(recipe.augment).__name__)
        with drawn_by(recipe.seed, -4):
            try:
                vary(photo.copy(), places)
            except Exception as error:
                raise ValueError(f"augment={called} failed with the photo '{splits.train.names[index]}' "
                                 f"({type(error).__name__}: {error}). It is called as a transform of "
                                 "torchvision.transforms.v2 is.") from error
        return


def _check_a_lone_photo(recipe: Recipe, splits: PlaceSplits, model: VisionModel) -> None:
    """BatchNorm that learns sees many places of one photo, but of some maps only one: then it needs two."""
    if not any(len(batch) == 1 for batch in batches_of(len(splits.train), recipe.batch_size)):
        return
    model.train()
    learning = [part for part in model.modules() if isinstance(part, _BatchNorm) and part.training]
    model.eval()
    if not learning:
        return
    given = "batch_size is 1" if recipe.batch_size == 1 else f"There is {len(splits.train)} photo to learn from"
    raise ValueError(f"{given}, and this model has BatchNorm layers that learn from the differences within a "
                     "batch: give 2 photos or more (accumulate= adds batches up).")
