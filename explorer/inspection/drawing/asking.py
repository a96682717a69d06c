"""What does a class look like to a network, and what does a channel answer to? Drawn by optimisation.

    visualize("tf_efficientnet_lite0", target="beagle")          # of a class
    visualize(model, stage="blocks.4", channel=7)                # of a channel of a stage
    visualize(model, stage="blocks.2.0.conv_dw", channel=7)      # or of any module
    visualize(model, target="beagle", method="fooling")          # noise that it is sure of

Each step changes the picture, at first noise, in the way that raises the score or the channel's mean
(`ascent.py`). What makes it a picture are the waves that it is made of (`canvas.py`) and that it is moved,
turned and scaled a little in each step (`shaking.py`).
Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", Distill, doi:10.23915/distill.00007.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from explorer.arguments import checked, function, whole
from explorer.display.words import counted
from explorer.inspection.drawing.ascent import WITHOUT_GRADIENT, Heard, Reading, climb
from explorer.inspection.drawing.drawn import DrawnPicture
from explorer.inspection.drawing.methods import find_method
from explorer.inspection.drawing.wishes import ChannelWish, ClassWish, Wish, check_channel
from explorer.inspection.look.model import as_model, evaluating, model_name, outputs_of, weight_notes
from explorer.inspection.look.passes import no_way_back
from explorer.inspection.look.pixels import as_picture
from explorer.inspection.look.spots import find_source
from explorer.inspection.look.targets import find_class
from explorer.models.body import OverBody
from explorer.models.contract import VisionModel
from explorer.models.members import parameters_in
from explorer.models.surgery.inside import photo_size, stages_in_words
from explorer.models.tasks import ASKED_BY

SIDE = 160  # pixels, of networks that read pictures of any size: a CPU draws on fewer sooner


@checked(channel=whole(0), size=whole(16, 1024), on_picture=function)
@torch.inference_mode(False)
@torch.enable_grad()
def visualize(
    model: VisionModel | str, *, target: int | str | None = None, stage: str | None = None,
    channel: int | None = None, method: str = "features", steps: int = 256, size: int | None = None,
    seed: int = 0, on_progress: Callable[[int, int], None] | None = None,
    on_picture: Callable[[Image.Image], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> DrawnPicture:
    """The picture that a class, a number or a channel answers to most, by gradient ascent from noise.

    model:   an explorer model or a name
    target:  a class, or a number, by index or name: its score is raised
    stage, channel: in place of it a channel, from 0, of a stage or of the module at a dotted path ("pool:2":
             its second call): its mean over the map is raised. Of networks for boxes and masks only this
    method:  "features" (feature visualization), or "fooling": pixel by pixel and without shaking, which gives
             noise that a network is sure of
    steps:   passes there and back
    seed:    of the noise and of the shaking. The same seed gives the same picture on one computer with as
             many threads; sums in another order are soon another picture
    size:    side in pixels; None: 160, or what the network is built for where it is smaller, or built for
             one size
    on_progress: is called with (steps done, of how many) after each
    on_picture:  is called with the picture as it grows, at most 80 times
    should_stop: is asked after each step; once it says True, the picture so far comes back, and a note

    The picture is normalised as the model's photos are. The model is left as it was: training flags,
    gradients, and which parameters learn.
    Raises ValueError for an unknown class, stage or channel, a model that no gradient leads through, and
    where nothing moves what is wished for.
    Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", Distill, doi:10.23915/distill.00007.
    """
    started = time.perf_counter()
    way = find_method(method)
    model = as_model(model, task=None)
    wish = _wish(model, target, stage, channel)
    asked = wish.model
    if any(parameter.is_inference() for parameter in parameters_in(asked)):
        raise no_way_back(WITHOUT_GRADIENT)
    shape = (asked.in_chans, *_sides(asked, size))
    generator = torch.Generator().manual_seed(seed)
    canvas, reading = way.canvas(shape, generator), Reading(wish)
    heard = Heard(on_progress, on_picture, should_stop)
    history = climb(reading, canvas, way, generator, steps=steps, heard=heard)

    pixels = canvas.picture().detach()
    if shape[0] in (1, 3):
        pixels = pixels.mul(255).round().div(255)  # as the picture has them, and will be looked at
    notes = list(weight_notes(asked, "pictures"))
    if len(history) < steps:
        notes.append(f"Stopped after {counted(len(history), 'step')} of {steps:,}.")
    with torch.no_grad():
        score = float(reading.value(pixels))
    return DrawnPicture(
        model_name=model_name(asked), words=wish.words, measure=wish.measure, image=as_picture(pixels[0]),
        pixels=pixels[0], score=score, history=tuple(history), seed=seed, method=way,
        seconds=time.perf_counter() - started, notes=tuple(notes), stopped=len(history) < steps,
        probability=_probability(wish, reading, pixels),
    )


def _wish(model: VisionModel, target: Any, stage: Any, channel: int | None) -> Wish:
    """Raises ValueError for what can't be drawn of a model."""
    name = model_name(model)
    words = stages_in_words([one.name for one in model.stage_table])
    if target is not None and (stage is not None or channel is not None):
        raise ValueError("Give target=, a class to draw, or stage= and channel=; not both.")
    if stage is not None:
        source = find_source(model, stage)
        if channel is None:
            raise ValueError(f"channel is None: say which channel of {stage} is drawn, from 0.")
        if source.stage is not None:
            check_channel(stage, channel, source.model.stage_table[source.stage].channels)
        return ChannelWish(source, channel)
    if channel is not None:
        raise ValueError(f"channel is {channel}: say of which stage, stage=. {words}")
    if model.task != "classification":
        raise ValueError(f"{name} finds {ASKED_BY[model.task][0]}, and a target is drawn of networks that "
                         f"say what a whole photo shows: give stage= and channel=. {words}")
    if not model.num_classes:
        raise ValueError(f"{name} has no classifier, so there is no target to draw: give stage= and "
                         f"channel=. {words}")
    outputs = outputs_of(model)
    if target is None:
        raise ValueError(f"target is None: say which {outputs.noun} is drawn, by index or name "
                         f"({outputs.labels[0]!r}, for one), or give stage= and channel=. {words}")
    return ClassWish(model, outputs, find_class(target, outputs.labels, outputs.noun))


def _sides(model: VisionModel, size: int | None) -> tuple[int, int]:
    """(height, width) to draw at. Raises ValueError for a size that the model does not read."""
    own = photo_size(model)[1:]
    only = own if model.fixed_image_size else None
    if isinstance(model, OverBody):
        only = model.only_size
    if only is not None:
        if size is not None and (size, size) != only:
            raise ValueError(f"size is {size}, and {model_name(model)} reads pictures of {only[1]} x "
                             f"{only[0]} pixels alone: leave size away.")
        return only
    if size is None and model.config.fixed_input_size:
        return own
    side = size or min(SIDE, *own)
    side = math.ceil(side / model.size_multiple) * model.size_multiple
    return side, side


def _probability(wish: Wish, reading: Reading, pixels: torch.Tensor) -> float | None:
    """What the network says of the picture: the share of the class; None where it tells of none."""
    if not isinstance(wish, ClassWish) or wish.outputs.numbers:
        return None
    with torch.no_grad(), evaluating(wish.model):
        raw = wish.raw(reading.inputs(pixels)).cpu()
    return float(wish.outputs.probabilities(raw)[0, wish.index])
