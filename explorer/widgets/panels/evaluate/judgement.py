"""One evaluation as the page has it: the answers, the network that gave them, and what is said of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer import __version__
from explorer.widgets.parts.evaluation_card import (
    class_rows,
    headline_html,
    notes_html,
    number_headline_html,
    number_rows,
)

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation
    from explorer.training.evaluation.numbers import NumberEvaluation

MOST_CURVES = 1000  # classes; of more there is none


@dataclass(frozen=True)
class Judgement:
    """The answers, the network that gave them, and the lines that give them again."""

    result: Evaluation | NumberEvaluation
    model: Any
    lines: tuple[str, ...]
    stopped: bool = False

    @property
    def numbers(self) -> bool:
        """Whether the model gives numbers, not classes."""
        return hasattr(self.result, "numbers")

    @property
    def title(self) -> str:
        """What was judged, by which photos."""
        from explorer.training.evaluation.report import named

        return named(self.result)

    def code(self) -> list[str]:
        """Lines that judge again, and print the figures."""
        early = ["# it was stopped early: these lines judge all photos"] if self.stopped else []
        return [*self.lines, *early, "print(result)"]

    def network(self) -> str:
        """What these lines call the network."""
        return "run.model" if any("explorer.evaluate(run" in line for line in self.lines) else "model"

    def caption(self) -> str:
        from explorer.training.evaluation import number_report, report

        result, words = self.result, number_report if self.numbers else report
        parts = {"val": "photos held out to judge by", "train": "photos it learnt from"}
        return (f"{self.title}, {parts.get(result.split, 'all photos')}: {words.headline(result)}. "
                f"{' '.join(words.facts(result))} explorer {__version__}.")


@dataclass(frozen=True)
class Facts:
    """What is said of a judgement, worked out before it is shown.

    lines: which class or number each row of the table is;  curves: what has a curve;  weakest: of these
    """

    judged: Judgement
    head: str
    notes: str
    columns: list[Any]
    rows: list[Any]
    lines: list[int]
    curves: Sequence[str]
    weakest: str | None


def facts_of(judged: Judgement) -> Facts:
    result = judged.result
    if judged.numbers:
        from explorer.training.evaluation.number_report import by_r2

        every = list(range(len(result.numbers)))
        return Facts(judged, number_headline_html(result), notes_html(result), *number_rows(result), every,
                     result.numbers, by_r2(result)[0])
    few = len(result.classes) <= MOST_CURVES
    curves = [name for name in result.pr if name in result.roc] if few else []
    weakest = min(curves, key=lambda name: result.per_class[name].f1, default=None)
    return Facts(judged, headline_html(result), notes_html(result), *class_rows(result), curves, weakest)
