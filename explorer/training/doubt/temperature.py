"""`calibrate`: one number that makes a model as sure as it is right (temperature scaling).

    judged = explorer.evaluate(model, "my photos")
    found = explorer.calibrate(judged)            # the temperature, and the calibration before and after
    found.apply(model)                            # from now on its probabilities mean what they say

Raw scores are divided by a temperature: above 1 a model becomes less sure, below 1 surer. Its answers stay
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.arguments import checked, shown
from explorer.data.bursts import units_of
from explorer.display.charts import no_formulas
from explorer.display.html import RichRepr, notes_html, row_html, sentences_html, table_html, title_html
from explorer.display.words import counted, percent
from explorer.models.contract import VisionModel
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.surgery.inside import look_through
from explorer.training.doubt.same_photos import how_to_judge
from explorer.training.evaluation.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are tried
LEAST = 1e-38                  # a probability that float32 still tells from 0


@dataclass(frozen=True, repr=False, eq=False)
class Calibrated(RichRepr):
    """A temperature, and what it does to the probabilities of photos that it was not fitted to.

    temperature: what raw scores are divided by, fitted to all photos of the evaluation
    before, after: the judged photos with the model's own probabilities, and with calibrated ones
    how:   where the judged photos come from
    notes: sentences that a reader must know
    """

    temperature: float
    before: Evaluation
    after: Evaluation
    how: str
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The result in words."""
        meant = "too sure" if self.temperature > 1 else "not sure enough"
        return (f"Temperature {self.temperature:.3g}: {self.before.model_name or 'the model'} is {meant}. "
                f"Calibration error (ECE) {percent(self.before.calibration.error)} before, "
                f"{percent(self.after.calibration.error)} after, on {counted(len(self.before), 'photo')}")

    def apply(self, model: VisionModel) -> VisionModel:
        """Divide the weights of the model's last layer by the temperature, and return the model: whatever
        looks at it, saves or exports it from now on has the calibrated probabilities.

        Raises ValueError for a model whose scores do not come from one linear layer.
        """
        if not isinstance(model, nn.Module):
            own = " Of a run give its .model." if isinstance(getattr(model, "model", None), nn.Module) else ""
            raise TypeError(f"model is {shown(model)}: expected the model that was judged.{own}")
        net = look_through(model)
        if isinstance(net, EnsembleModel):
            raise ValueError("An ensemble has no last layer of its own that could be divided: calibrate each "
                             "member by its own result, found.apply(member), and the ensemble answers with "
                             "their new probabilities.")
        head = net.get_classifier() if isinstance(net, VisionModel) else None
        if not isinstance(head, nn.Linear | nn.Conv2d):
            raise ValueError(f"The scores of this model come from {type(head).__name__}, not from one linear "
                             "layer that could be divided: divide its raw scores by the temperature "
                             "yourself.")
        with torch.no_grad():
            for weight in (head.weight, head.bias):
                if weight is not None:
                    weight.div_(self.temperature)
        return model

    def plot(self) -> Figure:
        """The reliability diagrams before and after, side by side."""
        from explorer.training.evaluation.charts import Chart, draw_reliability

        chart = Chart(11, 5)
        for axes, result, when in zip(chart.subplots(1, 2), (self.before, self.after), ("before", "after")):
            draw_reliability(axes, result)
            axes.set_title(f"{when}: {axes.get_title()}", fontsize=10)
        return no_formulas(chart)

    def __repr__(self) -> str:
        return f"Calibrated({self.sentence})"

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.report import reliability_html

        rows = "".join(row_html(name, [percent(result.calibration.error), f"{result.loss:.4f}"])
                       for name, result in (("before", self.before), ("after", self.after)))
        figures = table_html(("", "calibration error", "loss (NLL)"), rows, left=1)
        return (f"<div>{title_html(self.sentence + '.')}{notes_html(self.notes)}"
                f"{sentences_html([self.how])}{figures}"
                f"{reliability_html(self.before)}{reliability_html(self.after)}</div>")


