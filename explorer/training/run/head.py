"""The model that a run begins with: a classifier for the classes or numbers of the data, and which parts
learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from explorer.data.places.place_set import AnySplits
from explorer.display.words import counted
from explorer.models.body import OverBody
from explorer.models.contract import VisionModel
from explorer.models.create import create_model
from explorer.models.ensembles.holding import Members
from explorer.models.outputs import read_outputs
from explorer.models.surgery.freezing import freeze, unfreeze
from explorer.models.surgery.inside import stage_modules
from explorer.models.tasks import check_name_for, check_task
from explorer.training.loop.objective import answers_of, kind_of, width_of
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import Recipe


def labels_known(model: Any) -> Sequence[str]:
    """The names of a model's own classes, whose order its classifier has; () where it has none."""
    if not isinstance(model, VisionModel):
        return ()
    model.notice_head()
    labels = model.config.labels
    return labels if labels and len(labels) == len(read_outputs(model.config, model.num_classes)) else ()


def keeps_head(net: VisionModel, splits: AnySplits, kind: str) -> bool:
    """Whether a model's classifier is for these classes, or numbers: as many, of this kind, and of the same
    names or of none that anybody gave.
    """
    net.notice_head()
    config = net.config
    return (net.num_classes == width_of(kind, len(splits.classes)) and (config.outputs or kind) == kind
            and (config.labels or splits.classes) == splits.classes)


def exchange_notes(model: VisionModel | str, splits: AnySplits, kind: str) -> tuple[str, ...]:
    """What to say of a classifier that somebody made or trained, and that these classes can't use."""
    if not isinstance(model, VisionModel) or keeps_head(model, splits, kind):
        return ()
    if model.config.labels is None or not model.num_classes:  # ImageNet's is expected to go
        return ()
    before, width = model.num_classes, width_of(kind, len(splits.classes))
    noun = "numbers" if kind == "numbers" else "classes"
    why = f"one of {width}" if before != width else f"a fresh one, as its {noun} have other names"
    if before == width and (model.config.labels or splits.classes) == splits.classes:
        why = "a fresh one, as its scores meant something else"
    return (f"Your classifier of {counted(before, 'output')} was exchanged for {why}.",)


def beginning_notes(net: VisionModel) -> tuple[str, ...]:
    """What to say of a network whose backbone alone begins with trained weights."""
    report = net.load_report
    if report is None or not report.skipped:
        return ()
    rest = "; ".join(report.skipped)
    return (f"Its backbone begins with weights from {report.source}. Not loaded: {rest}.",)


def model_for(model: nn.Module | str, splits: AnySplits, recipe: Recipe, pretrained: bool, device: Any,
              input_size: tuple[int, int, int] | None) -> VisionModel:
    """The model with a fresh classifier for these classes or numbers, drawn by the seed."""
    net, device = begun_with(model, splits, recipe, pretrained, device, input_size)
    return made_ready(net, splits, recipe, device, input_size, named=isinstance(model, str))


def begun_with(model: nn.Module | str, splits: AnySplits, recipe: Recipe, pretrained: bool, device: Any,
               input_size: tuple[int, int, int] | None,
               backbone: str | None = None) -> tuple[VisionModel, Any]:
    """(the model that a run begins with, where it goes): the one that was given is not changed yet."""
    width = width_of(kind_of(splits, recipe), len(splits.classes))
    task = recipe.task
    if isinstance(model, str):
        extra: dict[str, Any] = {}
        if input_size is not None and input_size[0] != 3:
            extra["in_chans"] = input_size[0]
        if backbone is not None:
            extra["backbone"] = backbone
        check_name_for(task, model)  # before anything is downloaded
        with drawn_by(recipe.seed, -2):
            net = create_model(model, pretrained=pretrained, num_classes=width, **extra)
        check_task(task, net.task, model)
        return net, device or ("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(model, VisionModel):
        check_task(task, model.task, type(model).__name__)
        return model, device
    raise TypeError(f"finetune takes a model or its name, not {type(model).__name__}. Your own module: "
                    "explorer.wrap(module).")


def body_of(net: VisionModel) -> tuple[str, ...]:
    """Paths of the backbone in a network for boxes or masks, whose rest is its head; () where the classifier
    alone is that.
    """
    return net.body_paths if isinstance(net, OverBody) else ()


def is_inside(path: str, modules: Sequence[str]) -> bool:
    """Whether a path is one of these modules, or lies in one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def made_ready(net: VisionModel, splits: AnySplits, recipe: Recipe, device: Any,
               input_size: tuple[int, int, int] | None, *, named: bool) -> VisionModel:
    """The model with a classifier for these classes, drawn by the seed where it is fresh, and frozen as the
    recipe says.

    named: it was made by its name, for these classes
    """
    kind = kind_of(splits, recipe)
    fresh = named or not keeps_head(net, splits, kind)
    with drawn_by(recipe.seed, -2):
        if fresh and not named:
            net.reset_classifier(width_of(kind, len(splits.classes)))
    if device is not None:
        net.to(device)
    # What it becomes is no published set of weights any more.
    answers = answers_of(net, splits, kind, fresh=fresh)
    net.config = net.config.of_a_file().with_(**answers, tag=splits.name, license=net.config.license)
    net.claim_head()
    if input_size is not None:
        net.config = net.config.with_(input_size=tuple(input_size), test_input_size=None)
    freeze_but(net, recipe.train)
    return net


def freeze_but(net: VisionModel, train: str) -> str:
    """Freeze all but this part of a network: "head", "last_stage" or "all". Gives what is frozen, in words.

    Raises ValueError for a last stage where there are no stages.
    """
    unfreeze(net)
    body = body_of(net)
    if train == "head":
        freeze(net, modules=body)
        return "its body" if body else "everything but the classifier"
    if train != "last_stage":
        return "nothing"
    if isinstance(net, Members):
        for name, member, stages in net.stages_by_member:
            _freeze_but_last(member, stages, name)
        return "all but the last stage of each member"
    inner, paths = stage_modules(net)
    start = "" if inner is net else "module."  # of a network of another library
    stages = [stage.name for stage, path in zip(net.stage_table, paths)
              if not body or is_inside(f"{start}{path}", body)]
    _freeze_but_last(net, stages, net.config.architecture)
    return f"all up to and including {stages[-2]}"


def _freeze_but_last(net: VisionModel, stages: Sequence[str], called: str) -> None:
    if len(stages) < 2:
        raise ValueError(f"{called} has no stages that could be told apart: train 'head' or 'all'.")
    freeze(net, stages[-2])
