"""What is said of a judgement of classes or numbers, worked out before it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explorer.widgets.panels.evaluate.judgement import Facts, Judgement
from explorer.widgets.parts.evaluation_card import (
    class_rows,
    headline_html,
    notes_html,
    number_headline_html,
    number_rows,
)

MOST_CURVES = 1000  # classes; of more there is none


@dataclass(frozen=True)
class ClassFacts(Facts):
    """lines: which class or number each row of the table is;  curves: what has a curve;  weakest: of these"""

    columns: list[Any]
    rows: list[Any]
    lines: list[int]
    curves: Sequence[str]
    weakest: str | None


def facts_of_classes(judged: Judgement) -> ClassFacts:
    result = judged.result
    if judged.numbers:
        from explorer.training.evaluation.number_report import by_r2

        every = list(range(len(result.numbers)))
        return ClassFacts(judged, number_headline_html(result), notes_html(result), *number_rows(result),
                          every, result.numbers, by_r2(result)[0])
    few = len(result.classes) <= MOST_CURVES
    curves = [name for name in result.pr if name in result.roc] if few else []
    weakest = min(curves, key=lambda name: result.per_class[name].f1, default=None)
    return ClassFacts(judged, headline_html(result), notes_html(result), *class_rows(result), curves, weakest)