@checked
def calibrate(result: Evaluation, judged: Evaluation | None = None, *, seed: int = 0) -> Calibrated:
    """Find the temperature with the lowest loss (negative log-likelihood) on validation photos.

    result: what `evaluate` gave for photos that the model has not learnt from
    judged: what it gave for yet others, by which before and after are told. None: each half of the photos
            is judged with the temperature of the other half
    seed:   draws the halves

    Nothing is changed until `.apply(model)`. A mean of several models is often calibrated as it is.
    Raises ValueError for numbers, which have no probability, and for fewer than 4 photos.
    Source: C. Guo et al., On Calibration of Modern Neural Networks, 2017, arXiv 1706.04599, section 4.2.
    """
    for argument, given in (("result", result), ("judged", judged)):
        if not isinstance(given, Evaluation) and (argument == "result" or given is not None):
            raise TypeError(f"{argument} is {shown(given)}: expected the result of explorer.evaluate for a "
                            f"model that tells classes.{how_to_judge(given)}")
    if len(result) < 4:
        raise ValueError(f"The result is of {counted(len(result), 'photo')}: a temperature takes 4 at least, "
                         "better some hundred.")
    raw = scores_of(result)
    temperature, notes = fitted(raw, result.labels), []
    if temperature in (COLDEST, HOTTEST):
        notes.append(f"The temperature is at the end of what was tried ({COLDEST:g} to {HOTTEST:g}): too few "
                     "of these photos are wrong, or right, to tell how sure the model should be.")
    if judged is not None:
        if judged.classes != result.classes or judged.multi_label != result.multi_label:
            raise ValueError("judged has other classes than result: give evaluations of the same model.")
        after = tempered(judged, scores_of(judged), temperature)
        return Calibrated(temperature, judged, after, "Fitted to the first result, told by the second.",
                          (*notes, *no_gain(judged, after)))
    units = units_of(result.names, result.files)
    if len(units) < 2:
        raise ValueError("The result is of one burst of photos, which can't be halved: give judged, another "
                         "result to tell the temperature by.")
    order = np.random.default_rng(seed).permutation(len(units))
    halves = tuple(torch.tensor([i for place in half for i in units[place]])
                   for half in (order[::2], order[1::2]))
    scale = torch.empty(len(result), 1, dtype=raw.dtype)
    for mine, other in (halves, halves[::-1]):
        scale[mine] = fitted(raw[other], result.labels[other])
    after = tempered(result, raw, scale)
    return Calibrated(temperature, result, after,
                      "Before and after are told by each half of the photos with the temperature of the "
                      f"other half (seed {seed}); the temperature itself is that of all.",
                      (*notes, *no_gain(result, after)))


def no_gain(before: Evaluation, after: Evaluation) -> tuple[str, ...]:
    """A sentence where photos that the temperature was not fitted to have no lower loss with it."""
    if after.loss < before.loss:
        return ()
    return (f"It does not help: on photos that it was not fitted to the loss is {after.loss:.3f} with it and "
            f"{before.loss:.3f} without. Leave the model as it is, or give more photos to fit it to.",)


def scores_of(result: Evaluation) -> Tensor:
    """Raw scores [N, K] float64 that give these probabilities: logarithms, of several classes log-odds."""
    p = result.probabilities.double().clamp(min=LEAST)
    if result.multi_label:
        return p.log() - (1 - p).clamp(min=2.0**-25).log()  # half of what float32 leaves below 1
    raw = p.log()
    # A probability of the true class that float32 rounded to 0 is still known from the loss.
    at = result.labels[:, None]
    true = torch.minimum(raw.gather(1, at), -result.losses.double()[:, None])
    lost = result.probabilities.gather(1, at) <= LEAST
    return raw.scatter(1, at, torch.where(lost, true, raw.gather(1, at)))


def losses_of(raw: Tensor, labels: Tensor) -> Tensor:
    """The loss of each photo [N] in nats, as `Evaluation.losses` are."""
    if labels.ndim == 2:
        return F.binary_cross_entropy_with_logits(raw, labels.to(raw), reduction="none").mean(1)
    return F.cross_entropy(raw, labels, reduction="none")


def fitted(raw: Tensor, labels: Tensor) -> float:
    """The temperature with the lowest mean loss, from `COLDEST` to `HOTTEST`: the loss is convex in 1 / T."""
    from scipy.optimize import minimize_scalar

    if (((raw > 0) == labels.bool()) if labels.ndim == 2 else raw.argmax(1) == labels).all():
        return COLDEST  # surer without end; the loss rounds to 0 on the way there

    def loss(log_temperature: float) -> float:
        return float(losses_of(raw / np.exp(log_temperature), labels).mean())

    ends = np.log(COLDEST), np.log(HOTTEST)
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    best = min((float(found.x), *map(float, ends)), key=loss)
    return {ends[0]: COLDEST, ends[1]: HOTTEST}.get(best, float(np.exp(best)))


def tempered(result: Evaluation, raw: Tensor, temperature: float | Tensor) -> Evaluation:
    """The evaluation as it would be with raw scores divided by the temperature, one for all or [N, 1]."""
    cooled = raw / temperature
    p = torch.sigmoid(cooled) if result.multi_label else cooled.softmax(1)
    return replace(result, probabilities=p.float(), losses=losses_of(cooled, result.labels).float())
