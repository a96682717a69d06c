"""The members of an ensemble: opened, named, and refused by name where one can't take part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from explorer.models.contract import VisionModel, parameter_place
from explorer.models.ensembles.given import named_members
from explorer.models.members import buffers_in, parameters_in
from explorer.models.stages import Stage
from explorer.models.surgery.inside import backbone
from explorer.models.weights.report import LoadReport, WeightsError


def opened_members(models: Any, open_one: Callable[[str], VisionModel]) -> dict[str, VisionModel]:
    """{what it is called: the model} of whatever `given.named_members` takes.

    open_one: a name -> a model with its trained weights
    Raises TypeError for what is no such list, ValueError or WeightsError for a member that can't be had.
    """
    return {name: _opened(name, model, open_one) for name, model in named_members(models).items()}


def _opened(name: str, model: str | nn.Module, open_one: Callable[[str], VisionModel]) -> VisionModel:
    if isinstance(model, str):
        try:
            return open_one(model)
        except (ValueError, TypeError, WeightsError) as error:
            raise type(error)(f"The member {name[:60]!r} can't be had. {error}") from error
    try:
        inner: Any = backbone(model)
    except TypeError as error:
        raise TypeError(f"The member {name} can't take part. {error}") from None
    if not isinstance(inner, VisionModel):
        raise TypeError(f"The member {name} is a {type(inner).__name__}, no model of explorer's: "
                        "explorer.wrap(model) makes it one.")
    return inner


def check_channels(members: Mapping[str, VisionModel]) -> None:
    """Raise ValueError, with the member's name, for one that reads pictures of other channels than the first.
    """
    (first, lead), *_ = members.items()
    for name, model in members.items():
        if model.in_chans != lead.in_chans:
            raise ValueError(f"The member {name} reads pictures of {model.in_chans} channels, and {first} of "
                             f"{lead.in_chans}: members see the same photo.")


def check_members(members: Mapping[str, VisionModel], *, heads: bool = True) -> None:
    """Raise ValueError, with the member's name, for one without weights, of another task or device, or, with
    `heads`, without a classifier.
    """
    (first, lead), *_ = members.items()
    device = parameter_place(lead)["device"]
    for name, model in members.items():
        if parameter_place(model)["device"].type == "meta":
            raise ValueError(f"The member {name} has shapes but no weights (it is on the 'meta' device): "
                             "create it without torch.device('meta'), or load weights into it.")
        check_device(name, parameter_place(model)["device"], first, device)
        if model.task != lead.task:
            raise ValueError(f"The member {name} is for {model.task}, and {first} for {lead.task}: an "
                             "ensemble's members have one task.")
        check_single(name, model)
        model.notice_head()
        if heads and not model.num_classes:
            raise ValueError(f"The member {name} has no classifier (num_classes=0), so it has no answer to "
                             "combine: explorer.fuse_features(models) joins the features of such networks.")


def check_single(name: str, model: nn.Module) -> None:
    """Raise ValueError, with the member's name, for one that holds several networks itself."""
    if hasattr(model, "taken"):
        raise ValueError(f"The member {name} has several bodies under one head (fuse_features): only "
                         "networks with one body can be members.")
    if hasattr(model, "members"):
        raise ValueError(f"The member {name} is an ensemble itself: give its members one by one.")


def check_device(name: str, device: torch.device, first: str, wanted: torch.device) -> None:
    """Raise ValueError, with the member's name, for one that is on another device than the first."""
    if device != wanted:
        raise ValueError(f"The member {name} is on the device '{device}', and {first} on '{wanted}': bring "
                         f"them together with model.to('{wanted}').")


def title_of(kind: str, names: Sequence[str]) -> str:
    """What an ensemble is called, by its kind and its members."""
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} others"]
    several = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{kind} {several}"


def report_of(kind: str, members: Mapping[str, VisionModel]) -> LoadReport:
    """What happened to the weights of all members together."""
    report = LoadReport("the members' own weights", name=title_of(kind, [*members]))
    for name, model in members.items():
        own = model.load_report
        if own is None:
            report.noted.append(f"No weights were loaded into {name}: unless it was trained here, what it "
                                "says means nothing")
            continue
        report.loaded += own.loaded
        for ours, theirs in ((report.adapted, own.adapted), (report.skipped, own.skipped),
                             (report.noted, own.noted), (report.retyped, own.retyped)):
            ours += [f"{name}: {text}" for text in theirs]
    return report


def stages_of(name: str, number: int, model: VisionModel) -> list[Stage]:
    """A member's stages as those of the ensemble: "resnet18/layer4"."""
    inside = "module." if isinstance(getattr(model, "module", None), nn.Module) else ""
    return [Stage(f"{name}/{stage.name}", f"members.{number}.{inside}{stage.module}", stage.channels,
                  stage.reduction, stage.call) for stage in model.stage_table]


def bodies(models: Sequence[VisionModel], ways: Sequence[int]) -> list[int]:
    """For each member the number of the first one that has its body: the same layers, not like ones.

    ways: which preprocessing each has. Two heads on one body share its tensors, but for the classifier's.
    """
    first: dict[Any, int] = {}
    return [first.setdefault(_body_key(model, way), number)
            for number, (model, way) in enumerate(zip(models, ways))]


def _body_key(model: VisionModel, way: int) -> Any:
    head = {id(tensor) for part in [model.get_classifier()]
            for tensor in (*parameters_in(part), *buffers_in(part))}
    body = [id(tensor) for tensor in (*parameters_in(model), *buffers_in(model)) if id(tensor) not in head]
    return (type(model), way, *body) if body else (id(model), way)


#: What a broken network, or one that somebody wrote, raises in its pass.
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError)


@contextmanager
def by_name(name: str) -> Iterator[None]:
    """An error in a member's pass says which member it was; explorer's own ones (a stop) pass as they are."""
    try:
        yield
    except FAILURES as error:
        own = type(error).__module__.partition(".")[0] == "explorer"
        if own or isinstance(error, torch.OutOfMemoryError):
            raise
        kind = next((kind for kind in (ValueError, TypeError) if isinstance(error, kind)), RuntimeError)
        what = str(error) if isinstance(error, (RuntimeError, kind)) else f"{type(error).__name__}: {error}"
        raise kind(f"The member {name} failed: {what}") from error


def broken_members(members: Mapping[str, nn.Module]) -> list[str]:
    """The names of those whose weights or buffers hold values that are no numbers (NaN or infinite)."""
    def sound(model: nn.Module) -> bool:
        return all(bool(torch.isfinite(value).all()) for value in (*parameters_in(model), *buffers_in(model))
                   if value.is_floating_point())

    return [name for name, model in members.items() if not sound(model)]
