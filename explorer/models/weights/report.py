"""What is said of weights: the report of what happened to them, and the error where they are of no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


class WeightsError(RuntimeError):
    """Weights that can't be had, can't be trusted or don't fit; the message says what to do."""


def unreadable(path: Path, what: str, advice: str = "") -> WeightsError:
    return WeightsError(
        f"'{path.name}' can't be read as weights ({what}). {advice}{' ' if advice else ''}It must be a"
        " .safetensors file, or a PyTorch file that holds tensors only; a file that needs code to open is"
        " refused."
    )


@dataclass
class LoadReport:
    """What happened to a set of weights on their way into a model.

    loaded:  number of tensors;  adapted: what was changed so that it fits
    retyped: those of `adapted` that say no more than that the numbers are of another kind (float16) here
    skipped: what was left out, or is missing
    noted:   what a reader of the answers must know of the numbers themselves
    """

    source: str
    name: str = ""
    loaded: int = 0
    adapted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    retyped: list[str] = field(default_factory=list)

    def found(self, place: str, others: Sequence[str]) -> None:
        """Write down where in the file the tensors were, and what beside them was left out."""
        if place:
            self.source += f" ({place})"
        if others:
            tensors = "1 tensor" if len(others) == 1 else f"{len(others)} tensors"
            self.skipped.append(f"{tensors} of other parts, e.g. {others[0]}")

    def __str__(self) -> str:
        lines = [f"{self.loaded} tensors from {self.source}"]
        lines += [f"adapted: {text}" for text in self.adapted]
        lines += [f"skipped: {text}" for text in self.skipped]
        lines += [f"note: {text}" for text in self.noted]
        return "\n".join(lines)
