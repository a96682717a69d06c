"""The model that looks: opened by name, in evaluation mode; what it is called, and what its scores mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.arguments import kind_in_words
from explorer.data.labels import labels_for
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.models.create import create_model
from explorer.models.ensembles.holding import Members
from explorer.models.ensembles.members import broken_members
from explorer.models.naming import model_name
from explorer.models.outputs import Outputs, read_outputs
from explorer.models.surgery.inside import backbone
from explorer.models.tasks import check_name_for, check_task

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_locks_guard = threading.Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the `with` block, one thread at a time for each model.

    Without the lock, one thread's end would switch the other back to training in mid-pass.
    """
    with _locks_guard:
        lock = _locks.setdefault(model, threading.RLock())
    with lock, evaluation(model):
        yield


def as_model(model: VisionModel | str, *, task: str | None = "classification") -> VisionModel:
    """The model itself, seen through torch's wrappers, or a new one with trained weights by its name.

    task: what it has to answer with, one of `models.tasks.ASKED_BY`; None: whatever it is
    Raises TypeError for anything else, ValueError for a model without weights or of another task, or an
    unknown name.
    """
    if isinstance(model, str):
        check_name_for(task, model)  # before anything is downloaded
        model = create_model(model, pretrained=True).eval()
        check_task(task, model.task, model_name(model))
        return model
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"Expected a model made by explorer.create_model, or a name such as 'resnet50', "
            f"not {kind_in_words(model)}."
        )
    try:
        model = backbone(model)
    except TypeError as error:
        raise TypeError(f"Expected a model made by explorer.create_model. {error}") from None
    _check_weights(model)
    check_task(task, model.task, model_name(model))
    model.notice_head()
    return model


Finder = TypeVar("Finder", bound=VisionModel)
DOES = {"classification": "says what a photo shows: explorer.look and explorer.predict are for it",
        "detection": "finds boxes: explorer.detect is for it",
        "segmentation": "finds masks: explorer.segment is for it"}


def as_finder(model: VisionModel | str, kind: type[Finder], wanted: str) -> Finder:
    """`as_model` for a network that finds places, of class `kind`.

    wanted: how the sentence begins that is said of others
    Raises TypeError, with what to do, for a model of another task or no model, ValueError for one without
    weights.
    """
    opened: Any = model
    if isinstance(model, str):
        opened = create_model(model, pretrained=True).eval()
    elif isinstance(model, nn.Module):
        with suppress(TypeError):  # of another library: what it is is said below
            opened = backbone(model)
    if not isinstance(opened, kind):
        task = getattr(opened, "task", "")
        what = f"this model is a {type(opened).__name__}"
        if task in DOES:
            what = f"{model_name(opened)} {DOES[task]}"
        raise TypeError(f"{wanted}; {what}.")
    _check_weights(opened)
    opened.notice_head()
    return opened


def _check_weights(model: nn.Module) -> None:
    if parameter_place(model)["device"].type == "meta":
        raise ValueError("This model has shapes but no weights (it is on the 'meta' device): create it "
                         "without torch.device('meta'), or load weights into it.")


def outputs_of(model: VisionModel) -> Outputs:
    """What the model's scores mean, and what they are called: the one answer that everybody reads."""
    width = model.num_classes
    return read_outputs(model.config, width, labels_for(width) if width == 1000 else None)


def labels_of(model: VisionModel) -> tuple[str, ...]:
    """One name for each of the model's classes or numbers; see `outputs_of`."""
    return outputs_of(model).labels


def not_pooled(logits: Tensor) -> ValueError:
    """What is said of logits [B, K, ...] that hold more than one score a class."""
    return ValueError(f"This model gives logits of shape {list(logits.shape[1:])} for one photo, not one "
                      'score a class: create it with a global_pool, e.g. "avg".')


def weight_notes(model: VisionModel, what: str) -> tuple[str, ...]:
    """What a reader must know about the weights. what: that which random ones give, in the plural."""
    report = model.load_report
    if report is None:
        return (f"No weights were loaded into this model: unless it was trained here, its {what} mean "
                "nothing.",)
    return (*(f"{text}." for text in report.noted), *(f"Not loaded: {text}." for text in report.skipped))


def notes_on(model: VisionModel, scores: Tensor | None = None) -> tuple[str, ...]:
    """What a reader of the predictions must know about the weights and the names.

    scores: the raw ones that are shown, in any shape: where they are no numbers, that is said first
    """
    if model.task != "classification":
        return weight_notes(model, "features")
    notes = [*weight_notes(model, "predictions" if model.num_classes else "features")]
    config = model.config
    if model.num_classes and not outputs_of(model).named:
        one = model.num_classes == 1
        several = "numbers" if config.outputs == "numbers" else "classes"
        called = "score is" if one else f"{model.num_classes} {several} are"
        names = "its name" if one else "their names"
        notes.append(f"Nobody said what this head's {called} called: give {names} as labels, where the model "
                     "is wrapped or the dashboard made.")
    elif config.labels == () and not model.num_classes:
        notes.append("The classifier was taken away, so this model gives features and no predictions.")
    if model.num_classes == 1 and not config.outputs:
        notes.append("One score without a sigmoid behind it: it is read as a yes or no. If it is a number, "
                     "say where the model is wrapped that its outputs are numbers.")
    # A file whose numbers are none is noted already; weights also break in memory, by training or by hand.
    if scores is not None and not torch.isfinite(scores).all() and not any("NaN" in note for note in notes):
        notes.insert(0, f"{whose_scores(model)} are no numbers (NaN or infinite), so its answers mean "
                        "nothing: its weights are broken, or too large for their precision.")
    return tuple(notes)


def whose_scores(model: nn.Module) -> str:
    """How a sentence begins that is said of scores that are no numbers; of an ensemble it names the members
    whose weights are none.
    """
    if isinstance(model, Members) and (broken := broken_members(dict(zip(model.names, model.members)))):
        return f"The scores of the member {' and the member '.join(broken)}"
    return "The model's scores"
