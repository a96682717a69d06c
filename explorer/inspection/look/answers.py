"""What a model says of a photo: its likeliest classes, or its numbers, as `Prediction`s.

    top_predictions(logits, outputs, 5)      # the best five, best first
    answer_of(logits, outputs)               # what the photo is said to be
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape

from torch import Tensor

from explorer.display.html import bar_html, cell_html, cells_html, name_html, table_html
from explorer.display.words import number_text, percent
from explorer.models.outputs import Outputs


@dataclass(frozen=True)
class Prediction:
    """One class with what the model thinks of it; or one number that it gives.

    label: its name; index: its place among the labels
    probability: 0..1, by a softmax over all classes or, where several may hold at once, a sigmoid of its own
    logit: the raw score (of a "no" the contrary of that of the "yes")
    value: of a model that gives numbers the number, in its own unit; its probability is NaN. None for a class
    """

    label: str
    index: int
    probability: float
    logit: float
    value: float | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        answer = f"value={self.value}"
        if self.value is None:
            answer = f"probability={self.probability:.4g}, logit={self.logit:.4g}"
        return f"Prediction(label={self.label!r}, index={self.index}, {answer})"

    @property
    def text(self) -> str:
        """The answer for a person: "61.3 %", or the number."""
        return percent(self.probability) if self.value is None else number_text(self.value)


def check_topk(topk: int) -> None:
    if isinstance(topk, bool) or not isinstance(topk, int) or topk < 1:
        raise ValueError(f"topk is {topk!r}: expected how many predictions to give, a number from 1.")


def top_predictions(logits: Tensor, outputs: Outputs, topk: int) -> list[Prediction]:
    """The best `topk` of raw scores [W], best first; fewer of fewer classes. Numbers: all, as they come."""
    logits = logits.float()
    if outputs.numbers:
        return [Prediction(label, i, math.nan, score, value) for i, (label, score, value) in
                enumerate(zip(outputs.labels, logits.tolist(), outputs.values(logits.double()).tolist()))]
    probabilities, scores = outputs.probabilities(logits), outputs.evidence(logits)
    best = scores.topk(min(topk, len(scores)))
    return [Prediction(outputs.labels[i], i, float(probabilities[i]), score)
            for score, i in zip(best.values.tolist(), best.indices.tolist())]


def answer_of(logits: Tensor, outputs: Outputs, about: int | None = None) -> Prediction:
    """What a photo is said to be, from raw scores [W]: the likeliest class, or the first number.

    Where several classes may hold at once there is no one answer, so it is a yes or no to one class:
    `about`, by default the likeliest. The no is called "not ...".
    """
    first = top_predictions(logits, outputs, 1)[0]
    if not outputs.several:
        return first
    index = first.index if about is None else about
    score = float(logits[index])
    yes = Prediction(outputs.labels[index], index, float(outputs.probabilities(logits)[index]), score)
    if score < 0:
        return replace(yes, label=f"not {yes.label}", probability=1 - yes.probability, logit=-score)
    return yes


def said(answer: Prediction) -> tuple[int, str]:
    """What two answers have in common that say the same."""
    return answer.index, answer.label


def predictions_html(predictions: Sequence[Prediction]) -> str:
    """A table of predictions, each with a bar; numbers that a model gives have none, for they know no end."""
    if not predictions:
        return "<p>This model has no classifier: it gives features, not predictions.</p>"
    if predictions[0].value is not None:
        values = [cell_html(f"<b>{escape(p.text)}</b>", style="text-align:right") for p in predictions]
        rows = "".join(f"<tr>{name_html(p.label)}{value}</tr>" for p, value in zip(predictions, values))
        return table_html(("number", "value"), rows)
    rows = "".join(f"<tr>{name_html(p.label)}{cell_html(bar_html(p.probability), style='width:12em')}"
                   f"{cells_html((percent(p.probability), f'{p.logit:.2f}'))}</tr>" for p in predictions)
    return table_html(("class", "", "probability", "logit"), rows)
