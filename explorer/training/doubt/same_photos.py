"""Two results of the same photos, laid side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from explorer.display.words import counted
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.numbers import NumberEvaluation
from explorer.training.run.loading import LoadedRun
from explorer.training.run.run import Run

Judged = Evaluation | NumberEvaluation
EVALUATE = "Evaluate both models by the same data."


def how_to_judge(given: Any) -> str:
    """Behind a sentence on what is no result: the line that makes one of it, "" where there is none."""
    own = getattr(given, "evaluation", None)
    if isinstance(own, Evaluation | NumberEvaluation):
        return " It holds one: give its .evaluation."
    if isinstance(given, Run | LoadedRun):
        return " Judge the run first: explorer.evaluate(run)."
    if isinstance(given, str | nn.Module):
        return " Judge the model first: explorer.evaluate(model, data), by photos that are new to it."
    return ""


def places_in_second(first: Judged, second: Judged) -> np.ndarray:
    """For each photo of `first` its place in `second`, [N]. Told by the file, else by the name.

    Raises ValueError where the photos are not the same, or what is known of them is not.
    """
    files = bool(first.files) and bool(second.files)
    ours, theirs = ([str(file) for file in one.files] if files else list(one.names)
                    for one in (first, second))
    if ours == theirs:
        order = np.arange(len(ours))
    else:
        left, right = set(ours) - set(theirs), set(theirs) - set(ours)
        if left or right or len(ours) != len(theirs) or len(set(ours)) < len(ours):
            some = min(left or right or set(ours))
            counts = f"{counted(len(left), 'photo')} in the first alone, {len(right):,} in the second alone"
            raise ValueError(f"The two results are of different photos ({counts}; such as '{some}'), so they "
                             f"can't be held against each other. {EVALUATE}")
        place = {key: i for i, key in enumerate(theirs)}
        order = np.array([place[key] for key in ours])
    _check_truth(first, second, order)
    return order


def _check_truth(first: Judged, second: Judged, order: np.ndarray) -> None:
    for i, (ours, theirs) in enumerate(zip(_truth(first), [_truth(second)[i] for i in order])):
        if ours != theirs:
            raise ValueError(f"The two results have different truths of '{first.names[i]}' ({ours} and "
                             f"{theirs}). {EVALUATE}")


def _truth(result: Judged) -> list[Any]:
    """What is known of each photo, by name: models may have their classes in another order."""
    if isinstance(result, NumberEvaluation):
        return [tuple(row) for row in result.truth.tolist()]
    if result.multi_label:
        return [sorted(result.classes[i] for i, yes in enumerate(row) if yes) for row in
                result.labels.tolist()]
    return [result.classes[i] for i in result.labels.tolist()]
