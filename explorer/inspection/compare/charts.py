"""The sides of a comparison as charts to keep: matplotlib Figures; it only draws what is there."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from explorer.display.words import number_text
from explorer.inspection.compare.answers import Answers
from explorer.inspection.compare.compared import Compared
from explorer.inspection.compare.facts import COSTS
from explorer.inspection.compare.page import (
    CHANNELS,
    COLOURS,
    agreement_sentence,
    differences_sentence,
    map_picture,
    most_of,
    numbers_text,
    only_numbers,
)

PHOTOS_DRAWN = 6   # rows of a figure of heat maps


def scatter_figure(result: Compared, *, x: str = "", y: str = "") -> Figure:
    """Accuracy against cost, with the Pareto front; the area of a disc is the number of parameters."""
    x, y = result.axes(x, y)
    points, left_out = result.points(x, y)
    figure, axes = figure_and_axes(8, 5.6)
    size = {row.name: row.parameters for row in result.rows}
    largest = max(size.values())
    for point in points:
        colour = COLOURS[result.names.index(point.name)]
        axes.scatter(point.x, point.y, s=30 + 500 * size[point.name] / largest, color=colour, alpha=0.75,
                     edgecolors="black" if point.front else "none", linewidths=1.2)
        axes.annotate(point.name, (point.x, point.y), xytext=(8, 8), textcoords="offset points", fontsize=9)
    front = sorted((point.x, point.y) for point in points if point.front)
    if len(front) > 1:
        axes.plot(*zip(*front), color="black", linewidth=1, linestyle="--", drawstyle="steps-post", zorder=0,
                  label="Pareto front: none is both cheaper and as right")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    costs = [point.x for point in points]
    if costs and min(costs) > 0 and max(costs) / min(costs) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")  # the usual one writes powers, as formulas
        axes.margins(x=0.15)
    elif costs:
        axes.set_xlim(0, 1.35 * max(costs))
    axes.margins(y=0.25)
    axes.set_xlabel(COSTS[x].title)
    axes.set_ylabel(result.accuracies[y].title)
    axes.set_title("Accuracy and cost")
    axes.grid(alpha=0.25)
    sentences = ["The area of a disc is the number of parameters."]
    if left_out:
        sentences.append("Not placed: " + "; ".join(f"{name}, because {why}" for name, why in left_out) + ".")
    if x in ("latency", "memory") and result.conditions:
        sentences.append(result.conditions)
    return captioned(figure, sentences)


def predictions_figure(result: Answers, *, photo: str | int = 0, topk: int = 5) -> Figure:
    """Every model's answers to one photo on one axis; numbers as sentences below it."""
    rows = result.predictions(photo, topk=topk)
    place = result.photo_index(photo)
    numbers = [f"{row.label}: {numbers_text(row, result.names)}." for row in result.numbers(photo)]
    figure, axes = figure_and_axes(8, 1.6 + 0.13 * (len(rows) * (len(result) + 1)))
    height = 0.8 / len(result)
    for i, name in enumerate(result.names):
        known = [(j, row.shares[i]) for j, row in enumerate(rows) if row.shares[i] is not None]
        at = [j - 0.4 + (i + 0.5) * height for j, _ in known]
        axes.barh(at, [100 * share for _, share in known], height, color=COLOURS[i], label=name)
    axes.set_yticks(range(len(rows)), [f"{row.label}{' ✓' if row.right else ''}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("probability, %")
    axes.set_title(f"Predictions for {result.photos[place]}")
    if not rows:  # nothing but numbers, which have no end that a bar could reach
        axes.set_axis_off()
        return captioned(figure, numbers)
    axes.legend(fontsize=8, loc="lower right")
    caption = f"The {topk} likeliest classes of each model; classes are joined by name."
    return captioned(figure, [caption, *numbers])


def agreement_figure(result: Answers) -> Figure:
    """On how many of the photos two models give the same answer; of numbers, how far they are apart."""
    numbers = only_numbers(result)
    table = result.differences if numbers else result.agreement
    return matrix_figure(
        table, result.names, number_text if numbers else lambda value: f"{100 * value:.0f} %",
        most_of(table) if numbers else 1.0, "Differences" if numbers else "Agreement",
        differences_sentence(result) if numbers else agreement_sentence(result))


def matrix_figure(
    table: np.ndarray, names: Sequence[str], text_of: Callable[[float], str], most: float, title: str,
    sentence: str,
) -> Figure:
    """A table of each model with each, a sentence below it. most: what is darkest."""
    figure, axes = figure_and_axes(2.8 + 0.75 * len(names), 2.2 + 0.6 * len(names))
    axes.imshow(table, cmap="Blues", vmin=0, vmax=most)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(table):
        text = "–" if math.isnan(value) else text_of(value)
        ink = "white" if value > 0.6 * most else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=ink)
    axes.set_title(title)
    return captioned(figure, [sentence])


def maps_figure(
    result: Answers, *, stride: int | None = None, photo: str | int = 0, limit: int = CHANNELS
) -> Figure:
    """The strongest channels of every model's deepest map at one stride."""
    if stride is None:
        stride = max(result.strides, default=0)  # 0: `maps` says that there are none
    pictures, none = [], []
    for name, found in zip(result.names, result.maps(stride, photo)):
        if found is None:
            none.append(name)
            continue
        stage, maps = found
        text = f"{name}\n{stage}, {min(limit, len(maps))} of {len(maps)} channels"
        pictures.append((text, map_picture(maps, limit)))
    title = f"Feature maps at stride {stride}, {result.photos[result.photo_index(photo)]}"
    figure = pictured([pictures], title)
    without = [f"No map at this stride: {', '.join(none)}."] if none else []
    return captioned(figure, ["The strongest channels of each model's last map at this stride.",
                               "Each channel has its own colour scale, from its lowest value to its highest.",
                               *without])


def cams_figure(result: Answers, *, photo: str | int | None = None, target: str | None = None) -> Figure:
    """Where every model looks (Grad-CAM), a row a photo; `photo` None: the first six."""
    places = range(min(PHOTOS_DRAWN, len(result.photos))) if photo is None else [result.photo_index(photo)]
    rows, sentences = [], []
    for j in places:
        row = []
        for name, found in zip(result.names, result.cams(j, target=target)):
            if isinstance(found, str):
                sentences.append(f"{name}, {result.photos[j]}: {found}")
                row.append((f"{name}\nno heat map", None))
            else:
                row.append((f"{name}\n{found.label}", found.overlay()))
        rows.append(row)
    what = f"for {target}" if target else "for each model's own first answer"
    figure = pictured(rows, f"Grad-CAM {what}")
    left = len(result.photos) - len(places) if photo is None else 0
    more = [f"The first {len(places)} of {len(result.photos)} photos."] if left else []
    first = "Bright: what spoke for the class. Each map has its own scale."
    return captioned(figure, [first, *more, *sentences])


KINDS: dict[str, Callable[..., Figure]] = {
    "scatter": scatter_figure, "predictions": predictions_figure, "agreement": agreement_figure,
    "maps": maps_figure, "cams": cams_figure,
}


def figure_and_axes(width: float, height: float) -> tuple[Figure, Any]:
    """An empty figure of that size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def pictured(
    rows: Sequence[Sequence[tuple[str, Image.Image | None]]], title: str, *, side: float = 2.5
) -> Figure:
    """Pictures with captions in rows. side: of each, in inches"""
    columns = max(len(row) for row in rows)
    size = side * columns + 0.3, (side + 0.4) * len(rows) + 0.7
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for row, places in zip(rows, grid):
        for (text, picture), axes in zip(row, places):
            axes.set_title(text, fontsize=8)
            if picture is not None:
                axes.imshow(np.asarray(picture.convert("RGB")), interpolation="nearest")
    figure.suptitle(title, fontsize=11)
    return figure


def captioned(figure: Figure, sentences: Sequence[str]) -> Figure:
    """The figure with sentences below it."""
    width = int(14 * figure.get_figwidth())
    text = "\n".join(textwrap.fill(sentence, width) for sentence in sentences if sentence)
    figure.supxlabel(text, fontsize=8, x=0.02, ha="left", color="#444444")
    for written in figure.findobj(Text):
        written.set_parse_math(False)  # a dollar in the name of a photo or a class is a dollar
    return figure
