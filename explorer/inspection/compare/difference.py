"""Whether two models really differ, or whether chance explains what is between them: the answer, and how it
is worked out of what each made of the same photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.arguments import whole
from explorer.display.html import (
    RichRepr,
    notes_html,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import counted
from explorer.inspection.compare.intervals import Interval, bootstrapped, bootstrapped_shares
from explorer.inspection.compare.mcnemar import McNemar, mcnemar

SURE = 0.05  # a p-value below which chance is no likely explanation
FEW = 25     # photos that only one is right about: below, the corrected chi-squared is no good estimate


@dataclass(frozen=True, repr=False)
class Difference(RichRepr):
    """Two models on the same photos.

    names:  what the two are called;  photos: how many
    figure: what they are compared by: "top-1 accuracy", "share with all classes right", "mean absolute error"
    first, second, difference: that figure of each, and second minus first, with 95 % intervals (paired
            bootstrap)
    test:   McNemar's; None for numbers
    both, neither: photos that both, that none is right about
    only_first, only_second: the photos that one alone is right about: of evaluations as they judge them, of a
            comparison their names
    """

    names: tuple[str, str]
    photos: int
    figure: str
    first: Interval
    second: Interval
    difference: Interval
    test: McNemar | None
    both: int
    neither: int
    only_first: tuple[Any, ...]
    only_second: tuple[Any, ...]
    draws: int
    seed: int

    @property
    def real(self) -> bool:
        """Whether chance is no likely explanation: exact p below 0.05; of numbers, 0 outside the interval."""
        if self.test is not None:
            return self.test.exact < SURE
        return not self.difference.low <= 0 <= self.difference.high

    @property
    def better(self) -> str:
        """The name of the model with the better figure; "" where both have the same."""
        gain = -self.difference.value if self.test is None else self.difference.value
        return "" if gain == 0 else self.names[gain > 0]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if not self.better:
            return f"Both have the same {self.figure} on these {counted(self.photos, 'photo')}."
        if self.test is None:
            why = (f"the difference of their {self.figure}, {self.difference.text(shares=False)}, is "
                   f"{'clear of' if self.real else 'not clear of'} 0")
        else:
            of, wins = self.test.first + self.test.second, max(self.test.first, self.test.second)
            why = (f"of {counted(of, 'photo')} that one alone is right about it wins {wins:,} "
                   f"(McNemar, exact p = {p_text(self.test.exact)})")
        end = "the difference is real" if self.real else "chance can explain the difference"
        return f"{self.better} is better on these {counted(self.photos, 'photo')}, and {end}: {why}."

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the figures."""
        if self.test is None or self.test.first + self.test.second >= FEW:
            return ()
        return (f"Fewer than {FEW} photos tell the two apart: go by the exact p-value, and show them more "
                "photos before you choose.",)

    def __repr__(self) -> str:
        return f"Difference({self.sentence})"

    def __str__(self) -> str:
        shares = self.test is not None
        rows = [f"{name}: {one.text(shares=shares)}" for name, one in zip((*self.names, "difference"),
                (self.first, self.second, self.difference))]
        return "\n".join([self.sentence, f"{self.figure} (95 % interval)", *rows, *self.notes])

    def _repr_html_(self) -> str:
        shares = self.test is not None
        rows = "".join(row_html(name, [one.text(shares=shares)]) for name, one in zip(
            (*self.names, "second minus first"), (self.first, self.second, self.difference)))
        parts = table_html(("model", f"{self.figure} (95 % interval)"), rows, left=1)
        if self.test is not None:
            first, second = self.names
            counts = (row_html(f"{first} right", [f"{self.both:,}", f"{self.test.first:,}"])
                      + row_html(f"{first} wrong", [f"{self.test.second:,}", f"{self.neither:,}"]))
            parts += table_html(("photos", f"{second} right", f"{second} wrong"), counts, left=1)
        told = [f"p = {p_text(self.test.exact)} exact, {p_text(self.test.corrected)} by chi-squared with "
                "continuity correction (McNemar)."] if self.test is not None else []
        told.append(f"Intervals: {self.draws:,} draws of the same photos for both (paired bootstrap, seed "
                    f"{self.seed}).")
        return (f"<div>{title_html(self.sentence)}{notes_html(self.notes)}{side_by_side_html(parts)}"
                f"{sentences_html(told)}</div>")


def difference_of_right(names: tuple[str, str], first: np.ndarray, second: np.ndarray,
                        photos: tuple[Sequence[Any], Sequence[Any]], *, figure: str, draws: int,
                        seed: int) -> Difference:
    """Two models that are right or wrong about each photo. first, second: [N] of 0 and 1
    photos: what a photo is in `only_first`, and in `only_second`
    """
    a, b = first.astype(bool), second.astype(bool)
    only_a, only_b = np.flatnonzero(a & ~b).tolist(), np.flatnonzero(b & ~a).tolist()
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    intervals = bootstrapped_shares(both, len(only_a), len(only_b), neither, draws, seed)
    return Difference(names, len(a), figure, *intervals, test=mcnemar(len(only_a), len(only_b)), both=both,
                      neither=neither, only_first=tuple(photos[0][i] for i in only_a),
                      only_second=tuple(photos[1][i] for i in only_b), draws=draws, seed=seed)


def difference_of_errors(names: tuple[str, str], first: np.ndarray, second: np.ndarray, *, figure: str,
                         draws: int, seed: int) -> Difference:
    """Two models that are so far off for each photo, [N] each."""
    intervals = bootstrapped(np.stack((first, second, second - first), 1), draws, seed)
    return Difference(names, len(first), figure, *intervals, test=None, both=0, neither=0, only_first=(),
                      only_second=(), draws=draws, seed=seed)


def check_draws(draws: Any) -> None:
    """Raise TypeError or ValueError for what is no number of draws."""
    whole(100, 1_000_000)("draws", draws)


def told_apart(first: str, second: str) -> tuple[str, str]:
    """Two names that are not the same."""
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def standing_of(best: str, pairs: Sequence[tuple[str, Difference]]) -> str:
    """What is said of the best of several models. pairs: (another one's name, the best held against it)

    So many tests find something by chance: their p-values are corrected (S. Holm, 1979).
    """
    exact = [found.test.exact if found.test is not None else 1.0 for _, found in pairs]
    corrected, least = [0.0] * len(exact), 0.0
    for rank, i in enumerate(sorted(range(len(exact)), key=exact.__getitem__)):
        corrected[i] = least = max(least, min(1.0, (len(exact) - rank) * exact[i]))
    told = [(f"{name} (p = {p_text(p)})", p < SURE and found.better == best)
            for (name, found), p in zip(pairs, corrected) if found.better]
    tied = [name for name, found in pairs if not found.better]
    really, perhaps = ([text for text, real in told if real is wanted] for wanted in (True, False))
    parts = [f"is really better than {', '.join(really)}"] if really else []
    parts += [f"may be ahead of {', '.join(perhaps)} by chance alone"] if perhaps else []
    first = f"{best} is right most often" + (f", as often as {', '.join(tied)}" if tied else "")
    return (f"{', and '.join([first, ', but '.join(parts)] if parts else [first])}: McNemar's exact test, "
            f"corrected for {len(pairs)} tests (Holm).")


def p_text(value: float) -> str:
    """A p-value: "0.031", "below 0.001"."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
