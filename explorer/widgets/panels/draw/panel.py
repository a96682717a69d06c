"""Pictures drawn by optimisation, growing while they are watched; those before stay beside each other.

`explorer.visualize` draws in the background and tells of each step; a picture travels five times a second at
most. What was stopped goes on from where it is.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets import export
from explorer.widgets.jobs import Job, Pace
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.choosing import line
from explorer.widgets.panels.draw import words
from explorer.widgets.panels.draw.asking import Wanted, asked_class, wanted_of
from explorer.widgets.panels.draw.drawn_before import AS_PHOTO, REMOVE, SAVE, DrawnBefore
from explorer.widgets.panels.draw.fields import Fields
from explorer.widgets.panels.draw.guide import GUIDE
from explorer.widgets.panels.draw.offering import Offer
from explorer.widgets.panels.draw.timing import Timing
from explorer.widgets.panels.work import Work, meter_html, said_html
from explorer.widgets.parts.drawings import Drawing, Drawings
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.drawing.drawn import DrawnPicture

GAP = 0.2  # seconds between two pictures of the one that grows, at least
SIDE = {1: 320, 2: 280, 3: 210}  # pixels of each, as so many are shown beside each other


class DrawPanel(Panel):
    """wanted, drawn: what was asked for last, and what came of it;  before: those drawn before"""

    name = "Draw"
    guide = GUIDE
    nothing_yet = "Nothing is drawn yet: press Start."
    draw_on = ("look", "model", "gallery", "stage", "channel", "asked_class")
    rests = True

    def __init__(self, session: Session):
        self.wanted: Wanted | None = None
        self.drawn: DrawnPicture | None = None
        self.before: DrawnBefore | None = None
        self.timing = Timing()
        self._model: weakref.ref | None = None  # that the controls are about
        super().__init__(session)
        self.add_class("vx-draw")

    def make(self) -> None:
        self.work = self.line(Work, tooltip="After the present step; Go on continues from there",
                              sentence=partial(sentence_of, scarce=words.SCARCE), busy=self._switch,
                              meter=self._meter)
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.pace = Pace(self.session.lock)
        self.fields = Fields()
        self.offer = Offer(self.session, self.fields)
        auto = W.Layout(width="auto")
        self.start = W.Button(description="Start", button_style="primary", layout=auto)
        self.more = W.Button(description="Go on", layout=auto, disabled=True,
                             tooltip="From where it stands, with the settings that it began with")
        for button in (self.start, self.more, self.stop):
            button.add_class("vx-open")
        self.about, self.cost, self.facts = W.HTML(), W.HTML(), W.HTML()
        self.view = Drawings(label="The picture", side=SIDE[1], lock=self.session.lock)
        self.curve = LiveChart(x_label="step", height=170, switches=[], empty="The score, step by step.")
        self.before = DrawnBefore(self.session)
        for part in (self.view, self.before.row):
            part.on_act(lambda key, action: self.tell(self._act, key, action))
        asked = W.VBox([self.fields.box, self.about, self.cost, line([self.start, self.stop, self.more]),
                        self.progress, self.message])
        beside = W.Box([self.curve, self.facts])
        beside.add_class("vx-draw-beside")
        shown = W.Box([self.view, beside])
        shown.add_class("vx-draw-shown")
        columns = W.Box([asked, shown])
        columns.add_class("vx-draw-columns")
        self.fill([columns, self.before.title, self.before.row])
        for control in (self.fields.method, self.fields.begin):
            self.when(control, self.offer.other_method)
        self.when(self.fields.stage, self.offer.other_stage)
        for control in self.fields.all:
            self.when(control, self._foretell)
        self.when(self.start, self._start)
        self.when(self.more, self._go_on)

    # --- what is offered ------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Another model, photo, stage, channel or class is in front."""
        session = self.session
        if not self._follows:
            self._let_go()
            self._model = None if session.model is None else weakref.ref(session.model)
            self.timing.other_model()
            self.offer.take_model()
        if session.look is not None:
            self.timing.see(session.look)
        self.offer.follow()
        self._foretell()

    @property
    def _follows(self) -> bool:
        """Whether the controls are about the model that is open."""
        return (None if self._model is None else self._model()) is self.session.model

    def _let_go(self) -> None:
        """Another model is open: what the former one has drawn stays, and does not go on."""
        if self.work.wanted:
            self.work.drop()
            self.view.clear()
            self.curve.clear()
            self.wanted = self.drawn = None
            self.work.say("Another model is open: the picture that was growing is given up.")
        if self.wanted is not None and self.drawn is not None:
            self.wanted, self.drawn.sofar = self.wanted.alone(), None
        self._switch(False)

    def _foretell(self) -> None:
        """Say what would be drawn, and what it would take, or why it can't be."""
        if self.offer.filling or not self._follows:
            return  # they are exchanged, or will be as the reader comes back
        self.fields.show()
        model = self.session.model
        why = "" if model is not None else "Choose a model first."
        self.start.disabled = bool(why) or self.work.wanted
        known = [] if model is None else self.offer.to_know()
        soft = "".join(f'<div class="vx-soft">{escape(one)}</div>' for one in known)
        self.about.value = soft if model is not None else said_html(why)
        self.cost.value = ""
        if model is None:
            return
        labels, steps = self.offer.labels, self.fields.steps.value
        if labels:
            usual = labels[asked_class(self.session, "", self.offer.outputs)]
            self.fields.target.placeholder = f"{usual}; or type a name"
        side, pixels = self.offer.side()
        name, method = self.session.model_name, self.fields.method.value
        seconds = self.timing.a_step(name, method, pixels, self.session.look)
        estimate = None if seconds is None else seconds * steps
        text = words.time_text(estimate, steps, side)
        self.cost.value = f'<span class="vx-soft">{escape(text)}</span>'

    # --- drawing --------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.work.wanted:
            return
        try:
            wanted = wanted_of(self.session, self.fields)
        except ValueError as error:
            self.work.say(str(error), wrong=True)
            return
        if self.wanted is not None and self.drawn is not None:
            self.before.add(self.wanted, self.drawn)
        self.wanted, self.drawn = replace(wanted, model=None), None  # the model is the session's
        self.facts.value = ""
        self.view.clear()
        self.curve.clear()
        self.curve.title = f"{wanted.measure[0].upper()}{wanted.measure[1:]}, step by step"
        self._begin(wanted, None)

    def _go_on(self) -> None:
        """From where the picture is: to the end, or as many steps more."""
        wanted, drawn = self.wanted, self.drawn
        if self.work.wanted or wanted is None or drawn is None or drawn.sofar is None:
            return
        if not drawn.stopped:
            wanted = wanted.more(self.fields.steps.value)
        self.wanted = wanted
        self._begin(replace(wanted, model=self.session.model), drawn)

    def _begin(self, wanted: Wanted, after: DrawnPicture | None) -> None:
        self.work.say("")
        self.curve.x_end = float(wanted.steps)
        self.timing.begin(0 if after is None else after.steps)
        self.work.start(partial(self._visualize, wanted, after), partial(self._show, wanted),
                        doing="preparing to draw")

    def _visualize(self, wanted: Wanted, after: DrawnPicture | None, job: Job) -> DrawnPicture:
        """In the background."""
        from explorer.inspection.drawing.asking import visualize

        steps = iter(range(1 if after is None else after.steps + 1, wanted.steps + 1))
        def hear_value(value: float) -> None:
            if not job.stale:
                self.curve.push(next(steps), {wanted.measure: value})

        def hear_picture(picture: Image.Image) -> None:
            self.pace.show(lambda: None if job.stale else self._grow(wanted, picture), gap=GAP)

        return visualize(wanted.model, **wanted.arguments(), after=after, should_stop=job.ended,
                         on_progress=partial(job.progress, what="steps"), on_picture=hear_picture,
                         on_value=hear_value)

    def _grow(self, wanted: Wanted, picture: Image.Image) -> None:
        """The picture as it is now; the lock is held."""
        from explorer.display.draw import jpeg_bytes

        self.view.side = SIDE[1]
        alt = f"The picture that grows: {wanted.called}"
        self.view.show([Drawing("now", wanted.called, "growing …", alt)], [jpeg_bytes(picture)])

    def _show(self, wanted: Wanted, drawn: DrawnPicture) -> None:
        """The picture at its end; the lock is held."""
        from explorer.display.draw import png_bytes

        self.drawn = drawn
        self.timing.end(wanted, drawn)
        shown = words.pictures_of(wanted, drawn)
        buttons = (AS_PHOTO, SAVE)
        self.view.side = SIDE[len(shown)]
        self.view.show([Drawing(key, title, text, title if key != "now" else f"Drawn: {title}",
                                buttons if key == "now" else ()) for key, _, title, text in shown],
                       [png_bytes(picture) for _, picture, _, _ in shown])
        self.curve.finish()
        self.facts.value = words.facts_html(drawn, self.offer.to_know())
        self._foretell()
        self.changed()

    def _meter(self, job: Job, done: int, total: int, what: str) -> str:
        if job.stopped:
            return meter_html(done, total, what, "Stopping.")
        return meter_html(done, total, what, words.left_text(self.timing.left(done, total)))

    def _switch(self, running: bool) -> None:
        self.start.disabled = running or self.session.model is None
        stands = self.drawn is not None and self.drawn.sofar is not None
        self.more.disabled = running or not stands

    def _act(self, key: str, action: str) -> None:
        """A button below a picture: the one that is drawn now, or one of those before."""
        from explorer.display.draw import png_bytes

        now = (self.wanted, self.drawn) if self.wanted is not None and self.drawn is not None else None
        found = now if key == "now" else self.before.find(key)
        if found is None:
            return
        wanted, drawn = found
        if action == REMOVE:
            self.before.remove(key)
        elif action == AS_PHOTO:
            self.session.open_image(drawn.image, f"Drawn: {wanted.called}")
            self.work.say("It is the photo of all tabs now.")
        else:
            name = export.file_name("drawn", wanted.called, wanted.ran.model_name)
            row = self.view if key == "now" else self.before.row
            row.save(f"{name}.png", "image/png", png_bytes(drawn.image))

    # --- to keep --------------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.wanted is None or self.drawn is None:
            return ""
        return self.wanted.lines(self.drawn.steps)

    def figure(self) -> Any:
        if self.wanted is None or self.drawn is None:
            return None
        sheet = words.sheet(self.wanted, self.drawn, self.before.titled())
        return export.titled(sheet, self.heading())

    def heading(self) -> str:
        return f"Drawn: {self.wanted.called}" if self.wanted is not None else self.called

    def caption(self) -> str:
        if self.wanted is None or self.drawn is None:
            return super().caption()
        return words.caption_of(self.wanted, self.drawn)

    def forget(self) -> None:
        self.wanted = self.drawn = self._model = None
        if self.before is not None:
            self.before.pictures.clear()
