"""Members that speak of the same things: their classes are brought into one order, told by their names.

A model trained on folders in another order means other classes by the same index. So a member's scores are
laid in the order of the first one's, by the names of the classes; one that knows other classes, or answers
in another way, is named in the sentence that refuses it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel
from explorer.models.outputs import KINDS, Outputs, read_outputs

IMAGENET = "IMAGENET1K"  # how torchvision tags weights of ImageNet-1k's classes, in its order

NEVER_FOUND = frozenset({"background", "n/a"})  # as `name_key` writes "__background__" and "N/A"


@dataclass(frozen=True)
class Alignment:
    """How a member's raw scores become those of the first member's classes, in their order and unit.

    order: for each of the first one's scores the index of the member's; None: as they are
    sign:  -1 for a yes or no whose yes is the first one's no
    scale, shift: of numbers, what a raw score is multiplied by, and what is added then; one each
    """

    order: tuple[int, ...] | None = None
    sign: float = 1.0
    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()

    def places(self, theirs: Sequence[int]) -> list[int]:
        """Indices of the member's classes as those of the first one's."""
        if self.sign < 0:
            return [1 - place for place in theirs]
        return [*theirs] if self.order is None else [self.order.index(place) for place in theirs]

    def __call__(self, raw: Tensor) -> Tensor:
        if self.order is not None:
            raw = raw[..., list(self.order)]
        if self.sign != 1:
            raw = self.sign * raw
        if self.scale:
            raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
            raw = raw * raw.new_tensor(self.scale) + raw.new_tensor(self.shift)
        return raw


def outputs_of_member(model: VisionModel) -> Outputs:
    """What a member's scores mean."""
    return read_outputs(model.config, model.num_classes)


def align(first: VisionModel, other: VisionModel, name: str, first_name: str) -> Alignment:
    """How the other's scores become those of the first one's classes.

    Raises ValueError, with the member's name, for other classes or another kind of answers.
    """
    ours, theirs = outputs_of_member(first), outputs_of_member(other)
    if ours.kind != theirs.kind:
        raise ValueError(f"The member {name} gives {KINDS[theirs.kind]}, and {first_name} gives "
                         f"{KINDS[ours.kind]}: an ensemble's members answer in one way. Leave it out, or "
                         f"say what its scores are: explorer.wrap(model, outputs={ours.kind!r}).")
    if ours.width != theirs.width:
        noun = "numbers" if ours.numbers else "classes"
        raise ValueError(f"The member {name} has {len(theirs)} {noun}, and {first_name} has {len(ours)}: an "
                         f"ensemble's members tell the same {noun}. Leave it out, or finetune it on the same "
                         "data as the others.")
    order = _order(first.config, other.config, ours, theirs, name, first_name)
    if ours.kind == "yes/no":
        return Alignment(sign=-1.0 if order == (1, 0) else 1.0)
    in_place = order == tuple(range(len(ours)))
    scale, shift = _units(ours, theirs, order) if ours.numbers else ((), ())
    return Alignment(None if in_place else order, scale=scale, shift=shift)


def same_kinds(first: VisionModel, other: VisionModel, name: str, first_name: str) -> tuple[int, ...]:
    """For each label of the other detector's the first one's label that is called so; -1 for none.

    Some number classes that are never found, "background" and "N/A": these don't count. Raises ValueError,
    with the member's name, for detectors that find other things.
    """
    ours, theirs = (names_of_detector(model) for model in (first, other))
    if ours == theirs:
        return tuple(range(len(theirs)))
    own, more = ([name_key(label) for label in labels] for labels in (ours, theirs))
    found, strange = ({*keys} - NEVER_FOUND for keys in (own, more))
    if found != strange:
        missing = sorted(found ^ strange)[0][:60]
        has, lacks = (first_name, name) if missing in found else (name, first_name)
        raise ValueError(f"The member {name} finds other things than {first_name}: {has} knows {missing!r}, "
                         f"{lacks} does not. An ensemble's members know the same classes, in whatever order.")
    return tuple(own.index(key) if key not in NEVER_FOUND else -1 for key in more)


def names_of_detector(model: VisionModel) -> tuple[str, ...]:
    """What the classes of a detector are called; "class 3" where nobody said."""
    labels = model.config.labels or ()
    return tuple(labels[index] if index < len(labels) else f"class {index}"
                 for index in range(model.num_classes))


