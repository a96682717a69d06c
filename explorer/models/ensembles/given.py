"""What a person gives where several models are wanted: models, names and runs, told apart and named.

Whoever takes models (an ensemble, a soup, a stack, a comparison) asks here, so that the same things may be
given everywhere, and are called the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from torch import Tensor, nn

from explorer.arguments import shown
from explorer.models.naming import model_name

MOST = 64  # members
WANTED = ("a list of models, runs or names, such as ['resnet18', 'vgg16'], or {what to call it: one of "
          "these}")


class HasModel(Protocol):
    """What a training gives: a run, also one that was opened from a folder or is on other computers; a
    stack."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> nn.Module: ...


Given = nn.Module | str | HasModel
Several = Sequence[Given] | Mapping[str, Given]


def is_run(value: Any) -> TypeGuard[HasModel]:
    """Whether a value is no network itself, and has one that it has taught."""
    return (not isinstance(value, nn.Module) and isinstance(getattr(value, "name", None), str)
            and isinstance(getattr(value, "model", None), nn.Module))


def network_of(run: HasModel) -> nn.Module:
    """The network that a run has taught, with its best weights. Raises ValueError for one that still learns.
    """
    if getattr(run, "running", False):
        raise ValueError(f"{run.name} still learns: wait for it (run.wait()), or stop it (run.stop()).")
    return run.model


def named_members(models: Any, *, alone: bool = False, most: int = MOST) -> dict[str, str | nn.Module]:
    """{what it is called: a name or a network} of a list of models, runs and names, or of a dict that says
    what to call them. Nothing is opened.

    alone: whether a single one may be given in place of a list;  most: how many there may be
    Raises TypeError for what is no such list, ValueError for none, too many or a run that still learns.
    """
    wanted = f"a model, a run or a name, or {WANTED}" if alone else WANTED
    if isinstance(models, Mapping):
        pairs = [(str(name), model) for name, model in models.items()]
    elif alone and (is_run(models) or isinstance(models, (str, nn.Module))):
        pairs = [("", models)]
    elif isinstance(models, (str, bytes, nn.Module, Tensor)) or not isinstance(models, Iterable):
        kind = ValueError if isinstance(models, (str, bytes, int, float)) else TypeError
        raise kind(f"models is {shown(models)}: expected {wanted}.")
    else:
        pairs = [("", model) for model in models]
    if not 1 <= len(pairs) <= most:
        raise ValueError(f"models has {len(pairs)} members: an ensemble has from 1 to {most}; expected "
                         f"{wanted}.")
    found: dict[str, str | nn.Module] = {}
    for given, model in pairs:
        called = given or _called(model)
        number, free = 2, called
        while free in found:
            number, free = number + 1, f"{called} ({number})"
        found[free] = _network(model, wanted)
    return found


def _called(model: Any) -> str:
    if isinstance(model, str):
        return model.strip()
    if is_run(model):
        return model.name
    return model_name(model) if isinstance(model, nn.Module) else type(model).__name__


def _network(model: Any, wanted: str) -> str | nn.Module:
    if isinstance(model, (str, nn.Module)):
        return model
    if is_run(model):
        return network_of(model)
    raise TypeError(f"models has a member that is a {type(model).__name__}: expected {wanted}.")
