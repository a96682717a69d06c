"""How much a network's features know about your classes: the vote of the nearest photos, where nothing is
learnt at all.

    features = explorer.run_folder("tf_efficientnet_lite0", "flowers5")
    knn_accuracy(features)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape

import numpy as np

from explorer.arguments import checked, number
from explorer.data.bursts import of_one_burst
from explorer.data.folders import listed
from explorer.display.words import percent
from explorer.inspection.features.judging import (
    bursts_in,
    interval_of,
    labels_of_features,
    parts_of,
    units_in,
)
from explorer.inspection.features.result import Features
from explorer.inspection.features.vectors import BLOCK, normalised

LEAVE_ONE_OUT = "leave-one-out"


@dataclass(eq=False, repr=False)
class KnnAccuracy:
    """What the neighbours' vote says; its fields mean the same as in `Probe`. k, temperature: of the vote."""

    model_name: str
    accuracy: float
    interval: tuple[float, float]
    predicted: np.ndarray
    k: int
    temperature: float
    judged: int
    how: str
    seconds: float

    @property
    def sentence(self) -> str:
        low, high = self.interval
        return (f"{self.k} nearest neighbours: {percent(self.accuracy)} of {self.judged:,} photos right (95 "
                f"% interval {percent(low)} to {percent(high)}); {self.how}")

    def __repr__(self) -> str:
        return f"KnnAccuracy({self.model_name!r}, {self.sentence})"

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.model_name)}</b>. {escape(self.sentence)}.</p>"


def votes_of(cosines: np.ndarray, y: np.ndarray, classes: int, k: int,
             temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """(what the k nearest give each class, [n, K] float64; which they are, [n, k] in no order).

    cosines: [n, N] of n photos with N neighbours, -inf for those that may not vote;  y: the classes of the
             neighbours, [N]
    """
    nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    weights = np.exp((np.take_along_axis(cosines, nearest, 1) - 1).astype(np.float64) / temperature)
    votes = np.zeros((len(cosines), classes))
    np.add.at(votes, (np.arange(len(cosines))[:, None], y[nearest]), weights)
    return votes, nearest


@checked(temperature=number(0, above=True))
def knn_accuracy(
    features: Features, *, k: int = 20, temperature: float = 0.07, val: Features | float | str | None = None,
    seed: int = 0,
) -> KnnAccuracy:
    """Accuracy of a vote of the k nearest photos, each weighing exp(cosine / temperature).

    val: what to judge by: the features of other photos, a share of these, "leave-one-out" (each photo by all
         others that are not of its own burst), or None: the folder's own val part where it has one, else
         leave-one-out

    k is at most the number of photos that can vote. Nothing is learnt, so what it says is the network's
    alone.
    Source: Z. Wu, Y. Xiong, S. Yu, D. Lin, Unsupervised Feature Learning via Non-Parametric Instance
            Discrimination,
    arXiv 1805.01978, section 3.4.
    """
    started = time.perf_counter()
    if isinstance(k, bool) or not isinstance(k, int) or k < 1 or not temperature > 0:
        raise ValueError(f"k is {k!r} and temperature {temperature!r}: expected a number of neighbours from "
                         "1, and one above 0.")
    labels, classes = labels_of_features(features)
    if isinstance(val, str) and val != LEAVE_ONE_OUT:
        raise ValueError(f"val is {val!r}: expected features, a share such as 0.2, or {LEAVE_ONE_OUT!r}.")
    alone = val == LEAVE_ONE_OUT if isinstance(val, str) else val is None and features.held_out is None
    if alone:
        bank = queries = features.embeddings
        y = y_val = labels
        how, bursts = "each photo judged by all others", bursts_in(features)
        bursts_val = bursts
        one_alone = of_one_burst(units_in(bursts), labels.tolist(), classes)
        if len(np.unique(bursts)) < len(bursts):
            how += " that are not of its own burst"
    else:
        parts = parts_of(features, labels, val, seed)
        bank, y, queries, y_val, how, bursts, bursts_val = parts[:7]
        one_alone = []  # what can't be judged is not among the judged
    k = min(k, len(y) - alone)
    if k < 1:
        raise ValueError("One photo has no neighbours: give more.")
    bank = normalised(bank)
    predicted = np.empty(len(y_val), dtype=np.int64)
    rows = max(1, min(BLOCK, 16_000_000 // len(bank)))  # so that the table of cosines stays below 64 MB
    for start in range(0, len(y_val), rows):
        cosines = normalised(queries[start:start + rows]) @ bank.T  # [rows, N]
        if alone:
            cosines[bursts[start:start + rows, None] == bursts[None]] = -np.inf  # itself, and its burst
        predicted[start:start + rows] = votes_of(cosines, y, len(classes), k, temperature)[0].argmax(1)
    # no neighbour can vote for a class whose photos are all of one burst: those photos judge nothing
    asked = ~np.isin(y_val, [classes.index(name) for name in one_alone])
    right, judged = (predicted == y_val)[asked], int(asked.sum())
    if not judged:
        raise ValueError("Each class has one burst of photos, which can't judge itself: add another burst.")
    if one_alone:
        how += f"; of {listed(one_alone)} there is one burst alone, which judges nothing"
    return KnnAccuracy(features.model_name, int(right.sum()) / judged,
                       interval_of(right, bursts_val[asked]), predicted, k, temperature, judged, how,
                       time.perf_counter() - started)
