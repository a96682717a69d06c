"""Many photos: which they are, and how they go through a network.

Threads open them and, where that is quicker, run the network as well.

On a CPU a batch of 32 goes through a small network slower than eight batches of 4: the maps of few photos
stay in a core's cache. And cores that work together on one batch wait for each other after each layer, and
for the threads that open photos beside them. So each thread opens a few photos and runs them by itself, once
there is a faster copy to run (`Faster.side_by_side`). Until then, of large networks and on a GPU, threads
open photos, and whoever asks runs them, a whole batch together.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.data.collection import folder_of, is_many
from explorer.data.folders import find_pictures
from explorer.data.images import ImageError, load_image
from explorer.data.reading import in_order
from explorer.inspection.look.faster import FEW, Faster

Item, Said = TypeVar("Item"), TypeVar("Said")
Row = tuple[np.ndarray, ...]


def answered(
    scores: Faster, opened: Callable[[Item], tuple[Said, Tensor | None]], items: Iterable[Item], *,
    batch_size: int, total: int | None = None,
) -> Generator[list[tuple[Said, Row | None]], None, None]:
    """What `opened` says of each item, and what `scores` gives for its photo: in their order, in groups.

    opened: item -> (anything, the photo as input [C, H, W]; None where there is none), called in threads
    total:  how many items there are, None if nobody knows
    Yields groups of `batch_size`, the last may be smaller: (what was said, a row of each result or None).

    About `batch_size` photos are opened or run ahead of those that were handed out, besides these.
    """
    items = iter(items)
    workers = max(1, min(torch.get_num_threads(), batch_size // 2)) if scores.side_by_side else None
    few = 1 if workers is None else max(1, min(FEW, batch_size // (2 * workers)))

    def photos(part: Iterable[Item]) -> list[_Photo]:
        return [_Photo(*opened(item)) for item in part]

    def work(part: list[Item]) -> list[_Photo]:  # in a thread
        found = photos(part)
        _run(found, scores.in_a_helper)
        return found

    done, group = 0, []
    if workers is not None:  # the copy is made of the first two, before there are others that wait for it
        group = photos(itertools.islice(items, min(2, batch_size - 1)))
        _run(group, lambda batch: scores(batch, following=(total or 0) - len(group)))
    for found in in_order(work, _parts(items, batch_size, few, len(group)), ahead=batch_size // few,
                          threads=workers):
        group += found
        if len(group) == batch_size:
            done += batch_size
            yield _finished(group, scores, done if total is None else total - done)
            group = []
    if group:
        yield _finished(group, scores, 0)


@dataclass
class _Photo:
    """One on its way: what was said of it, its input [C, H, W] until it has run, and its row of results."""

    said: Any
    tensor: Tensor | None
    row: Row | None = None


def _run(photos: list[_Photo], run: Callable[[Tensor], Row | None]) -> None:
    """Give those their rows that wait for one, if `run` gives any; their inputs are let go of then."""
    waiting = [photo for photo in photos if photo.tensor is not None]
    results = run(torch.stack([photo.tensor for photo in waiting])) if waiting else None
    for photo, *row in zip(waiting, *(results or ((),))):
        photo.tensor, photo.row = None, tuple(row)


def _finished(group: list[_Photo], scores: Faster, following: int) -> list[tuple[Any, Row | None]]:
    _run(group, lambda batch: scores(batch, following=following))
    return [(photo.said, photo.row) for photo in group]


def _parts(items: Iterator[Item], batch_size: int, few: int, begun: int) -> Iterator[list[Item]]:
    """The items, a few at a time; none of these reaches from one batch into the next."""
    room = batch_size - begun
    while part := list(itertools.islice(items, min(few, room or batch_size))):
        room = (room or batch_size) - len(part)
        yield part


# --- which photos, and one after the other ------------------------------------------------------------------


def is_one(images: Any) -> bool:
    """Whether it is one photo, not a folder or several."""
    return folder_of(images) is None and not is_many(images)


def named_photos(images: Any) -> tuple[Iterable[tuple[str, Any]], int | None, int]:
    """((what it is called, what `load_image` takes) of each photo, how many there are, how many other files).

    images: a folder, which is searched with its subfolders in natural order, or photos, opened or not; of a
            generator nobody knows how many (None)
    """
    folder = folder_of(images)
    if folder is not None:
        files, ignored = find_pictures(folder)
        return ((file.relative_to(folder).as_posix(), file) for file in files), len(files), ignored
    total = len(images) if hasattr(images, "__len__") else None
    return ((_name(image, number), image) for number, image in enumerate(images, start=1)), total, 0


def _name(image: Any, number: int) -> str:
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else f"image {number}"


def asked_one_by_one(
    ask: Callable[[Image.Image], Said], named: Iterable[tuple[str, Any]], *, channels: int, ahead: int
) -> Iterator[tuple[str, Said | None, str]]:
    """(name, what `ask` says of the photo or None, why there is nothing) of each, in their order.

    named: as of `named_photos`;  channels: as `load_image` takes them;  ahead: how many are opened, in
           threads, while one is asked about
    """
    def opened(item: tuple[str, Any]) -> tuple[str, Image.Image | None, str]:  # in a thread
        name, image = item
        try:
            return name, load_image(image, channels=channels), ""
        except ImageError as error:
            return name, None, str(error)

    for name, photo, error in in_order(opened, named, ahead=ahead):
        said = None
        try:
            said = None if photo is None else ask(photo)
        except ImageError as problem:  # it has other bands than the network reads
            error = str(problem)
        yield name, said, error
