"""`soup`: one model whose weights are the mean of several.

    runs = [explorer.finetune("resnet18", "flowers5", seed=seed).wait() for seed in range(3)]
    mean = explorer.soup(runs)
    best = explorer.soup(runs, data="flowers5")       # greedy: only what helps
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from explorer.arguments import checked
from explorer.display.words import number_text, percent
from explorer.inspection.weighing.answers import member_answers
from explorer.models.contract import VisionModel
from explorer.models.create import create_model
from explorer.models.ensembles.aligning import outputs_of_member, read_weights
from explorer.models.ensembles.averaging import averaged, check_alike
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.given import Several
from explorer.models.ensembles.members import check_members, opened_members


@checked(models=None, weights=None, data=None)
def soup(
    models: Several, *, weights: Any = None,
    data: Any = None, batch_size: int = 32, on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> VisionModel:
    """Average the weights of several models of one architecture: one model, as fast as each of them.

    models:  models, runs, or names, created with their trained weights; or {what to call it: one of these}.
             They should have been finetuned from the same weights: only then does their mean mean something
    weights: how much each counts, one number a model or {name: number}; None: all the same (uniform soup)
    data:    photos whose classes or numbers are known and that no model has learnt from, as `fit_weights`
             takes them: then the soup is greedy. The best model goes in first, then each of the others, best
             first, if the mean does no worse: by its accuracy, of numbers by its mean absolute error.
             `load_report` says which are in
    batch_size, on_progress, should_stop: as in `fit_weights`, for each model that is judged

    Statistics of BatchNorm are averaged too, each mean and variance by itself, which is near what the photos
    would give where the models were finetuned from the same weights. The models given stay as they are.
    Raises ValueError, with the member's name, for another architecture, other sizes, other classes, or
    numbers in another unit.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    members = opened_members(models, lambda name: create_model(name, pretrained=True).eval())
    check_members(members, heads=data is not None)
    check_alike(members)
    if data is None:
        read = read_weights(weights, tuple(members), 0)
        return averaged(members, read.tolist())
    if weights is not None:
        raise ValueError("weights and data were given: weights= says how much each model counts, data= finds "
                         "which ones help. Give one of the two.")

    numbers = outputs_of_member(next(iter(members.values()))).numbers

    def judge(model: VisionModel) -> float:
        with tempfile.TemporaryDirectory(prefix="explorer-") as cache:  # a soup is judged once
            alone = EnsembleModel({"soup": model})
            score = member_answers(alone, data, batch_size=batch_size, cache_dir=cache,
                                   on_progress=on_progress, should_stop=should_stop).score()
        return -score if numbers else score  # of errors the least

    scores = {name: judge(model) for name, model in members.items()}
    order = sorted(members, key=lambda name: -scores[name])
    kept, best, made = [order[0]], scores[order[0]], averaged({order[0]: members[order[0]]}, [1.0])
    for name in order[1:]:
        tried = [*kept, name]
        candidate = averaged({one: members[one] for one in tried}, [1 / len(tried)] * len(tried))
        if (reached := judge(candidate)) >= best:
            kept, best, made = tried, reached, candidate
    left = [name for name in order if name not in kept]
    inside = f"{', '.join(kept)} {'is' if len(kept) == 1 else 'are'} in"
    outside = f", {', '.join(left)} left out" if left else ""
    figure = f"mean absolute error {number_text(-best)}" if numbers else f"{percent(best)} right"
    figure = f"{figure}, by the photos that chose it, so a little too good"
    made.load_report.noted.append(f"Greedy soup: {inside}{outside}; {figure}")
    return made
