"""Where batches of photos with boxes or masks come from: varied anew each time, in an order that the seed and
the epoch decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.data.places.augment import Augmented
from explorer.data.places.place_set import IGNORED, Boxes
from explorer.data.reading import group_by_group, photo_threads
from explorer.inspection.detect.detecting import photo_tensor
from explorer.inspection.segment.preparing import Preparation
from explorer.training.loop.order import batches_of, drawn_by, order_of
from explorer.training.loop.recipe import Recipe

LEAST_SIDE = 1e-3  # pixels: a box that a crop has left thinner is none


class Made(Protocol):
    """Photos and what is where in them, as a network of one kind takes them."""

    def one(self, photo: Image.Image, places: Any) -> tuple[Tensor, Any]:
        """A photo and its boxes or mask -> tensors."""

    def batch(self, pairs: Sequence[tuple[Tensor, Any]]) -> tuple[Any, Any]:
        """Those of several photos -> (inputs, targets) of the aim."""


class BoxesMade:
    """For `BoxAim`. channels: 1 or 3 that the network reads"""

    def __init__(self, channels: int):
        self.channels = channels

    def one(self, photo: Image.Image, places: Boxes) -> tuple[Tensor, dict[str, Tensor]]:
        boxes = places.boxes.clip(0, [photo.width, photo.height] * 2)
        kept = ((boxes[:, 2:] - boxes[:, :2]) > LEAST_SIDE).all(1)
        told = {"boxes": boxes, "labels": places.labels, "crowd": places.crowd, "areas": places.areas}
        return photo_tensor(photo, self.channels), {name: torch.from_numpy(value[kept])
                                                    for name, value in told.items()}

    def batch(self, pairs: Sequence[tuple[Tensor, Any]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        return [photo for photo, _ in pairs], [target for _, target in pairs]


class MasksMade:
    """For `MaskAim`. prepare: as photos get into the network, whose picture is at the top left of its input"""

    def __init__(self, prepare: Preparation):
        self.prepare = prepare

    def one(self, photo: Image.Image, places: np.ndarray) -> tuple[Tensor, Tensor]:
        seen, (height, width) = self.prepare(photo)
        mask = Image.fromarray(places).resize((width, height), Image.Resampling.NEAREST)
        target = torch.full(seen.shape[-2:], IGNORED, dtype=torch.int64)
        target[:height, :width] = torch.from_numpy(np.array(mask))
        return seen, target

    def batch(self, pairs: Sequence[tuple[Tensor, Any]]) -> tuple[Tensor, Tensor]:
        """Photos of several sizes in one batch: the mean colour beside the smaller ones, which does not count.
        """
        high, wide = (max(photo.shape[side] for photo, _ in pairs) for side in (-2, -1))
        rooms = [(0, wide - photo.shape[-1], 0, high - photo.shape[-2]) for photo, _ in pairs]
        return (torch.stack([F.pad(photo, room) for (photo, _), room in zip(pairs, rooms)]),
                torch.stack([F.pad(mask, room, value=IGNORED) for (_, mask), room in zip(pairs, rooms)]))


class PlaceSource:
    """Photos with boxes or masks. Opened in several threads; a photo is varied by (seed, epoch, photo).

    train, val: open (photo, its boxes or mask) by index, no larger than the network sees them
    """

    def __init__(self, train: Sequence[Any], val: Sequence[Any], made: Made, recipe: Recipe, *,
                 threads: int = 1):
        self.train, self.val, self.made, self.recipe = train, val, made, recipe
        self.vary = Augmented(recipe.augment)
        self.pool = photo_threads(max(threads, 1))

    def __len__(self) -> int:
        return len(batches_of(len(self.train), self.recipe.batch_size))

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        order = order_of(len(self.train), self.recipe.seed, epoch)
        groups = [order[part.start:part.stop] for part in batches_of(len(order), self.recipe.batch_size)]
        for group, opened in zip(groups[start:],
                                 group_by_group(self.train.__getitem__, groups[start:], self.pool)):
            pairs = []
            for index, (photo, places) in zip(group, opened):
                with drawn_by(self.recipe.seed, epoch, index, 0):
                    pairs.append(self.made.one(*self.vary(photo, places)))
            yield self.made.batch(pairs)

    def judged(self) -> Iterator[tuple[Any, Any]]:
        """One by one: what is found in a photo must not depend on its company."""
        groups = [[index] for index in range(len(self.val))]
        for opened in group_by_group(self.val.__getitem__, groups, self.pool):
            yield self.made.batch([self.made.one(*pair) for pair in opened])

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
