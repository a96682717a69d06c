"""The sides of a comparison of boxes or masks as charts to keep: matplotlib Figures."""

from __future__ import annotations

import math
from collections.abc import Callable

from matplotlib.figure import Figure

from explorer.display.words import percent
from explorer.inspection.compare.charts import (
    captioned,
    figure_and_axes,
    matrix_figure,
    pictured,
    scatter_figure,
)
from explorer.inspection.compare.place_page import CLASSES_LISTED
from explorer.inspection.compare.places import PlaceAnswers

COLUMNS = 4  # pictures beside each other


def pictures_figure(result: PlaceAnswers, *, photo: str | int = 0) -> Figure:
    """What every model found in a photo, side by side."""
    pictures = list(zip(result.names, result.pictures(photo)))
    rows = [pictures[start:start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
    figure = pictured(rows, f"What is in {result.photos[result.photo_index(photo)]}", side=3.6)
    return captioned(figure, [f"{name}: {result.answer(i, photo)}." for i, name in enumerate(result.names)])


def agreement_figure(result: PlaceAnswers) -> Figure:
    """How far each two models agree."""
    return matrix_figure(result.agreement, result.names, lambda value: f"{100 * value:.0f} %", 1.0,
                         "Agreement", result.agreement_sentence)


def classes_figure(result: PlaceAnswers) -> Figure:
    """The classes on which the models agree least, a bar each."""
    rows = [row for row in result.classes() if not math.isnan(row.value)][:CLASSES_LISTED]
    figure, axes = figure_and_axes(8, 1.6 + 0.26 * max(len(rows), 1))
    axes.barh(range(len(rows)), [100 * row.value for row in rows], 0.7, color="#2b83c6")
    axes.set_yticks(range(len(rows)), [f"{row.label}, {percent(row.value)}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("agreement, %")
    axes.set_title("Agreement by class")
    return captioned(figure, [result.agreement_sentence])


KINDS: dict[str, Callable[..., Figure]] = {
    "pictures": pictures_figure, "agreement": agreement_figure, "classes": classes_figure,
    "scatter": scatter_figure,
}