def _units(ours: Outputs, theirs: Outputs, order: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """What turns their raw scores, in our order already, into ours: both stand for the same number."""
    count = len(ours)
    mean, std = (ours.mean or (0.0,) * count), (ours.std or (1.0,) * count)
    other_mean, other_std = (theirs.mean or (0.0,) * count), (theirs.std or (1.0,) * count)
    scale = tuple(other_std[i] / std[place] for place, i in enumerate(order))
    shift = tuple((other_mean[i] - mean[place]) / std[place] for place, i in enumerate(order))
    return ((), ()) if set(scale) == {1.0} and set(shift) == {0.0} else (scale, shift)


def _order(ours: ModelConfig, theirs: ModelConfig, first: Outputs, other: Outputs, name: str,
           first_name: str) -> tuple[int, ...]:
    """For each of the first one's classes the index of the other's that is called so."""
    in_place = tuple(range(len(first)))
    if first.labels == other.labels or _is_imagenet(ours) and _is_imagenet(theirs):
        return in_place
    noun = "numbers" if first.numbers else "classes"
    if first.named != other.named:
        silent = name if first.named else first_name
        raise ValueError(f"Nobody said what the {noun} of the member {silent} are called, so they can't be "
                         f"told to be those of {first_name if first.named else name}: "
                         "explorer.wrap(model, labels=[...]) names them.")
    own, more = ([name_key(label) for label in outputs.labels] for outputs in (first, other))
    if missing := [label for label, key in zip(first.labels, own) if key not in more]:
        strange = next((label for label, key in zip(other.labels, more) if key not in own), "")
        has = f", but has {strange[:60]!r}" if strange else ""
        raise ValueError(f"The member {name} does not know {missing[0][:60]!r}, which {first_name} does"
                         f"{has}: an ensemble's members tell the same {noun}, in whatever order. Leave it "
                         "out, or finetune it on the same data as the others.")
    if twice := [key for key, count in Counter(more).items() if count > 1]:
        raise ValueError(f"The member {name} has two {noun} called {twice[0][:60]!r}, and their order is not "
                         f"that of {first_name}: give each a name of its own, explorer.wrap(model, "
                         "labels=[...]).")
    return tuple(more.index(key) for key in own)


def _is_imagenet(config: ModelConfig) -> bool:
    """Whether its classes are ImageNet-1k's, in the order that everybody has them in."""
    return config.num_classes == 1000 and (config.labels is None or config.tag.startswith(IMAGENET))


def name_key(label: str) -> str:
    """What two spellings of one name have in common: "School_Bus" is "school bus"."""
    return " ".join(unicodedata.normalize("NFC", label).replace("_", " ").split()).casefold()


def read_weights(weights: Any, names: tuple[str, ...], width: int) -> Tensor:
    """Weights as float32 [M] or, one a class, [M, W]; None: all the same.

    weights: a number a member, in their order or by name; or a row of numbers a member, one a class
    Raises TypeError or ValueError for anything else, with what is expected.
    """
    count = len(names)
    wanted = (f"one number a member ({count} of them), or for each member one a class ({width}); not "
              "negative, and for each class one above 0")
    if weights is None:
        return torch.full((count,), 1 / count)
    given = getattr(weights, "weights", weights) if not isinstance(weights, Tensor) else weights
    if isinstance(given, dict):
        if unknown := [name for name in given if name not in names]:
            raise ValueError(f"weights has {str(unknown[0])[:60]!r}, which is no member: the members are "
                             f"{', '.join(names)}.")
        if missing := [name for name in names if name not in given]:
            raise ValueError(f"weights says nothing of the member {missing[0]}: give {wanted}.")
        given = [given[name] for name in names]
    if isinstance(given, (str, bytes, bool)) or not hasattr(given, "__len__"):
        kind = ValueError if isinstance(given, (int, float)) and not isinstance(given, bool) else TypeError
        raise kind(f"weights is {str(weights)[:60]!r}: expected {wanted}.")
    try:
        found = torch.as_tensor(given).detach().to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"weights is {str(weights)[:60]!r}: expected {wanted}.") from None
    fits = found.shape in ((count,), (count, width))
    if not fits or not bool(torch.isfinite(found).all()) or bool((found < 0).any()) \
            or not bool((found.sum(0) > 0).all()):
        raise ValueError(f"weights is {str(weights)[:60]!r}: expected {wanted}.")
    return found / found.sum(0)
