"""Which photo is judged in which fold: each one once, and every fold alike.

Every fold gets its share of each class, of several classes a photo of each of them, of numbers from their
whole range. Files with the same contents stay in one fold: one that is learnt from would tell about the
other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.data.folders import DataError, listed
from explorer.data.photo_sets import PhotoSet
from explorer.data.same_files import same_bytes
from explorer.display.words import counted

BINS = 10  # of a number's range, at most


def fold_parts(photos: PhotoSet, folds: int, seed: int) -> tuple[list[list[int]], list[str]]:
    """([the photos that each fold judges], notes), drawn by `seed`.

    Raises DataError for fewer photos than folds.
    """
    if len(photos) < 2 * folds:
        raise DataError(f"{counted(len(photos), 'photo')} can't be judged in {folds} folds: give 2 photos a "
                        "fold at least, or fewer folds.")
    kinds, notes = kinds_of(photos, folds), []
    units, twice = _units(photos)
    if twice:
        notes.append(f"{counted(twice, 'file')} have the same contents as another one: each such group is in "
                     "one fold.")
    if photos.kind == "one":
        few = [name for name, count in photos.counts().items() if 0 < count < folds]
        if few:
            notes.append(f"There are fewer photos than folds of {listed(few)}: not every fold can judge "
                         f"{'it' if len(few) == 1 else 'them'}.")
    place = deal(units, kinds, folds, seed)
    return [[i for i in range(len(photos)) if place[i] == fold] for fold in range(folds)], notes


def kinds_of(photos: PhotoSet, folds: int) -> list[tuple[int, ...]]:
    """What each photo counts for: its class or classes, or the part of the first number's range it is in."""
    if photos.numbers:
        values = np.array([label[0] if isinstance(label, tuple) else label for label in photos.labels])
        rank, bins = values.argsort(kind="stable").argsort(), max(min(BINS, len(photos) // folds), 1)
        return [(int(r) * bins // len(photos),) for r in rank]
    return [label if isinstance(label, tuple) else (label,) for label in photos.labels]


def deal(units: Sequence[Sequence[int]], kinds: Sequence[tuple[int, ...]], folds: int,
         seed: int) -> np.ndarray:
    """The fold of each photo, [N]. units: photos that stay together.

    The rarest kind is dealt out first, each unit to the fold that lacks most of it, then to the one with the
    most room.
    Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, On the Stratification of Multi-Label Data, 2011.
    """
    random = np.random.default_rng(seed)
    count = len(kinds)
    totals: dict[int, int] = {}
    for kind in (kind for row in kinds for kind in set(row)):
        totals[kind] = totals.get(kind, 0) + 1
    need = {kind: np.full(folds, total / folds) for kind, total in totals.items()}
    room, place = np.full(folds, count / folds), np.full(count, -1)
    waiting = [units[i] for i in random.permutation(len(units))]
    while waiting:
        left: dict[int, int] = {}
        for kind in (kind for unit in waiting for i in unit for kind in set(kinds[i])):
            left[kind] = left.get(kind, 0) + 1
        rarest = min(left, key=lambda kind: (left[kind], kind)) if left else None
        now = [unit for unit in waiting if rarest is None or any(rarest in kinds[i] for i in unit)]
        # the large ones first, which fit in few places; else in the order that was drawn
        for unit in sorted(now, key=len, reverse=True):
            wanted = room if rarest is None else need[rarest]
            chance = random.random(folds)
            fold = max(range(folds), key=lambda f: (round(wanted[f], 9), round(room[f], 9), chance[f]))
            for i in unit:
                place[i] = fold
                room[fold] -= 1
                for kind in set(kinds[i]):
                    need[kind][fold] -= 1
        done = set(map(id, now))
        waiting = [unit for unit in waiting if id(unit) not in done]
    return place


def _units(photos: PhotoSet) -> tuple[list[list[int]], int]:
    """(photos that stay together, how many files have a twin)."""
    groups = same_bytes(photos.files)[0] if photos.files else []
    together = {i for group in groups for i in group}
    return [*groups, *([i] for i in range(len(photos)) if i not in together)], len(together)
