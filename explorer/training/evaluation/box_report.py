"""A `DetectionEvaluation` for people: as text, as plain HTML without script, and as a chart to keep."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from html import escape

from PIL import Image, ImageDraw

from explorer.data.images import ImageError
from explorer.display import draw, words
from explorer.display.html import (
    notes_html,
    plain_table,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.inspection.detect.drawing import draw_boxes
from explorer.training.evaluation.box_answers import BoxAnswers
from explorer.training.evaluation.charts import Chart, literal
from explorer.training.evaluation.place_figures import PhotoOfBoxes, PhotoOfMasks
from explorer.training.evaluation.report import (
    PHOTOS,
    RIGHT,
    ROWS,
    TABLE,
    WRONG,
    columns,
    named,
    pace_of,
    percent,
)

CURVES = 10  # that are drawn
HEAD = ("class", "AP", "AP50", "AP75", "recall", "boxes")


def share(value: float | None) -> str:
    """A share in words; a dash for what is not defined."""
    return percent(None if value is None or math.isnan(value) else value)


def headline(result: BoxAnswers) -> str:
    """The figures that stand for all."""
    return (f"{words.counted(len(result), 'photo')}, mAP {share(result.map)}, AP50 {share(result.ap50)}, "
            f"AP75 {share(result.ap75)}")


def facts(result: BoxAnswers) -> list[str]:
    """Sentences on what the figures say, and what they took."""
    sizes = ", ".join(f"{name} {share(value)}" for name, value in result.per_size.items())
    found = [f"By size of the box (below 32 x 32 pixels, below 96 x 96, above): {sizes}.",
             f"The confusion matrix and the worst photos count boxes with a score of {percent(result.score)} "
             f"and "
             "more, and take a box for a thing's where they overlap by half (IoU 0.5)."]
    bare = [name for name, one in result.per_class.items() if not one.boxes]
    if bare:
        found.append(f"{words.counted(len(bare), 'class', 'es')} without any box in these photos, such as "
                     f"{bare[0]}: they are in no mean.")
    return [*found, *pace_of(result.throughput)]


def weakest(result: BoxAnswers) -> list[str]:
    """The classes in their order; of many those with boxes and the lowest AP."""
    names = list(result.classes)
    if len(names) <= ROWS:
        return names
    known = [name for name in names if result.per_class[name].boxes]
    return sorted(known, key=lambda name: result.per_class[name].ap)[:ROWS]


def _figures(result: BoxAnswers, name: str) -> list[str]:
    one = result.per_class[name]
    return [share(one.ap), share(one.ap50), share(one.ap75), share(one.recall), f"{one.boxes:,}"]


def _said(row: PhotoOfBoxes) -> str:
    return f"{row.right} right, {row.confused} of another class, {row.missed} missed, {row.invented} invented"


def as_text(result: BoxAnswers) -> str:
    """What a terminal shows."""
    lines = [f"{named(result)}: {headline(result)}", *facts(result), ""]
    lines += columns([HEAD, *((name, *_figures(result, name)) for name in weakest(result))], left={0})
    rows = [(row.name, *map(str, (row.right, row.confused, row.missed, row.invented)))
            for row in result.worst[:PHOTOS]]
    head = ("worst photos", "right", "of another class", "missed", "invented")
    return "\n".join([*lines, "", *columns([head, *rows], left={0})])


# --- HTML ---------------------------------------------------------------------------------------------------


def as_html(result: BoxAnswers) -> str:
    shown = weakest(result)
    few = f", the {len(shown)} weakest of {len(result.classes)}" if len(shown) < len(result.classes) else ""
    rows = "".join(row_html(name, _figures(result, name)) for name in shown)
    parts = [table_html(HEAD, rows, caption=f"Class by class{few}", left=1), confusion_html(result)]
    if any(one.boxes for one in result.per_class.values()):
        picture = base64.b64encode(plot_curves(result, None, 0.5)._repr_png_()).decode("ascii")
        parts.append("<img alt='Precision against recall at IoU 0.5' style='max-width:100%' "
                     f"src='data:image/png;base64,{picture}'>")
    picture_of = None if result.data is None else lambda index: drawn(result, index)
    photos = "".join(photo_html(row, _said(row), picture_of) for row in result.worst[:PHOTOS])
    parts.append(f"<div>{title_html('The worst photos (dashed: what is there)')}"
                 f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{photos}</div></div>")
    return (f"<div>{title_html(f'{named(result)}: {headline(result)}')}{notes_html(result.notes)}"
            f"{sentences_html(facts(result))}{side_by_side_html(''.join(parts), gap=24)}</div>")


def confusion_html(result: BoxAnswers) -> str:
    """Rows are what things are, columns what was said; without the classes that nobody has or said."""
    matrix = result.confusion
    seen = [i for i in range(len(matrix)) if matrix[i].any() or matrix[:, i].any()]
    if not seen or len(seen) > TABLE:
        return ""
    names = [*result.classes, "background"]
    head = "".join("<th scope='col' style='padding:4px;font-weight:normal'>"
                   f"{escape(names[i])}</th>" for i in seen)
    rows = []
    for i in seen:
        total = max(int(matrix[i].sum()), 1)
        cells = "".join(
            "<td style='text-align:center;min-width:2em;padding:4px;"
            f"background:rgba({RIGHT if i == j else WRONG},{0.6 * matrix[i, j] / total:.2f})'>"
            f"{matrix[i, j] or '·'}</td>" for j in seen)
        rows.append(f"<tr><th scope='row' style='text-align:left;font-weight:normal;padding:2px 8px'>"
                    f"{escape(names[i])}</th>{cells}</tr>")
    return plain_table(f"<td></td>{head}", "".join(rows), caption="Rows are what is there, columns what was "
                       "said; background: nothing")


def photo_html(row: PhotoOfBoxes | PhotoOfMasks, said: str,
               picture_of: Callable[[int], Image.Image] | None) -> str:
    """A judged photo, small, with what was found in it, its name and what is said about it below it."""
    picture = ""
    if picture_of is not None:
        try:
            small = draw.data_uri(draw.thumbnail(picture_of(row.index), 160), format="JPEG")
            picture = f"<img alt='{escape(row.name)}' style='max-width:100%' src='{small}'>"
        except ImageError:  # moved since; its name is still there
            pass
    return (f"<figure style='margin:0;width:11em;font-size:.85em;overflow-wrap:anywhere'>{picture}"
            f"<figcaption>{escape(row.name)}: {escape(said)}</figcaption></figure>")


# --- pictures -----------------------------------------------------------------------------------------------


def drawn(result: BoxAnswers, index: int) -> Image.Image:
    """A photo with what was found in colours, and what is there dashed in white."""
    found = result.found[index].above(result.score)
    labels = found.labels.tolist()
    captions = [f"{result.classes[label]} {percent(float(score))}"
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
