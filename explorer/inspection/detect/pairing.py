"""Which box found which thing: boxes of a network beside those that are known to be there."""

from __future__ import annotations

import numpy as np

from explorer.data.places.place_set import Boxes

PAIRED = 0.5  # intersection over union from which two boxes are of the same thing


def overlaps(one: np.ndarray, other: np.ndarray, *, of_first: bool = False) -> np.ndarray:
    """Intersection over union [N, M] of boxes [N, 4] and [M, 4]; of_first: over the first's area alone."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod((high - low).clip(min=0), axis=2)
    first = np.prod((one[:, 2:] - one[:, :2]).clip(min=0), axis=1)[:, None]
    second = np.prod((other[:, 2:] - other[:, :2]).clip(min=0), axis=1)[None]
    under = first if of_first else first + second - shared
    return np.divide(shared, under, out=np.zeros_like(shared), where=under > 0)


def pairs_of(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, truth: Boxes
) -> list[tuple[int | None, int | None]]:
    """(number of the thing, number of the box) of each pair; None for a thing without box, a box without
    thing.

    boxes: [N, 4] xyxy in the photo's pixels, with scores [N] and labels [N] by the truth's classes

    Each box, the surest first, takes the thing that it overlaps most, by `PAIRED` at least: first those of
    its own class, as COCO pairs them, then what is left over of any class. A box that lies on a crowd and has
    no thing of its own counts neither way.
    """
    counted = np.flatnonzero(~truth.crowd)
    share = overlaps(boxes, truth.boxes[counted])
    near: dict[int, list[int]] = {}  # box -> the things that it may take, those that it overlaps most first
    for box, place in np.argwhere(share >= PAIRED).tolist():
        near.setdefault(box, []).append(place)
    for box, may in near.items():
        may.sort(key=lambda place: -share[box, place])
    things: dict[int, int] = {}  # box -> its place in `counted`
    taken: set[int] = set()
    order = np.argsort(-scores, kind="stable").tolist()
    for same_class in (True, False):
        for box in order:
            if box in things:
                continue
            free = (place for place in near.get(box, ()) if place not in taken
                    and (not same_class or truth.labels[counted[place]] == labels[box]))
            best = next(free, None)
            if best is not None:
                things[box] = best
                taken.add(best)
    on_crowd = overlaps(boxes, truth.boxes[truth.crowd], of_first=True).max(1, initial=0.0) >= PAIRED
    pairs: list[tuple[int | None, int | None]] = [(int(counted[place]), box) for box, place in things.items()]
    pairs += [(int(thing), None) for place, thing in enumerate(counted) if place not in taken]
    pairs += [(None, box) for box in order if box not in things and not on_crowd[box]]
    return pairs
