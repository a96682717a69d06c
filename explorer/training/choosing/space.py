"""What a search may choose from: settings of `finetune`, each a list of choices or a range.

    {"model": ["resnet18", "tf_efficientnet_lite0"],      # one of these
     "lr": (1e-4, 1e-1),                                  # a range; over a factor of 100 it is logarithmic
     "epochs": (2, 6),                                    # whole numbers, both ends included
     "augment": ["none", "light"]}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np

from explorer.arguments import shown
from explorer.training.loop.recipe import Recipe
from explorer.training.run.other_words import hint_for

BESIDE = ("model", "input_size", "pretrained")  # settings that are not the recipe's
LOGARITHMIC = 100  # a range whose ends are so many times apart
MOST = 100_000     # combinations of a grid
EXPECTED = "give a list of choices, such as ['light', 'none'], or a range, such as (0.001, 0.1)"


@dataclass(frozen=True)
class Choices:
    """labels: of the values, as they are stored and shown"""

    values: tuple[Any, ...]
    labels: tuple[Any, ...]

    def draw(self, random: np.random.Generator) -> Any:
        """One of the labels."""
        return self.labels[int(random.integers(len(self.labels)))]

    def value(self, label: Any) -> Any:
        """What a label stands for."""
        return self.values[self.labels.index(label)]


@dataclass(frozen=True)
class Range:
    """low, high: both included;  whole: numbers without a fraction;  logarithmic: each factor alike"""

    low: float
    high: float
    whole: bool
    logarithmic: bool

    def draw(self, random: np.random.Generator) -> Any:
        """A number of the range."""
        if self.whole and not self.logarithmic:
            return int(random.integers(int(self.low), int(self.high), endpoint=True))
        low, high = (math.log(end) if self.logarithmic else end for end in (self.low, self.high))
        found = float(random.uniform(low, high))
        found = min(max(math.exp(found) if self.logarithmic else found, self.low), self.high)
        return round(found) if self.whole else found

    def value(self, label: Any) -> Any:
        """The number itself."""
        return label


Space = dict[str, Choices | Range]


def space_of(given: Any) -> Space:
    """Raises TypeError for what is no dict, ValueError for unknown settings and for what is no choice."""
    if not isinstance(given, Mapping) or not given:
        kind = ValueError if isinstance(given, Mapping) else TypeError
        raise kind(f"space is {shown(given)}: expected a dict of settings, such as "
                   "{'lr': (0.001, 0.1), 'augment': ['light', 'none']}.")
    known = [*BESIDE, *(field.name for field in fields(Recipe))]
    found: Space = {}
    for name, wanted in given.items():
        if name not in known:
            raise ValueError(f"space has {shown(name)}, which is no setting of finetune."
                             f"{hint_for(str(name), known)} The settings: {', '.join(known)}.")
        found[name] = _one(str(name), wanted)
    return found


def values_of(space: Space, labels: Mapping[str, Any]) -> dict[str, Any]:
    """What a combination of labels stands for."""
    return {name: space[name].value(label) for name, label in labels.items()}


def _one(name: str, wanted: Any) -> Choices | Range:
    if isinstance(wanted, list):
        labels = tuple(one if one is None or isinstance(one, (bool, int, float, str)) else _label(one)
                       for one in wanted)
        if not labels or len(set(map(repr, labels))) < len(labels):
            raise ValueError(f"space has {shown(wanted)} for {name}: give one choice at least, each once.")
        if any(isinstance(one, float) and not math.isfinite(one) for one in labels):
            raise ValueError(f"space has {shown(wanted)} for {name}, which are not all finite: {EXPECTED}.")
        return Choices(tuple(wanted), labels)
    if isinstance(wanted, tuple) and len(wanted) == 2:
        numbers = all(isinstance(one, Real) and not isinstance(one, bool) and math.isfinite(one)
                      for one in wanted)
        if not numbers or not wanted[0] < wanted[1]:
            raise ValueError(f"space has {shown(wanted)} for {name}: a range is (low, high), two numbers of "
                             "which the second is larger.")
        whole = all(isinstance(one, Integral) for one in wanted)
        low, high = (int(one) if whole else float(one) for one in wanted)
        return Range(low, high, whole, low > 0 and high / low >= LOGARITHMIC)
    raise ValueError(f"space has {shown(wanted)} for {name}: {EXPECTED}.")


def _label(value: Any) -> str:
    return getattr(value, "__name__", "") or type(value).__name__ if callable(value) else repr(value)


def grid_of(space: Space) -> list[dict[str, Any]]:
    """Every combination, the last setting changing first. Raises ValueError for ranges, and for too many."""
    if ranges := [name for name, one in space.items() if isinstance(one, Range)]:
        raise ValueError(f"method='grid' takes each combination, and space has a range for {ranges[0]}: give "
                         "a list of choices, or take another method.")
    rows: Sequence[tuple[Any, ...]] = [one.labels for one in space.values() if isinstance(one, Choices)]
    if (count := math.prod(map(len, rows))) > MOST:
        raise ValueError(f"space has {count:,} combinations: a grid takes {MOST:,} at most. Give fewer "
                         "choices, or take method='tpe'.")
    return [dict(zip(space, row)) for row in itertools.product(*rows)]


def drawn(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` combinations drawn by the seed, no two alike; fewer where there are no more. The first of them
    are the same whatever `count` is.
    """
    random, found, seen = np.random.default_rng(seed), [], set()
    missed = 0
    while len(found) < count and missed < 1000:
        row = {name: one.draw(random) for name, one in space.items()}
        if (key := repr(row)) in seen:
            missed += 1
            continue
        seen.add(key)
        found.append(row)
        missed = 0
    return found
