"""The sides of a comparison as plain HTML; it only draws what is there.

No script, every name escaped, and the text's colour is the page's, so it is right in light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from explorer.display import draw
from explorer.display.html import picture_html, plain_table
from explorer.display.words import counted, number_text, percent
from explorer.inspection.compare.answers import Answers
from explorer.inspection.compare.compared import Compared
from explorer.inspection.compare.facts import ClassRow, NumberRow

#: One colour a model, to be told apart on white and on black.
COLOURS = ("#2b83c6", "#d9772b", "#2f9a62", "#a662c4", "#b58a00", "#1597a5", "#d14d7d", "#808080")
CHANNELS = 16      # of each model's map, in pictures
CELL = "padding:3px 12px 3px 0;text-align:left;vertical-align:baseline"
DIGITS = "font-variant-numeric:tabular-nums"


def comparison_html(result: Answers) -> str:
    parts = [table_html(result)]
    if any(outputs is not None for outputs in result.outputs):
        parts += [f"<h4 style='margin:10px 0 0'>Predictions for {escape(result.photos[0])}</h4>",
                  f"<div style='max-width:680px'>{answers_html(result, 0)}</div>"]
        if len(result.photos) > 1:
            title = "Differences" if only_numbers(result) else "Agreement"
            parts += [f"<h4 style='margin:10px 0 4px'>{title}</h4>", agreement_html(result)]
    return f"<div>{''.join(parts)}<div style='font-size:.9em'>{captions_html(result)}</div></div>"


def table_html(result: Compared) -> str:
    columns, rows = result.table()
    head = "".join(head_cell(title, "col", "font-weight:600") for title in columns)
    body = "".join(
        f"<tr>{head_cell(name, 'row', 'font-weight:600;white-space:nowrap')}"
        f"{''.join(_digits_cell(text) for text in texts)}</tr>"
        for name, *texts in rows)
    return region("Models side by side", plain_table(head, body))


def head_cell(text: str, scope: str, style: str) -> str:
    return f"<th scope='{scope}' style='{CELL};{style}'>{escape(text)}</th>"


def _digits_cell(text: str) -> str:
    return f"<td style='{CELL};{DIGITS}'>{escape(text)}</td>"


def region(label: str, content: str) -> str:
    """A part of the page that scrolls by itself where it is too wide, and that a screen reader can name."""
    return (f"<div style='overflow-x:auto' tabindex='0' role='region' aria-label='{escape(label)}'>"
            f"{content}</div>")


def captions_html(result: Compared) -> str:
    return "".join(f"<p style='margin:2px 0'>{escape(sentence)}</p>" for sentence in result.captions)


# --- predictions --------------------------------------------------------------------------------------------


def legend_html(names: Sequence[str]) -> str:
    """The colour of each model."""
    items = "".join(
        "<span style='display:inline-flex;align-items:center;gap:5px'>"
        f"<span style='width:11px;height:11px;border-radius:2px;background:{colour}'></span>"
        f"{escape(name)}</span>"
        for name, colour in zip(names, COLOURS))
    style = "display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0"
    return f"<div class='vx-cmp-legend' style='{style}'>{items}</div>"


def answers_html(result: Answers, photo: str | int = 0, *, topk: int = 5) -> str:
    """What every model says to one photo: bars for classes, a table for numbers."""
    numbers, classes = result.numbers(photo), result.predictions(photo, topk=topk)
    if not numbers:
        return legend_html(result.names) + predictions_html(classes, result.names)
    bars = legend_html(result.names) + predictions_html(classes, result.names) if classes else ""
    given = [i for i in range(len(result)) if any(row.values[i] is not None for row in numbers)]
    head = "".join(head_cell(result.names[i], "col", "font-weight:400") for i in given)
    body = "".join(
        f"<tr>{head_cell(row.label, 'row', 'font-weight:600')}"
        f"{''.join(_digits_cell(_number(row.values[i])) for i in given)}</tr>"
        for row in numbers)
    return bars + region("Numbers of the models", plain_table(f"<td></td>{head}", body))


def predictions_html(rows: Sequence[ClassRow], names: Sequence[str]) -> str:
    """The classes one below the other, a bar for each model, all on one axis from 0 to 100 %."""
    if not rows:
        return "<p>None of these models has a classifier: they give features, not predictions.</p>"
    lines = []
    for row in rows:
        bars = "".join(map(_bar_html, names, row.shares, COLOURS))
        mark = " <span title='the right answer'>✓ right</span>" if row.right else ""
        lines.append(f"<div role='group' aria-label='{escape(row.label)}' style='margin:0 0 7px'>"
                     f"<div style='overflow-wrap:anywhere'><b>{escape(row.label)}</b>{mark}</div>"
                     f"{bars}</div>")
    return f"<div class='vx-cmp-bars'>{''.join(lines)}</div>"


def _bar_html(name: str, share: float | None, colour: str) -> str:
    text = "does not know this class" if share is None else percent(share)
    width = 0 if share is None or share != share else 100 * share
    said = f"{name}: {text}"
    grid = ("display:grid;align-items:center;gap:8px;grid-template-columns:minmax(0,1fr) 9.5em;"
            "line-height:1.25")
    groove = "height:9px;border-radius:2px;background:color-mix(in srgb,currentColor 9%,transparent)"
    bar = f"display:block;height:100%;border-radius:2px;background:{colour};width:{width:.1f}%"
    return (f"<div role='img' aria-label='{escape(said)}' title='{escape(said)}' style='{grid}'>"
            f"<span style='{groove}'><span style='{bar}'></span></span>"
            f"<span style='font-size:.88em;{DIGITS}'>{escape(text)}</span></div>")


def _number(value: float | None) -> str:
    return "–" if value is None else number_text(value)


def numbers_text(row: NumberRow, names: Sequence[str]) -> str:
    given = ((name, value) for name, value in zip(names, row.values) if value is not None)
    return ", ".join(f"{name} {number_text(value)}" for name, value in given)


# --- agreement ----------------------------------------------------------------------------------------------


def agreement_html(result: Answers) -> str:
    """The matrix as a table: the stronger the tint, the more two models agree, or are apart."""
    parts = []
    if not only_numbers(result):
        parts.append(matrix_html(result.agreement, result.names, lambda value: f"{100 * value:.0f} %", 1.0,
                                  "Agreement of the models", agreement_sentence(result)))
    if not np.isnan(table := result.differences).all():
        parts.append(matrix_html(table, result.names, number_text, most_of(table),
                                  "Differences of the models' numbers", differences_sentence(result)))
    return "".join(parts)


def matrix_html(
    table: np.ndarray, names: Sequence[str], text_of: Callable[[float], str], most: float, label: str,
    sentence: str,
) -> str:
    """A table of each model with each, a sentence below it. most: what has the strongest tint."""
    narrow = "font-weight:400;max-width:11em;overflow-wrap:anywhere"
    head = "".join(head_cell(name, "col", narrow) for name in names)
    body = []
    for i, name in enumerate(names):
        cells = []
        for value in table[i]:
            share = 0 if math.isnan(value) else value / most
            text = "–" if math.isnan(value) else text_of(value)
            tint = f"background:color-mix(in srgb,{COLOURS[0]} {55 * share:.0f}%,transparent)"
            cells.append(f"<td style='padding:5px 12px;text-align:right;{DIGITS};{tint}'>{text}</td>")
        first = head_cell(name, "row", "font-weight:400;white-space:nowrap")
        body.append(f"<tr>{first}{''.join(cells)}</tr>")
    matrix = region(label, plain_table(f"<td></td>{head}", "".join(body)))
    return f"{matrix}<p style='margin:6px 0'>{escape(sentence)}</p>"


def only_numbers(result: Answers) -> bool:
    """Whether no model tells classes, so that there is nothing to agree about."""
    return not any(result.labels) and any(outputs is not None for outputs in result.outputs)


def most_of(table: np.ndarray) -> float:
    return float(np.nanmax(table)) or 1.0


def agreement_sentence(result: Answers) -> str:
    count = len(result.photos)
    one = " One photo says little: choose several." if count == 1 else ""
    return (f"The share of {counted(count, 'photo')} to which two models give the same first answer, by the "
            f"name of the class. Two that agree may both be wrong.{one}")


def differences_sentence(result: Answers) -> str:
    count = len(result.photos)
    one = " One photo says little: choose several." if count == 1 else ""
    return (f"How far two models' numbers of the same name are apart, the mean over "
            f"{counted(count, 'photo')}, in the number's own unit. "
            f"Two that are close may both be wrong.{one}")


# --- maps and heat maps -------------------------------------------------------------------------------------


def maps_html(result: Answers, stride: int, photo: str | int = 0, *, limit: int = CHANNELS) -> str:
    figures = []
    for name, found in zip(result.names, result.maps(stride, photo)):
        if found is None:
            figures.append(_no_picture(name, f"has no map at stride {stride}"))
            continue
        stage, maps = found
        text = f"{name}, {stage}: {limit_text(maps.shape[0], limit)}, {maps.shape[1]} × {maps.shape[2]}"
        style = "image-rendering:pixelated;width:240px"
        figures.append(picture_html(map_picture(maps, limit), text, style=style))
    return f"<div class='vx-cmp-pictures'>{''.join(figures)}</div>"


def cams_html(result: Answers, found: Sequence[Any]) -> str:
    """found: what `Answers.cams` gave."""
    figures = []
    for name, one in zip(result.names, found):
        if isinstance(one, str):
            figures.append(_no_picture(name, one))
        else:
            picture = draw.thumbnail(one.overlay(), 300)
            figures.append(picture_html(picture, f"{name}: {one.label}", format="JPEG", style="width:240px"))
    return f"<div class='vx-cmp-pictures'>{''.join(figures)}</div>"


def _no_picture(name: str, why: str) -> str:
    caption = f"<figcaption><b>{escape(name)}</b><br>{escape(why)}</figcaption>"
    return f"<figure style='margin:0'>{caption}</figure>"


def map_picture(maps: Any, limit: int = CHANNELS) -> Image.Image:
    """The strongest channels of a map [C, H, W] in a square of about 240 pixels."""
    columns = math.ceil(math.sqrt(min(limit, len(maps))))
    return draw.mosaic(maps, columns=columns, limit=limit, cell=max(1, 240 // columns))


def limit_text(channels: int, limit: int) -> str:
    return f"{channels} channels" if channels <= limit else f"the {limit} strongest of {channels} channels"
