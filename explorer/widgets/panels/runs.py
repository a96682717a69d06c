"""The runs so far beside each other: what was different, which was best, and their curves in one chart."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.finetune import run_caption
from explorer.widgets.panels.run_epochs import copy_of_model
from explorer.widgets.panels.run_view import problem_text
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.run_table import Cell, RunTable
from explorer.widgets.session import Session
from explorer.widgets.snippets import literal

log = logging.getLogger(__name__)

GAP = 0.5           # seconds between two drawings, at least
MOST_CURVES = 8     # that are ticked without being asked for
MOST_IN_CHART = 32  # the newest
ALWAYS = ("train", "lr", "batch_size", "optimizer", "schedule", "augment", "seed")  # settings that always have a column
NO_SETTING = ("epochs",)  # has a column of its own


@dataclass(eq=False)
class PastRun:
    """What a folder tells of a run without opening its model: `explorer.load_run(folder)` does that."""

    name: str
    folder: Path
    recipe: Any
    history: list[dict[str, Any]] = field(default_factory=list)
    data_name: str = ""
    state: str = "on disk"

    @property
    def best(self) -> dict[str, Any] | None:
        return next((row for row in reversed(self.history) if row.get("best")), None)


def past_runs(folder: Path) -> list[PastRun]:
    """The runs in the folders of `folder`, as `Run.save` or a `run_dir` left them, by name; others are passed over.

    Raises ValueError where there is no such folder.
    """
    from explorer.training.run.checkpoint import HISTORY, RECIPE, past_epochs
    from explorer.training.run.loading import history_from, recipe_from
    from explorer.training.run.saving import read_json, read_run

    if not folder.is_dir():
        raise ValueError(f"There is no folder '{folder}'. Give the one that your runs' folders are in.")
    found = []
    for place in sorted([folder, *folder.iterdir()]):
        if not place.is_dir():
            continue
        facts = read_run(place)
        try:
            if facts:
                found.append(PastRun(str(facts.get("name") or place.name), place, recipe_from(facts.get("recipe", {})),
                                     history_from(facts.get("history")), str(facts.get("data", ""))))
            elif (place / RECIPE).is_file() and (place / HISTORY).is_file():
                recipe = recipe_from(read_json(place / RECIPE))
                found.append(PastRun(place.name, place, recipe, history_from(past_epochs(place, recipe.epochs))))
        except (ValueError, TypeError, OSError) as error:
            log.warning("'%s' holds no readable run: %s", place, error)
    return found


def architecture_of(run: Any) -> str:
    config = getattr(getattr(run, "model", None), "config", None)
    return getattr(config, "architecture", "") or ""


def data_of(run: Any) -> str:
    return getattr(getattr(run, "data", None), "name", "") or getattr(run, "data_name", "")


def facts_of(run: Any) -> dict[str, Any]:
    """Every column of a run by name, unformatted: what the CSV holds."""
    from explorer.training.loop.measures import MAE, TOP1

    best, settings = run.best or {}, run.recipe.as_dict()
    if settings["lr"] is None:
        settings["lr"] = run.recipe.rates[0]
    return {
        "run": run.name, "model": architecture_of(run), "data": data_of(run),
        "state": getattr(run, "state", "finished"), "epochs": f"{len(run.history)} of {run.recipe.epochs}",
        "best right": best.get(TOP1.judged), "best MAE": best.get(MAE.judged), "best epoch": best["epoch"] + 1 if best else None,
        "loss there": best.get("val_loss"), "seconds": run.history[-1].get("seconds") if run.history else None,
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
    """(columns, rows): figures, the usual settings, and whatever else is not the same in all runs."""
    all_facts = [facts_of(run) for run in runs]
    settings = [name for name in (all_facts[0] if all_facts else ()) if name in (runs[0].recipe.as_dict())]
    different = {name for name in ("model", "data", *settings) if len({str(facts.get(name)) for facts in all_facts}) > 1}
    figures = ["run", "model", "data", "state", "epochs", *best_columns(runs), "loss there", "seconds"]
    columns = [*figures, *(name for name in settings if name in ALWAYS or name in different)]
    tops = {name: best for name, choose in (("best right", max), ("best MAE", min))
            if (best := best_of(all_facts, name, choose)) is not None}
    rows = []
    for facts in all_facts:
        row = [Cell(shown(name, facts.get(name)), name in different, name in tops and facts[name] == tops[name])
               for name in columns]
        rows.append(row)
    return [name.replace("_", " ") for name in columns], rows


def best_columns(runs: Sequence[Any]) -> list[str]:
    """The columns of the best figure: one for right answers, one for the error of numbers, as there are runs of each."""
    return [f"best {measure.word}" for measure in _measures(runs)]


def best_of(all_facts: Sequence[dict[str, Any]], name: str, choose: Any) -> float | None:
    """The best of a column, which is worth a mark among several; None otherwise.

    MAEs are in the unit of what was learnt: they compare where all are of the same data.
    """
    there = [facts for facts in all_facts if facts[name] is not None and math.isfinite(facts[name])]
    if len(there) < 2 or (name == "best MAE" and len({facts["data"] for facts in there}) > 1):
        return None
    return choose(facts[name] for facts in there)


def _measures(runs: Sequence[Any]) -> list[Any]:
    """What the runs are judged by; right answers where there is no run."""
    from explorer.training.loop.measures import MAE, TOP1, measure_of

    there = [measure_of(run) for run in runs]
    return [measure for measure in (TOP1, MAE) if measure in there] or [TOP1]


def shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "best MAE":
        return f"{value:.3g}"
    if name == "best right":
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


class RunsPanel(Panel):
    name = "Runs"
    nothing_yet = "No run is ticked: tick one that has finished an epoch."
    guide = """
        <p><b>What you see.</b> The runs so far, the settings in which they differ (marked), and the curves of those with a
        tick: the loss and the share of right answers, or how far numbers are off, on photos that they did not learn from.</p>
        <p><b>What it does not prove.</b> That a setting is better, from one run each: chance alone, in the order of the
        photos and the fresh classifier, often makes as large a difference. Repeat both with three seeds or more before you
        believe it (<a href="https://arxiv.org/abs/2103.03098">Bouthillier and others, 2021: Accounting for Variance in
        Machine Learning Benchmarks</a>;
        <a href="https://arxiv.org/abs/2109.08203">Picard, 2021: torch.manual_seed(3407) is all you need</a>). Runs are only
        comparable where the same photos judged them: the columns data and seed say so. Of many runs, the best one was also
        the luckiest.</p>"""
    draw_on = ("runs",)

    def __init__(self, session: Session):
        self.table: RunTable | None = None
        self.shown: list[Any] = []      # one a row
        self._past: list[PastRun] = []
        self._ends: dict[Any, Any] = {}  # run -> what ends the listening to it
        self._drawn = 0.0
        super().__init__(session)
        self.add_class("vx-runs")

    def make(self) -> None:
        lock, tick = self.session.lock, "Tick a run: its curve appears here."
        self.work = self.line(failed=lambda error: self._say(problem_text(error), wrong=True))
        self.table = RunTable(lock=lock)
        self.right = LiveChart(title="Right answers, judged", x_label="epoch", unit="percent", switches=[],
                               empty=tick, lock=lock)
        self.off = LiveChart(title="Mean absolute error, judged", x_label="epoch", switches=["log"], empty=tick,
                             lock=lock)
        self.loss = LiveChart(title="Loss, judged", x_label="epoch", switches=["log"], empty=tick, lock=lock)
        self.empty = W.HTML('<span class="vx-soft">No runs yet. Start one under Train, or give a folder with '
                            "runs.</span>")
        self.folder = labelled("Runs folder", W.Text, placeholder="a folder whose folders are saved runs",
                               continuous_update=False, layout=W.Layout(width="min(420px, 100%)"))
        self.message = W.HTML()
        self.charts = W.HBox([self.right, self.off, self.loss])
        self.charts.add_class("vx-charts")
        self.fill([self.empty, self.table, self.message, self.charts, self.folder])
        self.table.observe(self._draw_curves, "ticked")
        for chart in (self.right, self.off, self.loss):
            chart.observe(self._legend, "hidden")
        self.table.on_action(self._act)
        self.folder.observe(self._read_folder, "value")

    def draw(self) -> None:
        before = {id(run) for run in self.shown}
        ticked = {id(self.shown[index]) for index in self.table.ticked}
        self.shown = [*self.session.runs, *self._past]
        for run in self.shown:
            if hasattr(run, "listen") and run not in self._ends:
                self._ends[run] = run.listen(self._hear)
        columns, rows = table_of(self.shown)
        self.table.show(columns, rows, csv=csv_text(self.shown))
        new = [index for index, run in enumerate(self.shown) if id(run) not in before]
        kept = [index for index, run in enumerate(self.shown) if id(run) in ticked]
        self.table.ticked = sorted({*kept, *new[:max(0, MOST_CURVES - len(kept))]})
        self.empty.layout.display = "none" if self.shown else ""
        self.charts.layout.display = "" if self.shown else "none"
        self._draw_curves()

    def _draw_curves(self, _change: Any = None) -> None:
        with self.session.lock:
            if self.gone:
                return
            # All of them, with those without a tick hidden: so each keeps its colour.
            names = self._names()
            curves = list(zip(names, self.shown))[-MOST_IN_CHART:]
            hidden = [name for index, name in enumerate(names) if index not in self.table.ticked]
            measures = {measure.judged for measure in _measures(self.shown)}
            for chart, figure in ((self.right, "val_top1"), (self.off, "val_mae"), (self.loss, "val_loss")):
                if figure != "val_loss":
                    chart.layout.display = "" if figure in measures else "none"
                chart.replace({name: [(row["epoch"] + 1, row[figure])
                                      for row in list(run.history) if figure in row]
                               for name, run in curves})
                if chart.hidden != hidden:
                    chart.hidden = hidden
            self.changed()

    def _names(self) -> list[str]:
        return distinct_names(self.shown)

    def _legend(self, change: Any) -> None:
        """A curve that is switched in a legend is a tick."""
        with self.session.lock:
            ticked = [index for index, name in enumerate(self._names()) if name not in change["new"]]
            if not self.gone and ticked != self.table.ticked:
                self.table.ticked = ticked

    def _hear(self, event: Any) -> None:
        """In a run's thread: another epoch, or another state."""
        if event.kind not in ("epoch", "stopped", "finished", "note", "started"):
            return
        now, often = time.monotonic(), event.kind == "epoch"
        if often and now - self._drawn < GAP:
            return
        # Somebody who redraws for the moment is not waited for, but at the end, when no event follows.
        if self.session.lock.acquire(blocking=not often):
            try:
                self._drawn = now
                if not self.gone:
                    self.draw()
            finally:
                self.session.lock.release()

    def _act(self, what: str, index: int) -> None:
        run = self.shown[index]  # now: another run may get this row before the work begins
        self.work.start(lambda _job: self._do(what, run), self._say)

    def _do(self, what: str, run: Any) -> str:
        """Show a run, or use its model; a sentence on it. In the background."""
        if isinstance(run, PastRun):
            from explorer.training.run.loading import load_run

            run = load_run(run.folder)
        if what == "show":
            with self.session.lock:
                self.session.run = run
            return f"{run.name} is shown under Train."
        self.session.open_model(copy_of_model(run))
        return f"All panels show the model of {run.name} now."

    def _say(self, text: str, *, wrong: bool = False) -> None:
        with self.session.lock:
            if not self.gone:
                self.message.value = said_html(text, wrong=wrong)

    def _read_folder(self, _change: Any = None) -> None:
        text = self.folder.value.strip()
        try:
            past = past_runs(given_path(text, "the folder")) if text else []
        except (ValueError, OSError) as error:
            self._say(str(error), wrong=True)
            return
        with self.session.lock:
            self._past = past
            self._say("" if past or not text else f"'{text}' holds no runs.")
            self.draw()

    def forget(self) -> None:
        for end in self._ends.values():
            end()
        self._ends, self.shown, self._past = {}, [], []

    # --- code and figure ---

    def _ticked(self) -> list[tuple[str, Any]]:
        """(name, run) of each row with a tick."""
        if self.table is None:
            return []
        return [(name, run) for index, (name, run) in enumerate(zip(self._names(), self.shown)) if index in self.table.ticked]

    def code(self) -> str:
        ticked = self._ticked()
        if not ticked:
            return ""
        places, past = [], False
        for _, run in ticked:
            if not isinstance(run, PastRun):
                index = next(i for i, one in enumerate(self.session.runs) if one is run)
                places.append(f"dash.session.runs[{index}]")
            else:  # its curves need no model; explorer.load_run opens that too
                past = True
                places.append(f"past_runs(Path({literal(run.folder)}))[0]")
        imports = ["import explorer", "import matplotlib.pyplot as plt"]
        if past:
            imports = ["from pathlib import Path", "", *imports, "from explorer.widgets.panels.runs import past_runs",
                       "# explorer.load_run(folder) opens a run with its model; curves need none"]
        names = ", ".join(literal(name) for name, _ in ticked)
        figures = self._figures([run for _, run in ticked])
        return "\n".join([
            *imports, "", "runs = [", *(f"    {place}," for place in places), "]", f"names = [{names}]",
            f"figures = {literal(figures)}",
            "figure, places = plt.subplots(1, len(figures), figsize=(5 * len(figures), 3.6))",
            *(["right, loss = places"] if list(figures) == ["val_top1", "val_loss"] else []),
            "for place, (key, title) in zip(places, figures.items()):",
            "    for name, run in zip(names, runs):",
            "        rows = [row for row in run.history if key in row]",
            '        place.plot([row["epoch"] + 1 for row in rows], [row[key] for row in rows], label=name)',
            '    place.set(xlabel="epoch", ylabel=title)',
            "places[-1].legend()",
        ])

    @staticmethod
    def _figures(runs: Sequence[Any]) -> dict[str, str]:
        """What is drawn of these runs: the key in a history's rows, and what its axis is called."""
        return {**{measure.judged: f"{measure.name}, judged" for measure in _measures(runs)},
                "val_loss": "loss, judged"}

    def figure(self) -> Any:
        curves = {name: list(run.history) for name, run in self._ticked() if run.history}
        if not curves:
            return None
        from explorer.widgets.export import curves_figure

        return curves_figure({what: {name: [(row["epoch"] + 1, row[figure]) for row in rows if figure in row]
                                     for name, rows in curves.items() if any(figure in row for row in rows)}
                              for figure, what in self._figures([run for _, run in self._ticked()]).items()},
                             title=self.heading())

    def heading(self) -> str:
        return "Runs"

    def caption(self) -> str:
        return " ".join(run_caption(run) for _, run in self._ticked())
