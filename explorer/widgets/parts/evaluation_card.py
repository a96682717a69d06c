"""What an evaluation says, as HTML, rows and small photos' captions: plain functions, no widget."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.display.words import counted
from explorer.widgets.parts.judged_photos import Answer

if TYPE_CHECKING:
    from explorer.training.evaluation.evaluation import Evaluation
    from explorer.training.evaluation.figures import JudgedPhoto
    from explorer.training.evaluation.number_answers import EstimatedPhoto
    from explorer.training.evaluation.numbers import NumberEvaluation
    from explorer.training.evaluation.place_evaluation import PlaceEvaluation

    AnyEvaluation = Evaluation | NumberEvaluation | PlaceEvaluation

WORST = 12        # photos
MOST_AREAS = 60   # classes up to which the area under each ROC curve is worked out for the table
FEW = 10          # photos of a class
INK = "#010203"   # stands for the page's text colour in a chart
PAPER = "#fefdfc"  # for its background


def headline_html(result: Evaluation) -> str:
    """The figures that stand for all, and what they are worth."""
    from explorer.training.evaluation.report import facts, percent

    if result.multi_label:
        tiles = [("all classes right", percent(result.exact_match)),
                 ("mean average precision", percent(result.mean_average_precision))]
    else:
        tiles = [("right (top-1)", percent(result.top1))]
        if result.topk > 1 and (among := result.top(result.topk)) is not None:
            tiles.append((f"among the {result.topk} likeliest", percent(among)))
        tiles.append(("each class counted alike", percent(result.balanced)))
    tiles += [("calibration error", percent(result.calibration.error)), ("loss", f"{result.loss:.3f}"),
              ("photos", f"{len(result):,}")]
    # which a tile says
    sentences = [one for one in facts(result) if not one.startswith("Each class counted alike")]
    return head_html(result, tiles, [*sentences, *scarce(result)])


def number_headline_html(result: NumberEvaluation) -> str:
    """As `headline_html`, of numbers: each in its own unit."""
    from explorer.display.words import number_text
    from explorer.training.evaluation.number_report import facts, r2_text

    tiles = [("mean absolute error (MAE)", number_text(result.mae)),
             ("root of the mean squared error (RMSE)", number_text(result.rmse)),
             ("R²: 1 is perfect, 0 like the mean", r2_text(result.r2)), ("photos", f"{len(result):,}")]
    return head_html(result, tiles, facts(result))


def tiles_html(tiles: Sequence[tuple[str, str]]) -> str:
    """Figures in large letters: (what it is, the figure) of each."""
    shown = "".join(f"<div><dd>{escape(value)}</dd><dt>{escape(text)}</dt></div>" for text, value in tiles)
    return f"<dl>{shown}</dl>"


def head_html(result: AnyEvaluation, tiles: Sequence[tuple[str, str]], sentences: Sequence[str]) -> str:
    """Who was judged by what, the figures that stand for all, sentences on them."""
    from explorer.training.evaluation.report import named

    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return (f'<div class="vx-eval-head"><p><b>{escape(named(result))}</b> '
            f'<span class="vx-soft">{escape(judged_part(result))}</span></p>{tiles_html(tiles)}{said}</div>')


def judged_part(result: AnyEvaluation) -> str:
    parts = {"val": "photos held out to judge by",
             "train": "photos it learnt from, which says nothing about new ones"}
    return parts.get(result.split, "")


def scarce(result: Evaluation) -> list[str]:
    """A warning where a class has so few photos that one of them moves its figures by ten points or more."""
    counts = {name: figures.support for name, figures in result.per_class.items() if figures.support}
    few = [name for name, count in counts.items() if count < FEW]
    if not few:
        return []
    least = min(few, key=counts.__getitem__)
    sentences = [f"{least} has {counted(counts[least], 'photo')}: each one moves its recall by "
                 f"{100 / counts[least]:.0f} points."]
    if len(few) > 1:
        more = f"{len(few) - 1} more class{'es have' if len(few) > 2 else ' has'}"
        sentences.append(f"{more} fewer than {FEW} photos.")
    return [" ".join(sentences)]


def notes_html(result: AnyEvaluation) -> str:
    """Notes, and every broken file by name."""
    left_out = {name for name, _ in result.broken}
    notes = [note for note in result.notes if not note.startswith("Left out")]
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    parts = [f'<ul class="vx-run-notes" aria-label="Notes">{items}</ul>'] if items else []
    if left_out:
        files = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in result.broken)
        count = len(result.broken)
        what = "1 photo could not be opened, and is not judged" if count == 1 else \
            f"{count} photos could not be opened, and are not judged"
        opened = " open" * (count <= 5)
        parts.append(f'<details class="vx-note"{opened}><summary>{what}</summary><ul>{files}</ul></details>')
    return "".join(parts)


def class_rows(result: Evaluation) -> tuple[list[tuple[str, str]], list[list[Any]], list[int]]:
    """(columns, rows, the class of each row) of the table:
    all classes with photos, or that were given to some.
    """
    given = result.predicted.long()
    given = (given.sum(0) if result.multi_label else given.bincount(minlength=len(result.classes))).tolist()
    shown = [i for i, name in enumerate(result.classes) if result.per_class[name].support or given[i]]
    areas = len(shown) <= MOST_AREAS
    columns = [("class", "text"), ("precision", "share"), ("recall", "share"), ("F1", "share"),
               *([("ROC area", "number")] if areas else []), ("photos", "count"), ("answers", "count")]
    rows = []
    for i in shown:
        name = result.classes[i]
        one = result.per_class[name]
        area = [result.roc[name].area if name in result.roc else None] if areas else []
        rows.append([name, one.precision, one.recall, one.f1, *area, one.support, given[i]])
    return columns, rows, shown


def number_rows(result: NumberEvaluation) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    """(columns, rows) of the table: a row a number, in its own unit."""
    figures = ("MAE", "RMSE", "R²", "bias", "MAE of guessing the mean")
    columns = [("number", "text"), *((title, "number") for title in figures)]
    rows = [[name, one.mae, one.rmse, one.r2, one.bias, one.guess] for name, one in result.per_number.items()]
    return columns, rows


def csv_text(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> str:
    from explorer.data.tables import safe_cell

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([title for title, _ in columns])
    for row in rows:
        writer.writerow(["" if value is None or value != value else safe_cell(value) for value in row])
    return file.getvalue()


def cell_photos(result: Evaluation, true: Sequence[int] | None,
                predicted: Sequence[int] | None) -> list[JudgedPhoto]:
    """The photos of a cell, or of several classes at once (None: of all), highest loss first."""
    if all(part is None or len(part) == 1 for part in (true, predicted)):
        return result.photos(*(None if part is None else part[0] for part in (true, predicted)))
    import torch

    kept = torch.ones(len(result), dtype=torch.bool)
    for part, answers in ((true, result.labels), (predicted, result.predicted)):
        if part is not None:
            kept &= torch.isin(answers, torch.tensor(part))
    order = result.losses.argsort(descending=True, stable=True)
    return [result.rows[i] for i in order[kept[order]].tolist()]


def surest_mistakes(result: Evaluation) -> list[JudgedPhoto]:
    """Wrong answers, the surest first, at most 12."""
    order = result.probabilities.amax(1).argsort(descending=True, stable=True)
    wrong = order[(result.predicted != result.labels)[order]]
    return [result.rows[i] for i in wrong[:WORST].tolist()]


def answer_of(row: JudgedPhoto) -> Answer:
    sure = f"{100 * row.probability:.0f} % sure".replace(" ", "\N{NO-BREAK SPACE}")
    return Answer(row.true, row.predicted, sure, row.right, row.name)


def number_answer_of(result: NumberEvaluation, row: EstimatedPhoto) -> Answer:
    """True and predicted value; of several numbers those of the one that is furthest off."""
    from explorer.display.words import number_text
    from explorer.training.evaluation.number_report import furthest

    i = furthest(result, row)
    name = f"{result.numbers[i]} " if len(result.numbers) > 1 else ""
    off = number_text(abs(row.predicted[i] - row.true[i]))
    true = name + number_text(row.true[i])
    return Answer(true, number_text(row.predicted[i]), f"off by {off}", None, row.name)


def number_photo_html(result: NumberEvaluation, row: EstimatedPhoto) -> str:
    """What the model said to one photo: its numbers, at most nine of them."""
    from explorer.display.words import number_text

    said = "; ".join(f"{escape(name)} {number_text(value)}, true {number_text(true)}" for name, value, true in
                     list(zip(result.numbers, row.predicted, row.true))[:9])
    return (f'<div class="vx-eval-one"><b>{escape(row.name)}</b>: {said}. '
            f"Off by {row.error:.2f} standard deviations.</div>")


def photo_html(result: Evaluation, row: JudgedPhoto) -> str:
    """What the model said to one photo: its likeliest classes."""
    from explorer.training.evaluation.report import percent

    shares = result.probabilities[row.index]
    best = shares.topk(min(3, len(shares)))
    said = ", ".join(f"{escape(result.classes[i])} {percent(share)}" for share, i in
                     zip(best.values.tolist(), best.indices.tolist()))
    sign = "right" if row.right else f"taken for {escape(row.predicted)}"
    what = f"<b>{escape(row.name)}</b> is {escape(row.true)}, {sign}"
    return f'<div class="vx-eval-one">{what}. Likeliest: {said}. Loss {row.loss:.2f}.</div>'


def themed_svg(figure: Any, label: str) -> str:
    """A matplotlib figure as SVG whose lines and letters have the page's text colour,
    on the page's background.
    """
    from matplotlib.text import Text

    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(color=INK, labelcolor=INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
        if (legend := axes.get_legend()) is not None:  # below, where no bar or curve is behind it
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, title=legend.get_title().get_text(), loc="outside lower center",
                          ncols=len(labels), frameon=False)
            legend.remove()
    for text in figure.findobj(Text):
        text.set_color(INK)
        if (box := text.get_bbox_patch()) is not None:
            box.set_facecolor(PAPER)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    svg = buffer.getvalue().decode()
    svg = svg[svg.index("<svg"):].replace(INK, "currentColor")
    svg = svg.replace(PAPER, "var(--vx-back)")
    return f'<div class="vx-eval-chart" role="img" aria-label="{escape(label)}">{svg}</div>'


def cell_text(result: Evaluation, true: Sequence[int] | None, predicted: Sequence[int] | None,
              count: int) -> str:
    """What the photos of a cell have in common."""
    def name(part: Sequence[int]) -> str:
        return result.classes[part[0]] if len(part) == 1 else f"{len(part)} other classes"

    what = counted(count, "photo")
    if true is None and predicted is None:
        return f"All {what}."
    if predicted is None:
        return f"{what} of {name(true)}."
    if true is None:
        return f"{what} taken for {name(predicted)}."
    return f"{what} of {name(true)} recognised." if tuple(true) == tuple(predicted) and len(true) == 1 else \
        f"{what} of {name(true)} taken for {name(predicted)}."
