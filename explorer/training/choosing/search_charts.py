"""A search as charts to keep: parallel coordinates, the way to the best, importance of each setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from explorer.display.charts import no_formulas
from explorer.display.html import BLUE, ORANGE
from explorer.display.words import counted
from explorer.training.choosing.trials import Tried, shown
from explorer.training.evaluation.charts import Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TICKS = 12
#: Blue to orange: told apart by all eyes, and to be seen on a white page as on a dark one.
WORSE_TO_BETTER = LinearSegmentedColormap.from_list("worse to better", ("#4a7fd9", "#8f8f99", "#e0852f"))


def plot_parallel(result: Tried) -> Figure:
    trials = [trial for trial in result.trials if trial.value is not None]
    names = [*result.space]
    chart = Chart(max(6, 1.8 * (len(names) + 1)), 5)
    axes = chart.add_subplot()
    if not trials:
        axes.set_title("No trial has a figure yet")
        return chart
    values = np.array([trial.value for trial in trials], dtype=float)
    columns = [_places([trial.settings.get(name) for trial in trials]) for name in names]
    columns.append(_places([float(value) for value in values]))
    norm = Normalize(values.min(), values.max() if values.max() > values.min() else values.min() + 1)
    colours = ScalarMappable(norm, WORSE_TO_BETTER if result.higher else WORSE_TO_BETTER.reversed())
    for i in reversed(range(len(trials))):  # the best on top
        line = [column[0][i] for column in columns]
        axes.plot(range(len(columns)), line, color=colours.to_rgba(values[i]),
                  alpha=0.85 if trials[i].state == "finished" else 0.3,
                  linestyle="-" if trials[i].state == "finished" else ":")
    for x, (_, ticks) in enumerate(columns):
        axes.axvline(x, color="grey", linewidth=0.8)
        for place, label in ticks:
            axes.annotate(label, (x, place), (4, 0), textcoords="offset points", fontsize=8, va="center",
                          bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75})
    axes.set_xticks(range(len(columns)), [*names, result.figure])
    axes.set(yticks=[], xlim=(-0.2, len(columns) - 0.4), ylim=(-0.05, 1.05))
    axes.set_title(f"{counted(len(trials), 'trial')} on {result.data_name}; dotted: given up early")
    chart.colorbar(colours, ax=axes, label=result.figure)
    return no_formulas(chart)


def plot_history(result: Tried) -> Figure:
    chart = Chart(11, 4.5)
    curves, so_far = chart.subplots(1, 2)
    for trial in sorted(result.trials, key=lambda trial: trial.number):
        if trial.history:
            curves.plot(range(1, len(trial.history) + 1), trial.history, marker=".",
                        alpha=1 if trial.number == result.best.number else 0.35)
    curves.set(xlabel="epoch, or fold", ylabel=result.figure, title="Each trial")
    done = sorted((trial for trial in result.trials if trial.state == "finished"), key=lambda one: one.number)
    values = [trial.value for trial in done if trial.value is not None]
    best = np.maximum.accumulate(values) if result.higher else np.minimum.accumulate(values)
    so_far.plot([trial.number for trial in done], values, ".", label="trial")
    so_far.step([trial.number for trial in done], best, where="post", color=ORANGE, label="best so far")
    so_far.set(xlabel="trial", ylabel=result.figure, title="The best so far")
    so_far.legend()
    return no_formulas(chart)


def plot_importance(result: Tried) -> Figure:
    if not result.importance:
        raise ValueError("How important each setting is can't be told yet: that takes 4 finished trials at "
                         "least, with different figures.")
    chart = Chart(7, 1.2 + 0.5 * len(result.importance))
    axes = chart.add_subplot()
    names = list(result.importance)[::-1]
    axes.barh(names, [result.importance[name] for name in names], color=BLUE)
    axes.set(xlim=(0, 1), xlabel=f"share of the variance of the {result.figure}", title="What matters")
    return no_formulas(chart)


def _places(values: list[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """(where each value stands on an axis from 0 to 1, [(place, label)]): numbers by size, those over a
    factor of 100 by their logarithm, all else evenly.
    """
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if not numbers:
        kinds = sorted({shown(value) for value in values})
        place = {kind: i / max(len(kinds) - 1, 1) for i, kind in enumerate(kinds)}
        return [place[shown(value)] for value in values], [(place[kind], kind) for kind in kinds[:MOST_TICKS]]
    row = np.array(values, dtype=float)
    if row.min() > 0 and row.max() / row.min() >= 100:
        scaled, back = np.log(row), np.exp
    else:
        scaled, back = row, lambda value: value
    low, high = float(scaled.min()), float(scaled.max())
    if high == low:
        return [0.5] * len(values), [(0.5, shown(float(row[0])))]
    some = sorted(set(scaled.tolist()))
    if len(some) > 5:
        some = np.linspace(low, high, 5).tolist()
    return ((scaled - low) / (high - low)).tolist(), [((one - low) / (high - low), shown(float(back(one))))
                                                      for one in some]
