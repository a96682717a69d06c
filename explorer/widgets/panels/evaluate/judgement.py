"""One evaluation as the page has it: the answers, the network that gave them, and what is said of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer import __version__

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation
    from explorer.training.evaluation.numbers import NumberEvaluation
    from explorer.training.evaluation.place_evaluation import PlaceEvaluation


@dataclass(frozen=True)
class Judgement:
    """The answers, the network that gave them, and the lines that give them again."""

    result: Evaluation | NumberEvaluation | PlaceEvaluation
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

    def caption(self, headline: str, facts: Sequence[str]) -> str:
        parts = {"val": "photos held out to judge by", "train": "photos it learnt from"}
        return (f"{self.title}, {parts.get(self.result.split, 'all photos')}: {headline}. "
                f"{' '.join(facts)} explorer {__version__}.")


@dataclass(frozen=True)
class Facts:
    """What is said of a judgement, worked out before it is shown. head, notes: HTML."""

    judged: Judgement
    head: str
    notes: str
