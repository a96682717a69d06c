"""What stands in an exported file beside the weights: names, preprocessing, licence, notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from explorer import __version__
from explorer.data.transforms import resolve_data_config
from explorer.inspection.export.parts import MAP, Leaving
from explorer.inspection.look.model import notes_on, outputs_of
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.segmenting import names_of
from explorer.models.segmentation.segmenter import Segmenter

MARK = "explorer_version"  # by which explorer knows a file that it wrote


def preprocessing(leaving: Leaving) -> dict[str, Any]:
    """How a photo becomes the input: input_size (C, H, W), mean, std, interpolation, crop_pct, crop_mode.

    Of a network for masks crop_mode is "contain": the whole photo, made to fit into the input in its own
    proportions, at the top left; the rest is the mean colour.
    """
    model = leaving.model
    config = dict(resolve_data_config({}, model=model))
    if isinstance(model, Segmenter):
        prepare = preparation(model)
        sides = prepare.exactly or config["input_size"][1:]
        high, wide = (-(-side // prepare.multiple) * prepare.multiple for side in sides)
        config |= {"input_size": (model.in_chans, high, wide), "crop_pct": 1.0, "crop_mode": "contain"}
    return config


def facts(leaving: Leaving, prepared: Mapping[str, Any], results: Mapping[str, Tensor]) -> dict[str, Any]:
    """All of it, ready for JSON.

    explorer_version, name, licence ("unknown" where nobody said), task
    labels:        of the classes or numbers, in index order
    outputs:       what the scores mean, one of `explorer.models.outputs.KINDS`; with number_mean and
                   number_std where a score is a number in another unit
    preprocessing: as `preprocessing` gives it
    results:       {name: shape};  stages: {stage: the result that is its map}
    notes:         sentences that a reader must know
    """
    model, told = leaving.model, {}
    if isinstance(model, Segmenter):
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
        "stages": {stage: f"{MAP}{stage}" for stage in leaving.stages}, "notes": notes_on(model),
    }
    return json.loads(json.dumps(found))
