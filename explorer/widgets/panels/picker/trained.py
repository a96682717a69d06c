"""The models of this notebook's runs, to choose from like published ones: a menu, and a button that opens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.run_words import architecture_of, problem_text
from explorer.widgets.panels.learn.started import IN_A_CELL, in_a_cell
from explorer.widgets.panels.runs.table import distinct_names
from explorer.widgets.panels.work import said_html


class TrainedHere(W.HBox):
    """Empty until there is a run with a network; `draw` follows the runs of the session, the newest first.

    open: called with a copy of the network that is asked for, in the background
    """

    def __init__(self, open: Callable[[Any], None], layout: W.Layout):
        self._open, self.runs = open, ()
        self.choose: W.Dropdown | None = None
        super().__init__(layout=layout)
        self.add_class("vx-line")

    def draw(self, panel: Panel) -> None:
        """The lock is held. panel: that this stands in"""
        before = self.runs[self.choose.value] if self.choose is not None and self.choose.value else None
        self.runs = tuple(run for run in reversed(panel.session.runs) if hasattr(run, "model"))
        if self.choose is None and self.runs:
            self._make(panel)
        if self.choose is None:
            return
        options = [(said, number) for number, said in enumerate(map(said_of, named(self.runs)))]
        if tuple(options) != self.choose.options:
            self.choose.options = options
            same = [number for number, run in enumerate(self.runs) if run is before]
            # the newest, unless the reader has chosen one
            self.choose.value = next(iter(same), 0 if self.runs else None)

    def _make(self, panel: Panel) -> None:
        self.choose = W.Dropdown(description="Trained here", style={"description_width": "initial"},
                                 layout=W.Layout(width="auto", max_width="100%"))
        self.open_it = W.Button(description="Open this run's model", layout=W.Layout(width="auto"),
                                tooltip="A copy of it, as it is now: all panels show it")
        self.open_it.add_class("vx-open")
        self.said = W.HTML()
        self.work = panel.line(failed=self._failed)
        panel.when(self.open_it, self._asked)
        self.children = [self.choose, self.open_it, self.said]

    def _asked(self) -> None:
        self.said.value = ""
        if self.choose.value is not None:
            self.work.start(partial(self._copy, self.runs[self.choose.value]))

    def _copy(self, run: Any, _job: Job) -> None:
        from explorer.training.run.beside import copy_of_model

        self._open(copy_of_model(run))

    def _failed(self, error: BaseException) -> None:
        self.said.value = said_html(problem_text(error), wrong=True)


def named(runs: tuple[Any, ...]) -> list[tuple[str, Any]]:
    return list(zip(distinct_names(runs), runs, strict=True))


def said_of(pair: tuple[str, Any]) -> str:
    """ "my run 2: resnet50, started in a cell"."""
    name, run = pair
    facts = (architecture_of(run), IN_A_CELL if in_a_cell(run) else "")
    about = ", ".join(filter(None, facts))
    return f"{name}: {about}" if about else name
