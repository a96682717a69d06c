"""What several models, or several passes of one, say of the same photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from explorer.data.labels import match_names
from explorer.data.photos import Collection
from explorer.display.words import sentence_of
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look.model import as_model, outputs_of
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import look_through
from explorer.training.doubt.passes import dropout_passes


@dataclass(frozen=True)
class Said:
    """answers: [M, N, K], of each member probabilities, or numbers in their own unit
    outputs: what they mean;  kept: which of the photos, [N];  problems: [(name, why)] of the others
    names: of the members
    """

    answers: Tensor
    outputs: Outputs
    kept: list[int]
    problems: list[tuple[str, str]]
    names: tuple[str, ...]


def parted(models: dict[str, Any]) -> tuple[dict[str, Any], Tensor | None]:
    """(the members of a single ensemble, how much each counts), where the mean of their answers is its own;
    (what was given, None) of anything else.
    """
    [model, *others] = models.values()
    net = look_through(model) if isinstance(model, nn.Module) else model
    if others or not isinstance(net, EnsembleModel) or net.combine != "mean" or net.weights.ndim != 1:
        return models, None
    return dict(zip(net.names, net.members)), net.weights.double().cpu()


def asked_all(models: Mapping[str, Any], photos: Collection, *, batch_size: int, cache_dir: Any,
              on_progress: Callable[[int, int], None] | None,
              should_stop: Callable[[], bool] | None) -> Said:
    """Each model asked once about each photo. What a model said before is not asked again (`run_folder`).

    Raises ValueError that names the member which can't be asked, or tells of other classes.
    """
    parts: list[Tensor] = []
    first: Outputs | None = None
    kept: list[int] = []
    problems: list[tuple[str, str]] = []
    names = photos.names
    if len(set(names)) < len(names):
        names = tuple(f"{name} (number {i})" for i, name in enumerate(names, 1))
    place = {name: i for i, name in enumerate(names)}
    for number, (name, given) in enumerate(models.items()):
        def told(done: int, _total: int, before: int = number * len(photos)) -> None:
            if on_progress is not None:
                on_progress(before + done, len(models) * len(photos))

        try:
            model = as_model(given)
            outputs = outputs_of(model)
            if not model.num_classes:
                raise ValueError("it has no classifier (num_classes=0)")
            features = run_folder(model, replace(photos, names=names), batch_size=batch_size,
                                  cache_dir=cache_dir, on_progress=told, should_stop=should_stop)
            raw = torch.from_numpy(features.logits.copy())
            if not torch.isfinite(raw).all():
                raise ValueError("its scores are not finite, so its weights are broken")
        except (ValueError, TypeError, RuntimeError) as error:
            if len(models) == 1:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Member {number + 1} of models, {name}, can't be asked: {sentence_of(error)}") from \
                error
        answers = outputs.values(raw.double()) if outputs.numbers else outputs.probabilities(raw.double())
        if first is None:
            first, kept = outputs, [place[one] for one in features.names]
            problems = features.problems
        else:
            answers = answers[:, _order(first, outputs, name)]
        parts.append(answers)
        if not features.complete:
            break
    count = min(map(len, parts))
    return Said(torch.stack([part[:count] for part in parts]), first, kept[:count], problems,
                tuple(models)[:len(parts)])


def asked_often(name: str, given: Any, photos: Collection, passes: int, *, batch_size: int, seed: int,
                on_progress: Callable[[int, int], None] | None,
                should_stop: Callable[[], bool] | None) -> Said:
    """One model asked in several passes, with its dropout on."""
    model = as_model(given)
    outputs = outputs_of(model)
    raw, kept, problems = dropout_passes(model, photos, passes, batch_size=batch_size, seed=seed,
                                         on_progress=on_progress, should_stop=should_stop)
    answers = outputs.values(raw.double()) if outputs.numbers else outputs.probabilities(raw.double())
    return Said(answers, outputs, kept, problems, tuple(f"{name}, pass {i + 1}" for i in range(passes)))


def _order(first: Outputs, other: Outputs, name: str) -> list[int]:
    """Where each of the first member's classes is in another's. Raises ValueError where they are others."""
    places = match_names(other.labels, first.labels)
    if first.numbers != other.numbers or len(first) != len(other) or None in places and (
            first.named and other.named):
        raise ValueError(f"The members of models tell different {'numbers' if first.numbers else 'classes'}: "
                         f"{name} tells {', '.join(other.labels[:5])}, the first "
                         f"{', '.join(first.labels[:5])}. Give models of the same classes.")
    return list(range(len(first))) if None in places else [int(place) for place in places]
