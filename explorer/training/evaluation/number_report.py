"""A `NumberEvaluation` for people: as text, as plain HTML without script, and as a chart to keep."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explorer.display.html import (
    BLUE,
    notes_html,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import counted, number_text
from explorer.training.evaluation.charts import Chart, literal
from explorer.training.evaluation.number_answers import EstimatedPhoto, NumberAnswers
from explorer.training.evaluation.report import PHOTOS, ROWS, columns, named, pace_of, photo_figure

CHARTS = 9  # numbers that are drawn
HEAD = ("number", "MAE", "RMSE", "R²", "bias", "MAE of guessing the mean")


def r2_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def headline(result: NumberAnswers) -> str:
    """The figures that stand for all."""
    return (f"{counted(len(result), 'photo')}, MAE {number_text(result.mae)}, RMSE "
            f"{number_text(result.rmse)}, R² {r2_text(result.r2)}")


def facts(result: NumberAnswers) -> list[str]:
    """Sentences on what the figures say, and what they took."""
    if len(result.numbers) == 1:
        name, one = result.numbers[0], result.per_number[result.numbers[0]]
        found = [f"{name}: off by {number_text(one.mae)} on average. Guessing the mean of these photos every "
                 f"time would be off by {number_text(one.guess)}."]
    else:
        found = [f"Figures over all are means over the {len(result.numbers)} numbers, each in its own unit."]
    if result.tta:
        found.append("Each photo and its mirror image, averaged.")
    return [*found, *pace_of(result.throughput)]


def weakest(result: NumberAnswers) -> list[str]:
    """The numbers in their order; of many those with the lowest R²."""
    names = list(result.numbers)
    return names if len(names) <= ROWS else by_r2(result)[:ROWS]


def by_r2(result: NumberAnswers) -> list[str]:
    def key(name: str) -> float:
        r2 = result.per_number[name].r2
        return math.inf if r2 is None else r2

    return sorted(result.numbers, key=key)


def _figures(result: NumberAnswers, name: str) -> list[str]:
    one = result.per_number[name]
    return [number_text(one.mae), number_text(one.rmse), r2_text(one.r2), number_text(one.bias),
            number_text(one.guess)]


def furthest(result: NumberAnswers, row: EstimatedPhoto) -> int:
    """The index of the number that is furthest off for a photo, in standard deviations where known."""
    spread = [result.scale[i] if result.scale else 1.0 for i in range(len(result.numbers))]
    return max(range(len(row.true)), key=lambda i: abs(row.true[i] - row.predicted[i]) / (spread[i] or 1.0))


def _values(result: NumberAnswers, row: EstimatedPhoto) -> tuple[str, str]:
    """(what is true, what was said): the number, or of several the one that is furthest off, by name."""
    if len(result.numbers) == 1:
        return number_text(row.true[0]), number_text(row.predicted[0])
    i = furthest(result, row)
    return f"{result.numbers[i]} {number_text(row.true[i])}", number_text(row.predicted[i])


# --- text ---------------------------------------------------------------------------------------------------


def as_text(result: NumberAnswers) -> str:
    """What a terminal shows."""
    lines = [f"{named(result)}: {headline(result)}", *facts(result), ""]
    shown = weakest(result)
    if len(shown) < len(result.numbers):
        lines.append(f"The {len(shown)} weakest of {len(result.numbers)} numbers:")
    lines += columns([HEAD, *((name, *_figures(result, name)) for name in shown)], left={0})
    rows = [(row.name, *_values(result, row), f"{row.error:.2f}") for row in result.worst[:PHOTOS]]
    head = ("worst photos", "true", "said", "off by so many deviations")
    return "\n".join([*lines, "", *columns([head, *rows], left={0})])


# --- HTML ---------------------------------------------------------------------------------------------------


def as_html(result: NumberAnswers) -> str:
    shown = weakest(result)
    few = f", the {len(shown)} weakest of {len(result.numbers)}" if len(shown) < len(result.numbers) else ""
    figures = table_html(HEAD, "".join(row_html(name, _figures(result, name)) for name in shown),
                         caption=f"Number by number{few}", left=1)
    picture = base64.b64encode(plot(result)._repr_png_()).decode("ascii")
    words = escape(f"Predicted against true: {headline(result)}")
    chart = f"<img alt='{words}' style='max-width:100%' src='data:image/png;base64,{picture}'>"
    worst = "".join(photo_figure(result, row, _words(result, row)) for row in result.worst[:PHOTOS])
    furthest_off = (f"<div>{title_html('Furthest off')}"
                    f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{worst}</div></div>")
    return (f"<div>{title_html(f'{named(result)}: {headline(result)}')}{notes_html(result.notes)}"
            f"{sentences_html(facts(result))}"
            f"{side_by_side_html(f'{figures}{chart}{furthest_off}', gap=24)}</div>")


def _words(result: NumberAnswers, row: EstimatedPhoto) -> str:
    true, said = _values(result, row)
    return f"is {true}, said {said}, off by {row.error:.2f} standard deviations"


# --- chart --------------------------------------------------------------------------------------------------


def plot(result: NumberAnswers, numbers: Sequence[str] | None = None) -> Figure:
    """Predicted against true, a chart a number. Raises ValueError for a number that is not there."""
    if numbers is None:
        chosen = list(result.numbers) if len(result.numbers) <= CHARTS else by_r2(result)[:CHARTS]
    else:
        chosen = [numbers] if isinstance(numbers, str) else list(numbers)
        strange = next((name for name in chosen if name not in result.numbers), None)
        if strange is not None or not chosen:
            raise ValueError(f"There is no number {strange!r}: there are {', '.join(result.numbers[:10])}.")
    across = min(len(chosen), 3)
    down = -(-len(chosen) // across)
    chart = Chart(4.5 * across, 4.5 * down)
    places = chart.subplots(down, across, squeeze=False).flatten()
    for axes in places[len(chosen):]:
        axes.remove()
    for axes, name in zip(places, chosen):
        draw_number(axes, result, name)
    return chart


def draw_number(axes: Axes, result: NumberAnswers, name: str) -> None:
    i = result.numbers.index(name)
    true, said = result.truth[:, i].tolist(), result.predicted[:, i].tolist()
    low, high = min(true + said), max(true + said)
    room = 0.05 * (high - low) or 1.0
    ends = (low - room, high + room)
    axes.plot(ends, ends, color="grey", linestyle="--", label="right")
    axes.plot(true, said, "o", color=BLUE, markersize=4, alpha=0.7)
    worst = [row.index for row in result.worst[:PHOTOS]]
    axes.plot([true[k] for k in worst], [said[k] for k in worst], "o", color="#de7a28", markersize=5,
              label="furthest off")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel(f"true {literal(name)}")
    axes.set_ylabel(f"predicted {literal(name)}")
    one = result.per_number[name]
    axes.set_title(f"MAE {number_text(one.mae)}, R² {r2_text(one.r2)}")
    axes.legend(fontsize="small")
