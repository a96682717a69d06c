"""`wrap`: any PyTorch module behind explorer's contract.

A foreign module knows nothing of stages. It is run once on a photo of noise while we watch, see
`explorer.models.doors.first_run`; from then on features, heat maps, the module tree and training work with it
as with our own.

    net = wrap(my_sequential, input_size=(1, 28, 28), labels="0123456789")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.arguments import kind_in_words
from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.models.doors.first_run import (
    TOGETHER,
    Watched,
    first_run,
    models_inside,
    noise,
    watch,
)
from explorer.models.doors.given import channel_numbers, running_at, short, size_given
from explorer.models.doors.wrapped import WrappedModel
from explorer.models.endings import Squash
from explorer.models.outputs import check_kind, check_labels
from explorer.models.surgery.inside import look_through, photo_size
from explorer.models.watching import Turn, watching


def wrap(
    module: nn.Module,
    *,
    labels: Sequence[str] | None = None,
    outputs: str | None = None,
    input_size: int | Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    name: str = "",
) -> VisionModel:
    """Put any module that turns a batch of photos [B, C, H, W] into scores [B, K] behind explorer's contract.

    labels:     class names in index order, or the names of the numbers;  name: what to call it, by default
                its class
    outputs:    what the scores mean: "one" of K classes (softmax), "yes/no" (one score, sigmoid), "several"
                classes at once (K sigmoids) or "numbers"; None: found from a softmax or sigmoid at the end,
                else "one", of a single score "yes/no". Two names for a yes or no are (no, yes); one is the
                yes
    input_size: (C, H, W) or the side in pixels that it takes; by default C from its first layer, and 224, or
                the first of 96, 64, 32, 28 pixels that it can run on
    mean, std:  of the normalisation it was trained with, for pixels in 0..1; by default ImageNet's, 0.5 for
                grey

    torch's own wrappers (DataParallel, torch.compile's, AveragedModel) are looked through. Of a module whose
    body is one of explorer's models, photos are prepared as that body's are; one that normalises them itself
    gets them as they are.

    The module itself is kept in `.module` and not copied: training the wrapped model trains it. A softmax or
    sigmoid at its end is left out here, so that scores are logits as everywhere; `.module` still has it. Of
    "numbers" nothing is. A model that already keeps the contract is given back as it is; one that is told
    more of its photos, labels or outputs, with these in its config. Raises TypeError for what is no module,
    size, row of numbers or name; ValueError for those that can't be, and where the module can't be run, gives
    no scores, or others than `labels` or `outputs` say.
    """
    check_kind(outputs)
    if not isinstance(module, nn.Module):
        raise TypeError(f"wrap takes a torch.nn.Module, not {kind_in_words(module)}.")
    if not isinstance(name, str):
        raise TypeError(f"name is {short(name)}: expected what to call the module, a text.")
    module = look_through(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("wrap was given a TorchScript program (torch.jit), whose layers can't be watched: "
                        "give the torch.nn.Module that it was made from, with its weights.")
    if isinstance(module, VisionModel):
        module.notice_head()
        prepare_anew(module, input_size, mean, std, name)
        return _told(module, labels, outputs)
    body = body_of(module)
    size, watched = first_run(module, size_given(input_size, module), body)
    prepared = preparation(module, body, size)
    config = prepared.with_(
        architecture=name or type(module).__name__, input_size=size, fixed_input_size=True,
        mean=channel_numbers("mean", mean, size[0]) if mean is not None else prepared.mean,
        std=channel_numbers("std", std, size[0]) if std is not None else prepared.std,
        outputs=_kind_of(watched, outputs), labels=(), num_classes=watched.scores,
    )
    model = WrappedModel(module, watched, config)
    if body is not None and body.num_classes and model.get_classifier() is body.get_classifier():
        body.notice_head()
        model.load_report = body.load_report  # the scores are the body's own
        kind = config.outputs or body.config.outputs
        model.config = model.config.with_(labels=body.config.labels, outputs=kind)
    return _told(model, labels, model.config.outputs)


def _kind_of(watched: Watched, outputs: str | None) -> str:
    """What the scores mean: as somebody says, or as the end of the network tells."""
    if outputs is not None:
        return _check_ending(check_kind(outputs, watched.scores), watched.squash)
    sigmoid = watched.ending == "sigmoid" or watched.squash is not None and watched.squash.name == "sigmoid"
    return ("several" if watched.scores > 1 else "yes/no") if sigmoid else ""


def _check_ending(kind: str, squash: Squash | None) -> str:
    if kind == "several" and squash is not None and squash.name == "softmax":
        raise ValueError("outputs='several' can't be: this module ends with a softmax, which shares 100 % "
                         "out among its classes. Take 'one', or a module without the softmax.")
    return kind


def _told(model: VisionModel, labels: Sequence[str] | None, outputs: str | None) -> VisionModel:
    """The model, which now knows these names for its outputs, or this kind."""
    if labels is None and outputs is None:
        return model
    model.notice_head()
    width = model.num_classes
    kind = check_kind(outputs, width) if outputs else model.config.outputs
    if isinstance(model, WrappedModel):
        _check_ending(kind, model.squash)
    shown = kind or ("yes/no" if width == 1 else "one")
    changes = {} if labels is None else {"labels": check_labels(labels, width, shown)}
    if kind != model.config.outputs:
        changes |= {"outputs": kind, "number_mean": (), "number_std": ()}
    model.config = model.config.with_(num_classes=width, **changes)
    if isinstance(model, WrappedModel) and "outputs" in changes:
        model.watch_again()  # of numbers nothing at the end is left out
    return model


def prepare_anew(model: VisionModel, input_size: Any, mean: Any, std: Any, name: str) -> None:
    """Let a model of explorer prepare photos as it is told. Its name stays: it is what it is built again by.

    Raises ValueError for a size that it is not built for, or another name.
    """
    config = model.config
    called = config.name or type(model).__name__
    if name not in ("", config.architecture, config.name):
        raise ValueError(f"{called} is a model of explorer and has a name: leave name= out.")
    changes: dict[str, Any] = {}
    if input_size is not None:
        channels, *sides = size_given(input_size, model)
        built_for = photo_size(model)
        if channels != model.in_chans or model.fixed_image_size and tuple(sides) != built_for[1:]:
            size = " x ".join(map(str, built_for))
            raise ValueError(f"{called} is built for photos of {size}; input_size is {short(input_size)}. "
                             "Create it with img_size= or in_chans=.")
        changes |= {"input_size": (channels, *sides), "test_input_size": None}
    for what, values in (("mean", mean), ("std", std)):
        if values is not None:
            changes[what] = channel_numbers(what, values, model.in_chans)
    told = config.with_(**changes)
    if isinstance(model, WrappedModel) and told.input_size != config.input_size:
        with running_at(told):
            watch(model.module, told.input_size)
        model.config = told
        model.watch_again()
    elif changes:
        model.config = told


def body_of(module: nn.Module) -> VisionModel | None:
    """The model of explorer's that is a part of a module and knows how photos are prepared, or None.

    Raises ValueError for two that want photos prepared in two ways.
    """
    outer = models_inside(module)
    if len({as_prepared(body.config) for body in outer}) > 1:
        raise ValueError(
            f"This {type(module).__name__} holds {len(outer)} models that see photos in different ways "
            f"(size, crop, mean or std), so no one way to prepare them is right. {TOGETHER}"
        )
    return outer[0] if outer else None


def as_prepared(config: ModelConfig) -> ModelConfig:
    """A configuration with nothing in it but how photos are prepared."""
    return ModelConfig(input_size=config.input_size, interpolation=config.interpolation, mean=config.mean,
                       std=config.std, crop_pct=config.crop_pct, crop_mode=config.crop_mode)


def preparation(module: nn.Module, body: VisionModel | None, size: tuple[int, int, int]) -> ModelConfig:
    """How photos are prepared for a module: as its body's are, but for what the module does to them itself.

    Without such a body the whole photo is resized, and normalised as for ImageNet; with 0.5 if not in colour.
    """
    usual = ModelConfig(crop_pct=1.0)
    if size[0] != 3:
        usual = usual.with_(mean=(0.5,) * size[0], std=(0.5,) * size[0])
    if body is None:
        return usual
    config = as_prepared(body.config)
    if len(config.mean) != size[0]:
        return config.with_(mean=usual.mean, std=usual.std)
    photo, reached = noise(size).to(**parameter_place(module)), []

    def keep_first(_turn: Turn, _part: nn.Module, inputs: tuple, _options: dict) -> None:
        if not reached and inputs and isinstance(inputs[0], Tensor):
            reached.append(inputs[0].clone())

    with evaluation(module), torch.no_grad(), watching(dict(body.named_modules()), before=keep_first):
        module(photo)
    mean, std = (torch.tensor(numbers).to(photo)[:, None, None] for numbers in (config.mean, config.std))
    if not reached or reached[0].shape != photo.shape:
        return config
    if torch.allclose(reached[0], (photo - mean) / std, rtol=1e-2, atol=1e-2):
        return config.with_(mean=(0.0,) * size[0], std=(1.0,) * size[0])  # the module normalises them
    return config
