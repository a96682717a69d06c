"""What became of an answer: probabilities or numbers before and after, and how they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image
from torch import Tensor

from explorer.display import draw
from explorer.display.html import (
    BLUE,
    ORANGE,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    picture_html,
    row_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import number_text, percent
from explorer.models.outputs import Outputs


@dataclass(frozen=True)
class Change:
    """What a class's probability was before and after, or with `number` a number in its own unit."""

    label: str
    index: int
    before: float
    after: float
    number: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """(before, after) for a person: "61.3 %", or the number."""
        text = number_text if self.number else percent
        return text(self.before), text(self.after)


def changes_of(before: Tensor, after: Tensor, outputs: Outputs, indices: Sequence[int]) -> tuple[Change, ...]:
    """What became of these classes or numbers between two rows of raw scores [W]."""
    read = outputs.values if outputs.numbers else outputs.probabilities
    was, now = read(before), read(after)
    return tuple(Change(outputs.labels[i], i, float(was[i]), float(now[i]), outputs.numbers)
                 for i in dict.fromkeys(indices))


def in_short(changes: Sequence[Change]) -> str:
    before, after = changes[0].texts
    return f"{changes[0].label!r} {before} -> {after}"


# --- HTML ---------------------------------------------------------------------------------------------------


def small_html(image: Image.Image, caption: str) -> str:
    return picture_html(draw.thumbnail(image, 224), caption)


def result_html(name: str, pictures: str, changes: Sequence[Change], notes: Sequence[str]) -> str:
    warnings = notes_html(notes)
    both = side_by_side_html(f"{pictures}{changes_html(changes)}")
    return f"<div>{title_html(name)}{warnings}{both}</div>"


def changes_html(changes: Sequence[Change]) -> str:
    """A table of probabilities before and after, with two bars a class, or of numbers; each is text too."""
    numbers = any(change.number for change in changes)  # which have no end that a bar could reach
    rows = []
    for change in changes:
        both = f"{bar_html(change.before, '#9aa5b1')}{bar_html(change.after)}"
        bars = "" if numbers else cell_html(both, style="width:12em")
        rows.append(f"<tr>{name_html(change.label)}{bars}{cells_html(change.texts)}</tr>")
    titles = ("number", "before", "after") if numbers else ("class", "", "before", "after")
    return table_html(titles, "".join(rows))


def curve_html(what: str, label: str, rows: Sequence[tuple[str, float, str, bool]]) -> str:
    """A table of a curve: (value, p of the class `label`, the likeliest class, whether it is another)."""
    body = "".join(
        f"<tr>{name_html(value)}{cell_html(bar_html(p, ORANGE if other else BLUE), style='width:12em')}"
        f"{cells_html([percent(p)])}{cell_html(f'<b>{escape(best)}</b>' if other else escape(best))}</tr>"
        for value, p, best, other in rows
    )
    return table_html((what, f"p({label})", "", "likeliest"), body)


def numbers_html(what: str, label: str, rows: Sequence[tuple[str, str]]) -> str:
    """A table of a number's curve: (value, the number `label` there)."""
    return table_html((what, label), "".join(row_html(value, [number]) for value, number in rows))
