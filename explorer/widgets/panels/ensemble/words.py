"""What the ensemble panel says: plain functions from answers to sentences and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.display.words import counted, percent
from explorer.widgets.panels.bars import bar_html
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.weighing.trying import Tried, Weighing
    from explorer.training.doubt.difference import Difference

TEAM = "The ensemble"
NO_WEIGHT = "All weights are 0: move one up. What is shown is of the weights before."
NO_SLOPE = "Votes have no slope along which weights could be fitted: choose another way to combine"
SAME_PHOTOS = ("fitted on the very photos that they are judged by here, so the figures are a little too "
               "good.")
FEW_ADVICE = "With so few photos a difference of a point or two is chance: give a folder of your own."
FEW = 100
THIS = "Says of this photo"
IN_A_CELL = {
    "detection": "finds boxes. This tab is for models that tell one class of several; in a cell, "
                 "explorer.Ensemble([a, b]) joins detectors by weighted box fusion.",
    "segmentation": "finds masks. This tab is for models that tell one class of several; in a cell, "
                    "explorer.Ensemble([a, b]) joins networks for masks by the mean of their probabilities.",
    "numbers": "gives numbers. This tab is for models that tell one class of several; in a cell, "
               "explorer.Ensemble([a, b]) averages numbers.",
    "several": "tells several classes at once. This tab is for models that tell one class of several; in a "
               "cell, explorer.Ensemble([a, b]) averages their answers class by class.",
    "none": "has no classifier, so it has no answer to combine.",
    "ensemble": "is an ensemble itself: tick its members instead.",
    "fused": "has several bodies under one head (fuse_features): only networks with one body can be "
             "members.",
}


def not_a_member(session: Session) -> str:
    """Why the model on the screen can't take part; "" where it can, or where there is none."""
    why = "" if session.model is None else reason_against(session.model)
    return f"{session.model_name}, on the screen, {IN_A_CELL[why]}" if why else ""


def runs_left_out(runs: Sequence[Any]) -> list[str]:
    """Which runs can't take part: a sentence for each reason."""
    names: dict[str, list[str]] = {}
    for run in runs:
        if hasattr(run, "model") and (why := reason_against(run.model)):
            names.setdefault(why, []).append(run.name)
    lines = []
    for why, (first, *others) in names.items():
        more = f" (and {counted(len(others), 'other run')})" if others else ""
        lines.append(f"{first}{more}, taught here, {IN_A_CELL[why]}")
    return lines


def reason_against(model: Any) -> str:
    """Why a network can't take part, as a key of `IN_A_CELL`; "" where it can."""
    from explorer.inspection.look.model import outputs_of

    if (task := getattr(model, "task", "classification")) != "classification":
        return task
    if hasattr(model, "members"):
        return "fused" if hasattr(model, "taken") else "ensemble"
    kind = outputs_of(model).kind if model.num_classes else "none"
    return kind if kind in IN_A_CELL else ""


def weights_sentence(missing: Sequence[str]) -> str:
    """What is said of members whose trained weights are not on this computer; "" where there are none."""
    if not missing:
        return ""
    what = "it" if len(missing) == 1 else "them"
    return (f"The weights of {', '.join(missing)} are not on this computer: they are downloaded where there "
            f"is a network, and where there is none the ensemble goes on without {what}.")


def shares_of(weights: Sequence[float]) -> list[float]:
    """Weights as shares that add up to 1."""
    total = sum(weights)
    return [weight / total for weight in weights]


def members_html(names: Sequence[str], shares: Sequence[float], answers: Sequence[tuple[str, float]] | None,
                 team: tuple[str, float] | None, weighing: Weighing | None, tried: Tried | None) -> str:
    """Each member a row, the ensemble the last one.

    answers, team: (class, probability) for the photo on the screen;  weighing, tried: for photos with known
    classes. None: a column that is not there
    """
    titles = ["Member", *([THIS] if answers is not None else []), "Weight",
              *(["Right", "NLL"] if weighing is not None else [])]
    rows = []
    for i, name in enumerate(names):
        cells = [_answer(answers[i])] if answers is not None else []
        cells += [percent(shares[i])]
        cells += [percent(weighing.scores[i]), f"{weighing.losses[i]:.3f}"] if weighing is not None else []
        best = weighing is not None and i == weighing.best
        rows.append(_row(name + (" (best)" if best else ""), cells))
    cells = [_answer(team)] if team is not None else []
    cells += [percent(1.0)]
    cells += [percent(tried.accuracy), f"{tried.loss:.3f}"] if tried is not None else []
    rows.append(_row(TEAM, cells, "vx-ens-team"))
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    kind = "vx-ens-table vx-ens-said" if answers is not None else "vx-ens-table"
    return (f'<div role="region" aria-label="Members and ensemble" tabindex="0" class="vx-ens-scroll">'
            f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
            "</table></div>")


