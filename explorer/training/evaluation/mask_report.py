"""A `MaskEvaluation` for people: as text, as plain HTML without script, and as a chart to keep."""

from __future__ import annotations

import math
from html import escape

import numpy as np
from PIL import Image

from explorer.data.places.place_set import IGNORED
from explorer.display import words
from explorer.display.html import (
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    plain_table,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.inspection.segment.colours import colour_of, tinted
from explorer.training.evaluation.box_report import photo_html, share
from explorer.training.evaluation.charts import Chart, literal
from explorer.training.evaluation.mask_answers import MaskAnswers
from explorer.training.evaluation.report import PHOTOS, RIGHT, ROWS, TABLE, WRONG, columns, named, pace_of

BARS = 30
HEAD = ("class", "IoU", "Dice", "precision", "recall", "pixels")


def headline(result: MaskAnswers) -> str:
    """The figures that stand for all."""
    return (f"{words.counted(len(result), 'photo')}, mIoU {share(result.miou)}, Dice {share(result.dice)}, "
            f"pixel "
            f"accuracy {share(result.accuracy)}")


def facts(result: MaskAnswers) -> list[str]:
    """Sentences on what the figures say, and what they took."""
    bare = [name for name, one in result.per_class.items() if not one.pixels]
    found = [f"{words.counted(len(bare), 'class', 'es')} without a pixel in these photos, such as {bare[0]}: "
             "in the means where something was taken for it."] if bare else []
    return [*found, *pace_of(result.throughput)]


def weakest(result: MaskAnswers) -> list[str]:
    """The classes in their order; of many those with pixels and the lowest IoU."""
    found = result.per_class
    if len(found) <= ROWS:
        return list(found)
    return sorted((name for name in found if found[name].pixels), key=lambda name: found[name].iou)[:ROWS]


def _figures(result: MaskAnswers, name: str) -> list[str]:
    one = result.per_class[name]
    return [share(one.iou), share(one.dice), share(one.precision), share(one.recall), f"{one.pixels:,}"]


def as_text(result: MaskAnswers) -> str:
    """What a terminal shows."""
    lines = [f"{named(result)}: {headline(result)}", *facts(result), ""]
    lines += columns([HEAD, *((name, *_figures(result, name)) for name in weakest(result))], left={0})
    rows = [(row.name, share(row.iou), share(row.accuracy)) for row in result.worst[:PHOTOS]]
    return "\n".join([*lines, "", *columns([("worst photos", "mean IoU", "pixels right"), *rows], left={0})])


def as_html(result: MaskAnswers) -> str:
    shown = weakest(result)
    every = len(result.per_class)
    few = f", the {len(shown)} weakest of {every}" if len(shown) < every else ""
    bars = {name: cell_html(bar_html(result.per_class[name].iou), style="width:6em") for name in shown}
    rows = "".join(f"<tr>{name_html(name)}{bars[name]}{cells_html(_figures(result, name))}</tr>"
                   for name in shown)
    titles = (HEAD[0], "", *HEAD[1:])
    parts = [table_html(titles, rows, caption=f"Class by class{few}", left=2), confusion_html(result)]
    picture_of = None if result.data is None else lambda index: drawn(result, index)
    photos = "".join(
        photo_html(row, f"mean IoU {share(row.iou)}, {share(row.accuracy)} of its pixels right", picture_of)
        for row in result.worst[:PHOTOS] if row.index in result.masks)
    parts.append(f"<div>{title_html('The worst photos (white: the true outline)')}"
                 f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{photos}</div></div>")
    return (f"<div>{title_html(f'{named(result)}: {headline(result)}')}{notes_html(result.notes)}"
            f"{sentences_html(facts(result))}{side_by_side_html(''.join(parts), gap=24)}</div>")


def confusion_html(result: MaskAnswers) -> str:
    """Shares of a true class's pixels: rows what they are, columns what was said."""
    matrix = result.confusion
    seen = [i for i in range(len(matrix)) if matrix[i].any() or matrix[:, i].any()]
    if not seen or len(seen) > TABLE:
        return ""
    head = "".join(f"<th scope='col' style='padding:4px;font-weight:normal'>{escape(result.classes[i])}</th>"
                   for i in seen)
    rows = []
    for i in seen:
        total = int(matrix[i].sum())
        cells = "".join(
            "<td style='text-align:right;padding:4px;"
            f"background:rgba({RIGHT if i == j else WRONG},{0.6 * matrix[i, j] / max(total, 1):.2f})'>"
            f"{share(matrix[i, j] / total) if total else '–'}</td>" for j in seen)
        rows.append(f"<tr>{name_html(result.classes[i])}{cells}</tr>")
    return plain_table(f"<td></td>{head}", "".join(rows),
                       caption="Rows are what pixels are, columns what was said")


# --- pictures -----------------------------------------------------------------------------------------------


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """bool [H, W]: pixels of a mask that have another class beside or below them, `width` pixels wide."""
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    for _ in range(width - 1):
        wider = edge.copy()
        wider[:, 1:] |= edge[:, :-1]
        wider[1:] |= edge[:-1]
        edge = wider
    return edge


def drawn(result: MaskAnswers, index: int) -> Image.Image:
    """A photo with what was said in colours, and the outline of what is there in white."""
    assert result.data is not None  # asked by whoever calls
    photo, truth = result.data[index]
    assert isinstance(truth, np.ndarray)
    said = result.masks[index]
    first = 1 if result.classes[0].casefold() == "background" else 0
    colours = {k: colour_of(k + 1 - first) for k in np.unique(said).tolist() if k >= first}
    pixels = np.array(tinted(photo, said, colours, 0.5))
    unit = max(1, round(max(photo.size) / 250))
    pixels[outline(np.where(truth == IGNORED, 0, truth), unit)] = 255
    return Image.fromarray(pixels)


def plot_classes(result: MaskAnswers) -> Chart:
    """The IoU of each class as bars, the lowest first."""
    known = [(name, one.iou) for name, one in result.per_class.items() if not math.isnan(one.iou)]
    rows = sorted(known, key=lambda row: row[1])[:BARS][::-1]
    chart = Chart(6.0, max(1.5, 0.3 * len(rows) + 1))
    axes = chart.add_subplot()
    axes.barh([literal(name) for name, _ in rows], [iou for _, iou in rows], color="#4a8fd9")
    axes.set(xlim=(0, 1), xlabel="IoU")
    return chart
