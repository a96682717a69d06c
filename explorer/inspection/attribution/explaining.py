"""Which parts of a photo does a model's answer rest on? One photo, one class, one method -> one heat map.

    explain("tf_efficientnet_lite0", "cat.jpg")                                # Grad-CAM for the likeliest class
    explain(model, photo, method="occlusion", target="tabby", on_progress=print)
    explain(model, photo, look=seen, target="tiger cat")                       # no further pass: the look holds it all
    explain(model, photo).overlay()                                            # the photo with the heat on it

`METHODS` lists what there is, with each one's source and what it costs. The arithmetic is in `cams.py`, `gradients.py`,
`occlusion.py` and `rollout.py`; this file chooses class and stage, and brings the result into the photo's frame.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.display import draw
from explorer.display.html import RichRepr, notes_html, picture_html
from explorer.display.words import counted, did_you_mean, meant, nearest, seconds_text
from explorer.inspection.attribution import cams, gradients, occlusion, rollout
from explorer.inspection.look.frame import covered, seen_box, to_photo_frame
from explorer.inspection.look.looking import (
    Look,
    as_model,
    evaluating,
    is_at,
    model_name,
    outputs_of,
    photo_for,
    prepare,
)
from explorer.inspection.look.passes import OCCLUSION, Passes, Stopped, no_way_back
from explorer.inspection.look.tail import Tail, default_stage, ordinary, walk
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import stages_in_words

#: Of a heat map of single pixels, so large a share is drawn in full; the few largest would hide all others.
SHOWN_SHARE = 0.995


@dataclass(eq=False, repr=False)
class Attribution(RichRepr):
    """Where in a photo a model's score for a class, or a number that it gives, comes from, as one method
    sees it.

    method, title: its name in `METHODS`, and in full
    model_name:    as in `Look`
    target, label: the class's index and name, or the number's; None and "" for methods that know of no class
    noun:          what `target` is, "class" or "number"
    stage:         whose map it is drawn from; "" for methods that need none
    heatmap:       float32 [H, W], 0..1, in the frame of `image`; 0 outside of what the network saw. 0 where nothing
                   speaks for the class; 1 is the most in the network's frame, which a smaller photo averages
    raw:           what the method computed, in the frame of the network's input and signed where the method is:
                   [h, w], or [C, H, W] for methods that judge single pixels
    image:         the photo;  seen_box: (left, top, right, bottom), the part that the network saw, in its pixels
    seconds:       how long it took;  passes: how many inputs the network was run on for it, 0 where a look held it all
    details:       numbers that belong to the method, such as "delta" for integrated gradients
    notes:         sentences that a reader must know
    """

    method: str
    title: str
    model_name: str
    target: int | None
    label: str
    stage: str
    heatmap: Tensor
    raw: Tensor
    image: Image.Image
    seen_box: tuple[float, float, float, float]
    seconds: float
    passes: int
    details: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    noun: str = "class"

    def overlay(self, alpha: float = 0.5, colormap: str = "magma") -> Image.Image:
        """The photo with the heat map on it, RGB, in the photo's size.

        alpha: from 0, the photo alone, to 1, the heat map alone;  colormap: one of `draw.COLORMAPS`
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha!r}: expected a number from 0 (the photo alone) to 1 (the heat alone).")
        return Image.blend(self.image.convert("RGB"), self.picture(colormap), alpha)

    def picture(self, colormap: str = "magma") -> Image.Image:
        """The heat map alone, RGB, in the photo's size."""
        colours = draw.colormap(colormap)
        return Image.fromarray(colours[(self.heatmap.numpy() * 255 + 0.5).astype(np.uint8)])

    def __repr__(self) -> str:
        what = f"{self.label!r}, " if self.target is not None else ""
        stage = f"stage {self.stage!r}, " if self.stage else ""
        return f"Attribution({self.method!r}, {self.model_name!r}, {what}{stage}{_passes(self.passes)})"

    def _repr_html_(self) -> str:
        """Photo, overlay, facts, and what this kind of picture does not prove; no script."""
        method = METHODS[self.method]
        facts = [self.model_name]
        if self.target is not None:
            facts.append(f"{self.noun} {self.label} ({self.target})")
        if self.stage:
            facts.append(f"stage {self.stage}")
        facts += [_passes(self.passes), f"{1000 * self.seconds:.0f} ms"]
        small = draw.thumbnail(self.overlay(), 320)
        photo = picture_html(draw.thumbnail(self.image, 320), "The photo", format="JPEG")
        heat = picture_html(small, f"{self.title}: the brighter, the more it counts", format="JPEG")
        notes = notes_html(self.notes)
        return (f"<div><p style='margin:.3em 0'><b>{escape(self.title)}</b> · {escape(' · '.join(facts))}</p>{notes}"
                f"<div style='display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start'>{photo}{heat}</div>"
                f"<p style='margin:.3em 0;font-size:.85em'>{escape(method.limits)}</p></div>")


