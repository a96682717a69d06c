"""What is said of trials: a row for each, a sentence, the bars of what matters. Plain functions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from explorer.display.words import counted, number_text, percent, seconds_text
from explorer.widgets.panels.bars import bar_html
from explorer.widgets.panels.search.plan import Plan

#: A column of `SortTable`, and what a cell of it holds.
Column = tuple[str, str]
Cell = str | float | None

FEW = 4         # finished trials, of fewer nobody can tell what matters
MOST_LINES = 31  # trials in the chart of curves

NO_OPTUNA = ("A search needs Optuna, which is not installed here: pip install 'vision-explorer[search]', in "
             "a terminal, or with %pip in a cell. Then press Start.")
STATES = {"finished": "done", "pruned": "given up early", "failed": "failed", "running": "running"}


def setting_text(plan: Plan, name: str, value: Any) -> str:
    """A value of a setting as a reader knows it."""
    if name == "model" and not isinstance(value, str):
        return plan.own_name
    if isinstance(value, float):
        return number_text(value)
    return "as usual" if value is None else str(value)


def settings_text(plan: Plan, settings: Mapping[str, Any]) -> str:
    """ "learning rate 0.003, label smoothing 0.1"."""
    return ", ".join(f"{plan.titles[name].lower()} {setting_text(plan, name, value)}"
                     for name, value in settings.items())


def figure_text(value: float | None, *, shares: bool) -> str:
    if value is None:
        return "–"
    return percent(value) if shares else number_text(value)


def state_text(trial: Any, epochs: int, *, best: bool) -> str:
    """ "done ★ best", "running, epoch 2 of 3"."""
    said = STATES[trial.state]
    if trial.state == "running" and trial.history:
        return f"{said}, {len(trial.history)} of {counted(epochs, 'epoch')}"
    return f"{said} ★ best" if best else said


def table_of(plan: Plan, trials: Sequence[Any], best: Any, figure: str, *,
             shares: bool) -> tuple[list[Column], list[list[Cell]]]:
    """(columns, rows) of the trials, the first first; why a trial failed where one has."""
    names, failed = plan.searched, any(trial.error for trial in trials)
    plain = {name: all(_is_number(trial.settings.get(name)) for trial in trials) for name in names}
    of_settings = [(plan.titles[name].lower(), "setting" if plain[name] else "text") for name in names]
    columns = [("trial", "count"), ("", "text"), (figure, "share" if shares else "setting"),
               ("loss", "number"), *of_settings, ("seconds", "number")]
    columns += [("why", "text")] if failed else []
    rows: list[list[Cell]] = []
    for trial in trials:
        settings = [trial.settings.get(name) for name in names]
        cells = [value if plain[name] or value is None else setting_text(plan, name, value)
                 for name, value in zip(names, settings)]
        rows.append([trial.number, state_text(trial, epochs_of(plan, trial), best=trial is best), trial.value,
                     trial.loss, *cells, trial.seconds, *([trial.error] if failed else [])])
    return columns, rows


def csv_of(plan: Plan, trials: Sequence[Any], figure: str) -> str:
    """The same with all digits, a line a trial; empty for none."""
    if not trials:
        return ""
    from explorer.data.tables import safe_cell

    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", figure, "loss", "seconds", *plan.searched, "error"])
    for trial in trials:
        cells = [trial.settings.get(name) for name in plan.searched]
        written = ["" if value is None else value if _is_number(value) else
                   safe_cell(setting_text(plan, name, value)) for name, value in zip(plan.searched, cells)]
        numbers = ["" if value is None else value for value in (trial.value, trial.loss, trial.seconds)]
        writer.writerow([trial.number, trial.state, *numbers, *written, safe_cell(trial.error)])
    return file.getvalue()


def epochs_of(plan: Plan, trial: Any) -> int:
    return trial.settings.get("epochs") or plan.fixed.get("epochs", 3)


def trial_text(plan: Plan, trial: Any, figure: str, *, shares: bool) -> str:
    """One trial in a sentence."""
    what = f"Trial {trial.number}, {settings_text(plan, trial.settings)}"
    if trial.state == "failed":
        return f"{what}: failed. {trial.error}"
    after = f" after {counted(len(trial.history), 'epoch')}" if trial.history else ""
    spent = f", {seconds_text(trial.seconds)}" if trial.seconds else ""
    return f"{what}: {STATES[trial.state]}, {figure} {figure_text(trial.value, shares=shares)}{after}{spent}."


def best_text(plan: Plan, best: Any, figure: str, *, shares: bool, over: bool) -> str:
    """What was best, in words."""
    value = figure_text(best.value, shares=shares)
    return (f"Best{'' if over else ' so far'}: trial {best.number}, {figure} {value}, with "
            f"{settings_text(plan, best.settings)}.")


def outcome_text(plan: Plan, trials: Sequence[Any], most: int, *, stopped: bool) -> str:
    """How a search has ended; of one that was stopped, how it goes on."""
    ended = [trial.state for trial in trials if trial.state != "running"]
    told = ", ".join(f"{ended.count(state)} {STATES[state]}" for state in ("finished", "pruned", "failed")
                     if ended.count(state))
    if not stopped:
        return f"{counted(len(ended), 'trial')}: {told}."
    keeps = "on another day too" if plan.folder is not None else "while this dashboard is open"
    of_them = f" ({told})" if told else ""
    return (f"Stopped after {len(ended)} of {counted(most, 'trial')}{of_them}. What is there stays; "
            f"Start goes on from here, {keeps}.")


def matters_html(plan: Plan, importance: Mapping[str, float]) -> str:
    """A bar for each setting, the one that explains most first."""
    rows = "".join(f'<li><span class="vx-name">{escape(plan.titles[name])}</span>'
                   f'<span class="vx-value">{percent(share)}</span>{bar_html(share)}</li>'
                   for name, share in importance.items())
    return f'<ol class="vx-predictions" aria-label="How much each setting explains">{rows}</ol>'


def too_few_text(done: int) -> str:
    """Why nobody can say yet what matters."""
    if done < FEW:
        return f"Which settings matter can be told from {FEW} finished trials on; {done} so far."
    return "All finished trials have the same figure, so none of the settings has made a difference."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
