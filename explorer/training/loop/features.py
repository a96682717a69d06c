"""What a frozen body saw of each photo, for the classifier to learn from: minutes become seconds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from explorer.data.photo_sets import PhotoSet
from explorer.data.reading import group_by_group, in_order, photo_threads
from explorer.inspection.look.faster import SAME, far, refuse, side_by_side
from explorer.inspection.look.own_inputs import transform_for
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.training.loop.augmentation import create_augmentation
from explorer.training.loop.objective import Objective
from explorer.training.loop.order import drawn_by
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import FeatureSource, body_batches, prepared
from explorer.training.loop.team import Team


class Classifier(nn.Module):
    """The part of a model behind the vector: [B, D] -> logits [B, K]. Its parameters are the model's."""

    def __init__(self, model: VisionModel):
        super().__init__()
        self.layers = model.get_classifier()
        # In a list: not a part of this module, whose parameters would be the whole body's.
        self._model = [model]

    def forward(self, vectors: Tensor) -> Tensor:
        return self._model[0].forward_classifier(vectors)


def cache_features(
    model: VisionModel, body: VisionModel, train: PhotoSet, val: PhotoSet, config: Mapping[str, Any],
    recipe: Recipe, objective: Objective, *, team: Team, threads: int = 1,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, int], None, FeatureSource | None]:
    """Every photo once through the body: the vectors in front of the classifier.

    Yields (photos done, of how many) after each batch, and returns the source; None where it was asked to
    stop, or where the classifier needs more than that vector (then nothing is lost but the time of one
    batch).
    body: `model`, or a faster copy of it, which is let go of where its first numbers are not the model's. The
          first view of a photo is the one it is judged by, the others are varied
    team: each of its processes looks at a part of the photos, and all get all vectors
    """
    vary, plain = create_augmentation(recipe.augment, config), transform_for(model)
    place = parameter_place(body)
    total = recipe.view_count * len(train) + len(val)
    rows: list[Tensor] = []
    done = 0
    with photo_threads(max(threads, 1)) as pool, \
            evaluation(body), evaluation(model), torch.inference_mode():
        begun: list[Tensor] = []  # the vectors of this process's first photos, which tell whether this can be
        unfit = False
        for inputs, _ in prepared(train, plain, pool, body_batches(len(train))[team.rank::team.world][:1]):
            inputs = inputs.to(**place)
            if not says_the_same(body, model, inputs[:2]):
                refuse(model)
                body = model
            vector, logits = body.forward_vector_and_logits(body.forward_features(inputs))
            unfit = not lives_on_the_vector(model, vector, logits)
            begun.append(vector.float().cpu())
        if team.any(unfit):
            return None

        def vectors_of(inputs: Tensor) -> Tensor:
            with torch.inference_mode():  # also in a thread of its own
                features = body.forward_features(inputs.to(**place))
                return body.forward_vector_and_logits(features)[0].float().cpu()

        # Those that would open photos, and those that would run the body, do both.
        helpers = max(threads, 1) + torch.get_num_threads()
        together = body is not model and side_by_side(model, helpers)
        for photos, view in [*((train, view) for view in range(recipe.view_count)), (val, 0)]:
            groups = body_batches(len(photos))
            mine = groups[team.rank::team.world]
            if view == 0 and together:
                seen = _side_by_side(photos, plain, vectors_of, mine[len(begun):], helpers)
            else:
                batches = prepared(photos, plain, pool, mine[len(begun):]) if view == 0 else \
                    _varied(photos, vary, recipe.seed, view, pool, mine)
                seen = (vectors_of(inputs) for inputs, _ in batches)
            seen, begun, vectors = itertools.chain(begun, seen), [], []
            for _ in range(-(-len(groups) // team.world)):
                if team.any(asked_to_stop()):
                    return None
                found = next(seen, None)
                if found is not None:  # the last round of a team may have nothing for this process
                    vectors.append(found)
                    done += len(found)
                yield min(done * team.world, total), total
            rows.append(team.gather(vectors, mine, len(photos)))
    # Copied outside the inference mode they become ordinary tensors, which may be trained on.
    return FeatureSource(torch.stack(rows[:-1]).clone(), objective.targets(train.labels), rows[-1].clone(),
                         objective.targets(val.labels), recipe, team)


def _side_by_side(photos: PhotoSet, plain: Callable[[Image.Image], Tensor],
                  vectors_of: Callable[[Tensor], Tensor], groups: Sequence[range],
                  threads: int) -> Iterator[Tensor]:
    """Each group's vectors [B, D]: threads open its photos and run a small network on them, each by itself.

    Cores that share one pass wait for each other behind every layer, and for the threads that open photos.
    """
    def one(group: range) -> Tensor:
        return vectors_of(torch.stack([plain(photos.open_one(index)) for index in group]))

    return in_order(one, groups, ahead=2 * threads, threads=threads)


def says_the_same(body: VisionModel, model: VisionModel, inputs: Tensor) -> bool:
    """Whether a faster copy has the model's own numbers, but for rounding, for photos [B, C, H, W]."""
    if body is model:
        return True
    try:
        (own, _), (others, _) = (net.forward_vector_and_logits(net.forward_features(inputs))
                                 for net in (model, body))
    except (RuntimeError, ValueError, TypeError):
        return False
    return far(others.float().cpu().numpy(), own.float().cpu().numpy()) <= SAME


def lives_on_the_vector(model: VisionModel, vector: Tensor, logits: Tensor) -> bool:
    """Whether the logits [B, K] follow from the vectors [B, D] alone: not so, say, with two classifiers."""
    if vector.ndim != 2:
        return False
    try:
        return torch.allclose(model.forward_classifier(vector), logits, rtol=1e-3, atol=1e-4)
    except ValueError:  # a family that says so itself
        return False


def _varied(photos: PhotoSet, vary: Callable[[Image.Image], Tensor], seed: int, view: int,
            pool: ThreadPoolExecutor, groups: Sequence[range]) -> Iterator[tuple[Tensor, range]]:
    """As `prepared`, varied by (seed, view, photo): opened in several threads, varied in this one, since
    torch has one source of randomness.
    """
    for group, opened in zip(groups, group_by_group(photos.open_one, groups, pool)):
        inputs = []
        for index, photo in zip(group, opened):
            with drawn_by(seed, view, index):
                inputs.append(vary(photo))
        yield torch.stack(inputs), group
