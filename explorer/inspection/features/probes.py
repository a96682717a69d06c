"""How much a network's features know about your classes, without training it: linear probe, neighbours' vote.

    features = explorer.run_folder("tf_efficientnet_lite0", "flowers5")
    linear_probe(features)                                    # a logistic regression on frozen features
    linear_probe(features, labels_per_class=[1, 2, 5, 10])    # and how many labels it takes
    knn_accuracy(features)                                    # neighbours vote: nothing is learnt at all

Both read features that were worked out once, so a network is judged in seconds. They tell how well classes
can be told apart by what the network sees now; fine-tuning it can do better, and often does.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from explorer.arguments import checked, counts, number
from explorer.display.charts import no_formulas
from explorer.display.html import notes_html, row_html, side_by_side_html
from explorer.display.words import percent
from explorer.inspection.features.judging import (
    draw_photos,
    interval_of,
    labels_of_features,
    parts_of,
    stratified,
)
from explorer.inspection.features.result import Features

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C: the larger, the less the weights are held back
USUAL_STRENGTH = 0.1                 # where there are too few photos to choose by
ENOUGH = 8                           # photos of each class, from which C is chosen


@dataclass(frozen=True)
class BudgetPoint:
    """Accuracy with so many labelled photos of each class. accuracies: one for each draw of these photos."""

    labels_per_class: int
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)


@dataclass(eq=False, repr=False)
class Probe:
    """What a linear probe says.

    accuracy:  share of the judged photos that are right;  interval: between which it lies with 95 %
               certainty, as far as the number of judged photos tells (Wilson; a burst counts as one)
    per_class: {class: share that is right}, NaN for a class without judged photos
    confusion: [K, K] counts, rows are the true classes;  predicted: class index of each judged photo
    learnt, judged: how many photos;  how: where the judged ones come from;  C: of the regression;  budget:
                    the curve
    """

    model_name: str
    accuracy: float
    interval: tuple[float, float]
    per_class: dict[str, float]
    confusion: np.ndarray
    predicted: np.ndarray
    learnt: int
    judged: int
    how: str
    C: float
    seed: int
    seconds: float
    budget: list[BudgetPoint] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        low, high = self.interval
        return (f"Linear probe: {percent(self.accuracy)} of {self.judged:,} photos right (95 % interval "
                f"{percent(low)} to {percent(high)}), learnt from {self.learnt:,}; {self.how}")

    def figure(self) -> Figure:
        """Accuracy against labels per class, each draw a point; without a curve, each class's accuracy."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        self.plot(figure.subplots())
        return no_formulas(figure)

    def plot(self, axes: Axes) -> None:
        """Draw it into a part of a figure."""
        if self.budget:
            counts = [point.labels_per_class for point in self.budget]
            for point in self.budget:
                axes.plot([point.labels_per_class] * len(point.accuracies), point.accuracies, ".",
                          color="tab:blue", alpha=0.45)
            axes.plot(counts, [point.mean for point in self.budget], "-o", color="tab:blue",
                      label="mean of the draws")
            axes.axhline(self.accuracy, color="tab:orange", linestyle="--",
                         label=f"all {self.learnt:,} labels")
            axes.set_xscale("log")
            axes.set_xticks(counts, map(str, counts))
            axes.minorticks_off()
            axes.set_xlabel("labelled photos of each class")
            axes.legend(fontsize=8, loc="lower right")
        else:
            axes.bar(range(len(self.per_class)), list(self.per_class.values()))
            axes.set_xticks(range(len(self.per_class)), self.per_class, rotation=40, ha="right", fontsize=8)
        axes.set_ylabel("share that is right")
        axes.set_ylim(0, 1.02)
        axes.grid(axis="y", alpha=0.3)
        axes.set_title(f"Linear probe on {self.model_name}: {percent(self.accuracy)}", fontsize=10)

    def __repr__(self) -> str:
        return f"Probe({self.model_name!r}, {self.sentence})"

    def _repr_html_(self) -> str:
        first = list(self.per_class.items())[:20]
        rows = "".join(row_html(name, [percent(share)], left=1) for name, share in first)
        curve = "".join(row_html(f"{point.labels_per_class} a class", [percent(point.mean)], left=1)
                        for point in self.budget)
        notes = notes_html(self.notes)
        return (f"<div><p><b>{escape(self.model_name)}</b>. {escape(self.sentence)}.</p>{notes}"
                f"{side_by_side_html(f'<table>{rows}</table><table>{curve}</table>', gap=24)}</div>")


