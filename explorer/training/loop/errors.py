"""What ends a run: sentences that say why, and what to do."""

from __future__ import annotations

from dataclasses import replace

from explorer.training.loop.recipe import Recipe
from explorer.training.loop.state import State


class TrainingError(RuntimeError):
    """A run that can't go on; the message says why, and what to do."""


class NoNumber(TrainingError):
    """The loss is NaN or infinite: the weights that gave it are broken."""


def no_number(what: str, value: float, state: State, recipe: Recipe) -> NoNumber:
    """The sentence for a loss that is NaN or infinite."""
    where = f"epoch {state.epoch + 1}" + (f", batch {state.batch + 1}" if what == "loss" else "")
    kept = ""
    if state.best_weights:
        kept = f" The model has the weights of epoch {state.best_epoch + 1}, the best before."
    rate, usual = recipe.rates[0] / 10, replace(recipe, lr=None).rates[0]
    smaller = f"a tenth of the learning rate (lr={rate:g})" if rate <= usual else \
        f"far less than a tenth of the learning rate (usual is lr={usual:g})"
    return NoNumber(f"The {what} became {value} in {where}: the steps were too large.{kept} Try again with "
                    f"{smaller}, or with clip=1.0.")
