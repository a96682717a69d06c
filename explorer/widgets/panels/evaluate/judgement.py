"""One evaluation as the page has it: the answers, the network that gave them, and what is said of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from explorer import __version__

if TYPE_CHECKING:
    from explorer.inspection.compare.difference import Difference
    from explorer.training.evaluation.evaluation import Evaluation
    from explorer.training.evaluation.numbers import NumberEvaluation
    from explorer.training.evaluation.place_evaluation import PlaceEvaluation


@dataclass(frozen=True)
class Judgement:
    """The answers, the network that gave them, and the lines that give them again.

    against: what another model had made of the same photos before, and whether the two really differ
    """

    result: Evaluation | NumberEvaluation | PlaceEvaluation
    model: Any
    lines: tuple[str, ...]
    stopped: bool = False
    against: tuple[Judgement, Difference] | None = None

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
        own = [*self.lines, *early, "print(result)"]
        if self.against is None:
            return own
        before = self.against[0].lines
        rest = [line for line in own if line != "import explorer" or line not in before]
        return [*before, "before = result", *rest, "print(explorer.differ(before, result))"]

    def network(self) -> str:
        """What these lines call the network."""
        return "run.model" if any("explorer.evaluate(run" in line for line in self.lines) else "model"

    def caption(self, headline: str, facts: Sequence[str]) -> str:
        parts = {"val": "photos held out to judge by", "train": "photos it learnt from"}
        return (f"{self.title}, {parts.get(self.result.split, 'all photos')}: {headline}. "
                f"{' '.join(facts)} explorer {__version__}.")


def held_against(judged: Judgement, before: Sequence[Judgement]) -> Judgement:
    """The same, held against the last model that was judged by the same photos; as it is where none was."""
    from explorer.training.doubt.difference import differ

    for other in reversed(before):
        if other.model is judged.model and other.result.tta == judged.result.tta:
            continue
        try:  # other photos, or another kind of answers
            found = differ(other.result, judged.result)  # pyright: ignore[reportArgumentType]
        except (ValueError, TypeError):
            continue
        return replace(judged, against=(replace(other, against=None), found))
    return judged


@dataclass(frozen=True)
class Facts:
    """What is said of a judgement, worked out before it is shown. head, notes: HTML."""

    judged: Judgement
    head: str
    notes: str
