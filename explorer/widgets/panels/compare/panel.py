"""Several models and the same photos, side by side.

Where they disagree (`grid`), then answers, heat maps, feature maps, agreement, size, speed and accuracy.
For these the models run when a button is pressed, never because another photo was chosen; what is shown says
which photo it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.export import file_name
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.choosing import Asked, Choice, line
from explorer.widgets.panels.compare.grid import DisagreementsPanel
from explorer.widgets.panels.compare.guide import GUIDE
from explorer.widgets.panels.compare.views import Drawn, Views
from explorer.widgets.panels.compare.words import progress_html
from explorer.widgets.panels.work import Work
from explorer.widgets.parts.downloads import Downloads
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.compare.compared import Compared

FILES = {"Answers as CSV": ("answers.csv", "text/csv"), "Table as CSV": ("table.csv", "text/csv"),
         "Table as Markdown": ("table.md", "text/markdown")}
OF_PHOTOS, OF_MODELS = ["Answers as CSV", "Table as Markdown"], ["Table as CSV", "Table as Markdown"]
SHOWS, TIMES = "Shows the photos to all models", "Times the models here, taking turns"


@dataclass(frozen=True)
class Shown:
    """What is on the page, and the lines that give it again."""

    result: Compared
    asked: Asked
    lines: tuple[str, ...]
    about: str


class ComparePanel(Panel):
    title = "Side by side"
    name = called = "Comparison"
    guide = GUIDE
    nothing_yet = "Nothing is compared yet: press Compare first."
    draw_on = ("compare", "gallery", "look", "image_name", "model_name")

    def __init__(self, session: Session):
        self.shown: Shown | None = None
        self.compare: W.Button | None = None
        super().__init__(session)
        self.add_class("vx-cmp")

    def make(self) -> None:
        self.work = self.line(Work, sentence=self._sentence, busy=lambda _running: self.draw(),
                              meter=lambda _job, *far: progress_html(*far))
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.saving = self.line()
        self.choice = Choice(self.session, self._redraw, self.work.say, self.line())
        self.apart = DisagreementsPanel(self.session, self.choice, self._opened)
        self.views = Views(self, self._show_view)
        self.compare = W.Button(description="Compare", button_style="primary", layout=W.Layout(width="auto"))
        self.measure = W.Button(description="Measure speed", tooltip=TIMES, layout=W.Layout(width="auto"))
        self.stale, self.about = W.HTML(), W.HTML()
        self.files = Downloads(offers=OF_PHOTOS, label="Download the comparison", lock=self.session.lock)
        said = W.VBox([self.progress, self.message, self.stale])
        said.add_class("vx-cmp-said")
        buttons = line([self.compare, self.measure, self.stop, said])
        self.body = W.VBox([*self.views.rows, self.files, self.about])
        self.body.add_class("vx-cmp-body")
        self.body.layout.display = "none"
        # its bar stands above what it speaks of
        self.children = [*self.choice.rows, self.apart, *self._bar(), *self.choice.photo_rows, buttons,
                         self.body]
        self.compare.on_click(lambda _: self._ask(speed=False))
        self.measure.on_click(lambda _: self._ask(speed=True))
        self.views.table.on_pick(lambda index: self._open(self.shown.result.names[index]))
        self.views.scatter.on_pick(lambda index: self._open(self.views.placed[index]))
        self.files.on_ask(self._save)

    def seen(self, in_front: bool) -> None:
        super().seen(in_front)
        if self.built:
            self.apart.seen(in_front)

    def wait(self, timeout: float | None = 120) -> bool:
        return super().wait(timeout) and self.apart.wait(timeout)

    def draw(self) -> None:
        """Follow the ticks, the photo and the model on the screen; no model runs for that."""
        self.choice.draw()
        why = self.choice.why_not()
        for button, does in ((self.compare, SHOWS), (self.measure, TIMES)):
            button.disabled = self.work.wanted or bool(why)
            button.tooltip = why or does
        self._show_stale()

    # --- running --------------------------------------------------------------------------------------------

    def _ask(self, *, speed: bool) -> None:
        """Start in the background; what is shown already is only timed, not shown the photos again."""
        with self.session.lock:
            asked = self.choice.wanted()
            if self.work.wanted or asked is None:
                return
            models, lines = self.choice.models(asked, self._opened())
            photos, more, about = self.choice.photos()
            fresh = self.shown is not None and self.shown.asked == asked
            self.work.say("")
            shown = self.shown.result if speed and fresh else None
            step = partial(self._compared, shown, asked, models, photos, (*lines, *more), about, speed)
            self.work.start(step, self._timed)

    def _opened(self) -> dict[str, Any]:
        """The models by name that are open for what is shown."""
        results = [one.result for one in (self.apart.shown, self.shown) if one is not None]
        return {name: model for result in results for name, model in zip(result.names, result.models)}

    def _compared(self, shown: Compared | None, asked: Asked, models: dict[str, Any], photos: Any,
                 lines: tuple[str, ...], about: str, speed: bool, job: Job) -> tuple[Compared, bool] | None:
        """(what was timed, whether that was stopped).

        Before that the photos go to the models, where they did not.
        """
        from explorer.inspection.compare.comparing import compare
        from explorer.inspection.look.passes import Stopped

        told = {"on_progress": job.progress, "should_stop": job.ended}
        try:
            if shown is None:
                shown = compare(models, photos, measure=False, **told)
                job.tell(self._show, Shown(shown, asked, lines, about))
            if speed and not job.ended():
                shown.measure(**told)
                return shown, job.stopped
        except Stopped as stopped:  # before anything was done
            job.tell(self.work.say, str(stopped))
        return None

    def _show(self, shown: Shown) -> None:
        self.shown = shown
        self.views.drawn = None  # what is on the page is of another comparison
        self.views.offer(shown.result)
        self._show_view()

    def _timed(self, outcome: tuple[Compared, bool] | None) -> None:
        if outcome is None or self.shown is None or self.shown.result is not outcome[0]:
            return
        result, stopped = outcome
        if any(row.latency for row in result.rows):
            self.views.show_times()
        self._show_view()
        if stopped:
            self.work.say("Stopped: the times are those of the passes that were made.")

    def _sentence(self, error: BaseException) -> str:
        scarce = "There is not enough memory for that. Compare fewer or smaller models."
        return sentence_of(error, scarce=scarce)

    # --- showing --------------------------------------------------------------------------------------------

    def _show_view(self, _change: Any = None) -> None:
        """Draw the chosen side of what is there."""
        with self.session.lock:
            if self.views.filling or self.gone or self.shown is None:
                return
            self.body.layout.display = ""
            self.views.draw(self.shown.result)
            self.files.offers = OF_MODELS if self.views.view.value in ("table", "scatter") else OF_PHOTOS
            self.about.value = about_html(self.shown)
            self._show_stale()
            self.changed()

    def _show_stale(self) -> None:
        """Say what is shown where something else would be compared now."""
        text, shown = "", self.shown
        if shown is not None and not self.work.wanted and (changes := self.choice.changes_since(shown.asked)):
            names = ", ".join(shown.result.names)
            text = f"This is {shown.about} with {names}; {' and '.join(changes)}. Press Compare."
        self.stale.value = f'<div class="vx-note" role="status">{escape(text)}</div>' if text else ""

    # --- what the reader does -------------------------------------------------------------------------------

    def _open(self, name: str) -> None:
        """Make a compared model the one that all panels show."""
        with self.session.lock:
            if self.shown is None or name not in self.shown.result.names:
                return
            asked, result = self.shown.asked, self.shown.result
            opened = result.models[result.names.index(name)]
            self.session.open_model(name if name in asked.names else opened)
        self.work.say(f"All panels show {name} now.")

    def _save(self, offer: str) -> None:
        self.saving.start(partial(self._write, offer, self.shown), key=offer)

    def _write(self, offer: str, shown: Shown | None, _job: Job) -> None:
        if shown is None:
            self.files.problem(self.nothing_yet)
            return
        ending, mime = FILES[offer]
        result = self.drawn.seen(shown.result) if self.drawn else shown.result
        csv_of = {"Answers as CSV": "photos", "Table as CSV": "models"}.get(offer)
        text = result.to_csv(of=csv_of) if csv_of else result.to_markdown()
        self.files.answer(f"comparison-{ending}", mime, text.encode())

    # --- to keep --------------------------------------------------------------------------------------------

    @property
    def drawn(self) -> Drawn | None:
        """What is on the page of the comparison that is shown."""
        return self.views.drawn if self.shown is not None else None

    def code(self) -> str:
        if self.shown is None:
            return ""
        result, compare = self.shown.result, "result = explorer.compare(models, photos, measure=False)"
        lines = ["import explorer", "", *self.shown.lines, compare]
        if result.conditions:
            lines.append("result.measure()  # times differ from one run to the next")
        return "\n".join([*lines, *(self.drawn.lines(result) if self.drawn else ["result"])])

    def figure(self) -> Any:
        return self.drawn.figure(self.shown.result) if self.drawn else None

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        result = self.shown.result
        timed = result.conditions and self.drawn is not None and self.drawn.view == "table"
        speed = f" {result.conditions}" if timed else ""
        return f"Models: {', '.join(result.names)}. Photos: {self.shown.about}.{speed}"

    def heading(self) -> str:
        return f"{self.drawn.title} of {len(self.shown.result)} models" if self.drawn else self.called

    def _file_name(self) -> str:
        return file_name(self.called, self.drawn.view) if self.drawn else super()._file_name()

    def forget(self) -> None:
        self.shown = None
        if self.built:
            self.views.drawn = self.views.result = None


def about_html(shown: Shown) -> str:
    """Which models could not be opened and why; what is shown, and how its speed was measured."""
    result = shown.result
    problems = "".join(f'<div class="vx-note"><b>{escape(who)}</b>: {escape(why)}</div>'
                       for who, why in result.problems)
    sentences = [f"Shown: {shown.about}.", *result.notes]
    if result.conditions:
        sentences.append(f"Speed: {result.conditions}")
    lines = "".join(f"<p>{escape(text)}</p>" for text in sentences)
    return f'{problems}<div class="vx-soft vx-cmp-about">{lines}</div>'
