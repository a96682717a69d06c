"""An `Evaluation` for people: as text, and as plain HTML without script. Its charts are in `charts`.

The HTML takes its text colour from the page and shades cells with see-through colours, so it is right on
light and on dark pages. Shades and bars only repeat what stands there as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

from explorer.data.images import ImageError
from explorer.display import draw, words
from explorer.display.html import (
    cell_html,
    cells_html,
    name_html,
    notes_html,
    picture_html,
    plain_table,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.training.evaluation.class_answers import ClassAnswers
from explorer.training.evaluation.figures import Confused, JudgedPhoto, Throughput
from explorer.training.evaluation.number_answers import EstimatedPhoto, NumberAnswers

TABLE = 25  # classes up to which the confusion matrix is a table; a larger one is a picture
ROWS = 25  # classes in a table of figures: the weakest, where there are more
PAIRS, PHOTOS = 10, 8  # confused pairs and worst photos that are shown
RIGHT, WRONG = "74,143,217", "222,122,40"  # blue and orange, which colour-blind people can tell apart


class Named(Protocol):
    """An evaluation of whatever kind."""

    model_name: str
    data_name: str


def percent(share: float | None) -> str:
    """A share in words; a dash for what is not defined."""
    return words.percent(share, missing="–")


def named(result: Named) -> str:
    """Which model, on which photos; a run is often named after its data already."""
    inside = result.data_name in result.model_name
    return result.model_name if inside else f"{result.model_name} on {result.data_name}"


def headline(result: ClassAnswers) -> str:
    """The figures that stand for all: how many photos, how many right, how sure."""
    parts = [words.counted(len(result), "photo")]
    if result.multi_label:
        parts += [f"all classes right {percent(result.exact_match)}",
                  f"mean average precision {percent(result.mean_average_precision)}"]
    else:
        parts.append(f"top-1 {percent(result.top1)}")
        if result.topk > 1 and (among := result.top(result.topk)) is not None:
            parts.append(f"top-{result.topk} {percent(among)}")
    return ", ".join([*parts, f"loss {result.loss:.3f}"])


def facts(result: ClassAnswers) -> list[str]:
    """Sentences on how far the figures can be trusted, and what they took."""
    found = []
    if result.top1_interval is not None:
        low, high = result.top1_interval
        found.append(f"{len(result)} photos: with ever more photos like these, top-1 would likely (95 %) "
                     f"settle between {percent(low)} and {percent(high)}.")
    found.append(f"Each class counted alike: {percent(result.balanced)}. Calibration error (ECE): "
                 f"{percent(result.calibration.error)}.")
    if result.tta:
        found.append("Each photo and its mirror image, averaged.")
    return [*found, *pace_of(result.throughput)]


def pace_of(pace: Throughput | None) -> list[str]:
    """How fast it was, in a sentence; none where nobody measured."""
    if pace is None:
        return []
    share = percent(pace.forward_seconds / pace.seconds)
    threads = f"threads: {pace.torch_threads} of torch, {pace.open_threads} that open photos"
    return [f"{pace.photos_per_second:.1f} photos a second on {pace.device} ({share} of the time in "
            f"the network; {threads})."]


def weakest(result: ClassAnswers) -> list[str]:
    """The classes in their order; of many those with the smallest F1."""
    names = list(result.per_class)
    if len(names) <= ROWS:
        return names
    known = [name for name in names if result.per_class[name].support]
    return sorted(known, key=lambda name: result.per_class[name].f1)[:ROWS]


def _figures(result: ClassAnswers, name: str) -> list[str]:
    one = result.per_class[name]
    area = f"{result.roc[name].area:.3f}" if name in result.roc else "–"
    return [percent(one.precision), percent(one.recall), percent(one.f1), area, str(one.support)]


FIGURES = ("precision", "recall", "F1", "ROC area", "photos")


# --- text ---------------------------------------------------------------------------------------------------


def as_text(result: ClassAnswers) -> str:
    """What a terminal shows."""
    lines = [f"{named(result)}: {headline(result)}", *facts(result), ""]
    shown = weakest(result)
    if len(shown) < len(result.per_class):
        lines.append(f"The {len(shown)} weakest of {len(result.per_class)} classes:")
    lines += columns([("class", *FIGURES), *((name, *_figures(result, name)) for name in shown)], left={0})
    if result.most_confused:
        rows = [(pair.true, pair.predicted, str(pair.count), percent(pair.share))
                for pair in result.most_confused[:PAIRS]]
        head = ("taken for another class", "namely", "photos", "of that class")
        lines += ["", *columns([head, *rows], left={0, 1})]
    wrong = [row for row in result.worst if not row.right][:PHOTOS]
    if wrong:
        rows = [(row.name, row.true, row.predicted, percent(row.probability), f"{row.loss:.2f}")
                for row in wrong]
        head = ("worst photos", "are", "taken for", "with", "loss")
        lines += ["", *columns([head, *rows], left={0, 1, 2})]
    return "\n".join(lines)


def columns(rows: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


# --- HTML ---------------------------------------------------------------------------------------------------


def as_html(result: ClassAnswers) -> str:
    title = title_html(f"{named(result)}: {headline(result)}")
    parts = [per_class_html(result)]
    if not result.multi_label:
        parts += [confusion_html(result), confused_html(result.most_confused)]
    parts += [reliability_html(result), worst_html(result)]
    return (f"<div>{title}{notes_html(result.notes)}{sentences_html(facts(result))}"
            f"{side_by_side_html(''.join(parts), gap=24)}</div>")


def per_class_html(result: ClassAnswers) -> str:
    shown = weakest(result)
    every = len(result.per_class)
    few = f", the {len(shown)} weakest of {every}" if len(shown) < every else ""
    rows = [row_html(name, _figures(result, name)) for name in shown]
    return table_html(("class", *FIGURES), "".join(rows), caption=f"Class by class{few}", left=1)


def confusion_html(result: ClassAnswers) -> str:
    """Rows are true classes, columns what they were taken for: a table, or for many classes a picture."""
    matrix, totals = result.confusion.tolist(), result.confusion.sum(1).tolist()
    if len(matrix) > TABLE:
        shares = result.confusion / result.confusion.sum(1, keepdim=True).clamp(min=1)
        picture = draw.palette_mosaic(shares[None], cell=max(400, len(matrix)))
        text = f"{len(matrix)} classes: rows are true, columns what they were taken for; brighter is more"
        return picture_html(picture, text, style="image-rendering:pixelated")
    upright = "writing-mode:vertical-rl;transform:rotate(180deg)"
    head = "".join("<th scope='col' style='padding:4px;vertical-align:bottom;font-weight:normal'>"
                   f"<span style='{upright}'>{escape(name)}</span></th>" for name in result.classes)
    rows = []
    for i, (name, counts) in enumerate(zip(result.classes, matrix)):
        cells = "".join(
            "<td style='text-align:center;min-width:2em;padding:4px;"
            f"background:rgba({RIGHT if i == j else WRONG},{0.6 * count / max(totals[i], 1):.2f})'>"
            f"{count or '·'}</td>" for j, count in enumerate(counts))
        rows.append(f"<tr>{name_html(name)}{cells}</tr>")
    return plain_table(f"<td></td>{head}", "".join(rows), caption="Rows are true, columns what they were "
                                                                  "taken for")


def confused_html(pairs: Sequence[Confused]) -> str:
    rows = "".join(row_html(pair.true, (pair.predicted, str(pair.count), percent(pair.share)), left=1)
                   for pair in pairs[:PAIRS])
    head = ("true", "taken for", "photos", "of that class")
    return table_html(head, rows, caption="Most often confused", left=2) if rows else ""


def reliability_html(result: ClassAnswers) -> str:
    """Bars: how many answers with that confidence are right; the line in each is the confidence itself."""
    rows = []
    for one in result.calibration.bins:
        if not one.count:
            continue
        bar = ("<div style='position:relative;width:10em;height:.9em;border:1px solid rgba(128,128,128,.5)'>"
               f"<div style='width:{100 * one.right:.1f}%;height:100%;background:rgb({RIGHT})'></div>"
               f"<div style='position:absolute;top:0;left:{100 * one.confidence:.1f}%;width:2px;height:100%;"
               f"background:rgb({WRONG})'></div></div>")
        name = name_html(f"{100 * one.low:.0f} to {100 * one.high:.0f} %")
        figures = cells_html((percent(one.right), percent(one.confidence), str(one.count)))
        rows.append(f"<tr>{name}{cell_html(bar)}{figures}</tr>")
    return table_html(("sure", "", "right", "mean confidence", "answers"), "".join(rows), left=2,
                      caption="Is it as sure as it is right? (bar: right, line: sure)")


def worst_html(result: ClassAnswers) -> str:
    figures = "".join(_photo_html(result, row) for row in result.worst[:PHOTOS])
    return (f"<div><p style='margin:.3em 0;font-weight:bold'>The highest losses</p>"
            f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{figures}</div></div>")


def _photo_html(result: ClassAnswers, row: JudgedPhoto) -> str:
    answer = f"is {row.true}, taken for {row.predicted} ({percent(row.probability)})" if not row.right else \
        f"is {row.true}, and taken for it ({percent(row.probability)})"
    return photo_figure(result, row, f"{answer}, loss {row.loss:.2f}")


def photo_figure(result: ClassAnswers | NumberAnswers, row: JudgedPhoto | EstimatedPhoto, said: str) -> str:
    """A judged photo, small, with its name and what is said about it below it."""
    picture = ""
    if result.data is not None:
        try:
            small = draw.data_uri(draw.thumbnail(result.open_photo(row), 112), format="JPEG")
            picture = f"<img alt='{escape(row.name)}' style='max-width:100%' src='{small}'>"
        except ImageError:  # moved since; its name is still there
            pass
    return (f"<figure style='margin:0;width:9em;font-size:.85em;overflow-wrap:anywhere'>{picture}"
            f"<figcaption>{escape(row.name)}: {escape(said)}</figcaption></figure>")
