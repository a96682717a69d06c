"""What the reports on boxes and on masks share: the table of classes, the matrix, the worst photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.images import ImageError
from explorer.display import draw
from explorer.display.html import (
    name_html,
    notes_html,
    plain_table,
    sentences_html,
    side_by_side_html,
    title_html,
)
from explorer.training.evaluation.place_evaluation import PlaceEvaluation
from explorer.training.evaluation.place_figures import PhotoOfBoxes, PhotoOfMasks
from explorer.training.evaluation.report import PHOTOS, RIGHT, ROWS, TABLE, WRONG, columns, named, percent

Rows = Sequence[Sequence[str]]


def share(value: float | None) -> str:
    """A share in words; a dash for what is not defined."""
    return percent(None if value is None or math.isnan(value) else value)


def weakest(names: Sequence[str], figure: Mapping[str, float]) -> list[str]:
    """The classes in their order; of many those with the lowest figure, where it is known."""
    if len(names) <= ROWS:
        return list(names)
    known = [name for name in names if not math.isnan(figure[name])]
    return sorted(known, key=figure.__getitem__)[:ROWS]


def few_of(shown: Sequence[str], every: int) -> str:
    """What stands behind "Class by class" where not all are shown."""
    return f", the {len(shown)} weakest of {every}" if len(shown) < every else ""


def text(result: PlaceEvaluation, headline: str, facts: Sequence[str], classes: Rows, photos: Rows) -> str:
    """What a terminal shows. classes, photos: tables whose first row is their head."""
    return "\n".join([f"{named(result)}: {headline}", *facts, "", *columns(classes, left={0}), "",
                      *columns(photos, left={0})])


def page(result: PlaceEvaluation, headline: str, facts: Sequence[str], parts: Sequence[str],
         photos: str) -> str:
    """What a notebook shows. parts: tables and charts as HTML;  photos: what `photos_html` gave"""
    return (f"<div>{title_html(f'{named(result)}: {headline}')}{notes_html(result.notes)}"
            f"{sentences_html(facts)}{side_by_side_html(''.join([*parts, photos]), gap=24)}</div>")


def photos_html(title: str, rows: Sequence[PhotoOfBoxes] | Sequence[PhotoOfMasks],
                said: Callable[[Any], str], picture_of: Callable[[int], Image.Image] | None) -> str:
    """The worst photos, small, with what was found in them, and what is said about each."""
    figures = "".join(_photo_html(row, said(row), picture_of) for row in rows[:PHOTOS])
    return (f"<div>{title_html(title)}<div style='display:flex;flex-wrap:wrap;gap:8px'>{figures}</div>"
            "</div>")


def _photo_html(row: PhotoOfBoxes | PhotoOfMasks, said: str,
                picture_of: Callable[[int], Image.Image] | None) -> str:
    picture = ""
    if picture_of is not None:
        try:
            small = draw.data_uri(draw.thumbnail(picture_of(row.index), 160), format="JPEG")
            picture = f"<img alt='{escape(row.name)}' style='max-width:100%' src='{small}'>"
        except ImageError:  # moved since; its name is still there
            pass
    return (f"<figure style='margin:0;width:11em;font-size:.85em;overflow-wrap:anywhere'>{picture}"
            f"<figcaption>{escape(row.name)}: {escape(said)}</figcaption></figure>")


def matrix_html(names: Sequence[str], matrix: np.ndarray, caption: str,
                cell: Callable[[int, int], str]) -> str:
    """A confusion matrix without the classes that nobody has or said; "" for too many.

    cell: (count, total of its row) -> what stands in it
    """
    seen = [i for i in range(len(matrix)) if matrix[i].any() or matrix[:, i].any()]
    if not seen or len(seen) > TABLE:
        return ""
    head = "".join("<th scope='col' style='padding:4px;font-weight:normal'>"
                   f"{escape(names[i])}</th>" for i in seen)
    rows = []
    for i in seen:
        total = int(matrix[i].sum())
        cells = "".join(
            "<td style='text-align:center;min-width:2em;padding:4px;"
            f"background:rgba({RIGHT if i == j else WRONG},{0.6 * matrix[i, j] / max(total, 1):.2f})'>"
            f"{cell(int(matrix[i, j]), total)}</td>" for j in seen)
        rows.append(f"<tr>{name_html(names[i])}{cells}</tr>")
    return plain_table(f"<td></td>{head}", "".join(rows), caption=caption)
