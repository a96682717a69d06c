"""HTML that stands for itself: no script, no style sheet, right in light and dark; what comes in is escaped.

    picture_html(photo, "What the network saw")      # <figure> with its caption
    table_html(("class", "share"), rows)             # a table whose rows are HTML already

A result shows itself in a notebook by `RichRepr`: it says `_repr_html_`; the text beside it is its `repr`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

CELL = "padding:2px 8px"
BLUE, ORANGE = "#4a8fd9", "#d9804a"  # which colour-blind people can tell apart
LINE = "margin:.3em 0"  # of a paragraph


class RichRepr:
    """A result that a notebook shows as its `_repr_html_`, and a terminal as its `repr`."""

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


# --- sentences ------------------------------------------------------------------------------------------


def notes_html(notes: Sequence[str]) -> str:
    """Sentences that a reader must know, each a paragraph with a warning sign."""
    return sentences_html([f"⚠ {note}" for note in notes])


def sentences_html(sentences: Sequence[str]) -> str:
    """Each a paragraph."""
    return "".join(f"<p style='{LINE}'>{escape(sentence)}</p>" for sentence in sentences)


def title_html(text: str) -> str:
    """A paragraph in bold, above a result."""
    return f"<p style='{LINE}'><b>{escape(text)}</b></p>"


# --- pictures -------------------------------------------------------------------------------------------


def picture_html(image: Image.Image, caption: str, *, format: str = "PNG", style: str = "") -> str:
    """A picture with its caption, which is also what a screen reader says."""
    from explorer.display.draw import data_uri

    text = escape(caption)
    return (f"<figure style='margin:0'><img alt='{text}' style='max-width:100%;{style}' "
            f"src='{data_uri(image, format=format)}'>"
            f"<figcaption style='font-size:.85em'>{text}</figcaption></figure>")


def bar_html(share: float, colour: str = BLUE) -> str:
    """A bar for a share 0..1; not a number: none."""
    width = 100 * min(max(share, 0), 1) if math.isfinite(share) else 0
    style = f"height:.6em;margin:2px 0;border-radius:2px;background:{colour};width:{width:.1f}%"
    return f"<div style='{style}'></div>"


def side_by_side_html(parts: str, *, gap: int = 16) -> str:
    """Pictures and tables beside each other, where there is room; `parts` are HTML already."""
    return f"<div style='display:flex;flex-wrap:wrap;gap:{gap}px;align-items:flex-start'>{parts}</div>"


# --- tables ---------------------------------------------------------------------------------------------


def table_html(titles: Sequence[str], rows: str, *, caption: str = "", left: int | None = None) -> str:
    """A table with a line of titles above `rows`, which are HTML already: `row_html` makes one.

    left: how many of the columns, from the first, hold words and stand on the left; None: all
    """
    head = "".join(f"<th scope='col' style='{_style(i, left)}'>{escape(title)}</th>"
                   for i, title in enumerate(titles))
    return plain_table(head, rows, caption=caption)


def plain_table(head: str, rows: str, *, caption: str = "") -> str:
    """A table whose line of titles is HTML already, as its rows are."""
    style = "text-align:left;font-weight:bold"
    above = f"<caption style='{style}'>{escape(caption)}</caption>" if caption else ""
    return (f"<table style='border-collapse:collapse'>{above}<thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>")


def row_html(name: str, values: Sequence[str], *, left: int = 0) -> str:
    """A row: what it is about, and a cell a value; the first `left` of them hold words."""
    return f"<tr>{name_html(name)}{cells_html(values, left=left)}</tr>"


def name_html(text: str) -> str:
    """The cell that says what a row is about."""
    return f"<th scope='row' style='{_style(0, 1)};font-weight:normal'>{escape(text)}</th>"


def cells_html(values: Sequence[str], *, left: int = 0) -> str:
    """Cells of text; the first `left` stand on the left, the others, which are numbers, on the right."""
    return "".join(f"<td style='{_style(i, left)}'>{escape(value)}</td>" for i, value in enumerate(values))


def cell_html(content: str, *, style: str = "") -> str:
    """One cell whose content is HTML already, e.g. a bar."""
    return f"<td style='{_style(0, 1)}{';' if style else ''}{style}'>{content}</td>"


def _style(column: int, left: int | None) -> str:
    return f"text-align:{'left' if left is None or column < left else 'right'};{CELL}"
