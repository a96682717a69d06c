"""Pictures drawn by optimisation, growing while they are watched; those before stay beside each other.

`explorer.visualize` draws in the background and tells of each step; a picture travels five times a second at
most. What was stopped goes on from where it is.
"""

from __future__ import annotations

import math
import time
from collections import deque
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
from explorer.widgets.panels.draw.fields import (
    CHANNEL,
    CLASS,
    MOST_NAMES,
    SIDES,
    STYLE,
    USUAL,
    Fields,
    exchange,
)
from explorer.widgets.panels.draw.guide import GUIDE
from explorer.widgets.panels.inside.channel import strongest_channel
from explorer.widgets.panels.work import Work, meter_html, said_html
from explorer.widgets.parts.drawings import Drawing, Drawings
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.drawing.drawn import DrawnPicture

GAP = 0.2    # seconds between two pictures of the one that grows, at least
KEPT = 8     # pictures that stay beside each other
SIDE = {1: 320, 2: 280, 3: 210}  # pixels of each, as so many are shown beside each other
SMALL = 150
AS_PHOTO, SAVE, REMOVE = "Make it the photo", "Save", "Remove"


class DrawPanel(Panel):
    """wanted, drawn: what was asked for last, and what came of it; kept: those before, the newest first"""

    name = "Draw"
    guide = GUIDE
    nothing_yet = "Nothing is drawn yet: press Start."
    draw_on = ("look", "model", "gallery", "stage", "channel", "asked_class")
    rests = True

    def __init__(self, session: Session):
        self.wanted: Wanted | None = None
        self.drawn: DrawnPicture | None = None
        self.kept: deque[tuple[str, Wanted, DrawnPicture]] = deque(maxlen=KEPT)
        self._count = 0                       # of all that were drawn: keys of those that are kept
        self._model: Any = None               # that the controls are about
        self._pass = math.inf                 # seconds of its quickest look
        self._followed: tuple[Any, ...] = ()  # (stage, channel, class) of the session that they follow
        self._filling = False                 # controls are being exchanged: no wish of the reader's
        self._paces: dict[tuple[str, str], float] = {}  # seconds a step and pixel, by model and method
        super().__init__(session)
        self.add_class("vx-draw")

    def make(self) -> None:
        self.work = self.line(Work, tooltip="Behind the present step; Go on begins there again",
                              sentence=partial(sentence_of, scarce=words.SCARCE), busy=self._switch,
                              meter=self._meter)
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.pace = Pace(self.session.lock)
        self.fields = Fields()
        auto = W.Layout(width="auto")
        self.start = W.Button(description="Start", button_style="primary", layout=auto)
        self.more = W.Button(description="Go on", layout=auto, disabled=True,
                             tooltip="From where it is, with the settings that it was begun with")
        for button in (self.start, self.more, self.stop):
            button.add_class("vx-open")
        self.about, self.cost, self.facts = W.HTML(), W.HTML(), W.HTML()
        self.view = Drawings(label="The picture", side=SIDE[1], lock=self.session.lock)
        self.curve = LiveChart(x_label="step", height=170, switches=[], empty="The score, step by step.")
        self.before = W.HTML("<h3>Drawn before</h3>")
        self.row = Drawings(label="Pictures that were drawn before", side=SMALL, lock=self.session.lock)
        for part in (self.view, self.row):
            part.on_act(lambda key, action: self.tell(self._act, key, action))
        asked = W.VBox([self.fields.box, self.about, self.cost, line([self.start, self.stop, self.more]),
                        self.progress, self.message])
        beside = W.Box([self.curve, self.facts])
        beside.add_class("vx-draw-beside")
        shown = W.Box([self.view, beside])
        shown.add_class("vx-draw-shown")
        columns = W.Box([asked, shown])
        columns.add_class("vx-draw-columns")
        self.fill([columns, self.before, self.row])
        self.before.layout.display = "none"
        self.fields.steps.value = self.fields.usual_steps
        for control in (self.fields.method, self.fields.begin):
            self.when(control, self._other_method)
        self.when(self.fields.stage, self._other_stage)
        for control in self.fields.all:
            self.when(control, self._offer)
        self.when(self.start, self._start)
        self.when(self.more, self._go_on)

    # --- what is offered ------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Another model, photo, stage, channel or class is in front."""
        session = self.session
        if session.model is not self._model:
            self._let_go()
            self._model, self._pass = session.model, math.inf
            self._take_model()
        if session.look is not None:  # a model's first pass takes longer than the others
            self._pass = min(self._pass, session.look.timing["forward"])
        self._filling = True
        try:
            self._take_photos()
            self._follow()
        finally:
            self._filling = False
        self._offer()

    def _let_go(self) -> None:
        """Another model is open: what the former one has drawn stays, and does not go on."""
        if self.work.wanted:
            self.work.drop()
            self.view.clear()
            self.curve.clear()
            self.wanted = None
            self.work.say("Another model is open: the picture that was growing is given up.")
        if self.wanted is not None and self.drawn is not None:
            self.wanted, self.drawn.sofar = self.wanted.alone(), None
        self._switch(False)

    def _take_model(self) -> None:
        """The stages, classes and sizes of another model."""
        model, fields = self.session.model, self.fields
        self._filling = True
        try:
            stages = [stage.name for stage in model.stage_table] if model is not None else []
            exchange(fields.stage, stages, stages[-1] if stages else None)
            self._take_channels()
            exchange(fields.scene, stages, None)
            fields.textures.options = stages
            self._usual_stages(model, stages)
            labels = self._labels()
            fields.target.options = tuple(dict.fromkeys(labels)) if len(labels) <= MOST_NAMES else ()
            noun = self._outputs.noun if labels else "class"
            kinds = [(f"a {noun}", CLASS)] if labels else []
            exchange(fields.what, [*kinds, ("a channel", CHANNEL)], CLASS if labels else CHANNEL)
            fields.target.description = noun.capitalize()
            sides = SIDES if model is not None and any_size(model) else ()
            exchange(fields.size, [("usual", USUAL), *((f"{side} pixels", side) for side in sides)], USUAL)
        finally:
            self._filling = False

    def _usual_stages(self, model: Any, stages: list[str]) -> None:
        from explorer.inspection.drawing.style import usual_stages

        if stages:
            scene, textures = usual_stages(model)
            self.fields.scene.value, self.fields.textures.value = scene, textures

    def _take_photos(self) -> None:
        titles = [title for title, _ in self.session.gallery]
        others = [title for title in titles if title != self.session.image_name]
        usual = next((title for title in others if title.startswith("Dahlia")), others[0] if others else None)
        exchange(self.fields.style, titles, usual)

    def _follow(self) -> None:
        """Take over the stage and the channel in front, and the class that heat maps are about."""
        session, fields = self.session, self.fields
        stage, channel, asked = now = session.stage, session.channel, session.asked_class
        before = self._followed or ("", -1, "")
        self._followed = now
        if stage and stage != before[0] and stage in fields.stage.options:
            fields.stage.value = stage
            self._take_channels()
        if channel >= 0 and (stage, channel) != before[:2] and channel <= fields.channel.max \
                and fields.stage.value == stage:
            fields.channel.value, fields.what.value = channel, CHANNEL
        if asked != before[2] and fields.target.value and asked in self._labels():
            fields.target.value = asked

    def _other_stage(self) -> None:
        if not self._filling:
            self._filling = True
            self._take_channels()
            self._filling = False

    def _take_channels(self) -> None:
        """As many channels as the stage has; the one that is strongest on this photo, till another is chosen.
        """
        model, look, name = self.session.model, self.session.look, self.fields.stage.value
        stage = next((one for one in model.stage_table if one.name == name), None) if model else None
        if stage is None:
            return
        self.fields.channel.max = stage.channels - 1
        if look is not None and name in look.stages:
            self.fields.channel.value = min(strongest_channel(look.stages[name]), stage.channels - 1)

    def _other_method(self) -> None:
        if not self._filling:
            self.fields.steps.value = self.fields.usual_steps

    def _offer(self) -> None:
        """Say what would be drawn, and what it would take, or why it can't be."""
        if self._filling:
            return
        self.fields.show()
        model = self.session.model
        why = "" if model is not None else "Choose a model first."
        self.start.disabled = bool(why) or self.work.wanted
        known = [] if model is None else self._before_it_begins()
        soft = "".join(f'<div class="vx-soft">{escape(one)}</div>' for one in known)
        self.about.value = soft if model is not None else said_html(why)
        self.cost.value = ""
        if model is None:
            return
        labels = self._labels()
        if labels:
            usual = labels[asked_class(self.session, "", self._outputs)]
            self.fields.target.placeholder = f"{usual}; or type a name"
        side, pixels = self._side()
        seconds = self._seconds_a_step(pixels)
        estimate = None if seconds is None else seconds * self.fields.steps.value
        text = words.time_text(estimate, self.fields.steps.value, side)
        self.cost.value = f'<span class="vx-soft">{escape(text)}</span>'

    def _before_it_begins(self) -> list[str]:
        """What a reader must know of the model before that."""
        from explorer.inspection.drawing.style import size_note
        from explorer.models.tasks import ASKED_BY

        model, said = self.session.model, []
        if model.load_report is None and not self.session.runs:
            said.append(words.RANDOM)
        if model.task != "classification":
            said.append(words.ONLY_CHANNELS.format(things=ASKED_BY[model.task][0]))
        if self.fields.method.value == STYLE:
            said += size_note(model)
        return said

    @property
    def _outputs(self) -> Any:
        from explorer.inspection.look.model import outputs_of

        return outputs_of(self.session.model)

    def _labels(self) -> tuple[str, ...]:
        """The classes or numbers that can be drawn."""
        model = self.session.model
        if model is None or model.task != "classification" or not model.num_classes:
            return ()
        return self._outputs.labels

    # --- how long it takes ----------------------------------------------------------------------------------

    def _side(self) -> tuple[str, int]:
        """(the size in words, its pixels)."""
        from explorer.inspection.drawing.asking import usual_sides

        like = self.session.image if self.fields.method.value == STYLE else None
        height, width = usual_sides(self.session.model, self.fields.size.value or None, like)
        return f"{width} × {height}", width * height

    def _seconds_a_step(self, pixels: int) -> float | None:
        """As measured here before, else by the time of the look; None without one."""
        known = self._paces.get((self.session.model_name, self.fields.method.value))
        if known is not None:
            return known * pixels
        look = self.session.look
        if look is None or look.input is None:
            return None
        seen = look.input.shape[-1] * look.input.shape[-2]
        return words.STEP * self._pass * pixels / seen

    def _meter(self, job: Job, done: int, total: int, what: str) -> str:
        if job.stopped:
            return meter_html(done, total, what, "Stopping.")
        begun, first = self._begun
        taken = done - first
        left = (time.monotonic() - begun) / taken * (total - done) if taken > 2 else 0
        return meter_html(done, total, what, words.left_text(left))

    # --- drawing --------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.work.wanted:
            return
        try:
            wanted = wanted_of(self.session, self.fields)
        except ValueError as error:
            self.work.say(str(error), wrong=True)
            return
        self._keep()
        self.wanted, self.drawn = wanted, None
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
        self._begin(wanted, drawn)

    def _begin(self, wanted: Wanted, after: DrawnPicture | None) -> None:
        self.work.say("")
        self.curve.x_end = float(wanted.steps)
        self._begun = time.monotonic(), 0 if after is None else after.steps
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
        self.view.side = SIDE[1]
        alt = f"The picture that grows: {wanted.called}"
        self.view.show([Drawing("now", wanted.called, "growing …", alt)], [_jpeg(picture)])

    def _show(self, wanted: Wanted, drawn: DrawnPicture) -> None:
        """The picture at its end; the lock is held."""
        self.drawn = drawn
        begun, first = self._begun
        width, height = drawn.image.size
        taken = drawn.steps - first
        if taken > 2:
            self._paces[wanted.ran.model_name, wanted.method] = \
                (time.monotonic() - begun) / taken / (width * height)
        shown = words.pictures_of(wanted, drawn)
        buttons = (AS_PHOTO, SAVE)
        self.view.side = SIDE[len(shown)]
        self.view.show([Drawing(key, title, text, title if key != "now" else f"Drawn: {title}",
                                buttons if key == "now" else ()) for key, _, title, text in shown],
                       [_png(picture) for _, picture, _, _ in shown])
        self.curve.finish()
        self.facts.value = words.facts_html(drawn, self._before_it_begins())
        self._offer()
        self.changed()

    def _switch(self, running: bool) -> None:
        self.start.disabled = running or self.session.model is None
        stands = self.drawn is not None and self.drawn.sofar is not None
        self.more.disabled = running or not stands

    # --- those before ---------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Put the picture that is shown into the row of those before."""
        if self.wanted is not None and self.drawn is not None:
            self._count += 1
            self.drawn.sofar = None  # of these none goes on
            self.kept.appendleft((str(self._count), self.wanted.alone(), self.drawn))
            self._draw_kept()

    def _draw_kept(self) -> None:
        self.before.layout.display = "" if self.kept else "none"
        several = len({wanted.ran.model_name for _, wanted, _ in self.kept}) > 1 or \
            any(wanted.ran.model_name != self.session.model_name for _, wanted, _ in self.kept)
        drawings = []
        for key, wanted, drawn in self.kept:
            said = [wanted.ran.model_name] if several else []
            said += [drawn.method.title, words.share_text(drawn)]
            text = ", ".join(filter(None, said))
            drawings.append(Drawing(key, wanted.called, text, f"Drawn before: {wanted.called}",
                                    (AS_PHOTO, SAVE, REMOVE)))
        self.row.show(drawings, [_jpeg(drawn.image) for _, _, drawn in self.kept])

    def _act(self, key: str, action: str) -> None:
        """A button below a picture."""
        found = [(wanted, drawn) for one, wanted, drawn in self.kept if one == key]
        if key == "now" and self.wanted is not None and self.drawn is not None:
            found = [(self.wanted, self.drawn)]
        if not found:
            return
        wanted, drawn = found[0]
        if action == REMOVE:
            self.kept = deque((one for one in self.kept if one[0] != key), maxlen=KEPT)
            self._draw_kept()
        elif action == AS_PHOTO:
            self.session.open_image(drawn.image, f"Drawn: {wanted.called}")
            self.work.say("It is the photo of all tabs now.")
        else:
            name = export.file_name("drawn", wanted.called, wanted.ran.model_name)
            (self.view if key == "now" else self.row).save(f"{name}.png", "image/png", _png(drawn.image))

    # --- to keep --------------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.wanted is None or self.drawn is None:
            return ""
        return self.wanted.lines(self.drawn.steps)

    def figure(self) -> Any:
        if self.wanted is None or self.drawn is None:
            return None
        kept = [(drawn.image, f"{wanted.called}, {wanted.ran.model_name}") for _, wanted, drawn in self.kept]
        return export.titled(words.sheet(self.wanted, self.drawn, kept), self.heading())

    def heading(self) -> str:
        return f"Drawn: {self.wanted.called}" if self.wanted is not None else self.called

    def caption(self) -> str:
        if self.wanted is None or self.drawn is None:
            return super().caption()
        return words.caption_of(self.wanted, self.drawn)

    def forget(self) -> None:
        self.wanted = self.drawn = self._model = None
        self.kept.clear()


def any_size(model: Any) -> bool:
    """Whether a network reads pictures of any size."""
    from explorer.inspection.drawing.asking import usual_sides

    try:
        usual_sides(model, SIDES[0], None)
    except ValueError:
        return False
    return True


def _png(picture: Image.Image) -> bytes:
    from explorer.display.draw import png_bytes

    return png_bytes(picture)


def _jpeg(picture: Image.Image) -> bytes:
    from explorer.display.draw import jpeg_bytes

    return jpeg_bytes(picture)
