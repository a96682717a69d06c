"""Where the models disagree: the photos of the gallery down, the models across, the most divided photo first.

It runs by itself when the tab comes to the front and that costs less than `PATIENCE`, by what a pass takes on
this computer; where not all photos fit into that, with the first of them. A button says what all would take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text, sentence_of
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.gallery import Gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.choosing import Asked, Choice, line
from explorer.widgets.panels.compare.grid_rows import SMALL, grid_row, small_jpeg
from explorer.widgets.panels.compare.guide import DISAGREEMENTS as GUIDE
from explorer.widgets.panels.compare.pace import Pace, timed
from explorer.widgets.panels.compare.words import not_here, progress_html
from explorer.widgets.panels.photo_code import bundled_photo, list_lines
from explorer.widgets.panels.work import Work, notes_html
from explorer.widgets.parts.answer_grid import AnswerGrid
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.compare.comparison import Comparison
    from explorer.inspection.compare.disagreeing import Disagreements

PATIENCE = 3.0        # seconds that nobody is asked about
FEWEST = 6            # photos that are worth a grid
MEANS = "Jensen-Shannon divergence of the models' probabilities: 0 bits where they are the same"
NUMBERS = "Mean distance of the numbers that two models give, in their own unit"
ANSWERS = "Share of the pairs of models whose first answers differ"


@dataclass(frozen=True)
class Wish:
    """Which models and photos the grid is about."""

    names: tuple[str, ...]
    own: str
    model: int    # tells the model on the screen from another, where it is one of them
    photos: int   # tells a gallery from another
    count: int    # of its photos, from the first on
    gallery: Gallery = field(compare=False, repr=False)

    @property
    def asked(self) -> tuple[tuple[str, Any], ...]:
        """(title, source) of the photos that it is about."""
        return self.gallery[:self.count]

    def like(self, other: Wish | None) -> bool:
        """Whether it is the other, but for how many of the photos."""
        return other is not None and replace(other, count=self.count) == self


@dataclass(frozen=True)
class Grid:
    wish: Wish
    result: Comparison
    found: Disagreements
    lines: tuple[str, ...]


class DisagreementsPanel(Panel):
    """choice: which models are compared;  opened: gives those that are open already, by name"""

    title = "Disagreements"
    guide = GUIDE
    nothing_yet = "The models were not asked about the photos yet."
    draw_on = ("compare", "gallery", "image_name", "model", "look")
    rests = True

    def __init__(self, session: Session, choice: Choice, opened: Callable[[], dict[str, Any]]):
        self.choice, self.opened = choice, opened
        self.shown: Grid | None = None
        self._pace: Pace | None = None
        self._wished: Wish | None = None  # what was started last
        self._timed: Any = None           # the model whose pass was timed, or could not be
        self._ready: dict[str, Any] = {}  # models that were opened to see how long that takes
        super().__init__(session)
        self.in_front = False             # until the tab says so
        self.add_class("vx-apart")

    def make(self) -> None:
        self.work = self.line(Work, sentence=sentence_of, busy=lambda _running: self._offer(),
                              meter=lambda _job, *far: progress_html(*far))
        self.pace = self.line(over=self._offer)
        self.go = W.Button(layout=W.Layout(width="auto"), tooltip="Shows the photos to all models, once")
        self.go.add_class("vx-open")
        self.says = W.HTML()
        status = line([self.go, self.work.button, self.work.progress, self.work.message, self.says])
        status.add_class("vx-apart-status")
        self.grid = AnswerGrid(label="Photos and what each model says of them", lock=self.session.lock,
                               layout=W.Layout(min_height="442px"))  # before its rows are there, too
        self.below = W.HTML()
        self.fill([status, self.grid, self.below])
        self.when(self.go, self._begin)
        self.on_choice(self.choice.own)
        self.grid.on_pick(lambda index: self.tell(self._open, index))

    def draw(self) -> None:
        """Follow the ticks, the photos and the one on the screen; models run only where that is quick."""
        self._mark()
        wish = self._wish()
        if self.work.wanted and (wish is None or not wish.like(self._wished)):
            self.work.drop()
        if wish is not None and not self._holds(wish) and not self.work.wanted:
            if self._pace is None:
                self._measure()
            quick = self._quick(wish)
            # once: what was stopped, or has failed, is not begun again
            if quick is not None and quick != self._wished and not self._holds(quick):
                self._begin(quick)
        self._offer()

    def _quick(self, wish: Wish) -> Wish | None:
        """The wish, or as many of its first photos as take no longer than a reader waits; None: too few."""
        seconds = self._seconds(wish)
        if seconds is None or not_here(wish.names):
            return None
        if seconds < PATIENCE:
            return wish
        opening = self._seconds(replace(wish, count=0)) or 0.0
        fits = int((PATIENCE - opening) / (seconds - opening) * wish.count)
        return replace(wish, count=fits) if fits >= FEWEST else None

    def wait(self, timeout: float | None = 120) -> bool:
        return not self.built or super().wait(timeout)

    # --- what is asked for ----------------------------------------------------------------------------------

    def _wish(self) -> Wish | None:
        if self._why_not():
            return None
        own = self._own()
        model = id(self.session.model) if own else 0
        gallery = self.session.gallery
        return Wish(self.choice.names, own, model, id(gallery), len(gallery), gallery)

    def _own(self) -> str:
        return self.choice.own_name() if self.choice.own.value else ""

    def _why_not(self) -> str:
        """Why there is nothing to be shown; "" where there is."""
        if self.choice.task != "classification":
            return ("Boxes and masks have no probabilities to be held against each other: compare what the "
                    "models find below.")
        if not self.session.gallery:
            return "There are no photos: add some above."
        count = len(self.choice.names) + bool(self._own())
        if count < 2:
            return "Tick one model more: it takes two to disagree."
        return f"At most {MAX_COMPARED} models: take one away." if count > MAX_COMPARED else ""

    def _holds(self, wish: Wish) -> bool:
        return self.shown is not None and self.shown.wish == wish

    def _offer(self) -> None:
        """The button with what it takes, where the grid is of something else, or not there."""
        if self.gone or not self.built:
            return
        why, wish, running = self._why_not(), self._wish(), self.work.wanted
        waiting = self.pace.wanted and self._pace is None
        offered = wish is not None and not self._holds(wish) and not running and not waiting
        self.go.layout.display = "" if offered else "none"
        self.work.button.layout.display = "" if running else "none"
        self.grid.layout.display = "none" if self.shown is None and not running else ""
        said = [why]
        if offered and wish is not None:
            self.go.description = f"Show {counted(wish.count, 'photo')} to {self._models(wish)}"
            said = [self._cost(wish)]
        if self.shown is not None and not running:
            now = wish is not None and wish.like(self.shown.wish)
            said += [self._about()] if now else [f"Shown: {', '.join(self.shown.result.names)}."]
        text = " ".join(filter(None, said))
        self.says.value = f'<span class="vx-soft" role="status">{escape(text)}</span>' if text else ""

    @staticmethod
    def _models(wish: Wish) -> str:
        return counted(len(wish.names) + bool(wish.own), "model")

    def _cost(self, wish: Wish) -> str:
        """What a press on the button takes."""
        missing, seconds = not_here(wish.names), self._seconds(wish)
        if missing:
            return f"The weights of {', '.join(missing)} are not on this computer: this downloads them."
        if seconds is None:
            return ""
        return f"About {seconds_text(max(seconds, 1))} on this computer, going by a pass that was measured."

    # --- what it would take ---------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Time a pass of the model on the screen, in the background; drawn again once that is known."""
        look, model, tree = self.session.look, self.session.model, self.session.tree
        work = None if tree is None else tree.multiply_adds
        if look is None or look.finds_places or not work or self._timed is model:
            return
        self._timed = model
        missing = not_here(self.choice.names)
        shut = [name for name in self.choice.names if name not in (*self._open_now(), *missing)]
        self.pace.start(partial(self._time, model, work, look, next(iter(shut), "")), self._paced)

    def _time(self, model: Any, multiply_adds: int, look: Any, shut: str, _job: Job) -> Pace:
        pace, opened = timed(model, multiply_adds, look, shut)
        if opened is not None:
            self.tell(self._ready.update, {shut: opened})
        return pace

    def _paced(self, found: Pace) -> None:
        self._pace = found
        if self.in_front:
            self.draw()

    def _seconds(self, wish: Wish) -> float | None:
        """How long the models take for all photos; None where nobody knows."""
        if self._pace is None:
            return None
        tree = self.session.tree
        own = [None if tree is None else tree.multiply_adds] if wish.own else []
        return self._pace.seconds(wish.names, own, wish.count, self._open_now())

    def _open_now(self) -> dict[str, Any]:
        """The models that need not be opened, by name."""
        session = self.session
        on_screen = {session.model_source: session.model} if session.model_source else {}
        return on_screen | self._ready | self.opened()

    # --- running --------------------------------------------------------------------------------------------

    def _begin(self, wish: Wish | None = None) -> None:
        """Show photos to the models, in the background; all of them, unless told otherwise."""
        wish = self._wish() if wish is None else wish
        if wish is None or self.work.wanted:
            return
        self._wished = wish
        photos = {title: bundled_photo(source) or source for title, source in wish.asked}
        models, lines = self.choice.models(Asked(wish.names, wish.own, ()), self._ready | self.opened())
        lines += list_lines([], wish.asked)
        self.work.say("")
        self.work.start(partial(self._answers, wish, models, photos, tuple(lines)), self._show,
                        doing=f"asking {self._models(wish)} about {counted(len(photos), 'photo')}")

    def _answers(self, wish: Wish, models: dict[str, Any], photos: dict[str, Any], lines: tuple[str, ...],
                 job: Job) -> tuple[Grid, list[bytes]] | str:
        from explorer.inspection.compare.comparing import compare
        from explorer.inspection.look.passes import Stopped

        try:
            result = compare(models, photos, measure=False, on_progress=job.progress, should_stop=job.ended)
        except Stopped as stopped:
            return str(stopped)
        if len(result) < 2:
            problems = " ".join(f"{who}: {why}" for who, why in result.problems)
            return "Stopped before two models were done." if job.stopped else problems
        found = result.disagreements()
        pictures = [small_jpeg(found.picture(row.photo, 2 * SMALL[0])) for row in found]
        return Grid(wish, result, found, lines), pictures

    def _show(self, outcome: tuple[Grid, list[bytes]] | str) -> None:
        from explorer.inspection.compare.page import COLOURS

        if isinstance(outcome, str):
            self.work.say(outcome)
            return
        self.shown, pictures = outcome
        self._ready.clear()  # they are held by what is shown, where they are of use
        found = self.shown.found
        distances = [row.distance for row in found if found.of_numbers and isfinite(row.distance)]
        furthest = max(distances, default=0.0)
        rows = [grid_row(row, found.most, furthest) for row in found]
        apart, means = "apart", NUMBERS if furthest else ANSWERS
        if found.together:
            apart, means = "bits apart", MEANS
        self.grid.show([*zip(found.names, COLOURS)], rows, pictures, apart=apart, means=means)
        notes = [f"{who}: {why}" for who, why in self.shown.result.problems]
        self.below.value = notes_html(notes)
        self._mark()
        self._offer()
        self.changed()

    def _about(self) -> str:
        assert self.shown is not None
        found, wish = self.shown.found, self.shown.wish
        total = len(wish.gallery)
        part = f"The first {wish.count} of {total} photos." if wish.count < total else ""
        known = sum(bool(row.truth) for row in found)
        judged = f"✓ and ✗ where the class of a photo is known: {known} of {len(found)}." if known else ""
        opens = "A click on a photo shows it in all panels."
        return " ".join(filter(None, [part, *found.sentences, judged, opens]))

    # --- what the reader does -------------------------------------------------------------------------------

    def _mark(self) -> None:
        """The photo on the screen."""
        titles = [row.photo for row in self.grid.rows]
        name = self.session.image_name
        self.grid.mark(titles.index(name) if name in titles else -1)

    def _open(self, index: int) -> None:
        if self.shown is not None:
            title = self.shown.found[index].photo
            self.session.open_image(dict(self.shown.wish.gallery)[title], title)

    # --- to keep --------------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        return "\n".join(["import explorer", "", *self.shown.lines,
                          "result = explorer.compare(models, photos, measure=False)",
                          "result.disagreements()", 'result.figure("disagreements")'])

    def figure(self) -> Any:
        return None if self.shown is None else self.shown.found.figure()

    def heading(self) -> str:
        return self.title if self.shown is None else f"Where {len(self.shown.result)} models disagree"

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        models, photos = ", ".join(self.shown.result.names), counted(len(self.shown.found), "photo")
        return " ".join([f"Models: {models}. {photos} of the gallery.", *self.shown.found.sentences])

    def forget(self) -> None:
        self.shown = self._wished = self._timed = None
        self._ready.clear()
