"""What a run learns boxes or masks from, and strives for, by its model."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch

from explorer.data.places.place_set import PlaceSplits
from explorer.inspection.segment.preparing import preparation
from explorer.models.contract import VisionModel
from explorer.models.surgery.optimized import mostly_convolutions
from explorer.training.loop.aim import Aim
from explorer.training.loop.place_aims import MASK_LOSS, BoxAim, MaskAim
from explorer.training.loop.place_sources import BoxesMade, Made, MasksMade, PlaceSource
from explorer.training.loop.recipe import Recipe
from explorer.training.run.small_photos import Shrink, as_detector_sees, as_segmenter_sees, opened_small

Places = tuple[PlaceSplits, PlaceSource, Aim]


def places_for(model: Any, splits: PlaceSplits, recipe: Recipe, threads: int,
               asked_to_stop: Callable[[], bool]) -> Generator[tuple[int, int], None, Places | None]:
    """Yields (photos opened, of how many); returns (the splits without photos that can't be opened, where
    batches come from, what is striven for), or None where it was asked to stop.
    """
    made, shrink, aim = _ways(model, splits, recipe)
    found = yield from opened_small(splits, shrink, threads=max(threads, 1), asked_to_stop=asked_to_stop)
    if found is None:
        return None
    splits, train, val = found
    if mostly_convolutions(model):  # twice as fast on a CPU; the numbers are the same
        model.to(memory_format=torch.channels_last)
    return splits, PlaceSource(train, val, made, recipe, threads=threads), aim


def _ways(model: VisionModel, splits: PlaceSplits, recipe: Recipe) -> tuple[Made, Shrink, Aim]:
    if recipe.task == "detection":
        return BoxesMade(model.in_chans), as_detector_sees(model), BoxAim(splits.classes)
    prepare = preparation(model)
    return MasksMade(prepare), as_segmenter_sees(prepare), MaskAim(splits.classes, recipe.loss or MASK_LOSS)


