"""What follows from the settings, said before anything learns: how many numbers, and at which rates."""

from __future__ import annotations

from html import escape
from typing import Any

PREVIEWED = 200  # steps of the schedule that are drawn


def planned_rates(recipe: Any, batches: int) -> list[tuple[float, float]]:
    """(epoch, learning rate of the classifier) along a run of `batches` batches an epoch."""
    steps = -(-batches // recipe.accumulate)
    total = steps * recipe.epochs
    factor = recipe.rate_factor(steps)
    count = min(total, PREVIEWED)
    shown = sorted({round(i * (total - 1) / max(count - 1, 1)) for i in range(count)})
    return [(step / steps, recipe.rates[0] * factor(step)) for step in shown]


def rates_text(recipe: Any) -> str:
    head, body = recipe.rates
    which = "recommended" if recipe.lr is None else "yours"
    beside = "" if recipe.train == "head" else f", {body:g} for the body"
    part = "head" if recipe.finds_places else "classifier"
    return f"Learning rate: {head:g} for the {part} ({which}){beside}."


def as_it_would_learn(model: Any, train: str, classes: int) -> tuple[Any, str]:
    """(a copy without weights, with so many classes, frozen as `train` says; what is frozen, in words).

    Raises ValueError for a model that can't be cut there.
    """
    from explorer.models.surgery.inside import empty_copy
    from explorer.training.run.head import freeze_but

    empty = empty_copy(model)
    empty.reset_classifier(classes)
    return empty, freeze_but(empty, train)


def what_learns(model: Any, train: str, classes: int) -> tuple[int, int, str]:
    """(numbers that learn, numbers in all, what is frozen) of a model with a classifier of `classes` classes.

    Counted on a copy without weights. Raises ValueError for a model that can't be cut there.
    """
    empty, frozen = as_it_would_learn(model, train, classes)
    sizes = [(p.numel(), p.requires_grad) for p in empty.parameters()]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes), frozen


def learns_html(name: str, learns: int, total: int, frozen: str, *, looks: int = 0,
                again: bool = False) -> str:
    """looks: how often a frozen body looks at each photo before the first epoch, 0 where it does not
    again: whether it sees each in every epoch
    """
    share = 100 * learns / max(total, 1)
    text = (f"<b>{learns:,}</b> of {total:,} numbers learn ({share:.3g} %), in a copy of {escape(name)}. "
            f"Frozen: {escape(frozen)}.")
    if looks:
        times = "once" if looks == 1 else f"{looks} times"
        text += (f" A frozen body sees each photo {times}; the run keeps what it saw (cached features), so "
                 "its epochs take no time.")
    elif again:
        text += " What is frozen sees each photo anew in every epoch: nothing is kept."
    return f'<span class="vx-soft">{text}</span>'
