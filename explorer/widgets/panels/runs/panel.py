"""The runs so far beside each other: what was different, which was best, and their curves in one chart."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.export import curves_figure
from explorer.widgets.jobs import Job, Pace
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.learn.run_words import problem_text, run_caption
from explorer.widgets.panels.runs.table import (
    TERMS,
    csv_text,
    curves_lines,
    curves_of,
    distinct_names,
    measures_of,
    points_of,
    table_of,
)
from explorer.widgets.panels.taking_home import Home, home_of, with_network
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.run_table import RunTable
from explorer.widgets.session import Session

GAP = 0.5           # seconds between two drawings, at least
MOST_CURVES = 8     # that are ticked without being asked for
MOST_IN_CHART = 32  # the newest

TOLD = ("epoch", "stopped", "finished", "note", "started")  # events after which a row says something else


GUIDE = """
<p><b>What you see.</b> The runs so far, the settings in which they differ (marked), and the curves of those
with a tick: the loss and the share of right answers, or how far numbers are off, AP50 of boxes, mIoU of
masks, on photos that they did not learn from (validation).</p>
<p><b>What it does not prove.</b> That a setting is better, from one run each: chance alone, in the order of
the photos and the fresh classifier, often makes as large a difference. Repeat both with three seeds or more
before you believe it (<a href="https://arxiv.org/abs/2103.03098">Bouthillier and others, 2021: Accounting for
Variance in Machine Learning Benchmarks</a>; <a href="https://arxiv.org/abs/2109.08203">Picard, 2021:
torch.manual_seed(3407) is all you need</a>). Runs are only comparable where the same photos judged them: the
columns data and seed say so. Of many runs, the best one was also the luckiest.</p>"""


class RunsPanel(Panel):
    name = "Runs"
    nothing_yet = "No run is ticked: tick one that has finished an epoch."
    guide = GUIDE
    draw_on = ("runs",)

    def __init__(self, session: Session):
        self.shown: list[Any] = []      # one a row
        self._past: list[Any] = []      # of the folder that is typed
        self._taken: Any = None         # whose page was asked for
        self._count = 0                 # of the rows so many are the session's, which come first
        self._ends: dict[Any, Any] = {}  # run -> what ends the listening to it
        self.table: RunTable | None = None
        super().__init__(session)
        self.add_class("vx-runs")

    def make(self) -> None:
        lock, tick = self.session.lock, "Tick a run: its curve appears here."
        self.work = self.line(failed=lambda error: self._say(problem_text(error), wrong=True))
        self.pace = Pace(lock)
        self.table = RunTable(lock=lock)
        self.right = LiveChart(title="Right answers (accuracy), validation", x_label="epoch",
                               unit="percent", switches=[], empty=tick, lock=lock)
        self.off = LiveChart(title="Mean absolute error, validation", x_label="epoch", switches=["log"],
                             empty=tick, lock=lock)
        self.boxes = LiveChart(title="Average precision at IoU 0.5, validation", x_label="epoch",
                               unit="percent", switches=[], empty=tick, lock=lock)
        self.masks = LiveChart(title="Mean IoU, validation", x_label="epoch", unit="percent", switches=[],
                               empty=tick, lock=lock)
        self.figures = {"val_top1": self.right, "val_mae": self.off, "val_ap50": self.boxes,
                        "val_miou": self.masks}
        self.loss = LiveChart(title="Loss, validation", x_label="epoch", switches=["log"], empty=tick,
                              lock=lock)
        self.empty = W.HTML('<span class="vx-soft">No runs yet. Start one under Train, or give a folder with '
                            "runs.</span>")
        self.folder = labelled("Runs folder", W.Text, placeholder="a folder whose folders are saved runs",
                               continuous_update=False, layout=W.Layout(width="min(420px, 100%)"))
        self.message = W.HTML()
        self.charts = W.HBox([*self.figures.values(), self.loss])
        self.charts.add_class("vx-charts")
        self.fill([self.empty, self.table, self.message, self.charts, self.folder])
        self.when(self.table, self._draw_curves, "ticked")
        for chart in (*self.figures.values(), self.loss):
            self.when(chart, partial(self._legend, chart), "hidden")
        self.table.on_action(self._act)
        self.when(self.folder, self._read_folder)

    # --- what is shown: the lock is held ---

    def draw(self) -> None:
        before = {id(run) for run in self.shown}
        ticked = {id(self.shown[index]) for index in self.table.ticked}
        for old, now in zip(self.shown[:self._count], self.session.runs):
            if now is not old:  # its network was let go of: it stays as it was, with a tick or without
                before.add(id(now))
                ticked |= {id(now)} if id(old) in ticked else set()
        self._count = len(self.session.runs)
        self.shown = [*self.session.runs, *(past for past in self._past if not self._known(past))]
        for run in self.shown:
            if hasattr(run, "listen") and run not in self._ends:
                self._ends[run] = run.listen(self._hear)
        for run in [run for run in self._ends if not any(run is one for one in self.shown)]:
            self._ends.pop(run)()  # it was let go of
        columns, rows = table_of(self.shown)
        self.table.show(columns, rows, csv=csv_text(self.shown), terms=TERMS)
        new = [index for index, run in enumerate(self.shown) if id(run) not in before]
        kept = [index for index, run in enumerate(self.shown) if id(run) in ticked]
        self.table.ticked = sorted({*kept, *new[:max(0, MOST_CURVES - len(kept))]})
        self.empty.layout.display = "none" if self.shown else ""
        self.charts.layout.display = "" if self.shown else "none"
        self._draw_curves()

    def _known(self, past: Any) -> bool:
        """Whether what a folder holds is one of the runs that are here."""
        return any(run.folder is not None and run.folder.resolve() == past.folder.resolve()
                   or (run.name, run.history) == (past.name, past.history) for run in self.session.runs)

    def _draw_curves(self) -> None:
        # All of them, with those without a tick hidden: so each keeps its colour.
        named = list(zip(distinct_names(self.shown), self.shown))
        hidden = [name for index, (name, _) in enumerate(named) if index not in self.table.ticked]
        judged = {measure.judged for measure in measures_of(self.shown)}
        for key, chart in self.figures.items():
            chart.layout.display = "" if key in judged else "none"
        for key, chart in (*self.figures.items(), ("val_loss", self.loss)):
            chart.replace({name: points_of(run, key) for name, run in named[-MOST_IN_CHART:]})
            if chart.hidden != hidden:
                chart.hidden = hidden
        self.changed()

    def _legend(self, chart: LiveChart) -> None:
        """A curve that is switched in a legend is a tick."""
        names = distinct_names(self.shown)
        ticked = [index for index, name in enumerate(names) if name not in chart.hidden]
        if ticked != self.table.ticked:
            self.table.ticked = ticked

    def _read_folder(self) -> None:
        from explorer.training.run.past import past_runs

        text = self.folder.value.strip()
        try:
            self._past = past_runs(given_path(text, "the folder")) if text else []
        except (ValueError, OSError) as error:
            self._say(str(error), wrong=True)
            return
        self._say("" if self._past or not text else f"'{text}' holds no runs.")
        self.draw()

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message.value = said_html(text, wrong=wrong)

    # --- from a run's thread, and from the buttons of a row ---

    def _hear(self, event: Any) -> None:
        """Another epoch, or another state."""
        if event.kind in TOLD:
            self.pace.show(lambda: None if self.gone else self.draw(), gap=GAP, last=event.kind != "epoch")

    def _act(self, what: str, index: int) -> None:
        run = self.shown[index]  # now: another run may get this row before the work begins
        if what == "page":
            self._taken = run
            self.tools.answer("unfold", {"what": "page"})
            return
        self.work.start(partial(self._do, what, run), self._say)

    def _do(self, what: str, run: Any, _job: Job) -> str:
        """Show a run, or use its model; a sentence on it. In the background."""
        from explorer.training.run.beside import copy_of_model

        run = with_network(run)
        if what == "show":
            self.tell(setattr, self.session, "run", run)
            return f"{run.name} is shown under Train."
        self.session.open_model(copy_of_model(run))
        return f"All panels show the model of {run.name} now."

    def forget(self) -> None:
        for end in self._ends.values():
            end()
        self._ends, self.shown, self._past, self._taken = {}, [], [], None

    # --- code, figure and page ---

    def to_take_home(self) -> Home | str:
        if not self.shown:
            return "There is no run yet: start one under Train."
        newest = (self.session.runs or self.shown)[-1]
        run = next((one for one in self.shown if one is self._taken), newest)
        return home_of(run)

    def _ticked(self) -> list[tuple[str, Any]]:
        """(name, run) of each row with a tick."""
        if self.table is None:
            return []
        named = zip(distinct_names(self.shown), self.shown)
        return [pair for index, pair in enumerate(named) if index in self.table.ticked]

    def code(self) -> str:
        ticked = self._ticked()
        return curves_lines(ticked, self.session.runs) if ticked else ""

    def figure(self) -> Any:
        drawn = [(name, run) for name, run in self._ticked() if run.history]
        return curves_figure(curves_of(drawn), title=self.heading()) if drawn else None

    def heading(self) -> str:
        return "Runs"

    def caption(self) -> str:
        return " ".join(run_caption(run) for _, run in self._ticked())