def _row(name: str, cells: Sequence[str], kind: str = "") -> str:
    texts = "".join(f"<td>{escape(text)}</td>" for text in cells)
    return f'<tr class="{kind}"><th scope="row">{escape(name)}</th>{texts}</tr>'


def _answer(answer: tuple[str, float]) -> str:
    return f"{answer[0]}, {percent(answer[1])}"


def figures_html(tried: Tried, weighing: Weighing) -> str:
    """How good the ensemble is beside its best member."""
    best = weighing.answers.names[weighing.best]
    tiles = [("the ensemble is right", percent(tried.accuracy)),
             (f"its best member, {best}", percent(weighing.scores[weighing.best])),
             ("photos it fixes", f"{len(tried.fixed):,}"), ("photos it breaks", f"{len(tried.broken):,}"),
             ("NLL", f"{tried.loss:.3f}"),
             ("NLL of the best member", f"{weighing.losses[weighing.best]:.3f}")]
    shown = "".join(f"<div><dd>{escape(value)}</dd><dt>{escape(text)}</dt></div>" for text, value in tiles)
    return f'<div class="vx-eval-head"><dl>{shown}</dl></div>'


def verdict_html(found: Difference) -> str:
    """Whether the ensemble really differs from its best member, and how far the figures reach."""
    ours, gain = found.second.text(shares=True), found.difference
    reach = (f"Right: {ours}; minus the best member's: {points(gain.value)} points ({points(gain.low)} to "
             f"{points(gain.high)}). In brackets 95 % intervals, by {found.draws:,} draws of the same photos "
             "for both (paired bootstrap).")
    few = [FEW_ADVICE] if found.photos < FEW else []
    soft = "".join(f'<p class="vx-soft">{escape(text)}</p>' for text in (reach, *few))
    return f"<p>{escape(found.sentence)}</p>{soft}"


def points(share: float) -> str:
    """A difference of shares in points, with its sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text[1:] == "0.0" else text.replace("-", "−")


def fit_sentence(across: tuple[float, float] | None, equal: tuple[float, float]) -> str:
    """What fitted weights are worth."""
    text = f"These weights were {SAME_PHOTOS}"
    if across is None:
        return f"{text} There are too few photos to fit on one half and judge by the other."
    worth, usual = (f"{percent(right)} right, NLL {loss:.3f}" for right, loss in (across, equal))
    return (f"{text} Fitted on one half and judged by the other, both ways round: {worth}; equal weights: "
            f"{usual}.")


def bars_html(best: Sequence[Any]) -> str:
    """The ensemble's likeliest classes for the photo on the screen."""
    rows = "".join(f'<li><span class="vx-name">{escape(one.label)}</span>'
                   f'<span class="vx-value">{escape(one.text)}</span>{bar_html(one.probability)}</li>'
                   for one in best)
    return f'<ol class="vx-predictions" aria-label="The ensemble\'s answer, most likely first">{rows}</ol>'


def agreement_html(weighing: Weighing, tried: Tried) -> str:
    """On which share of the photos two members, and the ensemble and a member, give the same answer."""
    import numpy as np

    from explorer.inspection.compare.page import matrix_html

    inside, own = weighing.agreement.numpy(), tried.agreement.numpy()
    table = np.block([[inside, own[:, None]], [own[None], np.ones((1, 1))]])
    names = [*weighing.answers.names, TEAM]
    sentence = (f"The share of {counted(len(weighing), 'photo')} to which two give the same first answer. "
                "Two that agree may both be wrong.")
    return matrix_html(table, names, lambda value: f"{100 * value:.0f} %", 1.0, "Agreement of the members",
                       sentence)


def fixed_note(count: int, shown: int, best: str, *, fixed: bool) -> str:
    """What stands above the photos that an ensemble fixes, or breaks."""
    what = f"the ensemble is right and its best member, {best}, wrong" if fixed else \
        f"the ensemble is wrong and its best member, {best}, right"
    if not count:
        return f"There is no photo about which {what}."
    first = f" The first {shown}." if shown < count else ""
    return f"{counted(count, 'photo')} about which {what}.{first} A click opens one."