@checked
def explain(
    model: VisionModel | str,
    image: Any = None,
    *,
    method: str = "gradcam",
    target: int | str | None = None,
    stage: str | None = None,
    look: Look | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Attribution:
    """Which parts of a photo speak for a class, or raise a number: a heat map over the photo.

    model:  an explorer model or a name;  image: anything `load_image` takes; it may be left away where `look` is given
    method: one of `METHODS`; case, spaces and hyphens don't count ("Grad-CAM" is "gradcam")
    target: a class's index or its name, whole or an unmistakable part of it; None: the likeliest class. Of a
            yes or no both
            can be asked for: what speaks for the no speaks against the yes. Of numbers index or name, None:
            the first
    stage:  whose map the methods of the CAM family are drawn from; None: `default_stage(model)`
    look:   of this model and this photo: what it holds is not computed again. Grad-CAM of the default stage needs no
            further pass then, for whatever class. A model that was changed since is run again
    on_progress: is called with (inputs done, inputs in all) while methods with many passes run
    should_stop: is asked between passes. Methods that can, answer with what is done; others raise `Stopped`
    options: the method's own, see `METHODS[name].options`

    The model is left as it was: training flags, gradients, and which parameters learn.
    Raises ValueError for an unknown method, class, stage or option, and for a model that the method is not made for;
    ImageError and WeightsError as `explorer.look` does.
    """
    started = time.perf_counter()
    chosen = find_method(method)
    model = as_model(model)
    _check_options(chosen, options)
    if chosen.needs_class and not model.num_classes:
        raise ValueError(f"{model_name(model)} has no classifier, so there is no class to explain. Give it one with "
                         'reset_classifier(num_classes), or use method="attention" if it is a transformer.')
    if chosen.needs_gradient and any(parameter.is_inference() for parameter in model.parameters()):
        raise ValueError("This model was created under torch.inference_mode, so no gradient can be followed through it: "
                         'create it outside, or use method="scorecam" or "occlusion".')
    if stage is not None:
        _check_stage(model, chosen, stage)
    if look is None and image is None:
        raise ValueError("Give an image, or look= with a look at one.")
    if look is not None:
        _check_look(look, model, image)
        photo, config, tensor = look.image, look.config, look.input
    else:
        photo = photo_for(model, image)
        config = resolve_data_config({}, model=model)
        _, tensor = prepare(photo, create_transform(**config))
    fresh = look if look is not None and look._origin is not None and look._origin.is_still(model) else None

    outputs = outputs_of(model)
    passes = Passes(model, on_progress=on_progress, should_stop=should_stop, score=outputs.evidence)
    task = Task(model, tensor, config, stage, fresh, passes, outputs)
    if target is not None and chosen.needs_class:
        task.target = find_class(target, outputs.labels, outputs.noun)
    found = chosen.run(task, **options)
    notes = list(found.notes)
    if target is not None and not chosen.needs_class:
        notes.append(f"{chosen.title} knows of no class: it is the same picture for every one.")
    heat = found.heat if found.heat is not None else found.raw.relu()
    if not torch.isfinite(heat).all():
        notes.append("Some values are not numbers (NaN or infinite); they are drawn as 0.")
        heat = torch.nan_to_num(heat, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(heat.max())
    if top > 0:
        heat = heat / top
    else:
        nothing = "raises this number" if outputs.numbers else "speaks for this class"
        notes.append(f"Nothing here {nothing}: the heat map is zero everywhere."
                     if chosen.needs_class else "The heat map is zero everywhere.")
    rows = [row for row in model.stage_table if not chosen.needs_stage or row.name == found.stage]
    covers = covered(tuple(heat.shape), tuple(tensor.shape[-2:]), sorted({row.reduction for row in rows}))
    in_photo = torch.from_numpy(to_photo_frame(heat.numpy(), photo.size, config, covers)).clamp_(0, 1)
    known = task.target if chosen.needs_class else None
    return Attribution(
        method=chosen.name, title=chosen.title, model_name=model_name(model), target=known,
        label="" if known is None else outputs.labels[known], noun=outputs.noun, stage=found.stage,
        heatmap=in_photo, raw=found.raw, image=photo,
        seen_box=seen_box(photo.size, config), seconds=time.perf_counter() - started, passes=task.passes.photos,
        details=found.details, notes=tuple(notes),
    )


# --- what every method is given, and gives -------------------------------------------------------------------


@dataclass(eq=False)
class Task:
    """One question to one model. `look` is one that still holds; `input` the photo as the network sees it [C, H, W]."""

    model: VisionModel
    input: Tensor
    config: dict[str, Any]
    stage: str | None
    look: Look | None
    passes: Passes
    outputs: Outputs
    target: int | None = None

    def class_index(self) -> int:
        """The class asked for, or else the likeliest, which costs a pass where no look knows it."""
        if self.target is None and self.outputs.numbers:
            self.target = 0
        elif self.target is None:
            if self.look is not None:
                self.target = int(self.outputs.likeliest(self.look.logits))
            else:
                self.target = int(self.passes.logits(self.input[None])[0].argmax())  # one score a class already
        return self.target

    def map(self, stage: str) -> Tensor:
        """A stage's map [C, h, w], from the look or from a pass."""
        if self.look is not None:
            return self.look.stages[stage]
        with evaluating(self.model):
            maps, _, logits, _ = walk(self.model, self.input, only=(stage,))
        self._ran(logits)
        return ordinary(maps[stage])

    def _ran(self, logits: Tensor) -> None:
        self.passes.photos += 1
        if self.target is None:
            self.target = int(self.outputs.likeliest(logits))

    def map_and_tail(self, stage: str, *, at_module: bool = False) -> tuple[Tensor, Tail | None]:
        """A stage's map [C, h, w] and what comes behind it: from the look if it holds them, or else from a pass."""
        if self.look is not None and not at_module:
            tail = self.look._origin.tail
            if tail is not None and tail.stage == stage:
                self.target = self.class_index()
                return self.look.stages[stage], tail
        with evaluating(self.model):
            maps, _, logits, tail = walk(self.model, self.input, stage=stage, only=(stage,), at_module=at_module)
        self._ran(logits)
        return ordinary(maps[stage]), tail


@dataclass(frozen=True)
class Found:
    """What a method gives: raw as in `Attribution`; heat [h, w] from 0 where it is not the positive part of raw."""

    raw: Tensor
    heat: Tensor | None = None
    stage: str = ""
    details: dict[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


def _map_with_gradient(task: Task) -> tuple[Tensor, Tensor, str, list[str]]:
    """(a stage's map, the gradient of the class's score with respect to it, the stage's name, notes).

    Where nobody asked for a stage, one whose map has a single place or does not matter gives way to the one before.
    """
    asked, names = task.stage, [row.name for row in task.model.stage_table]
    stage, notes = asked or default_stage(task.model), []
    while True:
        maps, tail = task.map_and_tail(stage)
        gradient = tail.gradient(task.target, task.outputs.evidence) if tail is not None else None
        if gradient is None:
            maps, tail = task.map_and_tail(stage, at_module=True)
            gradient = tail.gradient(task.target, task.outputs.evidence) if tail is not None else None
        blank = gradient is None or not gradient.any()
        before = names.index(stage) - 1
        if asked is None and before >= 0 and (maps[0].numel() == 1 or blank and not task.model.pyramid):
            stage = names[before]
            notes = [f"Drawn from {stage}: behind it no map has places that the scores depend on."]
            continue
        if gradient is None and tail is None:
            raise no_way_back(OCCLUSION)
        if gradient is None:
            raise ValueError(f"The scores of {model_name(task.model)} don't depend on the map of {stage!r} in a way that "
                             f"can be followed. Try another stage: {', '.join(names)}; or method=\"occlusion\".")
        if maps[0].numel() == 1:
            notes.append(f"The map of {stage} has a single place: the heat is the same everywhere. "
                         "An earlier stage, or a larger photo, shows more.")
        return maps, gradient, stage, notes


def _from_gradient(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Found]:
    def run(task: Task) -> Found:
        maps, gradient, stage, notes = _map_with_gradient(task)
        return Found(rule(maps, gradient), stage=stage, notes=notes)

    return run


def _score_cam(task: Task, *, channels: int | None = None, batch_size: int = 16) -> Found:
    if channels is not None:
        gradients.check_count("channels", channels)
    gradients.check_count("batch_size", batch_size)
    stage = task.stage or default_stage(task.model)
    maps = task.map(stage)
    if task.stage is None and maps[0].numel() == 1:  # now that it has run, it is known whose maps have places
        stage = default_stage(task.model)
        maps = task.map(stage)
    target = task.class_index()
    unit = task.outputs.std[target] if task.outputs.std else 1.0
    raw, notes = cams.score_cam(task.passes, task.input, maps, target, channels=channels, batch_size=batch_size,
                                unit=unit)
    return Found(raw, stage=stage, notes=notes)


def _pixels(raw: Tensor, *, absolute_sum: bool = False, **more: Any) -> Found:
    """Raw values of single pixels, with a heat map of their sizes."""
    heat = raw.sum(0).abs() if absolute_sum else raw.abs().amax(0)  # [H, W]
    finite = heat[torch.isfinite(heat)]
    if finite.numel() and (limit := float(np.quantile(finite.numpy(), SHOWN_SHARE))) > 0:
        heat = heat.clamp_max(limit)
    return Found(raw, heat, **more)


def _saliency(task: Task) -> Found:
    return _pixels(gradients.saliency(task.passes, task.input, task.class_index()))


def _input_x_gradient(task: Task) -> Found:
    return _pixels(gradients.input_x_gradient(task.passes, task.input, task.class_index()), absolute_sum=True)


def _guided_backprop(task: Task) -> Found:
    return _pixels(gradients.guided_backprop(task.passes, task.input, task.class_index()))


def _smooth_grad(
    task: Task, *, samples: int = 25, noise: float = 0.15, seed: int = 0, batch_size: int = 8
) -> Found:
    return _pixels(gradients.smooth_grad(task.passes, task.input, task.class_index(), samples=samples, noise=noise,
                                         seed=seed, batch_size=batch_size))


def _integrated_gradients(task: Task, *, steps: int = 50, baseline: str = "black", batch_size: int = 8) -> Found:
    target, empty = task.class_index(), gradients.empty_photo(task.input, baseline, task.config)
    raw, delta = gradients.integrated_gradients(task.passes, task.input, empty, target, steps=steps,
                                                batch_size=batch_size)
    total = float(raw.double().sum())
    what = "numbers" if task.outputs.numbers else "scores"
    note = (f"Completeness: the {what} of the photo and of a {baseline} one differ by {total - delta:.3g}; "
            f"all pixels together make {total:.3g}, so {abs(delta):.2g} is {'too much' if delta * total > 0 else 'missing'}.")
    return _pixels(raw, absolute_sum=True, details={"delta": delta, "sum": total}, notes=[note])


def _gradient_shap(
    task: Task, *, samples: int = 25, baseline: str = "black", noise: float = 0.09, seed: int = 0, batch_size: int = 8
) -> Found:
    target, empty = task.class_index(), gradients.empty_photo(task.input, baseline, task.config)
    return _pixels(gradients.gradient_shap(task.passes, task.input, empty[None], target, samples=samples, noise=noise,
                                           seed=seed, batch_size=batch_size), absolute_sum=True)


def _occlusion(
    task: Task, *, window: int | None = None, stride: int | None = None, fill: str = "grey", batch_size: int = 16
) -> Found:
    gradients.check_count("batch_size", batch_size)
    window, stride = occlusion.windows(tuple(task.input.shape[-2:]), window, stride)
    cover = gradients.empty_photo(task.input, fill, task.config)
    raw, notes = occlusion.occlusion(task.passes, task.input, cover, task.class_index(), window=window, stride=stride,
                                     batch_size=batch_size)
    return Found(raw, details={"window": window, "stride": stride}, notes=notes)


def _rollout(task: Task) -> Found:
    maps = rollout.read_attention(task.model, task.input)
    task.passes.photos += 1
    raw = rollout.rollout(maps, reads_class_token=rollout.reads_class_token(task.model))
    return Found(raw, raw - raw.min())  # all places give a little: shown is what one gives more than the least


def _attention(
    task: Task, *, block: int = -1, head: int | None = None, query: tuple[int, int] | None = None
) -> Found:
    maps = rollout.read_attention(task.model, task.input)
    task.passes.photos += 1
    raw = rollout.attention_of(maps, head=head, block=block, query=query)
    return Found(raw, raw - raw.min(), stage=list(maps)[block])


# --- the methods ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """One way to explain an answer.

    name, title: short, and as it is written;  group: "cam", "pixels", "cover" or "attention"
    needs_stage: whether it is drawn from a stage's map;  needs_class: whether it asks for a class
    idea:        how it works;  limits: what it does not prove;  source: paper;  link: its page
    run:         what does it, given a `Task` and the options
    """

    name: str
    title: str
    group: str
    idea: str
    limits: str
    source: str
    link: str
    run: Callable[..., Found] = field(repr=False)
    photos: Callable[..., int] = field(repr=False)
    needs_stage: bool = False
    needs_class: bool = True

    @property
    def needs_gradient(self) -> bool:
        return self.group in ("cam", "pixels") and self.name != "scorecam"

    @property
    def options(self) -> dict[str, Any]:
        """Its own options, with what they are when nobody says."""
        parameters = inspect.signature(self.run).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def passes(self, model: VisionModel, *, stage: str | None = None, **options: Any) -> int:
        """About how many inputs the network will be run on."""
        _check_options(self, options)
        return self.photos(model, stage=stage, **(self.options | options))

    def cost(
        self, model: VisionModel, *, seconds_per_pass: float | None = None, stage: str | None = None, **options: Any
    ) -> str:
        """What it costs, in words; with the time, where that of one pass is known (`look.timing["forward"]`)."""
        passes = self.passes(model, stage=stage, **options)
        words = _passes(passes)
        if self.group == "cam" and self.needs_gradient:
            words += ", none where a look holds the stage"
        if seconds_per_pass is not None:
            with_gradient = self.group == "pixels"  # the way back takes about twice as long as the way there
            words += f", about {seconds_text(passes * seconds_per_pass * (3 if with_gradient else 1))}"
        return words

    def refuses(self, model: VisionModel) -> str:
        """Why it is not made for this model, in a sentence; "" where it is, as far as can be told without a pass."""
        if self.needs_class and not model.num_classes:
            return f"{model_name(model)} has no classifier, so there is no class to explain."
        if self.needs_stage and not model.stage_table:
            return f"{model_name(model)} has no stages, so there is no map to draw a heat map from."
        if self.name == "guided_backprop" and not gradients.rectifiers(model):
            return f"{model_name(model)} has no ReLU layers, which guided backpropagation is about."
        if self.group == "attention" and not any(hasattr(part, "attention_weights") for part in model.modules()):
            return f"{model_name(model)} has no attention layers whose weights could be shown."
        return ""


def _one(model: VisionModel, **_: Any) -> int:
    return 1


def _channels(model: VisionModel, *, channels: int | None, stage: str | None, **_: Any) -> int:
    stage = stage or default_stage(model)
    have = next(row.channels for row in model.stage_table if row.name == stage)
    return 1 + min(have, channels or have)


def _samples(model: VisionModel, *, samples: int, **_: Any) -> int:
    return 1 + samples


def _squares(model: VisionModel, *, window: int | None, stride: int | None, **_: Any) -> int:
    height, width = resolve_data_config({}, model=model)["input_size"][1:]
    window, stride = occlusion.windows((height, width), window, stride)
    return 2 + len(occlusion.places(height, window, stride)) * len(occlusion.places(width, window, stride))


_CAM_LIMITS = ("It shows where the evidence lies that this layer uses, as coarse as its map; it does not say what about that "
               "place counts, and a bright place is no proof that the answer would change without it.")
_PIXEL_LIMITS = ("It shows for which pixels a small change would move the score most, not what the model recognises there; "
                 "edges light up in almost any network.")

METHODS: dict[str, Method] = {method.name: method for method in (
    Method(
        "gradcam", "Grad-CAM", "cam", needs_stage=True, run=_from_gradient(cams.grad_cam), photos=_one,
        idea="Adds up the channels of a deep map, each weighted by how much the class's score grows with it.",
        limits=_CAM_LIMITS, source="Selvaraju et al., Grad-CAM, ICCV 2017", link="https://arxiv.org/abs/1610.02391"),
    Method(
        "gradcam++", "Grad-CAM++", "cam", needs_stage=True, run=_from_gradient(cams.grad_cam_plus_plus), photos=_one,
        idea="As Grad-CAM, but only growing scores count, and small places count as much as large ones: better where "
             "the class is seen several times.",
        limits=_CAM_LIMITS, source="Chattopadhyay et al., Grad-CAM++, WACV 2018", link="https://arxiv.org/abs/1710.11063"),
    Method(
        "layercam", "Layer-CAM", "cam", needs_stage=True, run=_from_gradient(cams.layer_cam), photos=_one,
        idea="Weights every place of a map by its own gradient, so that early stages give sharp maps too.",
        limits=_CAM_LIMITS, source="Jiang et al., LayerCAM, IEEE TIP 2021",
        link="https://doi.org/10.1109/TIP.2021.3089943"),
    Method(
        "scorecam", "Score-CAM", "cam", needs_stage=True, run=_score_cam, photos=_channels,
        idea="Needs no gradient: shows the model the photo through each channel as a mask, and weights the channel by the "
             "score.",
        limits="The masked photos are unlike any that the model has learnt from, so their scores are no clean measure of "
               "what a channel means.",
        source="Wang et al., Score-CAM, CVPR Workshops 2020", link="https://arxiv.org/abs/1910.01279"),
    Method(
        "saliency", "Saliency", "pixels", run=_saliency, photos=lambda model, **_: 2,
        idea="The gradient of the score with respect to every pixel: the strongest of the colour channels.",
        limits=_PIXEL_LIMITS, source="Simonyan et al., Deep Inside Convolutional Networks, 2013",
        link="https://arxiv.org/abs/1312.6034"),
    Method(
        "smoothgrad", "SmoothGrad", "pixels", run=_smooth_grad, photos=_samples,
        idea="The mean saliency of many noisy copies of the photo: what stays is less speckled.",
        limits=_PIXEL_LIMITS, source="Smilkov et al., SmoothGrad, 2017", link="https://arxiv.org/abs/1706.03825"),
    Method(
        "integrated_gradients", "Integrated gradients", "pixels", run=_integrated_gradients,
        photos=lambda model, *, steps, **_: 3 + steps,
        idea="Gradients summed on the way from an empty photo to this one; all pixels together make the whole difference "
             "of the scores.",
        limits="It explains the difference to one empty photo of one colour: another baseline gives another picture, and "
               "pixels of the baseline's own colour get nothing.",
        source="Sundararajan et al., Axiomatic Attribution, ICML 2017", link="https://arxiv.org/abs/1703.01365"),
    Method(
        "input_x_gradient", "Input x gradient", "pixels", run=_input_x_gradient, photos=lambda model, **_: 2,
        idea="Saliency times the pixel's own value: exact for a linear model, a rough guess for a deep one.",
        limits=_PIXEL_LIMITS, source="Shrikumar et al., Not Just a Black Box, 2016",
        link="https://arxiv.org/abs/1605.01713"),
    Method(
        "gradient_shap", "GradientSHAP", "pixels", run=_gradient_shap, photos=_samples,
        idea="Gradients at random points between an empty photo and this one with noise: an estimate of Shapley values.",
        limits="An estimate from few random points, for a baseline of one colour; another seed gives a slightly different "
               "picture.",
        source="Lundberg and Lee, A Unified Approach, NeurIPS 2017", link="https://arxiv.org/abs/1705.07874"),
    Method(
        "guided_backprop", "Guided backpropagation", "pixels", run=_guided_backprop, photos=lambda model, **_: 2,
        idea="The gradient, of which every ReLU lets only the positive part pass: clear drawings of edges and textures.",
        limits="It is beautiful and hardly depends on the class, or even on the trained weights (Adebayo et al., 2018): it "
               "shows the photo's edges rather than the model's reasons.",
        source="Springenberg et al., Striving for Simplicity, ICLR Workshop 2015", link="https://arxiv.org/abs/1412.6806"),
    Method(
        "occlusion", "Occlusion", "cover", run=_occlusion, photos=_squares,
        idea="Covers one square after another and measures how far the score falls.",
        limits="It shows what is missed when it alone is covered; evidence that is there twice is missed by nobody, and a "
               "grey square is itself something to see.",
        source="Zeiler and Fergus, Visualizing and Understanding, ECCV 2014", link="https://arxiv.org/abs/1311.2901"),
    Method(
        "rollout", "Attention rollout", "attention", needs_class=False, run=_rollout, photos=_one,
        idea="Follows the attention of all blocks, mean over heads, from the photo's summary back to the patches.",
        limits="It knows of no class and of nothing but attention weights: what the values and the layers between do with "
               "them, it does not see.",
        source="Abnar and Zuidema, Quantifying Attention Flow, ACL 2020", link="https://arxiv.org/abs/2005.00928"),
    Method(
        "attention", "Attention", "attention", needs_class=False, run=_attention, photos=_one,
        idea="From which patches one head of one block takes: for the class token, or for a place of your choice.",
        limits="One head of one block among many; a large weight does not say that what was taken matters for the answer.",
        source="Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021", link="https://arxiv.org/abs/2010.11929"),
)}


# --- what a user typed ------------------------------------------------------------------------------------------


def find_method(name: str) -> Method:
    """The method of that name. Raises ValueError with the nearest names for an unknown one."""
    plain = {_plain(key): method for key, method in METHODS.items()}
    plain |= {_plain(method.title): method for method in METHODS.values()}
    wanted = _plain(name) if isinstance(name, str) else ""
    if wanted.endswith("pp"):
        wanted = wanted[:-2] + "++"
    if wanted in plain:
        return plain[wanted]
    hint = meant(plain[key].name for key in nearest(wanted, plain, 2))
    raise ValueError(f"Unknown method {name!r}.{hint} There are: {', '.join(METHODS)}.")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def find_class(target: int | str, labels: Sequence[str], noun: str = "class") -> int:
    """The index of a class, given that index, its name, or a part that only one name has; case does not count.

    noun: "number" where the names are those of numbers that a model gives
    Raises ValueError where there is no such class, with the nearest names, or more than one, with all of them.
    """
    several = "classes" if noun == "class" else f"{noun}s"
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        if not 0 <= target < len(labels):
            reach = f"{several} are 0 to {len(labels) - 1}" if len(labels) > 1 else f"only {noun} is 0"
            raise ValueError(f"target is {target}, but this model's {reach}.")
        return int(target)
    if not isinstance(target, str) or not target.strip():
        usual = "the likeliest class" if noun == "class" else f"the first {noun}"
        raise ValueError(f"target is {target!r}: expected a {noun}'s index or name, or None for {usual}.")
    wanted, names = target.strip().lower(), [label.lower() for label in labels]
    found = [i for i, name in enumerate(names) if name == wanted]
    found = found or [i for i, name in enumerate(names) if wanted in (part.strip() for part in name.split(","))]
    found = found or [i for i, name in enumerate(names) if re.search(rf"\b{re.escape(wanted)}\b", name)]
    found = found or [i for i, name in enumerate(names) if wanted in name]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{labels[i]!r} ({i})" for i in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise ValueError(f"{len(found)} {several} match {target!r}: {shown}{more}. Give more of the name, or the "
                         "index.")
    hint = meant(labels[names.index(name)] for name in nearest(wanted, names, 3))
    known = ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
    hint = hint or f" They are: {known}."
    raise ValueError(f"None of the {len(labels)} {several} is called {target!r}.{hint}")


def _check_stage(model: VisionModel, method: Method, stage: str) -> None:
    if not method.needs_stage:
        raise ValueError(f"{method.title} is not drawn from a stage's map: leave stage= away, or use "
                         f"{', '.join(repr(m.name) for m in METHODS.values() if m.needs_stage)}.")
    names = [row.name for row in model.stage_table]
    if stage not in names:
        hint = did_you_mean(str(stage), names)
        raise ValueError(f"{model_name(model)} has no stage {stage!r}.{hint} {stages_in_words(names)}")


def _check_options(method: Method, options: dict[str, Any]) -> None:
    for name in options:
        if name not in method.options:
            known = ", ".join(f"{key}={value!r}" for key, value in method.options.items())
            raise ValueError(f"{method.title} has no option {name!r}. "
                             + (f"It has: {known}." if known else "It has none of its own."))


def _check_look(look: Look, model: VisionModel, image: Any) -> None:
    """Raise ValueError for a look at another photo, or by a model that sees photos in another way."""
    if not is_at(look, image):
        raise ValueError("look= is a look at another photo. Give the look at this one, or leave look= away.")
    if look.config != resolve_data_config({}, model=model):
        raise ValueError(f"look= is by {look.model_name}, which sees photos in another way than {model_name(model)}. "
                         "Give the look by this model, or leave look= away.")


def _passes(count: int) -> str:
    return counted(count, "pass", "es") if count else "no pass"


__all__ = ["METHODS", "Attribution", "Method", "Stopped", "default_stage", "explain", "find_class", "find_method"]
