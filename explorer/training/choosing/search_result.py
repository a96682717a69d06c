"""`SearchResult`: what a search has tried, which settings were best, and which of them matter."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.display.html import (
    RichRepr,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import counted, percent, seconds_text
from explorer.files import given_path, write_text
from explorer.training.choosing.trials import Tried, described, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20  # trials in the table


class SearchResult(Tried, RichRepr):
    """All trials of a search, the best first. It shows itself in a notebook.

    trials:   finished ones from the best to the worst, then pruned, then failed ones
    best:     the best finished one
    figure:   what is searched by: "top-1 accuracy", "mean absolute error", "validation loss"
    higher:   whether more of it is better
    fixed:    settings that all trials had;  space: names of those that were searched
    importance: {setting: share of the figure's variance that it explains}, the most important first; empty
              where too few trials have finished
    notes:    sentences that a reader must know
    """

    @property
    def sentence(self) -> str:
        """The result in words."""
        ended = [trial.state for trial in self.trials]
        told = [f"{ended.count(state)} {state}" for state in ("finished", "pruned", "failed", "running")
                if ended.count(state)]
        return (f"{counted(len(self.trials), 'trial')} ({', '.join(told)}) on {self.data_name}; best "
                f"{self.figure} {self.text(self.best.value)} with {described(self.best.settings)}")

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a trial. Text that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["trial", "state", self.figure, "loss", "seconds", *self.space, "error"])
        for trial in self.trials:
            cells = [shown(trial.settings[name]) if name in trial.settings else "" for name in self.space]
            numbers = ["" if one is None else one for one in (trial.value, trial.loss, trial.seconds)]
            writer.writerow([trial.number, trial.state, *numbers, *map(safe_cell, cells),
                             safe_cell(trial.error)])
        write_text(given_path(path), file.getvalue())

    def plot(self) -> Figure:
        """Parallel coordinates: a line a trial through its settings to its figure."""
        from explorer.training.choosing.search_charts import plot_parallel

        return plot_parallel(self)

    def plot_history(self) -> Figure:
        """The figure of each trial by epoch, and the best so far by trial."""
        from explorer.training.choosing.search_charts import plot_history

        return plot_history(self)

    def plot_importance(self) -> Figure:
        """How much each setting explains. Raises ValueError where that is not known."""
        from explorer.training.choosing.search_charts import plot_importance

        return plot_importance(self)

    def __repr__(self) -> str:
        return f"SearchResult({self.sentence})"

    def _repr_html_(self) -> str:
        rows = "".join(row_html(str(trial.number), [trial.state, *(
            shown(trial.settings.get(name, "")) for name in self.space), self.text(trial.value),
            "" if trial.seconds is None else seconds_text(trial.seconds)], left=1 + len(self.space))
            for trial in self.trials[:SHOWN])
        table = table_html(("trial", "", *self.space, self.figure, "time"), rows, left=2 + len(self.space))
        bars = "".join(f"<tr>{name_html(name)}{cell_html(bar_html(share), style='width:10em')}"
                       f"{cells_html([percent(share)])}</tr>" for name, share in self.importance.items())
        parts = table + (table_html(("setting", "", "explains"), bars, left=2) if bars else "")
        failed = [f"Trial {trial.number} failed ({described(trial.settings)}): {trial.error}"
                  for trial in self.trials if trial.state == "failed"][:5]
        more = [f"The first {SHOWN} of {len(self.trials)} trials."] if len(self.trials) > SHOWN else []
        return (f"<div>{title_html(self.sentence + '.')}{notes_html([*self.notes, *failed])}"
                f"{side_by_side_html(parts, gap=24)}{sentences_html(more)}</div>")
