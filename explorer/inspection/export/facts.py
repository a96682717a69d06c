"""What stands in an exported file beside the weights: names, preprocessing, licence, notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from explorer import __version__
from explorer.data.transforms import resolve_data_config
from explorer.inspection.detect.detecting import names_of as names_of_boxes
from explorer.inspection.export.parts import MAP, Leaving
from explorer.inspection.export.places import box_facts, frame_of, how_to_go_on, place_preprocessing
from explorer.inspection.look.model import notes_on, outputs_of
from explorer.inspection.segment.segmenting import names_of
from explorer.models.detection.detector import Detector
from explorer.models.segmentation.segmenter import Segmenter

MARK = "explorer_version"  # by which explorer knows a file that it wrote


def preprocessing(leaving: Leaving) -> dict[str, Any]:
    """How a photo becomes the input: input_size (C, H, W), mean, std, interpolation, crop_pct, crop_mode.

    Of a network for boxes or masks crop_mode is "whole", see `places.place_preprocessing`: all of the photo,
    in its own proportions.
    """
    model = leaving.model
    if isinstance(model, Segmenter) or isinstance(model, Detector) and not leaving.maps_only:
        return place_preprocessing(model, frame_of(model, leaving.sizes))
    return dict(resolve_data_config({}, model=model))


def facts(leaving: Leaving, prepared: Mapping[str, Any], results: Mapping[str, Tensor]) -> dict[str, Any]:
    """All of it, ready for JSON.

    explorer_version, name, licence ("unknown" where nobody said), task
    labels:        of the classes or numbers, in index order
    outputs:       what the scores mean, one of `explorer.models.outputs.KINDS`; with number_mean and
                   number_std where a score is a number in another unit
    preprocessing: as `preprocessing` gives it
    results:       {name: shape};  stages: {stage: the result that is its map}
    boxes:         of a network for boxes, how to go on from the raw ones, see `places.box_facts`
    notes:         sentences that a reader must know
    """
    model, told, more = leaving.model, {}, ()
    if isinstance(model, Detector) and "boxes" in results:
        boxes = box_facts(model, prepared["input_size"][1:])
        told = {"labels": names_of_boxes(model), "outputs": "boxes", "boxes": boxes}
        more = (how_to_go_on(boxes),)
    elif isinstance(model, Segmenter):
        told = {"labels": names_of(model), "outputs": "one" if model.num_classes > 1 else "yes/no"}
    elif model.num_classes and not leaving.maps_only:
        outputs = outputs_of(model)
        told = {"labels": outputs.labels, "outputs": outputs.kind}
        if outputs.std:
            told |= {"number_mean": outputs.mean, "number_std": outputs.std}
    found = {
        MARK: __version__, "name": leaving.name, "licence": model.config.license or "unknown",
        "task": model.task, **told, "preprocessing": dict(prepared),
        "results": {name: list(result.shape) for name, result in results.items()},
        "stages": {stage: f"{MAP}{stage}" for stage in leaving.stages}, "notes": [*notes_on(model), *more],
    }
    return json.loads(json.dumps(found))
