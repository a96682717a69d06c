"""Why this answer? A heat map over the photo,
for any class and by any method, with what it cost and what it leaves open.

What costs no more than a pass or two follows the photo by itself; Grad-CAM of the usual stage costs none,
the look holds it all. What costs more says so first, begins on a click, shows how far it is, and can be
stopped.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.explain.asking import asked_by, subjects_of
from explorer.widgets.panels.explain.beside import QUICK, Strip, others_of
from explorer.widgets.panels.explain.costing import Cost
from explorer.widgets.panels.explain.covering import Covering
from explorer.widgets.panels.explain.guide import GUIDE
from explorer.widgets.panels.explain.own_options import OwnOptions
from explorer.widgets.panels.explain.words import facts_html, method_html, others
from explorer.widgets.panels.ran import Ran, ran_on
from explorer.widgets.panels.work import Work
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.parts.photo_strip import PhotoStrip
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from explorer.inspection.attribution.methods import Method
    from explorer.inspection.attribution.result import Attribution
    from explorer.inspection.look.result import Look

USUAL = "the usual one"
GROUPS = {"cam": "map of a stage", "pixels": "gradient at the pixels", "cover": "covering parts",
          "attention": "attention"}
BESIDE = {"nothing": "nothing", "the likeliest classes": "classes", "the other quick methods": "methods"}


class ExplainPanel(Panel):
    name = "Heat map"
    rests = True
    draw_on = ("look", "asked_class")
    guide = GUIDE

    def __init__(self, session: Session):
        self.view: PhotoOverlay | None = None
        self.shown: Attribution | None = None
        self.ran, self.asked = Ran(), {}   # the model, photo and settings that gave `shown`
        self._look: Look | None = None     # that `shown` was drawn from
        self._filling = False              # controls are being exchanged: no wish of the reader's
        self._usual = "gradcam"            # the method that is taken for this model where nobody asks for one
        self.cost: Cost | None = None
        super().__init__(session)
        self.add_class("vx-explain")

    def make(self) -> None:
        from explorer.inspection.attribution.methods import METHODS

        def wide() -> W.Layout:  # one each: they are shown and hidden one by one
            return W.Layout(width="auto")

        self.work = self.line(Work, sentence=self._sentence,
                              busy=lambda running: setattr(self.go, "disabled", running))
        self.cost = Cost(self.session, self.line())
        self.progress, self.problem, self.stop = self.work.progress, self.work.message, self.work.button
        self.view = PhotoOverlay(lock=self.session.lock)
        self.covering = Covering(self.view, self.session.lock)
        self.method = labelled("Method", W.Dropdown, layout=wide(), options=[
            (f"{method.title} ({GROUPS[method.group]})", name) for name, method in METHODS.items()])
        self.target = labelled("Class", W.Combobox, layout=wide(), continuous_update=False,
                               ensure_option=False, placeholder="the likeliest; or type a name")
        self.stage = labelled("Stage", W.Dropdown, options=[USUAL], layout=wide())
        self.own = OwnOptions(self._changed)
        self.facts, self.beside_note = W.HTML(), W.HTML()
        self.go = W.Button(description="Start", button_style="primary", layout=wide())
        self.go.add_class("vx-open")
        self.stop.add_class("vx-open")
        self.begin = W.HBox([self.go, self.stop])
        self.begin.add_class("vx-line")
        self.beside = labelled("Beside it", W.Dropdown, options=list(BESIDE.items()),
                               layout=W.Layout(width="260px", max_width="100%"))
        self.strip = PhotoStrip(label="Heat maps side by side", side=150, lock=self.session.lock)

        fields = W.Box([self.method, self.target, self.stage])
        fields.add_class("vx-explain-fields")
        right = W.VBox([fields, self.own, self.cost, self.begin, self.progress, self.problem, self.facts])
        right.add_class("vx-explain-side")
        row = W.Box([W.VBox([self.view, self.covering.chart]), right])
        row.add_class("vx-explain-row")
        self.fill([row, self.beside, self.beside_note, self.strip])

        self.method.observe(self._changed_method, "value")
        self.stage.observe(self._changed, "value")
        self.when(self.target, self._typed)
        self.beside.observe(self._changed, "value")
        self.view.observe(lambda _: self.changed(), "alpha")
        self.go.on_click(lambda _: self._ask(asked=True))
        self._offer_fields()

    # --- what is asked for ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Another model or photo is on the screen."""
        look = self.session.look
        if look is self._look:
            if look is not None:
                self.target.value = self.session.asked_class
            return
        if look is None:
            self._look = self.shown = None
            self.cost.forget()
            self.view.clear()
            self.strip.show([], [])
            self.facts.value = '<span class="vx-soft">Choose a photo: the heat map appears here.</span>'
            return
        others_offered = self._look is None or _offered(self._look) != _offered(look)
        self._look, self.shown = look, None
        self.view.show(look.image, label=f"Photo: {self.session.image_name}")
        self.strip.show([], [])
        self.facts.value = ""
        if others_offered:
            self._offer(look)
        elif self.target.value != self.session.asked_class:  # a click on an answer, while this rested
            self._filling = True
            self._take_asked(look)
            self._filling = False
        self._ask()

    def _offer(self, look: Look) -> None:
        """Stages, classes and boxes of another model or photo; what was chosen stays chosen where there is
        such a one, and the usual method gives way to that of this model.
        """
        from explorer.inspection.attribution.places import usual_method

        self._filling = True
        try:
            stages = [USUAL, *look.stages]
            chosen = self.stage.value if self.stage.value in stages else USUAL
            self.stage.options = stages
            self.stage.value = chosen
            subjects = subjects_of(look)
            self.target.options, self.target.description = subjects.names, subjects.title
            self.target.placeholder = subjects.placeholder
            self._take_asked(look)
            chosen = self.beside.value
            self.beside.options = [(subjects.several if value == "classes" else text, value)
                                   for text, value in BESIDE.items()]
            self.beside.value = chosen
            usual, before = usual_method(self.session.model), self._usual
            self._usual = usual
            if self.method.value == before:
                self.method.value = usual
        finally:
            self._filling = False

    def _take_asked(self, look: Look) -> None:
        """Write the class that is asked about into the field; of another model's, none."""
        asked = self.session.asked_class
        self.target.value = asked if self._known(asked, look) else ""

    def _typed(self) -> None:
        """The session knows what heat maps are about."""
        self.session.asked_class = self.target.value
        self._changed()

    def _known(self, asked: str, look: Look) -> bool:
        """Whether a photo has the class, or the box, that is asked for."""
        try:
            asked_by(asked, look)
        except ValueError:
            return False
        return True

    def _changed_method(self, _change: Any = None) -> None:
        with self.session.lock:
            self._offer_fields()
        self._changed()

    def _offer_fields(self) -> None:
        """Those that count for the chosen method."""
        method = self._method
        self.stage.layout.display = "" if method.needs_stage else "none"
        self.target.layout.display = "" if method.needs_class else "none"
        self.own.offer(method)

    def _changed(self, _change: Any = None) -> None:
        if not self._filling and self.view is not None:
            self._ask()

    @property
    def _method(self) -> Method:
        from explorer.inspection.attribution.methods import METHODS

        return METHODS[self.method.value]

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of `explorer.explain` that the controls stand for; usual ones are left out.

        Raises ValueError for a class or box that there is not, and for an option that is no number.
        """
        method = self._method
        found: dict[str, Any] = {} if method.name == self._usual else {"method": method.name}
        if method.needs_class and self.session.look is not None:
            found |= asked_by(self.target.value, self.session.look)
        if method.needs_stage and self.stage.value != USUAL:
            found["stage"] = self.stage.value
        return found | self.own.chosen(method)

    def _ask(self, *, asked: bool = False) -> None:
        """Draw it if that is quick or was asked for; say otherwise what it would cost."""
        look, model = self.session.look, self.session.model
        if look is None or model is None:
            return
        method = self._method
        with self.session.lock:
            self.work.drop()  # what runs is no longer asked for, even if it ends at this moment
            try:
                settings = self.settings()
                why = method.refuses(model)
                if why:
                    raise ValueError(f"{why} {others(model)}".strip())
                own = {name: value for name, value in settings.items() if name in method.options}
                passes = method.passes(model, **own)
                cost = self.cost.text(method, look, model, own)
            except (ValueError, IndexError) as error:
                self._nothing()
                self.work.say(str(error), wrong=True)
                self.cost.hide()
                self.begin.layout.display = "none"
                return
            quick = passes <= QUICK
            if quick:
                self.cost.hide()  # what it cost stands among the facts then
            else:
                self.cost.say(method, cost)
            self.begin.layout.display = "none" if quick else ""
            if quick or asked:
                self.covering.begin()
                step = partial(self._compute, look, model, settings, self.beside.value, ran_on(self.session))
                self.work.start(step, self._show_beside, long=not quick)
                return
            self._nothing()
            self.work.say("")
            self.cost.measure(method, look, model, own)

    def _nothing(self) -> None:
        """The photo alone."""
        self.shown = None
        self.covering.begin()
        self.view.heat(None)
        self.view.frame(())
        self.view.boxes(None)
        self.facts.value = method_html(self._method)
        self.strip.show([], [])
        self.beside_note.value = ""
        self.changed()

    # --- in the background ------------------------------------------------------------------------------

    def _compute(self, look: Look, model: Any, settings: dict[str, Any], beside: str, ran: Ran,
                 job: Job) -> Strip:
        """Draw the heat map as soon as it is there; what stands beside it comes next."""
        from explorer.inspection.attribution.explaining import explain

        told = partial(job.progress, what="passes")
        found = explain(model, look=look, on_progress=told, should_stop=job.ended,
                        on_step=self.covering.timed(job.tell), **settings)
        job.tell(self._show, found, look, settings, ran)
        return others_of(found, look, model, settings, beside, job)

    def _show(self, found: Attribution, look: Look, settings: dict[str, Any], ran: Ran) -> None:
        if look is not self.session.look:  # another one came while nobody saw this panel
            return
        self.shown, self.asked, self.ran = found, settings, ran
        what = f"{found.title} for {found.label}" if found.target is not None else found.title
        self.covering.end()
        self.view.heat(found.heatmap.numpy(), label=f"{self.session.image_name}, {what}")
        left, top, right, bottom = found.seen_box
        whole = left <= 1 and top <= 1 and right >= found.image.width - 1 and bottom >= found.image.height - 1
        self.view.frame(() if whole else found.seen_box)
        if getattr(found, "number", None) is not None:
            self.view.boxes([found.outline], labels=[found.label], scores=[found.probability])
        else:
            self.view.boxes(None)
        self.facts.value = facts_html(found, look)
        self.work.say("")
        self.changed()

    def _sentence(self, error: Exception) -> str:
        """What went wrong; nothing is shown then."""
        from explorer.inspection.look.passes import Stopped

        self._nothing()
        return str(error) if isinstance(error, Stopped) else sentence_of(error)

    def _show_beside(self, found: Strip) -> None:
        pictures, captions, note = found
        if self.shown is not None:
            self.strip.show(pictures, captions)
            self.beside_note.value = f'<span class="vx-soft">{escape(note)}</span>' if note else ""

    # --- to keep ----------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        named = "target" in self.asked or "box" in self.asked
        comment = f"  # {literal(self.shown.label)}" if named else ""
        explained = call("explorer.explain", "model", "photo", options=self.asked)
        overlaid = f"found.overlay({round(self.view.alpha, 2)})"
        return "\n".join([*self.ran.setup, f"found = {explained}{comment}", overlaid])

    def figure(self) -> Any:
        return self.shown.overlay_with_bar(self.view.alpha) if self.shown is not None else None

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        found = self.shown
        if self._look is not None and self._look.finds_places:
            return f"{self.ran.about} {found.caption}; brightest is the map's own highest value."
        what = [found.title]
        if found.target is not None:
            what.append(f"{found.noun} {found.label}")
        if found.stage:
            what.append(f"from {found.stage}")
        return f"{self.ran.about} {', '.join(what)}; brightest is the map's own highest value."

    def heading(self) -> str:
        return super().heading() if self.shown is None else f"{self.called}: {self.ran.model_name}"

    def forget(self) -> None:
        self.shown = self._look = None
        if self.cost is not None:
            self.cost.forget()


def _offered(look: Look) -> tuple[Any, ...]:
    """What the controls offer for a look: that of another model may offer the same."""
    return look.model_name, subjects_of(look), [*look.stages]
