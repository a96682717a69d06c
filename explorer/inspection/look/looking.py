"""One photo, one forward pass, one `Look`: all that a person may want to see of it.

    seen = look("tf_efficientnet_lite0", "cat.jpg")
    seen.predictions[0]          # Prediction(label='tabby', index=281, probability=0.61, logit=9.3)
    seen.stages["stage3"]        # that stage's feature maps [C, H, W]
    seen.mosaic("stage3")        # the same as a picture

Everything that draws or compares reads the `Look`; nothing runs the model a second time for what it holds.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked, words
from explorer.data.images import load_image
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look.answers import check_topk, top_predictions
from explorer.inspection.look.chosen import find_modules, keeping
from explorer.inspection.look.dense import look_at_places
from explorer.inspection.look.faster import pays, ready, try_copy
from explorer.inspection.look.model import as_model, evaluating, model_name, notes_on, outputs_of
from explorer.inspection.look.own_inputs import packed_inputs
from explorer.inspection.look.result import Look, Origin
from explorer.inspection.look.tail import default_stage, fingerprint, ordinary, walk
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.detection.detector import Detector
from explorer.models.segmentation.segmenter import Segmenter


@checked(at=words)
def look(
    model: VisionModel | str, image: Any, *, topk: int = 5, bands: Sequence[int] | None = None,
    at: Sequence[str] | str = (),
) -> Look:
    """Show one photo to a model and keep what happened on the way.

    model: an explorer model, or a name such as "tf_efficientnet_lite0", created with its trained weights
    image: anything `load_image` takes; of a model of other than one or three channels a tensor [C, H, W] or
           an array
    bands: of such a picture the three that are shown, as red, green and blue; None: the first three
    topk:  how many predictions, at most as many as there are classes
    at:    dotted names of modules whose outputs are kept too, as in "layer1.0.conv2" ("pool:2": the second
           call of `pool`): `look.modules[name]`. Then the model itself runs, never a faster copy

    The model runs once, in evaluation mode and without gradients, on the device and with the dtype that its
    weights have; its training flags are put back afterwards. Calls from several threads take turns. On a CPU
    the second look by the same weights makes a faster copy of the model, which the looks after it go through;
    their numbers are the same but for rounding (see `explorer.optimize`).
    A network for boxes or masks has no predictions: what it found is in `detections` or `segmentation`.
    Raises ImageError for what is no picture, WeightsError where weights can't be had, ValueError for a model
    that has a classifier but does not pool.
    """
    check_topk(topk)
    model = as_model(model, task=None)
    photo = photo_for(model, image, bands)
    if chosen := find_modules(model, at):
        with evaluating(model), keeping(model, chosen) as given:
            seen = look_once(model, photo, topk=topk, itself=True)
            height, width = seen.input.shape[-2:]
            seen.modules = given((height, width))
        return seen
    seen = look_once(model, photo, topk=topk)
    get_ready(model, seen)
    return seen


def look_once(
    model: VisionModel, photo: Image.Image, *, topk: int = 5, itself: bool = False
) -> Look:
    """`look` at a photo that is open, for whoever shows the answer first and calls `get_ready` then.

    itself: the model runs, never a faster copy of it
    """
    if isinstance(model, Detector | Segmenter):
        return look_at_places(model, photo)
    started = time.perf_counter()
    config = resolve_data_config({}, model=model)
    seen, tensor = prepare(photo, create_transform(**config))
    inputs = packed_inputs(model, photo, tensor)
    prepared = time.perf_counter()
    with evaluating(model):
        entered = time.perf_counter()
        mark = fingerprint(model)
        maps, embedding, logits, tail = walk(model, inputs, stage=_begin(model),
                                               by=None if itself else ready(model, mark))
        finished = time.perf_counter()

    stages = {name: ordinary(feature_map) for name, feature_map in maps.items()}
    embedding, logits = ordinary(embedding), ordinary(logits)
    outputs = outputs_of(model)
    timing = {"preprocess": prepared - started, "forward": finished - entered, "device": _device_name(model)}
    if timing["device"] == "cpu":
        timing["threads"] = torch.get_num_threads()
    found = Look(
        model_name=model_name(model), predictions=top_predictions(logits, outputs, topk), stages=stages,
        embedding=embedding, logits=logits, input=tensor, image=photo, seen=seen, outputs=outputs,
        config=config, timing=timing, notes=notes_on(model, logits),
    )
    found._origin = Origin(weakref.ref(model), mark, tail)
    return found


def get_ready(model: VisionModel, seen: Look) -> None:
    """After a look: where it was the second by the same weights, make a faster copy for those that follow.

    The copy looks at the same photo once, and is kept where it shows the same (`look.faster`).
    """
    origin = seen._origin
    if origin is None or seen.finds_places or not pays(model, origin.fingerprint):
        return

    inputs = packed_inputs(model, seen.image, seen.input)

    def run(by: VisionModel) -> tuple[np.ndarray, ...]:
        maps, embedding, logits, _ = walk(model, inputs, stage=_begin(model), by=by)
        return tuple(ordinary(found).numpy() for found in (logits, embedding, *maps.values()))

    with evaluating(model):
        shown = tuple(found.numpy() for found in (seen.logits, seen.embedding, *seen.stages.values()))
        try_copy(model, inputs[None], run, shown)


def _begin(model: VisionModel) -> str:
    """The stage at which a look's tail begins; "" for none."""
    return default_stage(model) if model.num_classes and model.stage_table else ""


def photo_for(model: VisionModel, image: Any, bands: Sequence[int] | None = None) -> Image.Image:
    """What `load_image` makes of a picture for this model; with its bands, where it reads no photos."""
    return load_image(image, channels=model.in_chans, bands=bands)


def prepare(photo: Image.Image, transform: Any) -> tuple[Image.Image, Tensor]:
    """(what the network sees as a picture, the same as its input [C, H, W])."""
    value: Any = photo
    for step in transform.transforms:
        if isinstance(value, Image.Image):
            photo = value
        value = step(value)
    return photo, value


def _device_name(model: nn.Module) -> str:
    return str(parameter_place(model)["device"])
