"""Heat maps for a box that a network found, and for a class or region of a mask.

    explain(detector, "blood.jpg", box=0)                   # Grad-CAM of the best box's score
    explain(detector, "blood.jpg", target="WBC")            # of the best box of that class
    explain(segmenter, "cells.png", target="cell", region=(l, t, r, b))
    heat_of_box(look(detector, photo), 2)                   # from a look, for a panel

`questions.py` says which score that is; the arithmetic is that of every other heat map.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, whole
from explorer.data.transforms import resolve_data_config
from explorer.inspection.attribution.methods import Method, check_options, find_method
from explorer.inspection.attribution.occlusion import Step
from explorer.inspection.attribution.place_result import PlaceAttribution
from explorer.inspection.attribution.place_tasks import PlacePasses, PlaceTask, check_batch
from explorer.inspection.attribution.questions import BoxQuestion, Question, RegionQuestion
from explorer.inspection.attribution.steps import in_frame
from explorer.inspection.attribution.tasks import Found
from explorer.inspection.detect.result import Detections
from explorer.inspection.look.dense import SCORE
from explorer.inspection.look.frame import covered, covered_box, laid_over
from explorer.inspection.look.model import model_name
from explorer.inspection.look.result import Look, still_holds
from explorer.models.detection.detector import Detector
from explorer.models.outputs import Outputs
from explorer.models.segmentation.segmenter import Segmenter


@checked(number=whole(0))
def heat_of_box(
    look: Look, number: int = 0, *, found: Detections | None = None, target: int | str | None = None,
    method: str | None = None, stage: str | None = None, **options: Any,
) -> PlaceAttribution:
    """The heat map of one box of a look with a detector: `.heatmap` [H, W], 0..1 over the photo, `.caption`.

    number: which of the boxes, from the best, of `found`: what `look.detections.at` gives for a panel's
            thresholds; None: `look.detections`
    target: a class's index or name; None: the box's own;  stage, method, options: as in `explain`

    The model of the look must still be there. One pass and, with a method of the CAM family, one backward
    pass. Raises ValueError as `explain` does.
    """
    model = _model_of(look, Detector, "boxes")
    found = look.detections if found is None else found
    if found.candidates is not look.detections.candidates:
        raise ValueError("found= is of another look: give what look.detections.at(...) gives.")
    question = BoxQuestion(model, look.image, number, target, found.score_threshold, found.iou_threshold,
                           known=found if still_holds(look, model) else None)
    chosen = find_method(usual_method(model) if method is None else method)
    return answer(question, chosen, stage=stage, look=look, options=options)


def heat_of_region(
    look: Look, target: int | str | None = None, *, region: Any = None, method: str | None = None,
    stage: str | None = None, **options: Any,
) -> PlaceAttribution:
    """The heat map of a class, all over or in a region, of a look with a network for masks, as `heat_of_box`.

    target: a class's index or name; None: the largest in the region, or in all of the mask
    region: (left, top, right, bottom) or (x, y) in the photo's pixels, or a mask [H, W] over the photo;
            None: where the network finds that class
    """
    model = _model_of(look, Segmenter, "masks")
    known = look if still_holds(look, model) else None
    chosen = find_method(usual_method(model, region) if method is None else method)
    question = question_of(model, look.image, target, known, region=region)
    return answer(question, chosen, stage=stage, look=look, options=options)


def usual_method(model: Any, region: Any = None) -> str:
    """The method that is taken where nobody asked for one: Layer-CAM of a box or a region, else Grad-CAM.

    Grad-CAM's weights are means of gradients over all of a map, most of which is no business of a box; and
    the maps of a pyramid have both signs. With a RetinaNet that learned on blood cells its heat was zero, and
    Layer-CAM's, each place by its own gradient, lay on the cell. Regions of a U-Net's mask lit up all nuclei
    or none; Hasany et al., "Seg-XRes-CAM", 2023, CVPR Workshops, found the same.
    """
    return "layercam" if isinstance(model, Detector) or region is not None else "gradcam"


def question_of(
    model: Detector | Segmenter, photo: Image.Image, target: int | str | None, look: Look | None, *,
    box: int | None = None, region: Any = None, score_threshold: float | None = None,
) -> Question:
    """What `explain` is asked. look: at that photo by that model as it is now, or None"""
    if isinstance(model, Segmenter):
        known = None if look is None else look.segmentation.scores
        return RegionQuestion(model, photo, target, region, known=known)
    found = None if look is None else look.detections.at(score_threshold=score_threshold)
    least = SCORE if score_threshold is None else float(score_threshold)
    return BoxQuestion(model, photo, box, target, least, known=found)


def _model_of(look: Look, kind: type, things: str) -> Any:
    model = look._origin.model() if look._origin is not None else None
    if model is None:
        raise ValueError("The model of this look is gone: look at the photo again.")
    if not isinstance(model, kind):
        raise ValueError(f"This look is by {look.model_name}, which finds no {things}.")
    return model


def answer(
    question: Question, method: Method, *, stage: str | None = None, look: Look | None = None,
    options: dict[str, Any], on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None, on_step: Callable[[Step], None] | None = None,
    started: float | None = None,
) -> PlaceAttribution:
    """The heat map of a question by a method. Raises as `explain` does."""
    started = time.perf_counter() if started is None else started
    model = question.model
    check_options(method, options)
    options = check_batch(options, method.options, question.input[0].numel())
    shown = in_frame(on_step, question.photo.size, question.frame, question.input.shape[-2:])
    passes = PlacePasses(question, on_progress=on_progress, should_stop=should_stop, on_step=shown)
    config = resolve_data_config({}, model=model)
    fresh = look if still_holds(look, model) else None
    seen = question.input
    task = PlaceTask(model, seen, seen, config, stage, fresh, passes, Outputs("one", ("",)),
                     question=question)
    found = method.run(task, **options)
    heat, notes = over_photo(found, question, model)
    if method.name == "gradcam" and not heat.any():
        notes.append('Grad-CAM weighs each channel by its mean over all of the map: method="layercam" weighs '
                     "each place by itself.")
    is_mask = isinstance(model, Segmenter)
    title = "Seg-Grad-CAM" if is_mask and method.name == "gradcam" else method.title
    photo: Image.Image = question.photo
    return PlaceAttribution(
        method=method.name, title=title, model_name=model_name(model), target=question.target,
        label=question.label, stage=found.stage, heatmap=heat, raw=found.raw, image=photo,
        seen_box=(0.0, 0.0, float(photo.width), float(photo.height)), seconds=time.perf_counter() - started,
        passes=passes.photos, details=found.details, notes=(*found.notes, *notes),
        asked=question.caption(), probability=question.probability or 0.0,
        number=getattr(question, "number", None), outline=question.outline,
    )


def over_photo(found: Found, question: Question, model: Any) -> tuple[Tensor, list[str]]:
    """(the heat [H, W] over the photo, the most of it as 1; notes)."""
    heat, notes = found.heat if found.heat is not None else found.raw.relu(), []
    if not torch.isfinite(heat).all():
        notes.append("Some values are not numbers (NaN or infinite); they are drawn as 0.")
        heat = torch.nan_to_num(heat, nan=0.0, posinf=0.0, neginf=0.0)
    strides = {row.reduction for row in model.stage_table if row.name == found.stage}
    covers = covered(heat.shape, question.input.shape[-2:], sorted(strides))
    box = covered_box(question.frame, covers)
    in_photo = torch.from_numpy(laid_over(heat.numpy(), question.photo.size, box)).clamp_(min=0)
    if (top := float(in_photo.max())) > 0:
        return in_photo.div_(top), notes
    notes.append("Nothing here raises this score: the heat map is zero everywhere.")
    return in_photo, notes
