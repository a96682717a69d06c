"""Which parts of a photo does a model's answer rest on? One photo, one class, one method -> one heat map.

Of a network for boxes or masks: one box, or one class in a region (`places.py`).

    explain("tf_efficientnet_lite0", "cat.jpg")             # Grad-CAM for the likeliest class
    explain(model, photo, method="occlusion", target="tabby", on_progress=print)
    explain(model, photo, look=seen, target="tiger cat")    # no further pass: the look holds it all
    explain(model, photo).overlay()                         # the photo with the heat on it

`METHODS` lists what there is, with each one's source and what it costs. The arithmetic is in `cams.py`,
`gradients.py`, `occlusion.py` and `rollout.py`; `tasks.py` asks it of a model, and this file brings what it
gives into the photo's frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from explorer.arguments import checked, number, whole
from explorer.data.transforms import create_transform, crop_box, resolve_data_config
from explorer.display.words import did_you_mean
from explorer.inspection.attribution.methods import METHODS, Method, check_options, find_method
from explorer.inspection.attribution.occlusion import Step
from explorer.inspection.attribution.places import answer, question_of, usual_method
from explorer.inspection.attribution.result import Attribution
from explorer.inspection.attribution.steps import in_frame
from explorer.inspection.attribution.tasks import Found, Task
from explorer.inspection.look.frame import covered, seen_box, to_photo_frame
from explorer.inspection.look.looking import photo_for, prepare
from explorer.inspection.look.model import as_model, model_name, outputs_of
from explorer.inspection.look.own_inputs import packed_inputs, stage_config
from explorer.inspection.look.passes import Passes
from explorer.inspection.look.result import Look, is_at, still_holds
from explorer.inspection.look.targets import find_class
from explorer.models.contract import VisionModel
from explorer.models.detection.detector import Detector
from explorer.models.ensembles.detectors import DetectorEnsemble
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel
from explorer.models.members import parameters_in
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.surgery.inside import stages_in_words
from explorer.models.tasks import ASKED_BY


@checked(box=whole(0), score_threshold=number(0, 1))
def explain(
    model: VisionModel | str,
    image: Any = None,
    *,
    method: str | None = None,
    target: int | str | None = None,
    stage: str | None = None,
    look: Look | None = None,
    box: int | None = None,
    region: Any = None,
    score_threshold: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[Step], None] | None = None,
    **options: Any,
) -> Attribution:
    """Which parts of a photo speak for a class, or raise a number: a heat map over the photo.

    model:  an explorer model or a name;  image: anything `load_image` takes; it may be left out where `look`
            is given
    method: one of `METHODS`; case, spaces and hyphens don't count ("Grad-CAM" is "gradcam"). None: Grad-CAM;
            of a box or a region Layer-CAM, since they are so small a part of the photo that Grad-CAM's
            weights, means over all of a map, say little of them
    target: a class's index or its name, whole or an unmistakable part of it; None: the likeliest class. Of a
            yes or no both can be asked for: what speaks for the no speaks against the yes. Of numbers index
            or name, None: the first
    stage:  whose map the methods of the CAM family are drawn from; None: `default_stage(model)`
    box:    of a network for boxes, which of those that `detect` finds, from the best; None: the best, or the
            best of the class `target`. With both it is that class's score in that box
    region: of a network for masks, (left, top, right, bottom) or a point (x, y) in the photo's pixels, or a
            mask [H, W] over the photo: the class's scores there are asked for; None: where the class is found
    score_threshold: of a network for boxes, as in `detect`, 0.3 if it is left out
    look:   of this model and this photo: what it holds is not computed again. Grad-CAM of the default stage
            needs no further pass then, for whatever class. A model that was changed since is run again
    on_progress: is called with (inputs done, inputs in all) while methods with many passes run
    should_stop: is asked between passes. Methods that can, answer with what is done; others raise `Stopped`
    on_step: of "occlusion" alone, is called after each batch of squares with a `Step`: the heat map so far,
            which squares were covered, and the score with each
    options: the method's own, see `METHODS[name].options`

    The model is left as it was: training flags, gradients, and which parameters learn.
    Raises ValueError for an unknown method, class, stage or option, and for a model that the method is not
    made for; ImageError and WeightsError as `explorer.look` does.
    """
    started = time.perf_counter()
    chosen = find_method(method) if method is not None else None
    model = as_model(model, task=None)
    chosen = chosen or find_method(usual_method(model, region))
    check_options(chosen, options)
    where = {"box": box, "region": region, "score_threshold": score_threshold}
    _check_where(model, where)
    _check_model(model, chosen)
    if stage is not None:
        _check_stage(model, chosen, stage)
    if look is None and image is None:
        raise ValueError("Give an image, or look= with a look at one.")
    if look is not None:
        _check_look(look, model, image)
        photo, config, tensor = look.image, look.config, look.input
    else:
        photo = photo_for(model, image)
        config, tensor = resolve_data_config({}, model=model), None
    fresh = look if still_holds(look, model) else None
    if isinstance(model, Detector | Segmenter):
        question = question_of(model, photo, target, fresh, **where)
        return answer(question, chosen, stage=stage, look=fresh, options=options, on_progress=on_progress,
                      should_stop=should_stop, on_step=on_step, started=started)
    if tensor is None:
        _, tensor = prepare(photo, create_transform(**config))
    inputs = packed_inputs(model, photo, tensor)
    outputs = outputs_of(model)
    passes = Passes(model, on_progress=on_progress, should_stop=should_stop, score=outputs.evidence,
                    on_step=in_frame(on_step, photo.size, crop_box(photo.size, config), tensor.shape[-2:]))
    task = Task(model, tensor, inputs, config, stage, fresh, passes, outputs)
    if target is not None and chosen.needs_class:
        task.target = find_class(target, outputs.labels, outputs.noun)
    found = chosen.run(task, **options)
    notes = list(found.notes)
    if chosen.needs_stage and stage is None and isinstance(model, EnsembleModel | FusedModel):
        notes.append(f"Drawn from {found.stage}, a stage of one member. Another stage asks another member; "
                     "saliency and occlusion ask all together.")
    if target is not None and not chosen.needs_class:
        notes.append(f"{chosen.title} knows of no class: it is the same picture for every one.")
    heat, more = _scaled(found)
    notes += more
    if not (heat > 0).any():
        nothing = "raises this number" if outputs.numbers else "speaks for this class"
        notes.append(f"Nothing here {nothing}: the heat map is zero everywhere."
                     if chosen.needs_class else "The heat map is zero everywhere.")
    rows = [row for row in model.stage_table if not chosen.needs_stage or row.name == found.stage]
    config = stage_config(model, found.stage if chosen.needs_stage else "", config)
    covers = covered(heat.shape, config["input_size"][1:], sorted({row.reduction for row in rows}))
    in_photo = torch.from_numpy(to_photo_frame(heat.numpy(), photo.size, config, covers)).clamp_(0, 1)
    known = task.target if chosen.needs_class else None
    return Attribution(
        method=chosen.name,
        title=chosen.title,
        model_name=model_name(model),
        target=known,
        label="" if known is None else outputs.labels[known],
        noun=outputs.noun,
        stage=found.stage,
        heatmap=in_photo,
        raw=found.raw,
        image=photo,
        seen_box=seen_box(photo.size, config),
        seconds=time.perf_counter() - started,
        passes=task.passes.photos,
        details=found.details,
        notes=tuple(notes),
    )


def _scaled(found: Found) -> tuple[Tensor, list[str]]:
    """(the heat [h, w] of what a method found, the most of it as 1; notes)."""
    heat, notes = found.heat if found.heat is not None else found.raw.relu(), []
    if not torch.isfinite(heat).all():
        notes.append("Some values are not numbers (NaN or infinite); they are drawn as 0.")
        heat = torch.nan_to_num(heat, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(heat.max())
    return (heat / top if top > 0 else heat), notes


def _check_where(model: VisionModel, where: dict[str, Any]) -> None:
    """Raise ValueError for a box, region or threshold that a model of its task has not."""
    things = {"box": Detector, "score_threshold": Detector, "region": Segmenter}
    for name, kind in things.items():
        if where[name] is not None and not isinstance(model, kind):
            needs = "boxes" if kind is Detector else "masks"
            raise ValueError(f"{name} is for networks that find {needs}, and {model_name(model)} finds "
                             f"{ASKED_BY[model.task][0]}: leave it out.")


def _check_model(model: VisionModel, method: Method) -> None:
    if isinstance(model, DetectorEnsemble):
        raise ValueError(f"{model_name(model)} fuses the boxes of its members, and no gradient leads through "
                         f"that: explain one of them, explorer.explain(model.member({model.names[0]!r}), "
                         "image).")
    if model.task != "classification" and not method.needs_class:
        raise ValueError(f"{method.refuses(model)} Use LayerCAM, saliency or occlusion.")
    if method.needs_class and not model.num_classes and model.task == "classification":
        raise ValueError(f"{model_name(model)} has no classifier, so there is no class to explain. Give it "
                         'one with reset_classifier(num_classes), or use method="attention" if it is a '
                         "transformer.")
    if method.group == "attention" and isinstance(model, EnsembleModel | FusedModel):
        raise ValueError(f"{method.title} follows the attention of one network, and this model holds "
                         f"{len(model.names)}: ask a member, model.member({model.names[0]!r}).")
    if method.needs_gradient and any(parameter.is_inference() for parameter in parameters_in(model)):
        raise ValueError("This model was created under torch.inference_mode, so no gradient can be followed "
                         'through it: create it outside, or use method="scorecam" or "occlusion".')


def _check_stage(model: VisionModel, method: Method, stage: str) -> None:
    if not method.needs_stage:
        raise ValueError(f"{method.title} is not drawn from a stage's map: leave stage= out, or use "
                         f"{', '.join(repr(m.name) for m in METHODS.values() if m.needs_stage)}.")
    names = [row.name for row in model.stage_table]
    if stage not in names:
        hint = did_you_mean(str(stage), names)
        raise ValueError(f"{model_name(model)} has no stage {stage!r}.{hint} {stages_in_words(names)}")


def _check_look(look: Look, model: VisionModel, image: Any) -> None:
    """Raise ValueError for a look at another photo, or by a model that sees photos in another way."""
    if not is_at(look, image):
        raise ValueError("look= is a look at another photo. Give the look at this one, or leave look= out.")
    if look.config != resolve_data_config({}, model=model):
        raise ValueError(f"look= is by {look.model_name}, which sees photos in another way than "
                         f"{model_name(model)}. Give the look by this model, or leave look= out.")
