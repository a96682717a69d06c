"""The methods of `explain`: a row each, with what it costs, what it does not prove, and its source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from explorer.data.transforms import resolve_data_config
from explorer.display.words import counted, meant, nearest, seconds_text
from explorer.inspection.attribution import cams, gradients, occlusion
from explorer.inspection.attribution.tasks import (
    Found,
    attend,
    from_gradient,
    gradient_shap,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    occlude,
    roll_out,
    saliency,
    score_cam,
    smooth_grad,
)
from explorer.inspection.look.model import model_name
from explorer.inspection.look.tail import default_stage
from explorer.models.contract import VisionModel
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel


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
        check_options(self, options)
        return self.photos(model, stage=stage, **(self.options | options))

    def cost(
        self, model: VisionModel, *, seconds_per_pass: float | None = None, stage: str | None = None,
        **options: Any,
    ) -> str:
        """What it costs, in words; in time too where that of a pass is known (`look.timing["forward"]`)."""
        passes = self.passes(model, stage=stage, **options)
        words = passes_text(passes)
        if self.group == "cam" and self.needs_gradient:
            words += ", none where a look holds the stage"
        if seconds_per_pass is not None:
            with_gradient = self.group == "pixels"  # the way back takes about twice as long as the way there
            words += f", about {seconds_text(passes * seconds_per_pass * (3 if with_gradient else 1))}"
        return words

    def refuses(self, model: VisionModel) -> str:
        """Why it is not made for this model, in a sentence; "" where it is, as far as one sees unasked."""
        if model.task != "classification" and not self.needs_class:
            return (f"{self.title} knows of no boxes and no regions, so it is not made for "
                    f"{model_name(model)}.")
        if self.needs_class and not model.num_classes:
            return f"{model_name(model)} has no classifier, so there is no class to explain."
        if self.needs_stage and not model.stage_table:
            return f"{model_name(model)} has no stages, so there is no map to draw a heat map from."
        if self.name == "guided_backprop" and not gradients.rectifiers(model):
            return f"{model_name(model)} has no ReLU layers, which guided backpropagation is about."
        if self.group == "attention" and isinstance(model, EnsembleModel | FusedModel):
            return f"{self.title} follows the attention of one network: ask a member of {model_name(model)}."
        shows_attention = any(hasattr(part, "attention_weights") for part in model.modules())
        if self.group == "attention" and not shows_attention:
            return f"{model_name(model)} has no attention layers whose weights could be shown."
        return ""


# --- what each costs: about how many inputs the network is run on -------------------------------------------


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


# --- the table ----------------------------------------------------------------------------------------------


_CAM_LIMITS = ("It shows where the evidence lies that this layer uses, as coarse as its map; it does not say "
               "what about that place counts, and a bright place is no proof that the answer would change "
               "without it.")


_PIXEL_LIMITS = ("It shows for which pixels a small change would move the score most, not what the model "
                 "recognises there; edges light up in almost any network.")


METHODS: dict[str, Method] = {method.name: method for method in (
    Method(
        "gradcam", "Grad-CAM", "cam", needs_stage=True, run=from_gradient(cams.grad_cam), photos=_one,
        idea="Adds up the channels of a deep map, each weighted by how much the class's score grows with it.",
        limits=_CAM_LIMITS, source="Selvaraju et al., Grad-CAM, ICCV 2017",
        link="https://arxiv.org/abs/1610.02391"),
    Method(
        "gradcam++", "Grad-CAM++", "cam", needs_stage=True, run=from_gradient(cams.grad_cam_plus_plus),
        photos=_one,
        idea="As Grad-CAM, but only growing scores count, and small places count as much as large ones: "
             "better where the class is seen several times.",
        limits=_CAM_LIMITS, source="Chattopadhyay et al., Grad-CAM++, WACV 2018",
        link="https://arxiv.org/abs/1710.11063"),
    Method(
        "layercam", "Layer-CAM", "cam", needs_stage=True, run=from_gradient(cams.layer_cam), photos=_one,
        idea="Weights every place of a map by its own gradient, so that early stages give sharp maps too.",
        limits=_CAM_LIMITS, source="Jiang et al., LayerCAM, IEEE TIP 2021",
        link="https://doi.org/10.1109/TIP.2021.3089943"),
    Method(
        "scorecam", "Score-CAM", "cam", needs_stage=True, run=score_cam, photos=_channels,
        idea="Needs no gradient: shows the model the photo through each channel as a mask, and weights the "
             "channel by the score.",
        limits="The masked photos are unlike any that the model has learnt from, so their scores are no "
               "clean measure of what a channel means.",
        source="Wang et al., Score-CAM, CVPR Workshops 2020", link="https://arxiv.org/abs/1910.01279"),
    Method(
        "saliency", "Saliency", "pixels", run=saliency, photos=lambda model, **_: 2,
        idea="The gradient of the score with respect to every pixel: the strongest of the colour channels.",
        limits=_PIXEL_LIMITS, source="Simonyan et al., Deep Inside Convolutional Networks, 2013",
        link="https://arxiv.org/abs/1312.6034"),
    Method(
        "smoothgrad", "SmoothGrad", "pixels", run=smooth_grad, photos=_samples,
        idea="The mean saliency of many noisy copies of the photo: what stays is less speckled.",
        limits=_PIXEL_LIMITS, source="Smilkov et al., SmoothGrad, 2017",
        link="https://arxiv.org/abs/1706.03825"),
    Method(
        "integrated_gradients", "Integrated gradients", "pixels", run=integrated_gradients,
        photos=lambda model, *, steps, **_: 3 + steps,
        idea="Gradients summed on the way from an empty photo to this one; all pixels together make the "
             "whole difference of the scores.",
        limits="It explains the difference to one empty photo of one colour: another baseline gives another "
               "picture, and pixels of the baseline's own colour get nothing.",
        source="Sundararajan et al., Axiomatic Attribution, ICML 2017",
        link="https://arxiv.org/abs/1703.01365"),
    Method(
        "input_x_gradient", "Input x gradient", "pixels", run=input_x_gradient, photos=lambda model, **_: 2,
        idea="Saliency times the pixel's own value: exact for a linear model, a rough guess for a deep one.",
        limits=_PIXEL_LIMITS, source="Shrikumar et al., Not Just a Black Box, 2016",
        link="https://arxiv.org/abs/1605.01713"),
    Method(
        "gradient_shap", "GradientSHAP", "pixels", run=gradient_shap, photos=_samples,
        idea="Gradients at random points between an empty photo and this one with noise: "
             "an estimate of Shapley values.",
        limits="An estimate from few random points, for a baseline of one colour; another seed gives a "
               "slightly different picture.",
        source="Lundberg and Lee, A Unified Approach, NeurIPS 2017", link="https://arxiv.org/abs/1705.07874"),
    Method(
        "guided_backprop", "Guided backpropagation", "pixels", run=guided_backprop,
        photos=lambda model, **_: 2,
        idea="The gradient, of which every ReLU lets only the positive part pass: "
             "clear drawings of edges and textures.",
        limits="It is beautiful and hardly depends on the class, or even on the trained weights (Adebayo et "
               "al., 2018): it shows the photo's edges rather than the model's reasons.",
        source="Springenberg et al., Striving for Simplicity, ICLR Workshop 2015",
        link="https://arxiv.org/abs/1412.6806"),
    Method(
        "occlusion", "Occlusion", "cover", run=occlude, photos=_squares,
        idea="Covers one square after another and measures how far the score falls.",
        limits="It shows what is missed when it alone is covered; evidence that is there twice is missed by "
               "nobody, and a grey square is itself something to see.",
        source="Zeiler and Fergus, Visualizing and Understanding, ECCV 2014",
        link="https://arxiv.org/abs/1311.2901"),
    Method(
        "rollout", "Attention rollout", "attention", needs_class=False, run=roll_out, photos=_one,
        idea="Follows the attention of all blocks, mean over heads, "
             "from the photo's summary back to the patches.",
        limits="It knows of no class and of nothing but attention weights: what the values and the layers "
               "between do with them, it does not see.",
        source="Abnar and Zuidema, Quantifying Attention Flow, ACL 2020",
        link="https://arxiv.org/abs/2005.00928"),
    Method(
        "attention", "Attention", "attention", needs_class=False, run=attend, photos=_one,
        idea="From which patches one head of one block takes: for the class token, "
             "or for a place of your choice.",
        limits="One head of one block among many; a large weight does not say that what was taken matters "
               "for the answer.",
        source="Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021",
        link="https://arxiv.org/abs/2010.11929"),
)}


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


def check_options(method: Method, options: dict[str, Any]) -> None:
    for name in options:
        if name not in method.options:
            known = ", ".join(f"{key}={value!r}" for key, value in method.options.items())
            raise ValueError(f"{method.title} has no option {name!r}. "
                             + (f"It has: {known}." if known else "It has none of its own."))


def passes_text(count: int) -> str:
    return counted(count, "pass", "es") if count else "no pass"
