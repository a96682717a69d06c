"""The sides of a comparison of boxes or masks as plain HTML; it only draws what is there."""

from __future__ import annotations

from html import escape

import numpy as np

from explorer.display.colours import hex_of
from explorer.display.draw import thumbnail
from explorer.display.html import picture_html, plain_table
from explorer.display.words import counted, percent
from explorer.inspection.compare.page import captions_html, head_cell, matrix_html, region, table_html
from explorer.inspection.compare.places import PlaceAnswers

SIDE = 420            # pixels of a picture's longer side on the page
CLASSES_LISTED = 30   # of those on which models agree least


def place_html(result: PlaceAnswers) -> str:
    title = f"<h4 style='margin:10px 0 4px'>What is in {escape(result.photos[0])}</h4>"
    more = f"<h4 style='margin:10px 0 4px'>Agreement</h4>{agreement_html(result)}{classes_html(result)}"
    return (f"<div>{table_html(result)}{title}{pictures_html(result, 0)}{more}"
            f"<div style='font-size:.9em'>{captions_html(result)}</div></div>")


def pictures_html(result: PlaceAnswers, photo: str | int = 0) -> str:
    """What every model found in a photo, side by side, with the colours of the classes."""
    figures = []
    for i, (name, picture) in enumerate(zip(result.names, result.pictures(photo))):
        text = f"{name}: {result.answer(i, photo)}"
        shown = picture_html(thumbnail(picture, SIDE), text, format="JPEG")
        figures.append(f"<div style='flex:1 1 230px;max-width:{SIDE}px;overflow-wrap:anywhere'>{shown}</div>")
    style = "display:flex;flex-wrap:wrap;gap:12px"
    return f"<div class='vx-cmp-places' style='{style}'>{''.join(figures)}</div>{_legend_html(result, photo)}"


def _legend_html(result: PlaceAnswers, photo: str | int) -> str:
    items = "".join(
        "<span style='display:inline-flex;align-items:center;gap:5px'>"
        f"<span style='width:11px;height:11px;border-radius:2px;background:{hex_of(colour)}'></span>"
        f"{escape(label)}</span>" for label, colour in result.legend(photo))
    style = "display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0"
    return f"<div style='{style}'>{items}</div>" if items else ""


def agreement_html(result: PlaceAnswers) -> str:
    """The matrix as a table, with what its numbers mean."""
    if np.isnan(result.agreement).all():
        nothing = "None of the models found anything, so there is nothing to agree about."
        return "".join(f"<p>{escape(text)}</p>" for text in (nothing, result.agreement_sentence))
    return matrix_html(result.agreement, result.names, lambda value: f"{100 * value:.0f} %", 1.0,
                       "Agreement of the models", result.agreement_sentence)


def classes_html(result: PlaceAnswers) -> str:
    """The classes, first those on which the models agree least."""
    rows = result.classes()
    if not rows:
        return ""
    cell = "padding:3px 12px 3px 0;text-align:right;font-variant-numeric:tabular-nums"
    body = "".join(
        f"<tr>{head_cell(row.label, 'row', 'font-weight:400')}"
        f"<td style='{cell}'>{percent(row.value)}</td></tr>"
        for row in rows[:CLASSES_LISTED])
    left = len(rows) - CLASSES_LISTED
    more = f"<p>… and {counted(left, 'class', 'es')} on which they agree more.</p>" if left > 0 else ""
    head = head_cell("class", "col", "") + head_cell("agreement", "col", "")
    return region("Agreement by class", plain_table(head, body)) + more
