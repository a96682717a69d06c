"""What does a class look like to a network, and what does a channel answer to? Drawn by optimisation.

    visualize("tf_efficientnet_lite0", target="beagle")          # of a class
    visualize(model, stage="blocks.4", channel=7)                # of a channel of a stage
    visualize(model, stage="blocks.2.0.conv_dw", channel=7)      # or of any module
    visualize(model, target="beagle", method="fooling")          # noise that it is sure of
    visualize(model, target="beagle", method="fooling", photo="bus.jpg")   # a photo that it takes for another
    visualize(model, method="style", photo="me.jpg", style="starry_night.jpg")

Each step changes the picture, at first noise, in the way that raises the score or the channel's mean
(`ascent.py`). What makes it a picture are the waves that it is made of (`canvas.py`) and that it is moved,
turned and scaled a little in each step (`shaking.py`).
Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", Distill, doi:10.23915/distill.00007.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from explorer.arguments import checked, function, number, shown, whole
from explorer.display.words import counted
from explorer.inspection.drawing.ascent import WITHOUT_GRADIENT, Heard, Reading, Sofar, climb
from explorer.inspection.drawing.canvas import Canvas
from explorer.inspection.drawing.drawn import Answers, DrawnPicture
from explorer.inspection.drawing.methods import Method, find_method
from explorer.inspection.drawing.style import (
    StyleWish,
    chosen_stages,
    fitted,
    opened,
    sides_like,
    size_note,
)
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
STYLE_SIDE = 224     # the longer side, where a photo is to be seen
STYLE_WEIGHT = 10.0  # the error of the style against that of the content
SMOOTH = 0.1         # of the total variation


@checked(channel=whole(0), size=whole(16, 1024), on_picture=function, on_value=function,
         style_weight=number(0))
@torch.inference_mode(False)
@torch.enable_grad()
def visualize(
    model: VisionModel | str, *, target: int | str | None = None, stage: str | None = None,
    channel: int | None = None, method: str = "features", photo: Any = None, style: Any = None,
    style_weight: float = STYLE_WEIGHT, style_stages: Sequence[str] | None = None, steps: int | None = None,
    size: int | None = None, seed: int = 0, after: DrawnPicture | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_picture: Callable[[Image.Image], None] | None = None,
    on_value: Callable[[float], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> DrawnPicture:
    """The picture that a class, a number or a channel answers to most, by gradient ascent from noise.

    model:   an explorer model or a name
    target:  a class, or a number, by index or name: its score is raised
    stage, channel: in place of it a channel, from 0, of a stage or of the module at a dotted path ("pool:2":
             its second call): its mean over the map is raised. Of networks for boxes and masks only this
    method:  "features" (feature visualization); "fooling": pixel by pixel and without shaking, which gives
             noise that a network is sure of, or a photo that it takes for something else; "style" (style
             transfer): no target, but `photo` with the maps that it has in `stage`, and with the Gram
             matrices that the picture `style` has in `style_stages`
    photo:   anything load_image takes: what "fooling" may and "style" must begin with
    style_weight: of the mean relative error of the Gram matrices; that of the content's maps counts 1
    stage, style_stages: for "style", names of stages; None: strides of 8 at most, and of 16 at most
    steps:   passes there and back; None: 256, of a photo 40, of style 120
    seed:    of the noise and of the shaking. The same seed gives the same picture on one computer with as
             many threads; sums in another order are soon another picture
    size:    side in pixels, the longer one for "style"; None: 160, or what the network is built for where it
             is smaller, or built for one size
    after:   what came of the same call before it was stopped: goes on from there, up to `steps` in all
    on_progress: is called with (steps done, of how many) after each
    on_picture:  is called with the picture as it grows, at most 80 times
    on_value:    is called with what is raised (of style, the loss) after each step
    should_stop: is asked after each step; once it says True, the picture so far comes back, and a note

    The picture is normalised as the model's photos are. The model is left as it was: training flags,
    gradients, and which parameters learn.
    Raises ValueError for an unknown class, stage or channel, a model that no gradient leads through, and
    where nothing moves what is wished for; ImageError for a photo that can't be opened.
    Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", Distill, doi:10.23915/distill.00007;
    Nguyen, Yosinski and Clune 2015; Gatys, Ecker and Bethge 2016.
    """
    started = time.perf_counter()
    way = find_method(method)
    model = as_model(model, task=None)
    _check_photos(way, photo, style, style_stages)
    begins = None if photo is None else opened(photo, model, "photo")
    sides = usual_sides(model, size, begins if way.name == "style" else None)
    start = None if begins is None else fitted(begins, sides)
    if way.name == "style":
        wish = _style_wish(model, target, channel, start, style, sides, stage, style_stages, style_weight)
    else:
        wish = _wish(model, target, stage, channel)
    asked = wish.model
    if any(parameter.is_inference() for parameter in parameters_in(asked)):
        raise no_way_back(WITHOUT_GRADIENT)
    shape = (asked.in_chans, *sides)
    generator = torch.Generator().manual_seed(seed)
    canvas, reading = way.canvas(shape, generator, start), Reading(wish)
    wanted = steps or (way.steps if start is None else way.from_photo) or 1
    before = canvas.picture().detach()
    sofar = _sofar(after, way, wish, canvas, wanted)
    heard = Heard(on_progress, on_picture, on_value, should_stop)
    rate = way.rate if start is None else way.photo_rate
    sofar = climb(reading, canvas, way, generator, rate=rate, steps=wanted, heard=heard, sofar=sofar)

    pixels = canvas.picture().detach()
    if shape[0] in (1, 3):
        pixels, before = (one.mul(255).round().div(255) for one in (pixels, before))  # as pictures have them
    notes = [*weight_notes(asked, "pictures"), *(size_note(asked) if way.name == "style" else ())]
    if len(sofar.history) < wanted:
        notes.append(f"Stopped after {counted(len(sofar.history), 'step')} of {wanted:,}.")
    with torch.no_grad():
        score = float(reading.value(pixels))
    answers = _answers(wish, reading, pixels)
    return DrawnPicture(
        model_name=model_name(asked), words=wish.words, measure=wish.measure, image=as_picture(pixels[0]),
        pixels=pixels[0], score=score, history=tuple(sofar.history), seed=seed, method=way,
        seconds=time.perf_counter() - started, notes=tuple(notes), stopped=len(sofar.history) < wanted,
        answers=answers, target=wish.index if isinstance(wish, ClassWish) else None,
        before=None if start is None else as_picture(before[0]),
        before_answers=None if start is None else _answers(wish, reading, before), sofar=sofar,
    )


def _check_photos(way: Method, photo: Any, style: Any, stages: Any) -> None:
    """Raise ValueError for pictures that a method has no use for."""
    if photo is not None and way.from_photo is None:
        raise ValueError(f"photo is given, and {way.title} begins with noise: leave photo out, or take "
                         'method="fooling" or "style".')
    if way.name != "style" and (style is not None or stages is not None):
        argument = "style_stages" if style is None else "style"
        raise ValueError(f'{argument} is given, which method="style" alone has a use for: method is '
                         f"{way.name!r}.")


def _style_wish(model: VisionModel, target: Any, channel: Any, content: Any, style: Any,
                sides: tuple[int, int], stage: Any, stages: Any, weight: float) -> StyleWish:
    """Raises ValueError for what style transfer has no use for, and for photos that are missing."""
    given = {"target": target, "channel": channel}
    for argument, value in given.items():
        if value is not None:
            raise ValueError(f"{argument} is {shown(value)}: style transfer has no target, it takes photo= "
                             "and style=.")
    scene, fine = chosen_stages(model, stage, stages)
    if content is None:
        raise ValueError("photo is None: style transfer takes two pictures, photo= and style=.")
    wish = StyleWish(model, content, content, scene, fine, weight, SMOOTH)
    read = Reading(wish).inputs
    texture = fitted(opened(style, model, "style"), sides)
    return replace(wish, content=read(content[None]), style=read(texture[None]))


def _sofar(after: Any, way: Method, wish: Wish, canvas: Canvas, steps: int) -> Sofar | None:
    """Where to go on from. Raises TypeError or ValueError where that is another drawing."""
    if after is None:
        return None
    if not isinstance(after, DrawnPicture):
        raise TypeError(f"after is {shown(after)}: expected what visualize gave before, a DrawnPicture.")
    sofar, same = after.sofar, after.words == wish.words and after.method == way
    if not same or sofar is None or sofar.learnt.shape != canvas.learnt.shape:
        sides = f"{after.image.width} x {after.image.height} pixels"
        raise ValueError(f"after is a picture of {after.words} ({after.method.title}, {sides}): only the "
                         "same drawing can go on from it.")
    if len(sofar.history) >= steps:
        raise ValueError(f"steps is {steps:,}, and the picture in after= has taken {len(sofar.history):,} "
                         "already: steps counts all of them.")
    return sofar


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


def usual_sides(model: VisionModel, size: int | None, like: Image.Image | None) -> tuple[int, int]:
    """(height, width) to draw at, of a network that reads any form that of `like`. Raises ValueError for a
    size that the model does not read.
    """
    own = photo_size(model)[1:]
    only = own if model.fixed_image_size else None
    if isinstance(model, OverBody):
        only = model.only_size
    if only is not None:
        if size is not None and (size, size) != only:
            raise ValueError(f"size is {size}, and {model_name(model)} reads pictures of {only[1]} x "
                             f"{only[0]} pixels alone: leave size out.")
        return only
    if size is None and model.config.fixed_input_size:
        return own
    side = size or (min(SIDE, *own) if like is None else STYLE_SIDE)
    if like is not None:
        return sides_like(like, side, model.size_multiple)
    side = math.ceil(side / model.size_multiple) * model.size_multiple
    return side, side


def _answers(wish: Wish, reading: Reading, pixels: torch.Tensor) -> Answers | None:
    """What the network says of a picture; None where it tells of none."""
    if not isinstance(wish, ClassWish):
        return None
    with torch.no_grad(), evaluating(wish.model):
        return Answers(wish.outputs, wish.raw(reading.inputs(pixels)).cpu()[0])
