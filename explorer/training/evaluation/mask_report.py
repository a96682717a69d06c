"""A `MaskEvaluation` for people: as text, as plain HTML without script, and as a chart to keep."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from explorer.data.places.place_set import IGNORED
from explorer.display import words
from explorer.display.html import BLUE, bar_html, cell_html, cells_html, name_html, table_html
from explorer.inspection.segment.colours import colour_of, tinted
from explorer.training.evaluation.charts import Chart, literal
from explorer.training.evaluation.mask_answers import MaskAnswers
from explorer.training.evaluation.place_figures import PhotoOfMasks
from explorer.training.evaluation.place_report import (
    few_of,
    matrix_html,
    page,
    photos_html,
    share,
    text,
    weakest,
)
from explorer.training.evaluation.report import PHOTOS, pace_of

BARS = 30
HEAD = ("class", "IoU", "Dice", "precision", "recall", "pixels")


def headline(result: MaskAnswers) -> str:
    """The figures that stand for all."""
    return (f"{words.counted(len(result), 'photo')}, mIoU {share(result.miou)}, Dice {share(result.dice)}, "
            f"pixel accuracy {share(result.accuracy)}")


def facts(result: MaskAnswers) -> list[str]:
    """Sentences on what the figures say, and what they took."""
    bare = [name for name, one in result.per_class.items() if not one.pixels]
    found = [f"{words.counted(len(bare), 'class', 'es')} without a pixel in these photos, such as {bare[0]}: "
             "in the means where something was taken for it."] if bare else []
    return [*found, *pace_of(result.throughput)]


def _shown(result: MaskAnswers) -> list[str]:
    """The classes of the table: of many those that occur and have the lowest IoU."""
    found = result.per_class
    return weakest([*found], {name: one.iou if one.pixels else math.nan for name, one in found.items()})


def _figures(result: MaskAnswers, name: str) -> list[str]:
    one = result.per_class[name]
    return [share(one.iou), share(one.dice), share(one.precision), share(one.recall), f"{one.pixels:,}"]


def _said(row: PhotoOfMasks) -> str:
    return f"mean IoU {share(row.iou)}, {share(row.accuracy)} of its pixels right"


def as_text(result: MaskAnswers) -> str:
    """What a terminal shows."""
    classes = [HEAD, *((name, *_figures(result, name)) for name in _shown(result))]
    photos = [("worst photos", "mean IoU", "pixels right"),
              *((row.name, share(row.iou), share(row.accuracy)) for row in result.worst[:PHOTOS])]
    return text(result, headline(result), facts(result), classes, photos)


def as_html(result: MaskAnswers) -> str:
    shown = _shown(result)
    bars = {name: cell_html(bar_html(result.per_class[name].iou), style="width:6em") for name in shown}
    rows = "".join(f"<tr>{name_html(name)}{bars[name]}{cells_html(_figures(result, name))}</tr>"
                   for name in shown)
    caption = f"Class by class{few_of(shown, len(result.per_class))}"
    parts = [table_html((HEAD[0], "", *HEAD[1:]), rows, caption=caption, left=2), confusion_html(result)]
    picture_of = None if result.data is None else lambda index: drawn(result, index)
    photos = photos_html("The worst photos (white: the true outline)",
                         [row for row in result.worst if row.index in result.masks], _said, picture_of)
    return page(result, headline(result), facts(result), parts, photos)


def confusion_html(result: MaskAnswers) -> str:
    """Shares of a true class's pixels: rows what they are, columns what was said."""
    return matrix_html(result.classes, result.confusion, "Rows are what pixels are, columns what was said",
                       lambda count, total: share(count / total) if total else "–")


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
    axes.barh([literal(name) for name, _ in rows], [iou for _, iou in rows], color=BLUE)
    axes.set(xlim=(0, 1), xlabel="IoU")
    return chart
