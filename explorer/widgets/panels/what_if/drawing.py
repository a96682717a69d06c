"""What the panel that changes the photo says and draws:
sentences, pairs of bars, a curve, a figure to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.display import draw
from explorer.widgets import export
from explorer.widgets.panels.bars import bar_html
from explorer.widgets.parts.evaluation_card import themed_svg
from explorer.widgets.snippets import literal

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.experiments.changes import Change
    from explorer.inspection.experiments.flips import Flip
    from explorer.inspection.experiments.robustness_curves import RobustnessCurve
    from explorer.inspection.look.answers import Prediction
    from explorer.inspection.look.result import Look

SIDE = 260  # of a photo on the screen, in pixels: two fit beside each other on a narrow page
SHOWN = 5   # classes whose bars are shown, at most


def unsuitable(look: Look | None) -> str:
    """Why nothing can be tried with this look; "" where all can."""
    if look is None:
        return "Choose a model and a photo: then the photo can be changed here."
    if look.finds_places:
        things = "boxes" if look.detections is not None else "masks"
        return (f"{look.model_name} finds {things}, and what is tried here follows the answer of a model "
                "that finds classes: choose one.")
    if not len(look.logits):
        return "This model has no classifier, so it has no answer that could change: choose one with classes."
    return ""


def covers(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a box (left, top, right, bottom) holds a whole photo (width, height)."""
    return box[0] <= 0 and box[1] <= 0 and box[2] >= size[0] and box[3] >= size[1]


def main(changes: Sequence[Change]) -> list[Change]:
    """The class in question, and then those that are or were the likeliest; at most SHOWN."""
    rest = list(changes[1:])
    if not changes[0].number:  # numbers stay in their order
        rest.sort(key=lambda one: -max(one.before, one.after))
    return [changes[0], *rest[:SHOWN - 1]]


def points(change: Change) -> str:
    """The difference in percentage points, or in the number's own unit, with its sign."""
    difference = (1 if change.number else 100) * (change.after - change.before)
    if difference != difference:
        return "not a number"
    if change.number:
        return f"{difference:+.3g}" if difference else "±0"
    text = f"{difference:+.1f} points"
    return "±0.0 points" if text in ("+0.0 points", "-0.0 points") else text.replace("-", "−")


def verdict(change: Change, was: Prediction, now: Prediction) -> str:
    """What became of one class or number, and of the answer."""
    from explorer.inspection.look.answers import said

    before, after = change.texts
    text = f"{change.label}: {before} before, {after} now ({points(change)})."
    if change.number:
        return text
    if said(was) == said(now):
        return f"{text} The answer is still {now.label}."
    return f"{text} The answer was {was.label}; now it is {now.label} ({now.text})."


def class_literal(index: int, labels: Sequence[str]) -> str:
    """A class as Python: its name where that names it alone, else its index."""
    from explorer.inspection.look.targets import find_class

    try:
        named = find_class(labels[index], labels) == index
    except ValueError:
        named = False
    return literal(labels[index]) if named else str(index)


# --- pictures, bars and charts --------------------------------------------------------------------------


