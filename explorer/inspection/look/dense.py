"""A look with a network for boxes: the same pass gives them and every stage's maps."""

from __future__ import annotations

import weakref

import torch
from PIL import Image
from torch import Tensor

from explorer.data.transforms import resolve_data_config
from explorer.display import draw
from explorer.inspection.detect.detecting import detect_in
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.look.result import Look, Origin
from explorer.inspection.look.tail import fingerprint, ordinary
from explorer.models.contract import Stage
from explorer.models.detection.detector import Detector
from explorer.models.outputs import Outputs

#: A look keeps the candidates above this score; what is shown of them is chosen later.
SCORE = 0.3


def look_for_boxes(model: Detector, photo: Image.Image) -> Look:
    """What one pass over one photo showed: `detections`, and the maps of all stages, its pyramid's too.

    The embedding is the mean of the deepest map of the backbone; there are no predictions and no logits.
    """
    stages: dict[str, Tensor] = {}

    def keep(stage: Stage, found: Tensor) -> None:
        # the next layer may work in place, on this very memory
        stages[stage.name] = ordinary(found[0].detach().clone())

    with evaluating(model):
        mark = fingerprint(model)
        seen, found = detect_in(model, photo, score_threshold=SCORE, iou_threshold=model.iou_threshold,
                                after=keep)
    body = model.body.stage_table[-1].name
    embedding = stages[body].mean((1, 2)) if body in stages else torch.zeros(0)
    timing = dict(found.timing)
    if timing["device"] == "cpu":
        timing["threads"] = torch.get_num_threads()
    look = Look(
        model_name=model_name(model), predictions=[], stages=stages, embedding=embedding,
        logits=torch.zeros(0), input=ordinary(seen), image=photo, seen=draw.thumbnail(photo, max(seen.shape)),
        outputs=Outputs("one", ()), config=resolve_data_config({}, model=model), timing=timing,
        notes=found.notes, detections=found,
    )
    look._origin = Origin(weakref.ref(model), mark, None)
    return look
