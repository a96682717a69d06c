"""Monte-Carlo dropout: the same photos several times through one network whose dropout stays on.

Each pass is another thinned network, a member of an ensemble that costs no training.
Source: Y. Gal, Z. Ghahramani, Dropout as a Bayesian Approximation, 2016, arXiv 1506.02142.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from explorer._threads import thread_count
from explorer.data.images import ImageError
from explorer.data.photos import Collection
from explorer.data.reading import group_by_group, photo_threads
from explorer.display.words import sentence_of
from explorer.inspection.look.model import evaluating, model_name, not_pooled
from explorer.inspection.look.own_inputs import transform_for
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.members import modules_in
from explorer.models.watching import watching
from explorer.training.loop.order import drawn_by


def dropout_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a network that drop something while it trains."""
    return [part for part in modules_in(model) if isinstance(part, _DropoutNd) and part.p > 0]


def check_dropout(model: VisionModel) -> None:
    """Raise ValueError where nothing is dropped: every pass would say the same."""
    if not dropout_layers(model) and not model.drop_rate:
        raise ValueError(f"{model_name(model)} has no dropout that is switched on, so all passes would say "
                         "the same: create and train it with create_model(..., drop_rate=0.2), or give "
                         "several models.")


def dropout_passes(
    model: VisionModel, photos: Collection, passes: int, *, batch_size: int, seed: int,
    on_progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool] | None,
) -> tuple[Tensor, list[int], list[tuple[str, str]]]:
    """(raw scores [passes, N, W] on the CPU, which photos, [(name, why)] of those that could not be opened).

    Where the dropout is in the head alone, the body looks at each photo once. What is dropped is drawn by
    seed, batch and pass. True from should_stop ends it behind a batch.
    """
    check_dropout(model)
    transform, place = transform_for(model), parameter_place(model)

    def open_one(index: int) -> tuple[int, Tensor | None, str]:  # in a thread
        try:
            return index, transform(photos.open_one(index)), ""
        except ImageError as error:
            return index, None, sentence_of(error)

    groups = [range(i, min(i + batch_size, len(photos))) for i in range(0, len(photos), batch_size)]
    kept, problems, parts = [], [], []
    with photo_threads(thread_count(None, 8)) as pool, evaluating(model), torch.inference_mode():
        for number, found in enumerate(group_by_group(open_one, groups, pool)):
            problems += [(photos.names[index], why) for index, tensor, why in found if tensor is None]
            there = [(index, tensor) for index, tensor, _ in found if tensor is not None]
            if there:
                inputs = torch.stack([tensor for _, tensor in there]).to(**place)
                parts.append(torch.stack(list(_scores(model, inputs, passes, seed, number))))
                kept += [index for index, _ in there]
            if on_progress is not None:
                on_progress(groups[number].stop, len(photos))
            if should_stop is not None and should_stop():
                break
    if not kept:
        why = f" The first, {problems[0][0]}: {problems[0][1]}" if problems else ""
        raise ValueError(f"None of the {len(photos)} photos could be opened.{why}")
    return torch.cat(parts, 1).clone(), kept, problems


def _scores(model: VisionModel, inputs: Tensor, passes: int, seed: int, number: int) -> Iterator[Tensor]:
    """Raw scores [B, W] of each pass."""
    dropped = []
    layers = {str(i): layer for i, layer in enumerate(dropout_layers(model))}
    features = None
    for turn in range(passes):
        with drawn_by(seed, number, turn), _dropping(list(layers.values())):
            if features is None or dropped:
                with watching(layers, before=lambda *_: dropped.append(True)):
                    features = model.forward_features(inputs)
            with _dropping([model] if model.drop_rate else []):  # a head that drops by a rate, not by a layer
                scores = model.forward_head(features)
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            raise not_pooled(scores) if isinstance(scores, Tensor) else ValueError(
                f"The head of {model_name(model)} gives other answers while it trains: give several models "
                "in place of passes.")
        yield scores.float().cpu()


@contextmanager
def _dropping(parts: list[nn.Module]) -> Iterator[None]:
    """These modules alone in training mode; their children stay as they are."""
    before = [(part, part.training) for part in parts]
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