def shots_html(pictures: Sequence[tuple[Image.Image, str, str]]) -> str:
    """Pictures side by side with their captions: (picture, caption, format of the file)."""
    figures = []
    for picture, caption, format in pictures:
        # pixels that can be counted stay squares
        few = ' class="vx-crisp"' if max(picture.size) < 128 else ""
        source, side = draw.data_uri(picture, format=format), 192 if few else picture.width
        figures.append(f'<figure style="max-width:{side}px"><img alt="" src="{source}"{few}>'
                       f"<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="vx-whatif-shots">{"".join(figures)}</div>'


def changes_html(changes: Sequence[Change]) -> str:
    """Probabilities before and now as pairs of bars;
    numbers and differences are text, names are untrusted.
    """
    rows = []
    for one in changes:
        bars = "" if one.number else bar_html(one.before, "vx-whatif-was") + bar_html(one.after)
        rows.append(f'<li><span class="vx-name">{escape(one.label)}</span>'
                    f'<span class="vx-value">{" → ".join(one.texts)} <b>{points(one)}</b></span>{bars}</li>')
    if any(one.number for one in changes):
        return f'<ol class="vx-predictions" aria-label="Numbers, before and now">{"".join(rows)}</ol>'
    label = "Probabilities, before and now"
    return ('<div class="vx-whatif-key" aria-hidden="true"><span class="vx-whatif-was"></span>before'
            '<span class="vx-whatif-now"></span>now</div>'
            f'<ol class="vx-predictions vx-whatif-bars" aria-label="{label}">{"".join(rows)}</ol>')


def chart_html(curve: RobustnessCurve | None, flip: Flip | None, value: float) -> str:
    """The curve as a chart in the page's colours, with a mark at the slider's strength;
    "" without a curve.
    """
    if curve is None or not curve.points:
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    draw_curve(figure.subplots(), curve, flip, value)
    if curve.numbers:
        said = "; ".join(f"{point.value:g}: {point.best.text}" for point in curve.points)
        return themed_svg(export.titled(figure, ""), f"{curve.reference.label} by strength. {said}")
    said = "; ".join(f"{point.value:g}: {point.probability:.0%}" for point in curve.points)
    label = f"Probability of {curve.reference.label} by strength. {said}"
    return themed_svg(export.titled(figure, ""), label)


def draw_curve(place: Any, curve: RobustnessCurve, flip: Flip | None, value: float) -> None:
    """p(first answer) over the strength, or the number;
    rings are strengths with another answer, the dotted line is `value`.
    """
    followed = curve.numbers or curve.probabilities
    place.plot(curve.values, followed, color=export.ACCENT, marker="o", markersize=4, linewidth=1.6)
    other = [point for point in curve.points if point.flipped]
    if flip is not None and flip.found and flip.first_other.value not in curve.values:
        other.append(flip.first_other)
    place.plot([point.value for point in other], [point.probability for point in other], "o", markersize=9,
               markerfacecolor="none", markeredgecolor="#d9803a", label="another answer")
    place.axvline(value, linestyle=":", color="#888888")
    # JPEG and brightness: stronger is further to the right, as on the slider
    if curve.values[0] > curve.values[-1]:
        place.set_xscale("log")
        place.invert_xaxis()
        place.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        place.xaxis.set_minor_formatter(lambda x, _: "")
    name = export.shortened(curve.reference.label, 26)
    if curve.numbers:
        place.set(xlabel=curve.kind.unit, ylabel=name)
    else:
        place.set(ylim=(-0.04, 1.04), xlabel=curve.kind.unit, ylabel=f"p({name})")
        place.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    place.grid(alpha=0.3)
    place.spines[["top", "right"]].set_visible(False)
    for label in (place.xaxis.label, place.yaxis.label):
        label.set_parse_math(False)
    if other:
        place.legend(fontsize=8, frameon=False)


def sheet(pictures: Sequence[tuple[Image.Image, str]], changes: Sequence[Change], *,
          curve: RobustnessCurve | None = None, flip: Flip | None = None, value: float = 0) -> Any:
    """Pictures, bars before and now, and a curve, as a matplotlib Figure."""
    from matplotlib.figure import Figure

    chart = curve is not None and len(curve.points) > 0
    ratios = [2.4] * len(pictures) + [4.2] + [4] * chart
    figure = Figure(figsize=(sum(ratios) + 0.4, 3.6), layout="constrained")
    places = figure.subplots(1, len(ratios), width_ratios=ratios)
    for place, (picture, caption) in zip(places, pictures):
        place.imshow(picture)
        place.set_title(caption, fontsize=9, parse_math=False)
        place.set_axis_off()
    bars = places[len(pictures)]
    rows = range(len(changes))
    texts = list(zip(*(one.texts for one in changes)))
    for shift, colour, name, shares, said in (
            (-0.2, "#9aa5b1", "before", [one.before for one in changes], texts[0]),
            (0.2, export.ACCENT, "now", [one.after for one in changes], texts[1])):
        drawn = bars.barh([at + shift for at in rows], shares, 0.36, color=colour, label=name)
        bars.bar_label(drawn, said, padding=3, fontsize=8)
    bars.set_yticks(rows, [export.shortened(one.label, 24) for one in changes], fontsize=9)
    bars.invert_yaxis()
    bars.spines[["top", "right"]].set_visible(False)
    if any(one.number for one in changes):
        bars.margins(x=0.3)
        bars.set_xlabel("in the number's own unit")
    else:
        bars.set(xlim=(0, 1.3), xticks=(0, 0.5, 1))  # the numbers stand at the right of the bars
        bars.set_xlabel("probability", x=0.5 / 1.3)
        bars.spines["bottom"].set_bounds(0, 1)
    bars.legend(fontsize=8, frameon=False, loc="lower right")
    if chart:
        draw_curve(places[-1], curve, flip, value)
    return figure
