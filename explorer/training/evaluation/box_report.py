"""A `DetectionEvaluation` for people: as text, as plain HTML without script, and as a chart to keep."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from explorer.display import words
from explorer.display.html import row_html, table_html
from explorer.inspection.detect.drawing import draw_boxes
from explorer.training.evaluation.box_answers import BoxAnswers
from explorer.training.evaluation.charts import Chart, literal
from explorer.training.evaluation.place_figures import PhotoOfBoxes
from explorer.training.evaluation.place_report import (
    few_of,
    matrix_html,
    page,
    photos_html,
    share,
    text,
    weakest,
)
from explorer.training.evaluation.report import PHOTOS, pace_of, percent

CURVES = 10  # that are drawn
HEAD = ("class", "AP", "AP50", "AP75", "recall", "boxes")


def headline(result: BoxAnswers) -> str:
    """The figures that stand for all."""
    return (f"{words.counted(len(result), 'photo')}, mAP {share(result.map)}, AP50 {share(result.ap50)}, "
            f"AP75 {share(result.ap75)}"
            + ("" if result.mask_map is None else f", mask mAP {share(result.mask_map)}"))


def facts(result: BoxAnswers) -> list[str]:
    """Sentences on what the figures say, and what they took."""
    sizes = ", ".join(f"{name} {share(value)}" for name, value in result.per_size.items())
    found = [f"By size of the box (below 32 x 32 pixels, below 96 x 96, above): {sizes}."]
    if result.mask_map is not None:
        found.append(f"Of the masks in the boxes: mAP {share(result.mask_map)}, AP50 "
                     f"{share(result.mask_ap50)}, AP75 {share(result.mask_ap75)}.")
    return [*found, *above_score(result), *without_boxes(result), *pace_of(result.throughput)]


def above_score(result: BoxAnswers) -> list[str]:
    """Sentences on the boxes that count from a score on."""
    return [f"Boxes with a score of {percent(result.score)} and more: precision {share(result.precision)}, "
            f"recall {share(result.recall)}, F1 {share(result.f1)}.",
            f"The confusion matrix and the worst photos count boxes with a score of {percent(result.score)} "
            "and more, and take a box for a thing's where they overlap by half (IoU 0.5)."]


def without_boxes(result: BoxAnswers) -> list[str]:
    """A sentence on the classes that these photos do not have."""
    bare = [name for name, one in result.per_class.items() if not one.boxes]
    return [f"{words.counted(len(bare), 'class', 'es')} without any box in these photos, such as {bare[0]}: "
            "they are in no mean."] if bare else []


def _shown(result: BoxAnswers) -> list[str]:
    """The classes of the table: of many those with the lowest AP."""
    return weakest(result.classes, {name: one.ap for name, one in result.per_class.items()})


def _head(result: BoxAnswers) -> tuple[str, ...]:
    return HEAD if result.mask_averages is None else (*HEAD[:4], "mask AP", *HEAD[4:])


def _figures(result: BoxAnswers, name: str) -> list[str]:
    one = result.per_class[name]
    masks = [] if result.mask_averages is None else [share(one.mask_ap)]
    return [share(one.ap), share(one.ap50), share(one.ap75), *masks, share(one.recall), f"{one.boxes:,}"]


def _said(row: PhotoOfBoxes) -> str:
    return f"{row.right} right, {row.confused} of another class, {row.missed} missed, {row.invented} invented"


def as_text(result: BoxAnswers) -> str:
    """What a terminal shows."""
    rows = [(row.name, *map(str, (row.right, row.confused, row.missed, row.invented)))
            for row in result.worst[:PHOTOS]]
    classes = [_head(result), *((name, *_figures(result, name)) for name in _shown(result))]
    photos = [("worst photos", "right", "of another class", "missed", "invented"), *rows]
    return text(result, headline(result), facts(result), classes, photos)


def as_html(result: BoxAnswers) -> str:
    shown = _shown(result)
    rows = "".join(row_html(name, _figures(result, name)) for name in shown)
    caption = f"Class by class{few_of(shown, len(result.classes))}"
    parts = [table_html(_head(result), rows, caption=caption, left=1), confusion_html(result)]
    if any(one.boxes for one in result.per_class.values()):
        picture = base64.b64encode(plot_curves(result, None, 0.5)._repr_png_()).decode("ascii")
        parts.append("<img alt='Precision against recall at IoU 0.5' style='max-width:100%' "
                     f"src='data:image/png;base64,{picture}'>")
    picture_of = None if result.data is None else lambda index: drawn(result, index)
    photos = photos_html("The worst photos (dashed: what is there)", result.worst, _said, picture_of)
    return page(result, headline(result), facts(result), parts, photos)


def confusion_html(result: BoxAnswers) -> str:
    """Rows are what things are, columns what was said; without the classes that nobody has or said."""
    return matrix_html(result.cells, result.confusion, "Rows are what is there, columns "
                       "what was said; background: nothing", lambda count, _: str(count or "·"))


# --- pictures -----------------------------------------------------------------------------------------------


def drawn(result: BoxAnswers, index: int, *, names: bool = True) -> Image.Image:
    """A photo with what was found in colours, with or without names, and what is there dashed in white."""
    found = result.found[index].above(result.score)
    labels = found.labels.tolist()
    captions = [f"{result.classes[label]} {percent(float(score))}" if names else ""
                for label, score in zip(labels, found.scores)]
    picture = draw_boxes(result.open_photo(index).convert("RGB"), found.boxes, captions, labels)
    pen = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 400))
    for left, top, right, bottom in result.truth[index].boxes.tolist():
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        for start, end in zip(corners, corners[1:]):
            _dashed(pen, start, end, unit)
    return picture


def _dashed(pen: ImageDraw.ImageDraw, start: Sequence[float], end: Sequence[float], unit: int) -> None:
    length = math.dist(start, end)
    for step in range(0, math.ceil(length), 8 * unit):
        ends = [[a + (b - a) * at / length for a, b in zip(start, end)]
                for at in (step, min(step + 4 * unit, length))]
        pen.line([tuple(point) for point in ends], fill="white", width=unit)


def plot_curves(result: BoxAnswers, classes: Sequence[str] | None, iou: float) -> Chart:
    """Precision against recall. Raises ValueError for a class that there is not, or has no box."""
    if classes is None:
        known = [name for name, one in result.per_class.items() if one.boxes]
        chosen = sorted(known, key=lambda name: result.per_class[name].ap)[:CURVES]
    else:
        chosen = [classes] if isinstance(classes, str) else list(classes)
    curves = {name: result.curve(name, iou) for name in chosen}
    chart = Chart(5.5, 4.5)
    axes = chart.add_subplot()
    for name, one in curves.items():
        axes.plot(one.recall, one.precision, label=f"{literal(name)} ({one.area:.2f})")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall: of the things that are there, how many are found",
             ylabel="precision: of the boxes, how many are right", title=f"IoU {iou:g}, in brackets: AP")
    if curves:
        axes.legend(fontsize="small")
    return chart
