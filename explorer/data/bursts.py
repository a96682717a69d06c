"""Photos that belong together are never split between learning and judging: the frames of one burst.

    units_of(["cup/burst-1-1.jpg", "cup/burst-1-2.jpg", "cup/IMG_7.jpg"])      # [[0, 1], [2]]

A camera that is held on takes thirty frames of one cup, all nearly the same picture. With some of them learnt
from and others judged by, the score says how well a model knows these frames again, not how well it tells a
cup. So whatever splits photos splits bursts: a share held out, folds, leave-one-out.

The frames of a burst lie in one folder and are called `burst-<n>-<k>` (k of burst n), with any ending. Every
other photo is a burst by itself, so nothing changes for folders without such names.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from explorer.data.folders import listed
from explorer.display.words import counted

FRAME = re.compile(r"burst-(\d{1,100})-\d+\.[^./\\]+", re.IGNORECASE)  # int() reads no endless number


def burst_number(file: str) -> int | None:
    """The number of the burst that a file is of, by its name; None for one by itself."""
    found = FRAME.fullmatch(file)
    return int(found[1]) if found else None


def burst_numbers(files: Sequence[Path]) -> dict[Path, int]:
    """The number of each file's burst; that of one by itself is no other's."""
    numbers = {file: burst_number(file.name) for file in files}
    new = itertools.count(1 + max((one for one in numbers.values() if one is not None), default=0))
    return {file: next(new) if number is None else number for file, number in numbers.items()}


def burst_of(name: str) -> str | None:
    """The burst of a photo by its path: its folder with the burst's number; None for a photo by itself."""
    folder, _, file = name.replace("\\", "/").rpartition("/")
    number = burst_number(file)
    return None if number is None else f"{folder}/{number}"


def bursts_of(names: Sequence[str], files: Sequence[Path | None] = ()) -> list[int]:
    """The number of each photo's burst, in the order in which they come: equal numbers belong together.

    names: paths, as far as they are known;  files: better ones, where a photo has a file
    """
    known: dict[str, int] = {}
    numbers: list[int] = []
    count = 0
    for index, name in enumerate(names):
        file = files[index] if files else None
        burst = burst_of(name if file is None else str(file))
        number = count if burst is None else known.setdefault(burst, count)
        numbers.append(number)
        count += number == count
    return numbers


def units_of(names: Sequence[str], files: Sequence[Path | None] = ()) -> list[list[int]]:
    """The indices of the photos that stay together, in the order of the first of each."""
    units: list[list[int]] = []
    for index, number in enumerate(bursts_of(names, files)):
        if number == len(units):
            units.append([])
        units[number].append(index)
    return units


def held_back(units: Sequence[Sequence[int]], share: float, *, left: int = 0) -> list[int]:
    """Of the photos of one class those to judge by: about a share of them, in whole units, at least one unit
    where there are two.

    units: in the order in which they were drawn;  left: so many photos stay to learn from, at least
    A burst that would take more than half of the photos is passed over, and the last one is never taken.
    """
    count = sum(map(len, units))
    wanted = most = min(max(round(share * count), int(len(units) > 1)), count - left)
    if len(units) < count:
        most = min(max(wanted, count // 2), count - min(map(len, units)))
    kept: list[int] = []
    for unit in units:
        more = len(kept) + len(unit)
        nearer = not kept or more - wanted <= wanted - len(kept)
        if len(kept) < wanted and more <= most and nearer:
            kept += unit
    return kept


def of_one_burst(units: Sequence[Sequence[int]], labels: Sequence[object],
                 classes: Sequence[str]) -> list[str]:
    """The classes that have a burst and nothing else: learnt from, they can't be judged. labels: of each
    photo its class index; others than that are of no such class.
    """
    units_of_class: dict[object, list[int]] = {}
    for unit in units:
        units_of_class.setdefault(labels[unit[0]], []).append(len(unit))
    return [name for i, name in enumerate(classes)
            if len(found := units_of_class.get(i, [])) == 1 and found[0] > 1]


def burst_notes(units: Sequence[Sequence[int]], alone: Sequence[str] = ()) -> tuple[str, ...]:
    """What is to be said of bursts; nothing where each photo is one. alone: as `of_one_burst` gives them."""
    bursts = [unit for unit in units if len(unit) > 1]
    if not bursts:
        return ()
    many = f"{counted(sum(map(len, bursts)), 'photo')} are of {counted(len(bursts), 'burst')}"
    notes = (f"{many}: those of one burst are nearly the same picture, and are never split between learning "
             "and judging.",)
    return notes + ((one_burst(alone),) if alone else ())


def one_burst(classes: Sequence[str]) -> str:
    """That the score of classes with one burst can't be known, and what to do."""
    what = "It is learnt from, but its" if len(classes) == 1 else "They are learnt from, but their"
    return (f"All photos of {listed(classes)} are of one burst. {what} score can't be known until there is "
            "another burst to judge by.")
