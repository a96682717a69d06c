"""Where batches come from: photos that are prepared anew each time, or the features of photos seen once.

Both hand out (inputs, targets) on the CPU, in an order that only the seed and the epoch decide: so a run that
was cut off finds its place again. A process of a team gets its share of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.data.reading import group_by_group, photo_threads
from explorer.data.transforms import create_transform
from explorer.training.loop.augmentation import create_augmentation
from explorer.training.loop.objective import Objective
from explorer.training.loop.order import batches_of, drawn_by, order_of
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.team import Team

KEPT_BYTES = 512 * 1024 * 1024  # decoded photos that are kept in memory, at most
# Photos that a body which does not learn looks at together. On a CPU so few that their maps stay in its
# cache: a pass of 32 takes 1.4 to 1.7 times as long a photo as passes of 8.
BODY_BATCH, BODY_BATCH_ON_GPU = 8, 32


class Source(Protocol):
    """What the loop asks for."""

    def __len__(self) -> int:
        """Batches of one epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, targets) of an epoch from batch `start` on, in that epoch's order."""

    def judged(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, targets) of the photos to judge by."""

    def close(self) -> None:
        """Nothing is asked of it any more."""


class PhotoSource:
    """Photos, varied anew in each epoch. Opened in several threads, and kept once open, while they fit.

    A photo is varied by (seed, epoch, photo), so that its neighbours in the batch change nothing.
    team: this process opens its share of each batch only, which may be none of a last small one
    """

    def __init__(self, train: PhotoSet, val: PhotoSet, config: Mapping[str, Any], recipe: Recipe,
                 objective: Objective, *, team: Team, threads: int = 1):
        self.train, self.recipe, self.objective, self.team = train, recipe, objective, team
        self.val = val.subset(team.share(range(len(val))))
        self.size = tuple(config["input_size"])
        self.vary, self.prepare = create_augmentation(recipe.augment, config), create_transform(**config)
        self.pool = photo_threads(max(threads, 1))
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
                size = (round(photo.width * factor), round(photo.height * factor))
                photo = photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
            taken = 3 * photo.width * photo.height
            if taken <= self._room:
                self._kept[index], self._room = photo, self._room - taken
        return photo

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        order = order_of(len(self.train), self.recipe.seed, epoch)
        groups = [order[part.start:part.stop] for part in batches_of(len(order), self.recipe.batch_size)]
        targets = [self.objective.targets([self.train.labels[i] for i in group]) for group in groups]
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
    """`count` photos as a body that does not learn looks at them: so many together."""
    size = BODY_BATCH_ON_GPU if torch.cuda.is_available() else BODY_BATCH
    return [range(i, min(i + size, count)) for i in range(0, count, size)]


def prepared(photos: PhotoSet, transform: Callable[[Image.Image], Tensor], pool: ThreadPoolExecutor,
             groups: Sequence[range] | None = None) -> Iterator[tuple[Tensor, range]]:
    """(inputs [B, C, H, W], which photos) of all in their order, prepared in threads, without randomness.

    groups: these photos only, a batch each
    """

    def one(index: int) -> Tensor:
        return transform(photos.open_one(index))

    groups = body_batches(len(photos)) if groups is None else groups
    for group, inputs in zip(groups, group_by_group(one, groups, pool)):
        yield torch.stack(inputs), group


class FeatureSource:
    """Features of photos that a frozen body has seen once: of some variants, which take turns by round.

    rounds: how often all photos come in an epoch, each time in another order (see `Recipe.rounds_of`)
    """

    def __init__(self, views: Tensor, labels: Tensor, judged: Tensor, judged_labels: Tensor, recipe: Recipe,
                 team: Team):
        # All features are here; each process judges by its share of them.
        judged, judged_labels = team.share(judged), team.share(judged_labels)
        self.views, self.labels, self.team = views, labels, team  # [V, N, D], [N]
        self.val, self.val_labels, self.recipe = judged, judged_labels, recipe  # [M, D], [M]
        self.parts = batches_of(views.shape[1], recipe.batch_size)
        self.rounds = recipe.rounds_of(len(self.parts))

    def __len__(self) -> int:
        return self.rounds * len(self.parts)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        first, skipped = divmod(start, len(self.parts))
        for turn in range(self.rounds * epoch + first, self.rounds * (epoch + 1)):
            order = torch.tensor(order_of(self.views.shape[1], self.recipe.seed, turn))
            for part in self.parts[skipped:]:
                chosen = self.team.share(order[part.start:part.stop])
                yield self.views[(chosen + turn) % len(self.views), chosen], self.labels[chosen]
            skipped = 0

    def judged(self) -> Iterator[tuple[Tensor, Tensor]]:
        if len(self.val):
            yield from zip(self.val.split(1024), self.val_labels.split(1024))

    def close(self) -> None:
        """Nothing is open."""
