"""What one model says of the photo, as pictures and tables made in Python: answers, maps, a heat map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display import draw
from explorer.display.html import notes_html, picture_html, sentences_html, side_by_side_html, title_html
from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.explain.asking import beside_each_other, subjects_of
from explorer.widgets.panels.explain.beside import QUICK
from explorer.widgets.panels.explain.costing import Cost
from explorer.widgets.panels.explain.words import others
from explorer.widgets.panels.work import Work
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.attribution.result import Attribution
    from explorer.inspection.look.result import Look

SIDE = 240     # pixels of a photo's longer side
CHANNELS = 36  # of a stage, the strongest
CELL = 72      # pixels of a map's longer side
EMPTY = "Choose a photo: what the model says of it appears here."


class BasicView(Panel):
    """Of one session; a second model has one of its own. Every picture has its words for a screen reader."""

    draw_on = ("look", "stage")
    rests = True

    def __init__(self, session: Session):
        self._look: Look | None = None   # that is drawn
        self._maps_of: tuple[Any, Any] = (None, None)  # (look, stage) whose maps are drawn
        self._usual = "gradcam"          # the method that is taken for this model where nobody asks for one
        self._asked: dict[str, dict[str, Any]] = {}  # what the field "For" offers -> arguments of `explain`
        self._filling = False            # controls are being exchanged: no wish of the reader's
        super().__init__(session)
        self.build()

    def make(self) -> None:
        from explorer.inspection.attribution.methods import METHODS

        def wide() -> W.Layout:  # one each: they are shown and hidden one by one
            return W.Layout(width="auto", max_width="100%")

        self.answer, self.maps, self.heat = W.HTML(), W.HTML(), W.HTML()
        self.stage = labelled("Feature maps of", W.Dropdown, options=[], layout=wide())
        self.method = labelled("Heat map by", W.Dropdown, layout=wide(),
                               options=[(method.title, name) for name, method in METHODS.items()])
        self.target = labelled("for", W.Dropdown, options=[], layout=wide())
        self.work = self.line(Work, sentence=_sentence,
                              busy=lambda running: setattr(self.go, "disabled", running))
        self.cost = Cost(self.session, self.line())
        self.go = W.Button(description="Draw it", tooltip="Draw this heat map", layout=wide())
        self.asking = W.HBox([self.method, self.target, self.go, self.work.button])
        self.choosing = W.HBox([self.stage])
        for row in (self.asking, self.choosing):
            row.layout.flex_flow = "row wrap"
            row.add_class("vx-controls")
        self.fill([self.answer, self.asking, self.cost, self.work.progress, self.work.message, self.heat,
                   self.choosing, self.maps])
        self.when(self.stage, self._choose_stage)
        self.when(self.method, self._ask)
        self.when(self.target, self._ask)
        self.when(self.go, partial(self._ask, asked=True))

    def draw(self) -> None:
        if self._filling:
            return
        look = self.session.look
        if look is None:
            self._look = None
            self.answer.value, self.heat.value = f'<span class="vx-soft">{EMPTY}</span>', ""
        elif look is not self._look:
            self._look = look
            self.answer.value = answer_html(look, self.session.image_name)
            self._offer(look)
            self._ask()
        elif self.session.stage != self.stage.value:
            self._offer(look)
        self.asking.layout.display = "none" if look is None else ""
        self.choosing.layout.display = "none" if look is None or not look.stages else ""
        self._draw_maps()

    def _offer(self, look: Look) -> None:
        """Stages and classes of another look; the stage of the session stays chosen, and the usual method
        gives way to that of this model.
        """
        from explorer.inspection.attribution.places import usual_method

        self._filling = True
        try:
            names = list(look.stages)
            if tuple(names) != tuple(self.stage.options):
                self.stage.options = names
            if names:
                self.stage.value = self.session.stage if self.session.stage in names else names[0]
            before = self.target.value
            usual = subjects_of(look).placeholder.partition(";")[0]  # "the likeliest", "the best"
            self._asked = {usual: {}} | {called: asked for asked, called in beside_each_other(look)}
            self.target.options = [*self._asked]
            self.target.value = before if before in self._asked else usual
            earlier, self._usual = self._usual, usual_method(self.session.model)
            if self.method.value == earlier:
                self.method.value = self._usual
        finally:
            self._filling = False

    # --- maps ---

    def _choose_stage(self) -> None:
        if not self._filling and self.stage.value:
            self.session.stage = self.stage.value  # what else shows it follows, and so do the maps here

    def _draw_maps(self) -> None:
        """Those of the chosen stage; nothing where they are there already."""
        look, name = self._look, self.stage.value
        if (look, name) != self._maps_of:
            self._maps_of = look, name
            shown = look is not None and name in look.stages
            self.maps.value = maps_html(look, name) if shown else ""

    # --- heat map ---

    def _ask(self, *, asked: bool = False) -> None:
        """Draw it if that is quick or was asked for; say otherwise what it takes."""
        look, model = self._look, self.session.model
        if self._filling or look is None or model is None:
            return
        from explorer.inspection.attribution.methods import METHODS

        method = METHODS[self.method.value]
        self.work.drop()
        self.work.say("")
        self.heat.value = ""
        self.target.disabled = not method.needs_class
        why = method.refuses(model)
        if why:
            self.cost.hide()
            self.go.layout.display = self.work.button.layout.display = "none"
            self.work.say(f"{why} {others(model)}".strip())
            return
        quick = method.passes(model) <= QUICK
        for button in (self.go, self.work.button):
            button.layout.display = "none" if quick else ""
        if quick:
            self.cost.hide()
        else:
            self.cost.say(method, self.cost.text(method, look, model, {}))
        if quick or asked:
            chosen = self._asked.get(self.target.value, {}) if method.needs_class else {}
            compute = partial(_explained, look, model, {"method": method.name, **chosen})
            self.work.start(compute, partial(self._show_heat, look), long=not quick)
        else:
            self.cost.measure(method, look, model, {})

    def _show_heat(self, look: Look, found: Attribution) -> None:
        if look is self._look:
            self.heat.value = found._repr_html_()

    def forget(self) -> None:
        self._look, self._asked, self._maps_of = None, {}, (None, None)
        if self.built:
            self.cost.forget()


def answer_html(look: Look, photo: str) -> str:
    """The photo with what the network saw of it, and its answers with bars."""
    from explorer.display.legend import framed
    from explorer.inspection.look.answers import predictions_html
    from explorer.inspection.look.frame import seen_box

    title = title_html(f"{look.model_name}: {photo}")
    found = look.segmentation if look.detections is None else look.detections
    if found is not None:
        return f"{title}{found._repr_html_()}"
    box = seen_box(look.image.size, look.config)
    height, width = look.input.shape[-2:]
    pictures = [
        picture_html(draw.thumbnail(framed(look.image, box), SIDE), f"The photo: {photo}", format="JPEG"),
        picture_html(draw.thumbnail(look.seen, SIDE), format="JPEG",
                     caption=f"What the network saw of it, {width} × {height} pixels"),
    ]
    meaning = sentences_html([look.outputs.meaning] if look.outputs.meaning else [])
    answers = f"<div>{predictions_html(look.predictions)}{meaning}</div>"
    return f"{title}{notes_html(look.notes)}{side_by_side_html(''.join([*pictures, answers]))}"


def maps_html(look: Look, stage: str) -> str:
    """The strongest maps of a stage as one picture."""
    channels, height, width = look.stages[stage].shape
    what = f"all {channels}" if channels <= CHANNELS else f"the {CHANNELS} strongest of {channels}"
    caption = (f"{stage} of {look.model_name}: {what} channels, {height} × {width} each; "
               "each from its own lowest value (dark) to its own highest (bright)")
    picture = draw.palette_mosaic(look.stages[stage], limit=CHANNELS, cell=CELL)
    return picture_html(picture, caption, style="image-rendering:pixelated")


def _explained(look: Look, model: Any, settings: dict[str, Any], job: Job) -> Attribution:
    from explorer.inspection.attribution.explaining import explain

    told = partial(job.progress, what="passes")
    return explain(model, look=look, on_progress=told, should_stop=job.ended, **settings)


def _sentence(error: Exception) -> str:
    from explorer.inspection.look.passes import Stopped

    return str(error) if isinstance(error, Stopped) else sentence_of(error)
