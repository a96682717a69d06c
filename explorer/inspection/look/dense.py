"""A look with a network for boxes or masks: the pass that finds them keeps every stage's maps too."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.data.transforms import resolve_data_config
from explorer.display import draw
from explorer.inspection.detect.detecting import as_detector, detect_in
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.look.result import Look, Origin
from explorer.inspection.look.tail import fingerprint, ordinary
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.segmenting import as_segmenter, segment_in
from explorer.models.body import OverBody
from explorer.models.contract import Stage
from explorer.models.detection.detector import Detector
from explorer.models.outputs import Outputs

#: A look keeps the candidates of lower scores too; what is shown of them is chosen later.
SCORE = 0.3


def look_at_places(model: OverBody, photo: Image.Image) -> Look:
    """What one pass over one photo showed: `detections` or `segmentation`, and the maps of all stages, those
    of the pyramid or decoder too.

    The embedding is the mean of the backbone's deepest map; there are no predictions and no logits.
    """
    stages: dict[str, Tensor] = {}

    def keep(stage: Stage, found: Tensor) -> None:
        # the next layer may work in place, on this very memory
        stages[stage.name] = ordinary(found[0].detach().clone())

    with evaluating(model):
        mark = fingerprint(model)
        if isinstance(model, Detector):
            model = as_detector(model)
            seen, found = detect_in(model, photo, score_threshold=SCORE, iou_threshold=model.iou_threshold,
                                    after=keep)
            answer: dict[str, Any] = {"detections": found}
        else:
            model = as_segmenter(model)
            seen, found = segment_in(model, photo, preparation(model), after=keep)
            answer = {"segmentation": found}
    timing = dict(found.timing)
    if timing["device"] == "cpu":
        timing["threads"] = torch.get_num_threads()
    deepest = stages[model.body_stages[-1].name]
    look = Look(
        model_name=model_name(model), predictions=[], stages=stages, embedding=deepest.mean((1, 2)),
        logits=torch.zeros(0), input=ordinary(seen), image=photo, seen=draw.thumbnail(photo, max(seen.shape)),
        outputs=Outputs("one", ()), config=resolve_data_config({}, model=model), timing=timing,
        notes=found.notes, **answer,
    )
    look._origin = Origin(weakref.ref(model), mark, None)
    return look
