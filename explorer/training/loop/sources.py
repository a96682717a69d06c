"""Where batches come from: photos that are prepared anew each time, or the features of photos seen once.

Both hand out (inputs, targets) on the CPU, in an order that only the seed and the epoch decide: so a run that was cut
off finds its place again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.data.datasets import PhotoSet
from explorer.data.reading import group_by_group
from explorer.data.transforms import create_transform
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.training.loop.augmentation import create_augmentation
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe

if TYPE_CHECKING:
    from explorer.training.loop.team import Team

KEPT_BYTES = 512 * 1024 * 1024  # decoded photos that are kept in memory, at most
BODY_BATCH = 32  # photos that the frozen body looks at together


class Source(Protocol):
    """What the loop asks for."""

    def __len__(self) -> int:
        """Batches of one epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, targets) of an epoch from batch `start` on, in that epoch's order."""

    def judged(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, targets) of the photos to judge by."""


@contextmanager
def drawn_by(*seeds: int) -> Iterator[None]:
    """The global randomness of torch, numpy and Python drawn by these numbers alone, for the `with` block; then it is as
    it was.

    A batch needs no memory of the ones before it: a resumed run draws what the unbroken one would have, also in an
    augmentation of somebody's own.
    """
    number = int.from_bytes(hashlib.sha256(repr(seeds).encode()).digest()[:8], "big")
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def order_of(count: int, seed: int, epoch: int) -> list[int]:
    """The order of `count` photos in an epoch."""
    with drawn_by(seed, epoch, -1):
        return torch.randperm(count).tolist()


def batches_of(count: int, size: int) -> list[range]:
    """The places of each batch in an epoch's order. A last lone photo joins the batch before: BatchNorm can't take one."""
    parts = [range(i, min(i + size, count)) for i in range(0, count, size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [range(parts[-2].start, count)]
    return parts


class PhotoSource:
    """Photos, varied anew in each epoch. Opened in several threads, and kept in memory once open, while they fit.

    A photo is varied by (seed, epoch, photo), so that its neighbours in the batch change nothing.
    team: this process opens its share of each batch only, which may be none of a last small one.
    """

    def __init__(self, train: PhotoSet, val: PhotoSet, config: Mapping[str, Any], recipe: Recipe,
                 objective: Objective,
                 threads: int = 1, team: Team | None = None):
        self.train, self.recipe, self.objective, self.team = train, recipe, objective, team
        self.val = val if team is None else val.subset(team.share(range(len(val))))
        self.size = tuple(config["input_size"])
        self.vary, self.prepare = create_augmentation(recipe.augment, config), create_transform(**config)
        self.pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="explorer-photos")
        self.side = round(1.5 * max(config["input_size"][1:]))
        self._kept: dict[int, Image.Image] = {}
        self._room = KEPT_BYTES
        self._judged: list[tuple[Tensor, Tensor]] | None = None

    def __len__(self) -> int:
        return len(batches_of(len(self.train), self.recipe.batch_size))

    def _open(self, index: int) -> Image.Image:
        """One photo; the first time it is made as small as any crop of it can use."""
        photo = self._kept.get(index)
        if photo is None:
            photo = self.train.open_one(index)
            if min(photo.size) > self.side:
                factor = self.side / min(photo.size)
                photo = photo.resize((round(photo.width * factor), round(photo.height * factor)), Image.Resampling.BICUBIC,
                                     reducing_gap=3.0)
            size = 3 * photo.width * photo.height
            if size <= self._room:
                self._kept[index], self._room = photo, self._room - size
        return photo

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = order_of(len(self.train), self.recipe.seed, epoch)
        groups = [order[part.start:part.stop] for part in batches_of(len(order), self.recipe.batch_size)]
        targets = [self.objective.targets([self.train.labels[i] for i in group]) for group in groups]
        if self.team is not None:
            groups, targets = list(map(self.team.share, groups)), list(map(self.team.share, targets))
        for number, photos in enumerate(group_by_group(self._open, groups[start:], self.pool), start):
            inputs = torch.empty(len(photos), *self.size)
            for i, photo in enumerate(photos):
                with drawn_by(self.recipe.seed, epoch, groups[number][i], 0):
                    inputs[i] = self.vary(photo)
            yield inputs, targets[number]

    def judged(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._judged is not None:
            yield from self._judged
            return
        kept, room = [], KEPT_BYTES // 2
        for inputs, group in prepared(self.val, self.prepare, self.pool):
            batch = inputs, self.objective.targets([self.val.labels[i] for i in group])
            room -= batch[0].nbytes
            kept.append(batch)
            yield batch
            if room < 0:
                kept.clear()
        if room >= 0:
            self._judged = kept

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


def body_batches(count: int) -> list[range]:
    """`count` photos as the frozen body looks at them: so many together."""
    return [range(i, min(i + BODY_BATCH, count)) for i in range(0, count, BODY_BATCH)]


def prepared(photos: PhotoSet, transform: Callable[[Image.Image], Tensor], pool: ThreadPoolExecutor,
             groups: Sequence[range] | None = None) -> Iterator[tuple[Tensor, range]]:
    """(inputs [B, C, H, W], which photos) of all photos in their order, prepared in threads, without randomness.

    groups: these photos only, a batch each
    """

    def one(index: int) -> Tensor:
        return transform(photos.open_one(index))

    groups = body_batches(len(photos)) if groups is None else groups
    for group, inputs in zip(groups, group_by_group(one, groups, pool)):
        yield torch.stack(inputs), group


class Classifier(nn.Module):
    """The part of a model behind the vector: [B, D] -> logits [B, K]. It shares its parameters with the model."""

    def __init__(self, model: VisionModel):
        super().__init__()
        self.layers = model.get_classifier()
        self._model = [model]  # in a list: not a part of this module, whose parameters would be the whole body's

    def forward(self, vectors: Tensor) -> Tensor:
        return self._model[0].forward_classifier(vectors)


class FeatureSource:
    """Features of photos that a frozen body has seen once: a few variants of each, which take turns by epoch."""

    def __init__(self, views: Tensor, labels: Tensor, judged: Tensor, judged_labels: Tensor, recipe: Recipe,
                 team: Team | None = None):
        if team is not None:  # all features are here; each worker judges by its share of them
            judged, judged_labels = team.share(judged), team.share(judged_labels)
        self.views, self.labels, self.team = views, labels, team  # [V, N, D], [N]
        self.val, self.val_labels, self.recipe = judged, judged_labels, recipe  # [M, D], [M]

    def __len__(self) -> int:
        return len(batches_of(self.views.shape[1], self.recipe.batch_size))

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.tensor(order_of(self.views.shape[1], self.recipe.seed, epoch))
        for part in batches_of(len(order), self.recipe.batch_size)[start:]:
            chosen = order[part.start:part.stop]
            if self.team is not None:
                chosen = self.team.share(chosen)
            yield self.views[(chosen + epoch) % len(self.views), chosen], self.labels[chosen]

    def judged(self) -> Iterator[tuple[Tensor, Tensor]]:
        if len(self.val):
            yield from zip(self.val.split(1024), self.val_labels.split(1024))

    def close(self) -> None:
        """Nothing is open."""


def cache_features(
    model: VisionModel, body: VisionModel, train: PhotoSet, val: PhotoSet, config: Mapping[str, Any], recipe: Recipe,
    objective: Objective, *, threads: int = 1, asked_to_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    team: Team | None = None,
) -> FeatureSource | None:
    """Every photo once through the body: the vectors in front of the classifier.

    body: `model`, or a faster one with the same numbers. The first view of a photo is the one it is judged by, the others
    are varied. None where it was asked to stop, or where the classifier needs more than that vector (then nothing is lost
    but the time of one batch).
    team: each of its processes looks at a part of the photos, and all get all vectors; asked_to_stop must then be unanimous
    """
    vary, plain = create_augmentation(recipe.augment, config), create_transform(**config)
    place = parameter_place(body)
    total = recipe.view_count * len(train) + len(val)
    rows: list[Tensor] = []
    done = 0
    with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="explorer-photos") as pool, evaluation(body), evaluation(model), \
            torch.inference_mode():
        for photos, view in [*((train, view) for view in range(recipe.view_count)), (val, 0)]:
            groups = body_batches(len(photos))
            mine = groups if team is None else groups[team.rank::team.world]
            batches = prepared(photos, plain, pool, mine) if view == 0 else _varied(photos, vary, recipe.seed, view, pool, mine)
            vectors: list[Tensor] = []
            for number in range(len(groups) if team is None else -(-len(groups) // team.world)):
                if asked_to_stop():
                    return None
                inputs, _ = next(batches, (None, None))
                unfit = False
                if inputs is not None:  # the last round of a team may have nothing for this process
                    vector, logits = body.forward_vector_and_logits(body.forward_features(inputs.to(**place)))
                    unfit = not done and not lives_on_the_vector(model, vector, logits)
                    vectors.append(vector.float().cpu())
                    done += len(inputs)
                if not rows and not number and (unfit if team is None else team.any(unfit)):
                    return None
                progress(done if team is None else min(done * team.world, total), total)
            rows.append(torch.cat(vectors) if team is None else team.gather(vectors, mine, len(photos)))
    # Copied outside the inference mode they become ordinary tensors, which may be trained on.
    return FeatureSource(torch.stack(rows[:-1]).clone(), objective.targets(train.labels), rows[-1].clone(),
                         objective.targets(val.labels), recipe, team)


def lives_on_the_vector(model: VisionModel, vector: Tensor, logits: Tensor) -> bool:
    """Whether the logits [B, K] follow from the vectors [B, D] alone: not so, for example, with two classifiers."""
    if vector.ndim != 2:
        return False
    try:
        return torch.allclose(model.forward_classifier(vector), logits, rtol=1e-3, atol=1e-4)
    except ValueError:  # a family that says so itself
        return False


def _varied(photos: PhotoSet, vary: Callable[[Image.Image], Tensor], seed: int, view: int, pool: ThreadPoolExecutor,
            groups: Sequence[range]) -> Iterator[tuple[Tensor, range]]:
    """As `prepared`, varied: opened in several threads, varied in this one, since torch has one source of randomness."""
    for group in groups:
        opened = list(pool.map(photos.open_one, group))
        with drawn_by(seed, view, group.start):
            inputs = torch.stack([vary(photo) for photo in opened])
        yield inputs, group
