"""What a search has tried: its trials, and the facts that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.display.words import number_text, percent


@dataclass(frozen=True)
class Trial:
    """One combination of settings.

    number:   from 0;  settings: those that the search has chosen, as `finetune` takes them
    state:    "running", "finished", "pruned" (given up early) or "failed"
    value:    the figure; of a pruned one the last that was told; None for a failed one
    loss:     the validation loss that goes with it
    history:  the figure after each epoch, or of the folds so far
    error:    why it failed, in a sentence
    """

    number: int
    settings: Mapping[str, Any]
    state: str
    value: float | None = None
    loss: float | None = None
    history: tuple[float, ...] = ()
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, repr=False, eq=False)
class Tried:
    """The facts of a `SearchResult`, which says what its fields are and shows them."""

    trials: tuple[Trial, ...]
    figure: str
    higher: bool
    method: str
    data_name: str
    space: tuple[str, ...]
    fixed: Mapping[str, Any]
    importance: Mapping[str, float]
    seconds: float
    notes: tuple[str, ...] = ()
    shares: bool = True

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def best(self) -> Trial:
        return self.trials[0]

    @property
    def best_settings(self) -> dict[str, Any]:
        """All that the best trial was taught with: `explorer.finetune(data=data, **found.best_settings)`."""
        return {**self.fixed, **self.best.settings}

    def text(self, value: float | None) -> str:
        """A value of the figure in words."""
        if value is None:
            return "–"
        return percent(value) if self.shares else number_text(value)


def described(settings: Mapping[str, Any]) -> str:
    """Settings in a line: "lr=0.003, augment='light'"."""
    return ", ".join(f"{name}={shown(value, quoted=True)}" for name, value in settings.items())


def shown(value: Any, *, quoted: bool = False) -> str:
    """A value as a person reads it: numbers with four digits, a function by its name."""
    if isinstance(value, float):
        return number_text(value)
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return repr(value) if quoted or not isinstance(value, str) else value


def sorted_trials(trials: Sequence[Trial], *, higher: bool) -> tuple[Trial, ...]:
    """The best first; of equal figures the lower loss."""
    order = {"finished": 0, "pruned": 1, "running": 2, "failed": 3}

    def key(trial: Trial) -> tuple[Any, ...]:
        value = 0.0 if trial.value is None else trial.value
        loss = float("inf") if trial.loss is None else trial.loss
        return order[trial.state], -value if higher else value, loss, trial.number

    return tuple(sorted(trials, key=key))
