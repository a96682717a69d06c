"""What the ensemble panel shows: the members and what they said, and what follows from the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from explorer.display.words import counted, percent
from explorer.widgets.panels.ensemble.words import TEAM, shares_of
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from explorer.inspection.weighing.trying import Tried, Weighing
    from explorer.training.doubt.difference import Difference
    from explorer.training.evaluation.asking_members import AskedMembers


@dataclass(frozen=True)
class Shown:
    """asked: the members and what they said;  codes: an expression that gives each member, by name
    data: an expression for the photos, "" for none;  options: keywords beside it;  first: lines before both
    about: the photos in words;  notes: sentences of the panel's own
    """

    asked: AskedMembers
    codes: dict[str, str]
    data: str
    options: dict[str, Any]
    first: tuple[str, ...]
    about: str
    notes: tuple[str, ...] = ()
    small: dict[int, bytes] = field(default_factory=dict)  # photos that were opened for the page, by number

    @property
    def names(self) -> tuple[str, ...]:
        return self.asked.team.names

    def lines(self, now: Weights) -> list[str]:
        """Lines that build the ensemble, and judge it by the photos."""
        named = all(code == literal(name) for name, code in self.codes.items())
        pairs = [self.codes[name] if named else f"{literal(name)}: {self.codes[name]}" for name in self.names]
        models = f"[{', '.join(pairs)}]" if named else f"{{{', '.join(pairs)}}}"
        weights = [round(value, 4) for value in now.values]
        team = call("explorer.Ensemble", models, options={"combine": now.combine, "weights": weights})
        lines = ["import explorer", *self.first, "", f"team = {team}"]
        if self.data:
            lines.append(f"result = {call('explorer.evaluate', 'team', self.data, options=self.options)}")
        return lines


@dataclass(frozen=True)
class Weights:
    """As the sliders stand, and how the answers are combined."""

    values: tuple[float, ...]
    combine: str

    @property
    def words(self) -> str:
        return ", ".join(percent(share) for share in shares_of(self.values))


@dataclass(frozen=True)
class Screen:
    """The photo on the screen, what each member said of it [M, W], and the lines that define it."""

    image: Image.Image
    name: str
    raws: Tensor
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Now:
    """What is on the page: the weights, and all that follows from them. raw: [W] of the photo on the screen
    """

    weights: Weights
    tried: Tried | None = None
    raw: Tensor | None = None


def worked_out(shown: Shown, screen: Screen | None, weights: Weights) -> Now:
    """What follows from the weights; no network runs."""
    import torch

    from explorer.models.ensembles.combining import combine_scores

    weighing, raw = shown.asked.weighing, None
    if screen is not None:
        raw = combine_scores(list(screen.raws), shown.asked.outputs, weights.combine,
                             torch.tensor(weights.values))
    tried = None if weighing is None else weighing.weigh(weights.values, weights.combine)
    return Now(weights, tried, raw)


def first_answer(raw: Tensor, outputs: Any) -> tuple[str, float]:
    """(the likeliest class, its probability) of raw scores [W]."""
    best = int(outputs.likeliest(raw))
    return outputs.labels[best], float(outputs.probabilities(raw.double())[best])


def against_best(weighing: Weighing, tried: Tried) -> Difference:
    """The best member (first) and the ensemble (second), by `explorer.differ`."""
    import torch
    from torch.nn.functional import one_hot

    from explorer.training.doubt.difference import differ
    from explorer.training.evaluation.evaluation import Evaluation

    answers = weighing.answers
    classes = answers.outputs.labels
    nothing = torch.zeros(len(answers))

    def result(said: Tensor, name: str) -> Evaluation:
        # right and wrong is all that is asked for, so each answer is as sure as can be
        return Evaluation(classes=classes, probabilities=one_hot(said, len(classes)).float(), losses=nothing,
                          labels=answers.truth, names=answers.photos, model_name=name)

    best = weighing.best
    return differ(result(weighing.said[best], answers.names[best]), result(tried.said, TEAM))


def learnt_notes(runs: dict[str, Any], asked: AskedMembers) -> list[str]:
    """Which members have learnt from photos that they are judged by."""
    notes = []
    for name, run in runs.items():
        learnt = getattr(getattr(run, "data", None), "train", None)
        known = {str(file) for file in getattr(learnt, "files", ())}
        count = sum(file is not None and str(file) in known for file in asked.files)
        if count and name in asked.team.names:
            notes.append(f"{name} has learnt from {count:,} of these photos: its figures here are too good.")
    return notes


def figure_of(shown: Shown, now: Now, screen: Screen | None, title: str) -> Any:
    """The accuracy of the members and of the ensemble as bars; without photos the ensemble's answer."""
    from matplotlib.figure import Figure

    from explorer.inspection.look.answers import top_predictions
    from explorer.widgets import export

    weighing = shown.asked.weighing
    if weighing is not None and now.tried is not None:
        names: Sequence[str] = [*shown.names, TEAM]
        values = [*weighing.scores, now.tried.accuracy]
        texts = [f"{percent(value)}, NLL {loss:.3f}"
                 for value, loss in zip(values, (*weighing.losses, now.tried.loss))]
        what = f"right, of {counted(len(weighing), 'photo')}"
    elif now.raw is not None:
        best = top_predictions(now.raw, shown.asked.outputs, 5)
        names, values = [one.label for one in best], [one.probability for one in best]
        texts, what = [one.text for one in best], f"probability, {screen.name if screen else ''}"
    else:
        return None
    figure = Figure(figsize=(9, 0.42 * len(names) + 1.4), layout="constrained")
    place = figure.subplots()
    colours = [export.ACCENT if name == TEAM or weighing is None else "#8a8a8a" for name in names]
    place.bar_label(place.barh(range(len(names)), values, color=colours), texts, padding=4, fontsize=9)
    place.set_yticks(range(len(names)), [export.shortened(name) for name in names])
    place.invert_yaxis()
    place.set(xlim=(0, 1.4), xticks=(0, 0.5, 1))
    place.set_xlabel(export.shortened(what, 80), x=0.5 / 1.4, parse_math=False)
    place.spines[["top", "right"]].set_visible(False)
    place.spines["bottom"].set_bounds(0, 1)
    return export.titled(figure, title)