@checked(C=number(0, above=True), labels_per_class=counts)
def linear_probe(
    features: Features, *, val: Features | float | None = None, seed: int = 0, C: float | None = None,
    labels_per_class: Sequence[int] = (), draws: int = 5,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> Probe:
    """Accuracy of a logistic regression on frozen, standardised features.

    features: of photos with labels, from `run_folder`
    val:      what to judge by: the features of other photos, a share of these (drawn by `seed`, the same of
              each class), or None: the folder's own val part where it has one, else a share of 0.2
    C:        inverse strength of the penalty; None: the best of `STRENGTHS` on a quarter of the photos to
              learn from, or 0.1 where a class has fewer than 8 of them (8 bursts, see `explorer.data.bursts`)
    labels_per_class: for each number a probe (C = 0.1) that learns from so many labelled photos a class,
              `draws` times with other ones; standardised by all photos to learn from, which takes no labels.
              Numbers that a class can't give are left out, with a note
    on_progress, should_stop: called after each regression; True from should_stop ends the curve

    Raises ValueError for features without labels or with fewer than two classes.
    Source: S. Kornblith, J. Shlens, Q. V. Le, Do Better ImageNet Models Transfer Better?, arXiv 1805.08974,
            section 3.
    """
    started = time.perf_counter()
    labels, classes = labels_of_features(features)
    x, y, x_val, y_val, how, bursts, bursts_val, more = parts_of(features, labels, val, seed)
    x, x_val = np.asarray(x, dtype=np.float64), np.asarray(x_val, dtype=np.float64)
    mean, spread = x.mean(0), x.std(0)
    spread[spread < 1e-12] = 1  # a number that never changes says nothing
    x, x_val = (x - mean) / spread, (x_val - mean) / spread

    budgets = sorted({int(count) for count in labels_per_class})
    if any(count < 1 for count in budgets):
        raise ValueError(f"labels_per_class is {list(labels_per_class)}: expected numbers of photos, from 1.")
    fewest = int(np.bincount(y)[np.bincount(y) > 0].min())
    used = [count for count in budgets if count <= fewest]
    notes = [f"Left out of the curve: {', '.join(map(str, budgets[len(used):]))} labels a class, since one "
             f"class has only {fewest} photos to learn from."] if len(used) < len(budgets) else []
    notes += more

    steps, done = 1 + len(used) * draws, 0

    def step() -> bool:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, steps)
        return should_stop is not None and should_stop()

    x, x_val = _compact(x, x_val)
    chosen = C if C is not None else _best_strength(x, y, seed, bursts)
    predicted = _answers(x, y, chosen, x_val)
    stopped, budget = step(), []
    for count in used:
        accuracies: list[float] = []
        for draw in range(draws):
            if stopped:
                break
            some = draw_photos(y, count, (seed, count, draw))
            accuracies.append(float((_answers(x[some], y[some], USUAL_STRENGTH, x_val) == y_val).mean()))
            stopped = step()
        if accuracies:
            budget.append(BudgetPoint(count, tuple(accuracies)))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (y_val, predicted), 1)
    right, count = int((predicted == y_val).sum()), len(y_val)
    with np.errstate(invalid="ignore"):
        shares = confusion.diagonal() / confusion.sum(1)
    return Probe(
        model_name=features.model_name, accuracy=right / count,
        interval=interval_of(predicted == y_val, bursts_val),
        per_class=dict(zip(classes, map(float, shares))), confusion=confusion, predicted=predicted,
        learnt=len(y), judged=count, how=how, C=float(chosen), seed=seed,
        seconds=time.perf_counter() - started, budget=budget, notes=tuple(notes),
    )


def _best_strength(x: np.ndarray, y: np.ndarray, seed: int, bursts: np.ndarray | None = None) -> float:
    """The C that does best on a quarter of the photos to learn from; the strongest penalty of equals."""
    bursts = np.arange(len(y)) if bursts is None else bursts
    if min(len(np.unique(bursts[y == label])) for label in np.unique(y)) < ENOUGH:  # a burst is as one photo
        return USUAL_STRENGTH
    aside = np.zeros(len(y), dtype=bool)
    aside[stratified(y, 0.25, seed, bursts)] = True
    right = [(_answers(x[~aside], y[~aside], strength, x[aside]) == y[aside]).mean()
             for strength in STRENGTHS]
    return STRENGTHS[int(np.argmax(right))]


def _compact(x: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, D] and others [m, D] turned so that all of x lies in min(n, D) dimensions; only these are kept.

    The penalty leaves the weights in the span of the photos to learn from, so a regression gives the same
    answers.
    """
    if len(x) >= x.shape[1]:
        return x, others
    _, _, axes = np.linalg.svd(x, full_matrices=False)  # [n, D]
    return x @ axes.T, others @ axes.T


def _answers(x: np.ndarray, y: np.ndarray, strength: float, x_val: np.ndarray) -> np.ndarray:
    """The class that a regression on x [n, D] and y gives each row of x_val."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x, x_val = _compact(x, x_val)
    # The tables are small: on a busy computer, threads that wait for each other take many times as long.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # near the end of 1,000 steps the answers do not change
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=1000).fit(x, y).predict(x_val)
