"""`differ`: whether two models really differ, or whether chance explains what is between them.

    a, b = evaluate("tf_efficientnet_lite0", "my photos"), evaluate(run, "my photos")
    explorer.differ(a, b)                         # which one is better, and how sure that is
    explorer.differ(a, b).only_second             # the photos that the second alone is right about
"""

from __future__ import annotations

import numpy as np

from explorer.arguments import checked, shown, whole
from explorer.inspection.compare.difference import (
    Difference,
    difference_of_errors,
    difference_of_right,
    told_apart,
)
from explorer.training.doubt.same_photos import Judged, how_to_judge, places_in_second
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.numbers import NumberEvaluation


@checked(draws=whole(100, 1_000_000))
def differ(first: Evaluation | NumberEvaluation, second: Evaluation | NumberEvaluation, *,
           draws: int = 2000, seed: int = 0) -> Difference:
    """Hold two results of the same photos against each other.

    first, second: what `evaluate` gave for two models and the same data
    draws, seed:   of the bootstrap: how many samples of photos, and by which draw

    Of one class a photo, right is the likeliest one; of several, all of a photo's yeses and noes (exact
    match). Numbers are compared by their absolute error in their own unit, of several the mean, and have no
    McNemar test.
    Raises ValueError for results of different photos or truths, or of another kind.
    """
    kinds = [("first", first), ("second", second)]
    for argument, result in kinds:
        if not isinstance(result, (Evaluation, NumberEvaluation)):
            raise TypeError(f"{argument} is {shown(result)}: expected the result of explorer.evaluate for "
                            f"classes or numbers.{how_to_judge(result)}")
    if kind_of(first) != kind_of(second):
        raise ValueError(f"The first result is of {kind_of(first)}, the second of {kind_of(second)}: they "
                         "have no figure in common.")
    order = places_in_second(first, second)
    names = told_apart(first.model_name or "the first", second.model_name or "the second")
    a, b = score_of(first), score_of(second)[order]
    if isinstance(first, NumberEvaluation):
        return difference_of_errors(names, a, b, figure="mean absolute error", draws=draws, seed=seed)
    figure = "share with all classes right" if first.multi_label else "top-1 accuracy"
    rows = first.rows, [second.rows[i] for i in order]
    return difference_of_right(names, a, b, rows, figure=figure, draws=draws, seed=seed)


def kind_of(result: Judged) -> str:
    """What was judged: "numbers", "several classes at once" or "one class a photo"."""
    if isinstance(result, NumberEvaluation):
        return f"the numbers {', '.join(result.numbers)}"
    return "several classes at once" if result.multi_label else "one class a photo"


def score_of(result: Judged) -> np.ndarray:
    """Of each photo 1 for right and 0 for wrong; of numbers the absolute error. [N] float64."""
    if isinstance(result, NumberEvaluation):
        return (result.predicted - result.truth).abs().mean(1).double().numpy()
    right = result.predicted == result.labels
    return (right.all(1) if result.multi_label else right).double().numpy()
