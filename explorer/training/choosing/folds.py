"""Which photo is judged in which fold: each one once, and every fold alike.

Every fold gets its share of each class, of several classes a photo of each of them, of numbers from their
whole range. Files with the same contents stay in one fold, and so do the photos of one burst: one that is
learnt from would tell about the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from explorer.data.bursts import burst_notes, of_one_burst, units_of
from explorer.data.folders import DataError, listed
from explorer.data.photo_sets import PhotoSet
from explorer.data.same_files import same_bytes
from explorer.display.words import counted

BINS = 10  # of a number's range, at most


def fold_parts(photos: PhotoSet, folds: int, seed: int) -> tuple[list[list[int]], list[str]]:
    """([the photos that each fold judges], notes), drawn by `seed`.

    Raises DataError for fewer photos or bursts than folds.
    """
    if len(photos) < 2 * folds:
        raise DataError(f"{counted(len(photos), 'photo')} can't be judged in {folds} folds: give 2 photos a "
                        "fold at least, or fewer folds.")
    kinds, notes = kinds_of(photos, folds), []
    bursts = units_of(photos.names, photos.files)
    if len(bursts) < folds:
        raise DataError(f"These photos are of {counted(len(bursts), 'burst')}, which are never split: they "
                        f"can't be judged in {folds} folds. Give fewer folds, or photos of further bursts.")
    units, twice = _units(photos, bursts)
    if len(units) < folds:
        raise DataError(f"These photos are of {counted(len(units), 'group')} of the same burst or with the "
                        f"same contents, which are never split: they can't be judged in {folds} folds. Give "
                        "fewer folds, or other photos.")
    if twice:
        notes.append(f"{counted(twice, 'file')} have the same contents as another one: each such group is in "
                     "one fold.")
    if photos.kind == "one":
        alone = of_one_burst(bursts, photos.labels, photos.classes)
        notes += burst_notes(bursts, alone)
        count = Counter(photos.labels[unit[0]] for unit in bursts)
        few = [name for i, name in enumerate(photos.classes) if 0 < count[i] < folds and name not in alone]
        if few:
            what = "photos" if len(bursts) == len(photos) else "bursts"
            notes.append(f"There are fewer {what} than folds of {listed(few)}: not every fold can judge "
                         f"{'it' if len(few) == 1 else 'them'}.")
    place = deal(units, kinds, folds, seed)
    return [[i for i in range(len(photos)) if place[i] == fold] for fold in range(folds)], notes


def most_folds(photos: PhotoSet) -> int:
    """How many folds these photos can be judged in: one for each group that is never split."""
    return len(_units(photos, units_of(photos.names, photos.files))[0])


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
    having: dict[int, list[int]] = {}  # kind -> the units with it, in the order that is drawn
    for unit in random.permutation(len(units)).tolist():
        for kind in {kind for i in units[unit] for kind in kinds[i]}:
            having.setdefault(kind, []).append(unit)
    left = {kind: sum(kind in kinds[i] for unit in found for i in units[unit]) for kind, found in
            having.items()}
    need = {kind: np.full(folds, total / folds) for kind, total in left.items()}
    room, place = np.full(folds, len(kinds) / folds), np.full(len(kinds), -1)

    def deal_out(unit: int, wanted: np.ndarray) -> None:
        chance = random.random(folds)
        fold = max(range(folds), key=lambda f: (round(wanted[f], 9), round(room[f], 9), chance[f]))
        for i in units[unit]:
            place[i] = fold
            room[fold] -= 1
            for kind in set(kinds[i]):
                need[kind][fold] -= 1
                left[kind] -= 1

    done: set[int] = set()
    while open_kinds := left.keys() - done:
        rarest = min(open_kinds, key=lambda kind: (left[kind], kind))
        # the large units first, which fit in few places; else in the order that was drawn
        for unit in sorted(having[rarest], key=lambda unit: -len(units[unit])):
            if place[units[unit][0]] < 0:
                deal_out(unit, need[rarest])
        done.add(rarest)
    for unit in range(len(units)):  # photos of no class
        if place[units[unit][0]] < 0:
            deal_out(unit, room)
    return place


def _units(photos: PhotoSet, bursts: list[list[int]]) -> tuple[list[list[int]], int]:
    """(photos that stay together, how many files have a twin). A twin joins two bursts."""
    groups = same_bytes(photos.files)[0] if photos.files else []
    together = {i for group in groups for i in group}
    if len(bursts) < len(photos):
        groups = _linked([*groups, *(burst for burst in bursts if len(burst) > 1)])
    held = {i for group in groups for i in group}
    return [*groups, *([i] for i in range(len(photos)) if i not in held)], len(together)


def _linked(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The groups, those with a photo in common as one."""
    found: list[list[int]] = []
    place: dict[int, int] = {}  # photo -> its group among `found`
    for group in groups:
        touched = sorted({place[i] for i in group if i in place})
        merged = sorted({*group, *(i for other in touched for i in found[other])})
        for other in touched:
            found[other] = []
        place.update(dict.fromkeys(merged, len(found)))
        found.append(merged)
    return sorted(group for group in found if group)
