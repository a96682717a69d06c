"""What is said of embedded photos, and which of their numbers are drawn."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from explorer.widgets.panels.work import notes_html

BUDGETS = (1, 2, 5, 10, 20, 50, 100)
LISTED = 5  # broken photos that are named


def about_html(features: Any, title: str) -> str:
    """What was embedded, in a line; the broken photos by name."""
    numbers = f"vectors of {features.embeddings.shape[1]:,} numbers"
    facts = (f"<b>{escape(title)}</b>, {escape(features.model_name)}: {escape(features.sentence)}; "
             f"{numbers}.")
    broken = [f"<li>{escape(name)}: {escape(why)}</li>" for name, why in features.problems[:LISTED]]
    if len(features.problems) > LISTED:
        broken.append(f"<li>and {len(features.problems) - LISTED} more</li>")
    problems = f'<ul class="vx-run-notes">{"".join(broken)}</ul>' if broken else ""
    return f"<p>{facts}</p>{notes_html(features.notes)}{problems}"


def probe_html(probe: Any, knn: Any) -> str:
    """What a linear probe and the neighbours' vote know of the classes; the hardest classes by name."""
    known = [(name, share) for name, share in probe.per_class.items() if share == share]
    worst = sorted(known, key=lambda item: item[1])[:3]
    hardest = ", ".join(f"{name} {share:.0%}" for name, share in worst)
    return (f"<p>{escape(probe.sentence)}.</p><p>{escape(knn.sentence)}.</p>"
            f'<p class="vx-soft">Hardest for the probe: {escape(hardest)}.</p>{notes_html(probe.notes)}')


def budget_curve(probe: Any) -> tuple[tuple[list[float], list[float]], dict[str, Any]]:
    """((x, y), options) of a scatter: each draw a dot, their means on a line that ends at all labels."""
    budget = probe.budget
    draws = [(point.labels_per_class, share) for point in budget for share in point.accuracies]
    whole = probe.learnt / len(probe.per_class)
    means = [(point.labels_per_class, point.mean) for point in budget] + [(whole, probe.accuracy)]
    points = [*draws, *means]
    names = [f"{count} labels a class, one draw" for count, _ in draws]
    names += [f"{point.labels_per_class} labels a class, mean of {len(point.accuracies)} draws"
              for point in budget]
    options = {"labels": [*names, f"all {probe.learnt:,} labels"],
               "groups": [0] * len(draws) + [1] * len(budget) + [2],
               "group_names": ["one draw", "mean", "all labels"],
               "sizes": [3.0] * len(draws) + [6.0] * len(means), "line": range(len(draws), len(points))}
    return ([x for x, _ in points], [y for _, y in points]), options


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly over all."""
    used = min(count, most)
    return [number * count // used for number in range(used)]


def possible_budgets(features: Any) -> list[int]:
    """Numbers of labels a class for the curve: those that every class can give, with some photos left."""
    labels = features.labels if features.held_out is None else features.labels[~features.held_out]
    share = 0.8 if features.held_out is None else 1.0  # a probe learns from, without a val part
    fewest = math.floor(share * int(labels.bincount()[labels.bincount() > 0].min())) if len(labels) else 0
    return [count for count in BUDGETS if count < fewest]
