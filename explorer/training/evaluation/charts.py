"""An `Evaluation` as charts to keep: the confusion matrix, reliability, ROC and precision-recall curves."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from explorer.display.html import BLUE
from explorer.training.evaluation.class_answers import ClassAnswers
from explorer.training.evaluation.report import TABLE, named, percent

CURVES = 10  # that are drawn of many: those with the smallest area


class Chart(Figure):
    """A figure of its own, not one of pyplot's: nothing global keeps it alive. A notebook shows it as PNG."""

    def __init__(self, width: float = 6.0, height: float = 5.0):
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def plot_confusion(result: ClassAnswers) -> Figure:
    if result.multi_label:
        raise ValueError("Photos with several classes have no confusion matrix: there is no one answer.")
    side = min(max(4.5, 0.45 * len(result.classes) + 2), 16)
    chart = Chart(side, side)
    draw_confusion(chart.add_subplot(), result)
    return chart


def plot_reliability(result: ClassAnswers) -> Figure:
    chart = Chart()
    draw_reliability(chart.add_subplot(), result)
    return chart


def plot_curves(result: ClassAnswers, kind: str, classes: Sequence[str] | None) -> Figure:
    """kind: "roc" or "pr"."""
    chart = Chart()
    draw_curves(chart.add_subplot(), result, kind, classes)
    return chart


def plot_overview(result: ClassAnswers, classes: Sequence[str] | None = None) -> Figure:
    """The charts in one figure: confusion matrix (where there is one), reliability, ROC and precision-recall.

    classes: of these the curves; None: as in `plot_roc`
    """
    draws = [lambda axes: draw_reliability(axes, result),
             lambda axes: draw_curves(axes, result, "roc", classes),
             lambda axes: draw_curves(axes, result, "pr", classes)]
    if result.multi_label:
        chart = Chart(15, 5)
        for axes, draw_on in zip(chart.subplots(1, 3), draws):
            draw_on(axes)
        return chart
    chart = Chart(13, 11)
    places = chart.subplots(2, 2).flatten()
    for axes, draw_on in zip(places, [lambda axes: draw_confusion(axes, result), *draws]):
        draw_on(axes)
    return chart


def draw_confusion(axes: Axes, result: ClassAnswers) -> None:
    count = len(result.classes)
    shares = (result.confusion / result.confusion.sum(1, keepdim=True).clamp(min=1)).numpy()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.7)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(named(result), parse_math=False)
    if count <= 2 * TABLE:
        names = [literal(name) for name in result.classes]
        axes.set_xticks(range(count), names, rotation=90)
        axes.set_yticks(range(count), names)
    if count <= TABLE:
        for i, j in result.confusion.nonzero().tolist():
            axes.text(j, i, int(result.confusion[i, j]), ha="center", va="center",
                      color="white" if shares[i, j] > 0.5 else "black")


def draw_reliability(axes: Axes, result: ClassAnswers) -> None:
    bins = [one for one in result.calibration.bins if one.count]
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as sure as right")
    right = [one.right for one in bins]
    axes.bar([one.low for one in bins], right, [one.high - one.low for one in bins], align="edge",
             color=BLUE, edgecolor="white", label="right")
    axes.plot([one.confidence for one in bins], right, "o", color="#de7a28", label="mean confidence")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of right answers",
             title=f"Calibration error {percent(result.calibration.error)}, {len(result)} photos")
    axes.legend()


def draw_curves(axes: Axes, result: ClassAnswers, kind: str, classes: Sequence[str] | None) -> None:
    """kind: "roc" or "pr"."""
    curves = getattr(result, kind)
    if classes is None:
        chosen = list(curves)
        if len(chosen) > CURVES:
            chosen = sorted(chosen, key=lambda name: curves[name].area)[:CURVES]
    else:
        chosen = [result.classes[result.index(name)] for name in classes]
    for name in chosen:
        # Recall falls along the curve; "post" holds each precision down to the next recall, as average
        # precision counts it.
        axes.plot(curves[name].x, curves[name].y, drawstyle="default" if kind == "roc" else "steps-post",
                  label=f"{literal(name)} ({curves[name].area:.3f})")
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
        axes.set(xlabel="share of other photos that pass", ylabel="share of the class that passes")
    else:
        axes.set(xlabel="recall", ylabel="precision")
    area = "area" if kind == "roc" else "average precision"
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(named(result), parse_math=False)
    if chosen:
        axes.legend(title=f"class ({area})", fontsize="small")


def literal(name: str) -> str:
    """A class called "$5" is no formula."""
    return name.replace("$", r"\$")
