"""The sides of a `Comparison` as charts to keep (matplotlib Figures) and as plain HTML; it only draws what is there.

HTML has no script, escapes every name, and takes its text colours from the page, so it is right in light and dark.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from explorer.display import draw
from explorer.display.html import picture_html, plain_table
from explorer.display.words import counted, number_text, percent
from explorer.inspection.compare.facts import ACCURACIES, COSTS, ClassRow, NumberRow

if TYPE_CHECKING:
    from explorer.inspection.compare.comparison import Comparison

#: One colour a model, to be told apart on white and on black.
COLOURS = ("#2b83c6", "#d9772b", "#2f9a62", "#a662c4", "#b58a00", "#1597a5", "#d14d7d", "#808080")
PHOTOS_DRAWN = 6   # rows of a figure of heat maps
CHANNELS = 16      # of each model's map, in pictures


# --- charts ---------------------------------------------------------------------------------------------------


def scatter_figure(result: Comparison, *, x: str = "", y: str = "") -> Figure:
    """Accuracy against cost, with the Pareto front; the area of a disc is the number of parameters."""
    x, y = result._axes(x, y)
    points, left_out = result.points(x, y)
    figure, axes = _axes(8, 5.6)
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
    axes.set_ylabel(ACCURACIES[y].title)
    axes.set_title("Accuracy and cost")
    axes.grid(alpha=0.25)
    sentences = ["The area of a disc is the number of parameters."]
    if left_out:
        sentences.append("Not placed: " + "; ".join(f"{name}, because {why}" for name, why in left_out) + ".")
    if x in ("latency", "memory") and result.conditions:
        sentences.append(result.conditions)
    return _captioned(figure, sentences)


def predictions_figure(result: Comparison, *, photo: str | int = 0, topk: int = 5) -> Figure:
    """Every model's answers to one photo on one axis; numbers as sentences below it."""
    rows = result.predictions(photo, topk=topk)
    place = result._photo(photo)
    numbers = [f"{row.label}: {_numbers_text(row, result.names)}." for row in result.numbers(photo)]
    figure, axes = _axes(8, 1.6 + 0.13 * (len(rows) * (len(result) + 1)))
    height = 0.8 / len(result)
    for i, name in enumerate(result.names):
        known = [(j, row.shares[i]) for j, row in enumerate(rows) if row.shares[i] is not None]
        axes.barh([j - 0.4 + (i + 0.5) * height for j, _ in known], [100 * share for _, share in known], height,
                  color=COLOURS[i], label=name)
    axes.set_yticks(range(len(rows)), [f"{row.label}{' ✓' if row.right else ''}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("probability, %")
    axes.set_title(f"Predictions for {result.photos[place]}")
    if not rows:  # nothing but numbers, which have no end that a bar could reach
        axes.set_axis_off()
        return _captioned(figure, numbers)
    axes.legend(fontsize=8, loc="lower right")
    return _captioned(figure, [f"The {topk} likeliest classes of each model; classes are joined by name.", *numbers])


def agreement_figure(result: Comparison) -> Figure:
    """On how many of the photos two models give the same answer; of numbers, how far they are apart."""
    figure, axes = _axes(2.8 + 0.75 * len(result), 2.2 + 0.6 * len(result))
    numbers = _only_numbers(result)
    table = result.differences if numbers else result.agreement
    axes.imshow(table, cmap="Blues", vmin=0, vmax=_most(table) if numbers else 1)
    names = range(len(result))
    axes.set_xticks(names, result.names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(names, result.names, fontsize=8)
    for i in names:
        for j in names:
            value = table[i, j]
            text = "–" if math.isnan(value) else number_text(value) if numbers else f"{100 * value:.0f} %"
            dark = value > 0.6 * (_most(table) if numbers else 1)
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_title("Differences" if numbers else "Agreement")
    return _captioned(figure, [differences_sentence(result) if numbers else agreement_sentence(result)])


def _only_numbers(result: Comparison) -> bool:
    """Whether no model tells classes, so that there is nothing to agree about."""
    return not any(result.labels) and any(outputs is not None for outputs in result.outputs)


def _most(table: np.ndarray) -> float:
    return float(np.nanmax(table)) or 1.0


def maps_figure(result: Comparison, *, stride: int | None = None, photo: str | int = 0, limit: int = CHANNELS) -> Figure:
    """The strongest channels of every model's deepest map at one stride."""
    if stride is None:
        stride = max(result.strides, default=0)  # 0: `maps` says that there are none
    shown = [(name, found) for name, found in zip(result.names, result.maps(stride, photo)) if found is not None]
    pictures = [(f"{name}\n{stage}, {min(limit, len(found))} of {len(found)} channels", map_picture(found, limit))
                for name, (stage, found) in shown]
    none = [name for name, found in zip(result.names, result.maps(stride, photo)) if found is None]
    figure = _pictures([pictures], f"Feature maps at stride {stride}, {result.photos[result._photo(photo)]}")
    without = [f"No map at this stride: {', '.join(none)}."] if none else []
    return _captioned(figure, ["The strongest channels of each model's last map at this stride.",
                               "Each channel has its own colour scale, from its lowest value to its highest.", *without])


def cams_figure(result: Comparison, *, photo: str | int | None = None, target: str | None = None) -> Figure:
    """Where every model looks (Grad-CAM), a row a photo; `photo` None: the first six."""
    places = range(min(PHOTOS_DRAWN, len(result.photos))) if photo is None else [result._photo(photo)]
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
    figure = _pictures(rows, f"Grad-CAM {what}")
    left = len(result.photos) - len(places) if photo is None else 0
    more = [f"The first {len(places)} of {len(result.photos)} photos."] if left else []
    return _captioned(figure, ["Bright: what spoke for the class. Each map has its own scale.", *more, *sentences])


KINDS: dict[str, Callable[..., Figure]] = {
    "scatter": scatter_figure, "predictions": predictions_figure, "agreement": agreement_figure,
    "maps": maps_figure, "cams": cams_figure,
}


def _axes(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _pictures(rows: Sequence[Sequence[tuple[str, Image.Image | None]]], title: str) -> Figure:
    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(2.5 * columns + 0.3, 2.9 * len(rows) + 0.7), layout="constrained")
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


def _captioned(figure: Figure, sentences: Sequence[str]) -> Figure:
    width = int(14 * figure.get_figwidth())
    text = "\n".join(textwrap.fill(sentence, width) for sentence in sentences if sentence)
    figure.supxlabel(text, fontsize=8, x=0.02, ha="left", color="#444444")
    for written in figure.findobj(Text):
        written.set_parse_math(False)  # a dollar in the name of a photo or a class is a dollar
    return figure


# --- HTML -----------------------------------------------------------------------------------------------------


CELL = "padding:3px 12px 3px 0;text-align:left;vertical-align:baseline"


def legend_html(names: Sequence[str]) -> str:
    """The colour of each model."""
    items = "".join(
        f"<span style='display:inline-flex;align-items:center;gap:5px'><span style='width:11px;height:11px;border-radius:2px;"
        f"background:{colour}'></span>{escape(name)}</span>" for name, colour in zip(names, COLOURS))
    return f"<div class='vx-cmp-legend' style='display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0'>{items}</div>"


def predictions_html(rows: Sequence[ClassRow], names: Sequence[str]) -> str:
    """The classes one below the other, a bar for each model, all on one axis from 0 to 100 %. See
    `answers_html`.
    """
    if not rows:
        return "<p>None of these models has a classifier: they give features, not predictions.</p>"
    lines = []
    for row in rows:
        bars = "".join(_bar_html(name, share, colour) for name, share, colour in zip(names, row.shares, COLOURS))
        mark = " <span title='the right answer'>✓ right</span>" if row.right else ""
        lines.append(f"<div role='group' aria-label='{escape(row.label)}' style='margin:0 0 7px'>"
                     f"<div style='overflow-wrap:anywhere'><b>{escape(row.label)}</b>{mark}</div>{bars}</div>")
    return f"<div class='vx-cmp-bars'>{''.join(lines)}</div>"


def answers_html(result: Comparison, photo: str | int = 0, *, topk: int = 5) -> str:
    """What every model says to one photo: bars for classes, a table for numbers."""
    numbers = result.numbers(photo)
    if not numbers:
        return legend_html(result.names) + predictions_html(result.predictions(photo, topk=topk), result.names)
    classes = result.predictions(photo, topk=topk)
    bars = legend_html(result.names) + predictions_html(classes, result.names) if classes else ""
    given = [i for i in range(len(result)) if any(row.values[i] is not None for row in numbers)]
    head = "".join(f"<th scope='col' style='{CELL};font-weight:400'>{escape(result.names[i])}</th>"
                   for i in given)
    body = "".join(
        f"<tr><th scope='row' style='{CELL};font-weight:600'>{escape(row.label)}</th>"
        + "".join(f"<td style='{CELL};font-variant-numeric:tabular-nums'>{_number(row.values[i])}</td>"
                  for i in given) + "</tr>"
        for row in numbers)
    return (f"{bars}<div style='overflow-x:auto' tabindex='0' role='region' aria-label='Numbers of the models'>"
            f"{plain_table(f'<td></td>{head}', body)}</div>")


def _number(value: float | None) -> str:
    return "–" if value is None else number_text(value)


def _numbers_text(row: NumberRow, names: Sequence[str]) -> str:
    given = ((name, value) for name, value in zip(names, row.values) if value is not None)
    return ", ".join(f"{name} {number_text(value)}" for name, value in given)


def _bar_html(name: str, share: float | None, colour: str) -> str:
    text = "does not know this class" if share is None else percent(share)
    width = 0 if share is None or share != share else 100 * share
    said = f"{name}: {text}"
    return (f"<div role='img' aria-label='{escape(said)}' title='{escape(said)}' style='display:grid;align-items:center;gap:8px;"
            f"grid-template-columns:minmax(0,1fr) 9.5em;line-height:1.25'><span style='height:9px;border-radius:2px;"
            f"background:color-mix(in srgb,currentColor 9%,transparent)'><span style='display:block;height:100%;border-radius:2px;"
            f"background:{colour};width:{width:.1f}%'></span></span><span style='font-size:.88em;"
            f"font-variant-numeric:tabular-nums'>{escape(text)}</span></div>")


def table_html(result: Comparison) -> str:
    columns, rows = result.table()
    head = "".join(f"<th scope='col' style='{CELL};font-weight:600'>{escape(title)}</th>" for title in columns)
    body = "".join(
        f"<tr><th scope='row' style='{CELL};font-weight:600;white-space:nowrap'>{escape(row[0])}</th>"
        + "".join(f"<td style='{CELL};font-variant-numeric:tabular-nums'>{escape(text)}</td>" for text in row[1:]) + "</tr>"
        for row in rows)
    return (f"<div style='overflow-x:auto' tabindex='0' role='region' aria-label='Models side by side'>"
            f"{plain_table(head, body)}</div>")


def agreement_html(result: Comparison) -> str:
    """The matrix as a table; the stronger the tint, the more often two models say the same, or the further
    they are apart.
    """
    parts = []
    if not _only_numbers(result):
        parts.append(_matrix_html(result.agreement, result.names, lambda value: f"{100 * value:.0f} %", 1.0,
                                  "Agreement of the models", agreement_sentence(result)))
    if not np.isnan(table := result.differences).all():
        parts.append(_matrix_html(table, result.names, number_text, _most(table),
                                  "Differences of the models' numbers", differences_sentence(result)))
    return "".join(parts)


def _matrix_html(
    table: np.ndarray, names: Sequence[str], text_of: Callable[[float], str], most: float, label: str, sentence: str
) -> str:
    head = "".join(f"<th scope='col' style='{CELL};font-weight:400;max-width:11em;overflow-wrap:anywhere'>{escape(name)}</th>"
                   for name in names)
    body = []
    for i, name in enumerate(names):
        cells = []
        for value in table[i]:
            share = 0 if math.isnan(value) else value / most
            text = "–" if math.isnan(value) else text_of(value)
            cells.append(f"<td style='padding:5px 12px;text-align:right;font-variant-numeric:tabular-nums;"
                         f"background:color-mix(in srgb,{COLOURS[0]} {55 * share:.0f}%,transparent)'>{text}</td>")
        head_cell = f"<th scope='row' style='{CELL};font-weight:400;white-space:nowrap'>{escape(name)}</th>"
        body.append(f"<tr>{head_cell}{''.join(cells)}</tr>")
    return (f"<div style='overflow-x:auto' tabindex='0' role='region' aria-label='{escape(label)}'>"
            f"{plain_table(f'<td></td>{head}', ''.join(body))}</div><p style='margin:6px 0'>{escape(sentence)}</p>")


def agreement_sentence(result: Comparison) -> str:
    count = len(result.photos)
    one = " One photo says little: choose several." if count == 1 else ""
    return (f"The share of {counted(count, 'photo')} to which two models give the same first answer, by the name of "
            f"the class. Two that agree may both be wrong.{one}")


def differences_sentence(result: Comparison) -> str:
    count = len(result.photos)
    one = " One photo says little: choose several." if count == 1 else ""
    return (f"How far two models' numbers of the same name are apart, the mean over "
            f"{counted(count, 'photo')}, in the number's own unit. Two that are close may both be wrong.{one}")


def maps_html(result: Comparison, stride: int, photo: str | int = 0, *, limit: int = CHANNELS) -> str:
    figures = []
    for name, found in zip(result.names, result.maps(stride, photo)):
        if found is None:
            figures.append(f"<figure style='margin:0'><figcaption><b>{escape(name)}</b><br>has no map at stride {stride}"
                           "</figcaption></figure>")
            continue
        stage, maps = found
        text = f"{name}, {stage}: {limit_text(maps.shape[0], limit)}, {maps.shape[1]} × {maps.shape[2]}"
        figures.append(picture_html(map_picture(maps, limit), text, style="image-rendering:pixelated;width:240px"))
    return f"<div class='vx-cmp-pictures'>{''.join(figures)}</div>"


def cams_html(result: Comparison, found: Sequence[Any]) -> str:
    """found: what `Comparison.cams` gave."""
    figures = []
    for name, one in zip(result.names, found):
        if isinstance(one, str):
            figures.append(f"<figure style='margin:0'><figcaption><b>{escape(name)}</b><br>{escape(one)}</figcaption></figure>")
        else:
            picture = draw.thumbnail(one.overlay(), 300)
            figures.append(picture_html(picture, f"{name}: {one.label}", format="JPEG", style="width:240px"))
    return f"<div class='vx-cmp-pictures'>{''.join(figures)}</div>"


def map_picture(maps: Any, limit: int = CHANNELS) -> Image.Image:
    """The strongest channels of a map [C, H, W] in a square of about 240 pixels."""
    columns = math.ceil(math.sqrt(min(limit, len(maps))))
    return draw.mosaic(maps, columns=columns, limit=limit, cell=max(1, 240 // columns))


def limit_text(channels: int, limit: int) -> str:
    return f"{channels} channels" if channels <= limit else f"the {limit} strongest of {channels} channels"


def captions_html(result: Comparison) -> str:
    return "".join(f"<p style='margin:2px 0'>{escape(sentence)}</p>" for sentence in result.captions)


def comparison_html(result: Comparison) -> str:
    parts = [table_html(result)]
    if any(outputs is not None for outputs in result.outputs):
        parts += [f"<h4 style='margin:10px 0 0'>Predictions for {escape(result.photos[0])}</h4>",
                  f"<div style='max-width:680px'>{answers_html(result, 0)}</div>"]
        if len(result.photos) > 1:
            title = "Differences" if _only_numbers(result) else "Agreement"
            parts += [f"<h4 style='margin:10px 0 4px'>{title}</h4>", agreement_html(result)]
    return f"<div>{''.join(parts)}<div style='font-size:.9em'>{captions_html(result)}</div></div>"
