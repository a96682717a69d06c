"""`differ`: whether two models really differ, or whether chance explains what is between them.

    a, b = evaluate("tf_efficientnet_lite0", "my photos"), evaluate(run, "my photos")
    explorer.differ(a, b)                         # which one is better, and how sure that is
    explorer.differ(a, b).only_second             # the photos that the second alone is right about
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.arguments import checked, shown, whole
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
from explorer.training.doubt.intervals import Interval, bootstrapped
from explorer.training.doubt.mcnemar import McNemar, mcnemar
from explorer.training.doubt.same_photos import Judged, how_to_judge, places_in_second
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.figures import JudgedPhoto
from explorer.training.evaluation.numbers import NumberEvaluation

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
    only_first, only_second: the photos that one alone is right about
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
    only_first: tuple[JudgedPhoto, ...]
    only_second: tuple[JudgedPhoto, ...]
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


@checked(draws=whole(100, 1_000_000))
def differ(first: Evaluation | NumberEvaluation, second: Evaluation | NumberEvaluation, *,
           draws: int = 2000, seed: int = 0) -> Difference:
    """Hold two results of the same photos against each other.

    first, second: what `evaluate` gave for two models and the same data
    draws, seed:   of the bootstrap: how many samples of photos, and by which draw

    Of one class a photo, right is the likeliest one; of several, all of a photo's yeses and noes (exact
    match). Numbers are compared by their absolute error in their own unit, of several the mean, and have no
    McNemar test.
    Raises ValueError for results of different photos or truths, or of another kind.
    """
    kinds = [("first", first), ("second", second)]
    for argument, result in kinds:
        if not isinstance(result, (Evaluation, NumberEvaluation)):
            raise TypeError(f"{argument} is {shown(result)}: expected the result of explorer.evaluate for "
                            f"classes or numbers.{how_to_judge(result)}")
    if kind_of(first) != kind_of(second):
        raise ValueError(f"The first result is of {kind_of(first)}, the second of {kind_of(second)}: they "
                         "have no figure in common.")
    order = places_in_second(first, second)
    names = (first.model_name or "the first", second.model_name or "the second")
    if names[0] == names[1]:
        names = (f"{names[0]} (first)", f"{names[1]} (second)")
    a, b = score_of(first), score_of(second)[order]
    intervals = bootstrapped(np.stack((a, b, b - a), 1), draws, seed)
    facts: dict[str, Any] = {"names": names, "photos": len(a), "draws": draws, "seed": seed}
    if isinstance(first, NumberEvaluation):
        return Difference(**facts, figure="mean absolute error", first=intervals[0], second=intervals[1],
                          difference=intervals[2], test=None, both=0, neither=0, only_first=(),
                          only_second=())
    only_a, only_b = np.flatnonzero(a > b), np.flatnonzero(b > a)
    return Difference(**facts, figure="share with all classes right" if first.multi_label
                      else "top-1 accuracy", first=intervals[0], second=intervals[1],
                      difference=intervals[2], test=mcnemar(len(only_a), len(only_b)),
                      both=int((a * b).sum()), neither=int(((1 - a) * (1 - b)).sum()),
                      only_first=tuple(first.rows[i] for i in only_a),
                      only_second=tuple(second.rows[order[i]] for i in only_b))


def kind_of(result: Judged) -> str:
    """What was judged: "numbers", "several classes at once" or "one class a photo"."""
    if isinstance(result, NumberEvaluation):
        return f"the numbers {', '.join(result.numbers)}"
    return "several classes at once" if result.multi_label else "one class a photo"


def score_of(result: Judged) -> np.ndarray:
    """Of each photo 1 for right and 0 for wrong; of numbers the absolute error. [N] float64."""
    if isinstance(result, NumberEvaluation):
        return (result.predicted - result.truth).abs().mean(1).double().numpy()
    right = result.predicted == result.labels
    return (right.all(1) if result.multi_label else right).double().numpy()


def p_text(value: float) -> str:
    """A p-value: "0.031", "below 0.001"."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
