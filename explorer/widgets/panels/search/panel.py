"""Many settings tried on the same photos, one training after the other, and the best of them opened.

The search is `explorer.search`, followed in the background: it tells of every epoch of every trial, and keeps
its trials and the best one's run in a folder, so that a search that was stopped goes on.
"""

from __future__ import annotations

import importlib.util
import tempfile
from functools import partial
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text, sentence_of
from explorer.widgets.jobs import Job, Pace
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.data_choice import DataCard, DataChoice, Photos
from explorer.widgets.panels.learn.plan import check_free
from explorer.widgets.panels.learn.run_words import SCARCE
from explorer.widgets.panels.search import words
from explorer.widgets.panels.search.backbones import Backbones
from explorer.widgets.panels.search.fields import Fields
from explorer.widgets.panels.search.guide import GUIDE
from explorer.widgets.panels.search.plan import KEEP, Plan, plan_of
from explorer.widgets.panels.search.trials_view import TrialsView, parallel
from explorer.widgets.panels.work import Work, meter_html, said_html
from explorer.widgets.session import Session

GAP = 0.3  # seconds between two drawings of what flows, at least
LEARNS = ("The search is trying settings. Stop it first, under Search; it goes on from there when it is "
          "started again.")


class SearchPanel(Panel):
    name = "Search"
    guide = GUIDE
    nothing_yet = "No trial has a figure yet: start a search."
    draw_on = ("model", "model_name", "compare")

    def __init__(self, session: Session):
        self.view: TrialsView | None = None
        self._places: dict[str, tempfile.TemporaryDirectory] = {}  # by the key of a plan without a folder
        self._opened: dict[tuple[str, int], Any] = {}              # runs by their folder and trial
        self._place: Path | None = None                            # of the search that is shown
        self._most = 0                                             # trials of it
        super().__init__(session)
        self.add_class("vx-search")

    def make(self) -> None:
        self.where, self.photos, self.fields = DataChoice(), Photos(), Fields()
        self.where.data.value = "flowers5_nano"
        self.about = DataCard(self, self.photos, partial(self._look_at_photos, duplicates=True))
        self.looking = self.line()
        self.backbones = Backbones(self, self._settings_changed)
        self.work = self.line(Work, tooltip="Ends after the present batch; Start goes on from there",
                              sentence=self._sentence, busy=self._busy, meter=self._meter)
        self.opening = self.line(failed=lambda error: self.work.say(self._sentence(error), wrong=True))
        self.pace = Pace(self.session.lock)
        self.start = W.Button(description="Start", button_style="primary", layout=W.Layout(width="auto"))
        self.start.add_class("vx-open")
        self.said, self.optuna = W.HTML(), W.HTML()
        self.view = TrialsView(self, lambda: getattr(self.photos.splits, "notes", ()))
        self._lay_out()
        for control in (self.where.data, self.where.folder):
            self.when(control, self._data_changed)
        for control in (*(one for row in self.fields.rows for one in row.controls), *self.fields.how):
            self.when(control, self._settings_changed)
        self.when(self.fields.seed, self._look_at_photos)
        self.when(self.start, self._start)
        self.when(self.view.use, self._open)
        self._look_for_optuna()
        self._data_changed()

    def _lay_out(self) -> None:
        fields, about = self.fields, self.about
        usual, rarer, how = (W.Box([row.widget for row in fields.usual]),
                             W.Box([row.widget for row in fields.rarer]), W.Box(fields.how))
        for box in (usual, rarer, how):
            box.add_class("vx-fields")
        more = W.Accordion([rarer], titles=("More settings",), selected_index=None)
        begin = W.HBox([self.start, self.work.button, self.work.progress])
        begin.add_class("vx-line")
        hint = W.HTML('<span class="vx-soft">One value: the same in all trials. Several, or a range such as '
                      "0.001 to 0.1: searched.</span>")
        data = W.VBox([W.HTML("<h3>Photos to learn from</h3>"), self.where.data, self.where.folder,
                       about.card, about.samples, about.find_duplicates])
        tried = W.VBox([W.HTML("<h3>What is tried</h3>"), hint, self.backbones.row, self.backbones.others,
                        usual, more, W.HTML("<h3>How it searches</h3>"), how, self.optuna, self.said, begin])
        columns = W.Box([data, tried])
        columns.add_class("vx-train-columns")
        self.fill([columns, self.work.message, W.HTML("<h3>Trials</h3>"), self.view])

    # --- before it starts: the lock is held ---

    def draw(self) -> None:
        """Another model is on the screen, or others are ticked."""
        self.backbones.draw()
        self._settings_changed()

    def _data_changed(self) -> None:
        self.where.show_path()
        self._look_at_photos()
        self._settings_changed()

    def _look_at_photos(self, *, duplicates: bool = False) -> None:
        try:
            data = self.where.chosen
        except ValueError as error:
            data = error
        seed = max(self.fields.seed.value, 0)

        def look(job: Job) -> None:
            splits = self.about.look(data, seed, "classification", job)
            if duplicates and splits is not None and not job.stale:
                self.about.compare(splits)

        self.looking.start(look)

    def _settings_changed(self) -> None:
        """Say what would be tried, or what can't be."""
        self.fields.trials.layout.display = "none" if self.fields.method.value == "grid" else ""
        note = self.backbones.note()
        try:
            said = [*([note] if note else []), *self._plan().sentences()]
            self.said.value = "".join(f'<div class="vx-soft">{escape(one)}</div>' for one in said)
        except (ValueError, TypeError) as error:
            self.said.value = said_html(str(error), wrong=True)
        self.changed()

    def _plan(self) -> Plan:
        return plan_of(self.session, self.where, self.backbones, self.fields)

    def _look_for_optuna(self) -> None:
        there = importlib.util.find_spec("optuna") is not None
        self.optuna.value = "" if there else said_html(words.NO_OPTUNA)

    # --- the search ---

    def _start(self) -> None:
        self._look_for_optuna()
        self.work.say("")
        if self.work.wanted:
            return
        try:
            plan = self._plan()
            check_free(self.session, named=plan.own is None)
            place = self._place_of(plan)
        except (ValueError, TypeError, OSError) as error:
            self.work.say(self._sentence(error), wrong=True)
            return
        self.backbones.settle()
        self._place, self._most = place, plan.most
        self.view.begin(plan)
        self.session.learning = LEARNS
        self.work.start(partial(self._search, plan, place), self._over,
                        doing="preparing the photos and the model")

    def _place_of(self, plan: Plan) -> Path:
        """The folder of a search: the reader's, or one that lasts as long as the dashboard."""
        if plan.folder is not None:
            return plan.folder
        if plan.key not in self._places:
            self._places[plan.key] = tempfile.TemporaryDirectory(prefix="explorer-search-",
                                                                 ignore_cleanup_errors=True)
        return Path(self._places[plan.key].name)

    def _search(self, plan: Plan, place: Path, job: Job) -> Any:
        """In the background: all trials, told as they come; (whether it was stopped)."""
        from explorer.training.choosing.searching import search
        from explorer.training.loop.errors import TrainingError

        given = plan.on_a_copy().arguments(place) if plan.own is not None else plan.arguments(place)
        try:
            result = search(**given, on_trial=partial(self._hear, job), should_stop=job.ended,
                            on_result=lambda found: job.tell(self.view.take, found),
                            on_progress=lambda done, most: job.progress(done, most, "trials"))
        except TrainingError:
            if not job.stopped:
                raise
            return None, True  # before the first one had ended
        finally:
            if self.gone:
                self._tidy()
        return result, job.stopped

    def _hear(self, job: Job, trial: Any) -> None:
        """In the search's thread: at the beginning, each epoch and the end of a trial."""
        if job.stale:
            return
        flows = trial.state == "running" and bool(trial.history)
        self.pace.show(lambda: None if job.stale else self.view.hear(trial), gap=GAP if flows else 0,
                       last=not flows)
        ended = sum(one.state != "running" for one in list(self.view.trials.values()))
        job.progress(ended, self._most, "trials")

    def _over(self, outcome: tuple[Any, bool]) -> None:
        result, stopped = outcome
        if result is not None:
            self.view.take(result)
        self.view.end()
        self.work.say(words.outcome_text(self.view.plan, list(self.view.trials.values()), self._most,
                                         stopped=stopped))

    def _sentence(self, error: BaseException) -> str:
        said = sentence_of(error, scarce=SCARCE)
        for name in ("another storage", "a name that is free, such as 'search.db'"):
            said = said.replace(name, "another folder")
        return said

    def _busy(self, running: bool) -> None:
        self.start.disabled = running
        if not running:
            self.view.end()
            if self.session.learning == LEARNS:
                self.session.learning = ""
        self._offer_best()

    def _meter(self, job: Job, done: int, total: int, what: str) -> str:
        more = ["Stopping after this batch."] if job.stopped else []
        trials = list(self.view.trials.values())
        running = [trial for trial in trials if trial.state == "running"]
        if running and not job.stopped:
            trial = running[-1]
            epochs = words.epochs_of(self.view.plan, trial)
            more = [f"Trial {trial.number}: {len(trial.history)} of {counted(epochs, 'epoch')}."]
            times = [one.seconds for one in trials if one.state != "running" and one.seconds]
            if times:
                more.append(f"About {seconds_text(median(times) * max(total - done, 1))} left.")
        self._offer_best()
        return meter_html(done, total, what, " ".join(more))

    # --- the best ---

    def _offer_best(self) -> None:
        if self.view is not None:
            there = self.view.winner is not None and self._place is not None and \
                (self._place / KEEP / "run.json").is_file()
            self.view.use.disabled = not there

    def _open(self) -> None:
        plan, place, best = self.view.plan, self._place, self.view.winner
        if plan is not None and place is not None and best is not None:
            self.opening.start(partial(self._open_best, plan, place / KEEP, best.number), self._opened_best)

    def _open_best(self, plan: Plan, folder: Path, number: int, _job: Job) -> Any:
        """In the background: the run of the best trial, and a copy of its model."""
        from explorer.training.run.beside import copy_of_model
        from explorer.training.run.loading import load_run

        run = self._opened.get((str(folder), number))
        if run is None:
            own = plan.own if self._is_own(plan, number) else None
            run = load_run(folder, model=None if own is None else plan.on_a_copy().own)
            if run.name.startswith(f"trial {number} "):  # or a better one has taken its place meanwhile
                self._opened[str(folder), number] = run
        return run, copy_of_model(run)

    def _is_own(self, plan: Plan, number: int) -> bool:
        """Whether a trial began with the model on the screen, which no name builds again."""
        trial = self.view.trials.get(number)
        return plan.own is not None and not isinstance(trial and trial.settings.get("model", plan.own), str)

    def _opened_best(self, opened: tuple[Any, Any]) -> None:
        run, model = opened
        self.session.run = run
        self.session.open_model(model)
        self.work.say(f"All panels show the model of {run.name} now. Its run stands under Train, and among "
                      "the others under Runs.")

    def forget(self) -> None:
        self._opened = {}
        if self.built:
            self.photos.forget()
            self.about.forget()
            self.view.forget()
            if self.work.ended.is_set():
                self._tidy()

    def _tidy(self) -> None:
        """Take the folders away that last as long as the dashboard."""
        places, self._places = self._places, {}
        for place in places.values():
            place.cleanup()

    # --- code and figure ---

    def code(self) -> str:
        """The lines of the search that is shown; before the first, of what Start does."""
        if self.view is None:
            return ""
        if self.view.plan is not None:
            return self.view.plan.lines()
        try:
            return self._plan().lines()
        except (ValueError, TypeError):
            return "# These settings can't be used: the panel says why."

    def figure(self) -> Any:
        result = self.view.result if self.view is not None else None
        if result is None or not any(trial.value is not None for trial in result.trials):
            return None
        return parallel(self.view.plan, result)

    def heading(self) -> str:
        return self.called

    def caption(self) -> str:
        result = self.view.result if self.view is not None else None
        if result is None:
            return ""
        plan, same = self.view.plan, words.settings_text(self.view.plan, self.view.plan.fixed)
        best = self.view.winner
        said = words.best_text(plan, best, result.figure, shares=result.shares, over=True) if best else ""
        how = f"{result.method}, seed {plan.seed}"
        return (f"{counted(len(result.trials), 'trial')} on {result.data_name} ({how}). "
                f"The same in all: {same}. {said}").strip()
