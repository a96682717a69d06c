"""Raw scores of photos, as the evaluation that `evaluate` would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.models.outputs import Outputs
from explorer.training.evaluation.asking import log_probabilities
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.numbers import NumberEvaluation
from explorer.training.loop.objective import target_tensor

Judged = Evaluation | NumberEvaluation


def judged_by(raw: Tensor, outputs: Outputs, photos: PhotoSet, **facts: Any) -> Judged:
    """raw: [N, W] of a model whose classes are the photos', in their order;  facts: `model_name` and such"""
    facts = {"names": photos.names, "files": photos.files, "data": photos, **facts}
    if outputs.numbers:
        truth = torch.tensor(photos.labels, dtype=torch.float64).view(len(photos), len(outputs))
        return NumberEvaluation(numbers=photos.classes, predicted=outputs.values(raw.double()), truth=truth,
                                scale=outputs.std, **facts)
    several = outputs.several
    answers, *contrary = log_probabilities(raw[None], outputs, several)
    labels = target_tensor(photos.labels, len(photos.classes), rows=several)
    if several:
        losses = -(labels * answers + (1 - labels) * contrary[0]).mean(1)
        labels = labels.long()
    else:
        losses = -answers.gather(1, labels[:, None])[:, 0]
    return Evaluation(classes=photos.classes, probabilities=answers.exp().clamp(0, 1).float(), labels=labels,
                      losses=losses.float(), **facts)


def put_together(parts: Sequence[tuple[Sequence[int], Judged]], photos: PhotoSet, **facts: Any) -> Judged:
    """One evaluation of the photos that the parts judged, each once, in the data's order.

    parts: (which photos, what was made of them)
    """
    order = [i for places, _ in parts for i in places]
    back = sorted(range(len(order)), key=order.__getitem__)
    chosen = photos.subset([order[i] for i in back])
    facts = {"names": chosen.names, "files": chosen.files, "data": chosen, **facts}
    results = [result for _, result in parts]
    if isinstance(results[0], NumberEvaluation):
        numbers = [result for result in results if isinstance(result, NumberEvaluation)]
        return NumberEvaluation(numbers=numbers[0].numbers,
                                predicted=torch.cat([one.predicted for one in numbers])[back],
                                truth=torch.cat([one.truth for one in numbers])[back], **facts)
    classes = [result for result in results if isinstance(result, Evaluation)]
    return Evaluation(classes=classes[0].classes,
                      probabilities=torch.cat([one.probabilities for one in classes])[back],
                      labels=torch.cat([one.labels for one in classes])[back],
                      losses=torch.cat([one.losses for one in classes])[back], **facts)


def figure_of(result: Judged) -> tuple[str, float, bool]:
    """(what it is called, the figure that a model is chosen by, whether more of it is better)."""
    if isinstance(result, NumberEvaluation):
        return "mean absolute error", result.mae, False
    if result.multi_label:
        return "share with all classes right", float(result.exact_match or 0.0), True
    return "top-1 accuracy", float(result.top1 or 0.0), True
