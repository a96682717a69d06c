"""What the table of runs holds, its CSV, and the figures that are drawn of them: plain functions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from explorer.widgets.panels.learn.run_words import VALIDATION, architecture_of, data_of
from explorer.widgets.panels.learn.started import IN_A_CELL, in_a_cell
from explorer.widgets.parts.run_table import Cell
from explorer.widgets.snippets import literal

# settings that always have a column
ALWAYS = ("train", "lr", "batch_size", "optimizer", "schedule", "augment", "seed")
NO_SETTING = ("epochs",)  # has a column of its own
#: what the field calls a column whose name is short, or ours
TERMS = {"best right": "top-1, validation", "best MAE": "mean error, validation",
         "best AP50": "precision, validation", "best mIoU": "mean overlap, validation",
         "loss there": "validation loss", "train": "what learns", "lr": "learning rate",
         "schedule": "of the learning rate", "augment": "augmentation", "ema": "mean weights",
         "swa": "mean of epochs", "clip": "gradient clipping", "patience": "early stopping"}
NO_MODEL = "# explorer.load_run(folder) opens a run with its model; curves need none"


def facts_of(run: Any) -> dict[str, Any]:
    """Every column of a run by name, unformatted: what the CSV holds."""
    from explorer.training.loop.measures import MEASURES

    best, settings = run.best or {}, run.recipe.as_dict()
    if settings["lr"] is None:
        settings["lr"] = run.recipe.rates[0]
    return {
        "run": run.name, "model": architecture_of(run), "data": data_of(run),
        "state": getattr(run, "state", "finished"), "began": IN_A_CELL if in_a_cell(run) else "",
        "epochs": f"{len(run.history)} of {run.recipe.epochs}",
        **{f"best {measure.word}": best.get(measure.judged) for measure in MEASURES},
        "best epoch": best["epoch"] + 1 if best else None, "loss there": best.get("val_loss"),
        "seconds": run.history[-1].get("seconds") if run.history else None,
        **{name: value for name, value in settings.items() if name not in NO_SETTING},
    }


def csv_text(runs: Sequence[Any]) -> str:
    """All facts of all runs, one line a run. Empty for none."""
    if not runs:
        return ""
    rows = [facts_of(run) for run in runs]
    from explorer.data.tables import safe_cell

    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def table_of(runs: Sequence[Any]) -> tuple[list[str], list[list[Cell]]]:
    """(columns, rows): what is not the same in all runs, the figures, then what they share."""
    all_facts = [facts_of(run) for run in runs]
    settings = [name for name in (all_facts[0] if all_facts else ())
                if name in runs[0].recipe.as_dict() and name not in NO_SETTING]
    different = {name for name in ("model", "data", *settings)
                 if len({str(facts.get(name)) for facts in all_facts}) > 1}
    if len({run.recipe.epochs for run in runs}) > 1:  # how many are over is no setting
        different.add("epochs")
    facts = ("model", "data", "epochs", *settings)
    shared = [name for name in facts if name not in different and (name not in settings or name in ALWAYS)]
    columns = ["run", *(name for name in facts if name in different), "state", *best_columns(runs),
               "loss there", "seconds", *shared]
    tops = {name: best for name, choose in (("best right", max), ("best MAE", min), ("best AP50", max),
                                            ("best mIoU", max))
            if (best := best_of(all_facts, name, choose)) is not None}
    rows = []
    for row in all_facts:
        best = {name for name, value in tops.items() if row[name] == value}
        rows.append([Cell(shown(name, row.get(name)), name in different, name in best,
                          row["began"] if name == "run" else "") for name in columns])
    return [name.replace("_", " ") for name in columns], rows


def best_columns(runs: Sequence[Any]) -> list[str]:
    """The columns of the best figure: for right answers, the error of numbers, boxes, masks, as there are
    runs.
    """
    return [f"best {measure.word}" for measure in measures_of(runs)]


def best_of(all_facts: Sequence[dict[str, Any]], name: str, choose: Any) -> float | None:
    """The best of a column, which is worth a mark among several; None otherwise.

    MAEs are in the unit of what was learnt: they compare where all are of the same data.
    """
    there = [facts for facts in all_facts if facts[name] is not None and math.isfinite(facts[name])]
    if len(there) < 2 or (name == "best MAE" and len({facts["data"] for facts in there}) > 1):
        return None
    return choose(facts[name] for facts in there)


def measures_of(runs: Sequence[Any]) -> list[Any]:
    """What the runs are judged by; right answers where there is no run."""
    from explorer.training.loop.measures import MEASURES, TOP1, measure_of

    there = [measure_of(run) for run in runs]
    return [measure for measure in MEASURES if measure in there] or [TOP1]


def shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "best MAE":
        return f"{value:.3g}"
    if name in ("best right", "best AP50", "best mIoU"):
        return f"{100 * value:.1f} %"
    if name == "loss there":
        return f"{value:.3f}"
    if name == "seconds":
        return f"{value:.1f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def distinct_names(runs: Sequence[Any]) -> list[str]:
    """A name for each curve; equal ones are numbered."""
    names = [run.name for run in runs]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


# --- curves -------------------------------------------------------------------------------------------------

Points = list[tuple[float, float]]


def axes_of(runs: Sequence[Any]) -> dict[str, str]:
    """What is drawn of these runs: the key in a history's rows, and what its axis is called."""
    judged = {measure.judged: f"{measure.name}, {VALIDATION}" for measure in measures_of(runs)}
    return {**judged, "val_loss": f"loss, {VALIDATION}"}


def points_of(run: Any, key: str) -> Points:
    """(epoch, value) of every epoch that has this figure."""
    return [(row["epoch"] + 1, row[key]) for row in list(run.history) if key in row]


def curves_of(named: Sequence[tuple[str, Any]]) -> dict[str, dict[str, Points]]:
    """{axis: {name: points}} of runs with a history, as `curves_figure` takes them."""
    axes = axes_of([run for _, run in named])
    return {what: {name: points for name, run in named if (points := points_of(run, key))}
            for key, what in axes.items()}


def curves_lines(named: Sequence[tuple[str, Any]], runs: Sequence[Any]) -> str:
    """Code that draws the curves. runs: those of the session; others are read from their folders."""
    places, past = [], False
    for _, run in named:
        index = next((i for i, one in enumerate(runs) if one is run), None)
        if index is not None:
            places.append(f"dash.session.runs[{index}]")
        else:  # its curves need no model; explorer.load_run opens that too
            past = True
            places.append(f"past_runs(Path({literal(run.folder)}))[0]")
    imports = ["import explorer", "import matplotlib.pyplot as plt"]
    if past:
        imports = ["from pathlib import Path", "", *imports,
                   "from explorer.training.run.past import past_runs", NO_MODEL]
    axes = axes_of([run for _, run in named])
    return "\n".join([
        *imports, "", "runs = [", *(f"    {place}," for place in places), "]",
        f"names = [{', '.join(literal(name) for name, _ in named)}]", f"figures = {literal(axes)}",
        "figure, places = plt.subplots(1, len(figures), figsize=(5 * len(figures), 3.6))",
        *(["right, loss = places"] if list(axes) == ["val_top1", "val_loss"] else []),
        "for place, (key, title) in zip(places, figures.items()):",
        "    for name, run in zip(names, runs):",
        "        rows = [row for row in run.history if key in row]",
        '        place.plot([row["epoch"] + 1 for row in rows], [row[key] for row in rows], label=name)',
        '    place.set(xlabel="epoch", ylabel=title)',
        "places[-1].legend()",
    ])
