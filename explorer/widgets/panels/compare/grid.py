"""Where the models disagree: the photos of the gallery down, the models across, the most divided photo first.

It runs by itself when the tab comes to the front and that costs less than `PATIENCE`, by what a pass takes on
this computer; else a button says what it would take.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, percent, seconds_text, sentence_of
from explorer.models.names import split_door
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.gallery import Gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.choosing import Asked, Choice, line
from explorer.widgets.panels.compare.guide import DISAGREEMENTS as GUIDE
from explorer.widgets.panels.compare.words import not_here, progress_html
from explorer.widgets.panels.photo_code import bundled_photo, list_lines
from explorer.widgets.panels.work import Work, notes_html
from explorer.widgets.parts.answer_grid import AnswerGrid, GridCell, GridRow
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from PIL import Image

    from explorer.inspection.compare.comparison import Comparison
    from explorer.inspection.compare.disagreeing import Disagreements

PATIENCE = 3.0        # seconds that nobody is asked about
SMALL = (112, 84)     # pixels of a photo in the grid
TOGETHER = 4          # photos in the pass that is timed for the estimate
MEANS = "Jensen-Shannon divergence of the models' probabilities: 0 bits where they are the same"
ANSWERS = "Share of the pairs of models whose first answers differ"


@dataclass(frozen=True)
class Wish:
    """Which models and photos the grid is about."""

    names: tuple[str, ...]
    own: str
    model: int    # tells the model on the screen from another, where it is one of them
    photos: int   # tells a gallery from another
    gallery: Gallery = field(compare=False, repr=False)


@dataclass(frozen=True)
class Pace:
    """What was measured here: seconds for a multiply-add in a pass, and to prepare a photo."""

    multiply_add: float
    photo: float


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
        if self.work.wanted and wish != self._wished:
            self.work.drop()
        if wish is not None and not self._holds(wish) and not self.work.wanted:
            if self._pace is None:
                self._measure()
            seconds = self._seconds(wish)
            quick = seconds is not None and seconds < PATIENCE and not not_here(wish.names)
            if quick and wish != self._wished:  # once: what was stopped, or has failed, is not begun again
                self._begin()
        self._offer()

    def wait(self, timeout: float | None = 120) -> bool:
        return not self.built or super().wait(timeout)

    # --- what is asked for ----------------------------------------------------------------------------------

    def _wish(self) -> Wish | None:
        if self._why_not():
            return None
        own = self._own()
        model = id(self.session.model) if own else 0
        return Wish(self.choice.names, own, model, id(self.session.gallery), self.session.gallery)

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
            return "Tick one model more: to disagree takes two."
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
            self.go.description = f"Show {counted(len(wish.gallery), 'photo')} to {self._models(wish)}"
            said = [self._cost(wish)]
        if self.shown is not None and (wish is None or not self._holds(wish)):
            said.append(f"Shown: {', '.join(self.shown.result.names)}.")
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
        return f"About {seconds_text(max(seconds, 1))} on this computer, by what a pass was measured to take."

    # --- what it would take ---------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Time a pass of the model on the screen, in the background; drawn again once that is known."""
        look, model, tree = self.session.look, self.session.model, self.session.tree
        if look is None or look.finds_places or tree is None or not tree.flops or self._timed is model:
            return
        self._timed = model
        self.pace.start(partial(self._time, model, tree.flops // 2, look.timing["preprocess"]), self._paced)

    @staticmethod
    def _time(model: Any, multiply_adds: int, preparing: float, _job: Job) -> Pace:
        from explorer.inspection.compare.speed import measure_speed

        speed = measure_speed(model, batch_size=TOGETHER, warm_up=0, repeats=1)
        return Pace(speed.latency / TOGETHER / multiply_adds, preparing)

    def _paced(self, found: Pace) -> None:
        self._pace = found
        if self.in_front:
            self.draw()

    def _seconds(self, wish: Wish) -> float | None:
        """How long the models take for all photos; None where nobody knows."""
        counts = [_multiply_adds(name) for name in wish.names]
        if wish.own:
            tree = self.session.tree
            counts.append(tree.flops // 2 if tree is not None and tree.flops else None)
        pace = self._pace
        if pace is None or None in counts:
            return None
        return len(wish.gallery) * sum(count * pace.multiply_add + pace.photo for count in counts if count)

    # --- running --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Show the photos to the models, in the background."""
        wish = self._wish()
        if wish is None or self.work.wanted:
            return
        self._wished = wish
        photos = {title: bundled_photo(source) or source for title, source in wish.gallery}
        models, lines = self.choice.models(Asked(wish.names, wish.own, ()), self.opened())
        lines += list_lines([], wish.gallery)
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
        pictures = [_jpeg(found.picture(row.photo, 2 * SMALL[0])) for row in found]
        return Grid(wish, result, found, lines), pictures

    def _show(self, outcome: tuple[Grid, list[bytes]] | str) -> None:
        from explorer.inspection.compare.page import COLOURS

        if isinstance(outcome, str):
            self.work.say(outcome)
            return
        self.shown, pictures = outcome
        found = self.shown.found
        rows = [_row(row, found.most) for row in found]
        apart, means = ("bits apart", MEANS) if found.together else ("apart", ANSWERS)
        self.grid.show([*zip(found.names, COLOURS)], rows, pictures, apart=apart, means=means)
        notes = [f"{who}: {why}" for who, why in self.shown.result.problems]
        self.below.value = notes_html(notes) + f'<div class="vx-soft">{escape(self._about())}</div>'
        self._mark()
        self._offer()
        self.changed()

    def _about(self) -> str:
        assert self.shown is not None
        found = self.shown.found
        known = sum(bool(row.truth) for row in found)
        judged = f"✓ and ✗ where the class of a photo is known: {known} of {len(found)}." if known else ""
        return " ".join(filter(None, [*found.sentences, judged, "A click makes a photo that of all panels."]))

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


def _multiply_adds(name: str) -> int | None:
    from explorer.models.card import model_card

    return None if split_door(name)[0] else model_card(name).macs


def _row(row: Any, most: float) -> GridRow:
    """One photo as the page shows it."""
    *first, last = row.truth or ("",)
    truth = f"shows {', '.join(first)} or {last}" if first else f"shows {last}" if last else ""
    cells = tuple(GridCell(answer, "" if share is None else percent(share), right)
                  for answer, share, right in zip(row.answers, row.shares, row.right))
    if row.bits is None:
        return GridRow(row.photo, truth, percent(row.share), row.share, cells)
    return GridRow(row.photo, truth, f"{row.bits:.2f}", row.bits / most if most else 0.0, cells)


def _jpeg(photo: Image.Image) -> bytes:
    """The middle of a photo, small."""
    from PIL import ImageOps

    buffer = io.BytesIO()
    ImageOps.fit(photo.convert("RGB"), SMALL).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
