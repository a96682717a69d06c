"""Why this answer? A heat map over the photo, for any class and by any method, with what it cost and what it leaves open.

What costs no more than a pass or two follows the photo by itself; Grad-CAM of the usual stage costs none, the look holds it
all. What costs more says so first, begins on a click, shows how far it is, and can be stopped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, setup_lines
from explorer.widgets.worker import Ticket, Worker

if TYPE_CHECKING:
    from explorer.inspection.attribution import Attribution, Method
    from explorer.inspection.look import Look

log = logging.getLogger(__name__)

QUICK = 3           # passes that nobody is asked about
MOST_NAMES = 2000   # classes that are offered while a name is typed
GAP = 0.2           # seconds between two drawings of the progress, at least
USUAL = "the usual one"
GROUPS = {"cam": "map of a stage", "pixels": "gradient at the pixels", "cover": "covering parts", "attention": "attention"}
BESIDE = {"nothing": "nothing", "the likeliest classes": "classes", "the other quick methods": "methods"}


class ExplainPanel(Panel):
    """Built when it is first looked at (`build`); `seen(False)` while another tab is in front: then nothing is computed."""

    name = "Heat map"
    draw_on = ("look",)
    guide = """
        <p><b>What you see.</b> A heat map over the photo: bright is what spoke for the chosen class, or raised the
        number, by the chosen method.
        <i>Grad-CAM</i> weighs the channels of a late stage by how much the class's score follows them, so it is as coarse as
        that stage's map. <i>Saliency</i> and its relatives ask each pixel how much the score would follow it.
        <i>Occlusion</i> covers one square after another and measures. <i>Attention</i> shows what a transformer's blocks
        mixed, for no class in particular. The dashed line marks what the network saw; outside of it nothing is known.</p>
        <p><b>What it does not prove.</b> A heat map is a claim about the model, not about the world, and methods disagree:
        look at several. Some hardly change when the weights are replaced by random ones, so a convincing picture is no
        evidence (<a href="https://arxiv.org/abs/1810.03292">Adebayo and others, 2018</a>). Bright on the dog does not say
        that the model would fail without the dog: cover it, under “Change the photo”, and see. The scale is each map's own:
        the brightest place is 1 even where nothing matters much.</p>
        <p><b>To read.</b> <a href="https://arxiv.org/abs/1610.02391">Selvaraju and others, 2017: Grad-CAM</a>; each method
        names its own paper.</p>"""

    def __init__(self, session: Session):
        self.view: PhotoOverlay | None = None
        self.worker: Worker | None = None
        self.shown: Attribution | None = None
        self._look: Look | None = None     # that `shown` was drawn from
        self._in_front = True
        self._filling = False              # controls are being exchanged: no wish of the reader's
        self._seconds: tuple[Look | None, float] = (None, 0.0)  # what a pass of that look's model takes when it is warm
        self._stop = threading.Event()
        self._options: dict[str, W.Widget] = {}
        self._gone = False
        super().__init__(session)
        self.add_class("vx-explain")

    def build(self) -> None:
        """Make the controls; nothing where they are there already."""
        with self.session.lock:
            if self.view is not None or self._gone:
                return
            from explorer.inspection.attribution import METHODS


            def wide() -> W.Layout:  # one each: they are shown and hidden one by one
                return W.Layout(width="auto")

            self.view = PhotoOverlay(lock=self.session.lock)
            self.method = labelled("Method", W.Dropdown, layout=wide(), options=[
                (f"{method.title} ({GROUPS[method.group]})", name) for name, method in METHODS.items()])
            self.target = labelled("Class", W.Combobox, layout=wide(), continuous_update=False, ensure_option=False,
                                   placeholder="the likeliest; or type a name")
            self.stage = labelled("Stage", W.Dropdown, options=[USUAL], layout=wide())
            self.own = W.Box()
            self.own.add_class("vx-fields")
            self.cost, self.facts, self.problem, self.progress, self.beside_note = (W.HTML() for _ in range(5))
            self.go = W.Button(description="Start", button_style="primary", layout=wide())
            self.stop = W.Button(description="Stop", disabled=True, layout=wide())
            self.go.add_class("vx-open")
            self.stop.add_class("vx-open")
            self.begin = W.HBox([self.go, self.stop])
            self.begin.add_class("vx-line")
            self.beside = labelled("Beside it", W.Dropdown, options=list(BESIDE.items()), layout=W.Layout(width="260px", max_width="100%"))
            self.strip = PhotoStrip(label="Heat maps side by side", side=150, lock=self.session.lock)
            self.worker = Worker("explorer-explain")

            fields = W.Box([self.method, self.target, self.stage])
            fields.add_class("vx-explain-fields")
            right = W.VBox([fields, self.own, self.cost, self.begin, self.progress, self.problem, self.facts])
            right.add_class("vx-explain-side")
            row = W.Box([self.view, right])
            row.add_class("vx-explain-row")
            self.fill([row, self.beside, self.beside_note, self.strip])

            self.method.observe(self._changed_method, "value")
            for control in (self.target, self.stage):
                control.observe(self._changed, "value")
            self.beside.observe(self._changed, "value")
            self.view.observe(lambda _: self.changed(), "alpha")
            self.go.on_click(lambda _: self._ask(asked=True))
            self.stop.on_click(lambda _: self._stop.set())
            self._offer_options()
            self.draw()

    # --- what is asked for ------------------------------------------------------------------------------------

    def seen(self, in_front: bool) -> None:
        """Whether the reader sees this panel; what changed meanwhile is drawn when they come back."""
        self._in_front = in_front
        if in_front and self.view is not None:
            with self.session.lock:
                self.draw()

    def draw(self) -> None:
        """Another model or photo is on the screen."""
        if self.view is None or not self._in_front or self._gone:
            return
        look = self.session.look
        if look is self._look:
            return
        if look is None:
            self._look, self.shown, self._seconds = None, None, (None, 0.0)
            self.view.clear()
            self.strip.show([], [])
            self.facts.value = '<span class="vx-soft">Choose a photo: the heat map appears here.</span>'
            return
        other_model = self._look is None or self._look.model_name != look.model_name or self._look.labels != look.labels
        other_model = other_model or [*self._look.stages] != [*look.stages]
        self._look, self.shown = look, None
        self.view.show(look.image, label=f"Photo: {self.session.image_name}")
        self.strip.show([], [])
        self.facts.value = ""
        if other_model:
            self._offer(look)
        self._ask()

    def _offer(self, look: Look) -> None:
        """Stages and classes of another model; what was chosen stays chosen where there is such a one."""
        self._filling = True
        try:
            stages = [USUAL, *look.stages]
            chosen = self.stage.value if self.stage.value in stages else USUAL
            self.stage.options = stages
            self.stage.value = chosen
            self.target.options = tuple(dict.fromkeys(look.labels)) if len(look.labels) <= MOST_NAMES else ()
            self.target.description = look.outputs.noun.capitalize()
            usual = "the first" if look.outputs.numbers else "the likeliest"
            self.target.placeholder = f"{usual}; or type a name"
            if self.target.value and self._index(look) is None:
                self.target.value = ""
        finally:
            self._filling = False

    def _index(self, look: Look) -> int | None:
        """The class that is typed; None for the likeliest, or where there is no such class."""
        from explorer.inspection.attribution import find_class

        text = self.target.value.strip()
        if not text:
            return None
        try:
            return find_class(int(text) if text.isdecimal() else text, look.labels, look.outputs.noun)
        except ValueError:
            return None

    def _changed_method(self, _change: Any = None) -> None:
        with self.session.lock:
            self._offer_options()
        self._changed()

    def _offer_options(self) -> None:
        """The fields of the chosen method's own options."""
        method = self._method
        self.stage.layout.display = "" if method.needs_stage else "none"
        self.target.layout.display = "" if method.needs_class else "none"
        old = self.own.children
        self._options = {name: control_for(name, default) for name, default in method.options.items()
                         if name not in ("batch_size", "query")}
        self.own.children = list(self._options.values())
        close_whole(*old)
        for control in self._options.values():
            control.observe(self._changed, "value")

    def _changed(self, _change: Any = None) -> None:
        if not self._filling and self.view is not None:
            self._ask()

    @property
    def _method(self) -> Method:
        from explorer.inspection.attribution import METHODS

        return METHODS[self.method.value]

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of `explorer.explain` that the controls stand for; usual ones are left away.

        Raises ValueError for a class that there is not, and for an option that is no number.
        """
        from explorer.inspection.attribution import find_class

        method = self._method
        found: dict[str, Any] = {} if method.name == "gradcam" else {"method": method.name}
        text = self.target.value.strip()
        if method.needs_class and text and self.session.look is not None:
            look = self.session.look
            found["target"] = find_class(int(text) if text.isdecimal() else text, look.labels, look.outputs.noun)
        if method.needs_stage and self.stage.value != USUAL:
            found["stage"] = self.stage.value
        for name, control in self._options.items():
            value = value_of(name, control, method.options[name])
            if value != method.options[name]:
                found[name] = value
        return found

    def _ask(self, *, asked: bool = False) -> None:
        """Draw it if that is quick or was asked for; say otherwise what it would cost."""
        look, model = self.session.look, self.session.model
        if look is None or model is None:
            return
        method = self._method
        with self.session.lock:
            self.progress.value = ""
            try:
                settings = self.settings()
                why = method.refuses(model)
                if why:
                    raise ValueError(f"{why} {others(model)}".strip())
                own = {name: value for name, value in settings.items() if name in method.options}
                passes = method.passes(model, **own)
                seconds = self._seconds[1] if self._seconds[0] is look else look.timing["forward"]
                cost = method.cost(model, seconds_per_pass=seconds, **own)
            except (ValueError, IndexError) as error:
                self._drop_job()
                self._nothing(look)
                self._complain(str(error))
                self.cost.value, self.begin.layout.display = "", "none"
                return
            quick = passes <= QUICK  # what it cost stands among the facts then
            self.cost.value = "" if quick else f'<span class="vx-soft">This takes {escape(cost)}.</span>'
            self.begin.layout.display = "none" if quick else ""
            stop = self._drop_job()
            if not quick and not asked:
                self._nothing(look)
                self._complain("")
                if self._seconds[0] is not look:
                    self.worker.submit(lambda _ticket: self._time_a_pass(look, model, method, own))
                return
            self.go.disabled, self.stop.disabled = True, False
        self.worker.submit(lambda ticket: self._work(ticket, stop, look, model, settings, self.beside.value))

    def _time_a_pass(self, look: Look, model: Any, method: Method, own: dict[str, Any]) -> None:
        """Say the cost again: the look's pass may have been its model's first, which takes many times as long as the next."""
        from explorer.inspection.look import look as look_again

        seconds = min(look.timing["forward"], look_again(model, look.image).timing["forward"])
        with self.session.lock:
            if self._gone or look is not self.session.look:
                return
            self._seconds = look, seconds
            if method is self._method and self.cost.value:
                self.cost.value = f'<span class="vx-soft">This takes {escape(method.cost(model, seconds_per_pass=seconds, **own))}.</span>'

    def _drop_job(self) -> threading.Event:
        """What runs is no longer asked for, even if it ends at this moment; what stops the next one."""
        self._stop.set()
        self._stop = threading.Event()
        self.go.disabled, self.stop.disabled = False, True
        return self._stop

    def _nothing(self, look: Look) -> None:
        """The photo alone."""
        self.shown = None
        self.view.heat(None)
        self.view.frame(())
        self.facts.value = method_html(self._method)
        self.strip.show([], [])
        self.beside_note.value = ""
        self.changed()

    # --- in the background ------------------------------------------------------------------------------------

    def _work(self, ticket: Ticket, stop: threading.Event, look: Look, model: Any, settings: dict[str, Any], beside: str) -> None:
        from explorer.inspection.attribution import Stopped, explain

        def ended() -> bool:
            return stop.is_set() or ticket.stale or self._gone

        def wanted() -> bool:
            return stop is self._stop and look is self.session.look and not self._gone

        last = [0.0]

        def progress(done: int, total: int) -> None:
            now = time.monotonic()
            if now - last[0] > GAP or done == total:
                last[0] = now
                self._show_progress(done, total, wanted)

        try:
            found = explain(model, look=look, on_progress=progress, should_stop=ended, **settings)
            self._publish(found, look, wanted)
            if wanted():
                self._fill_beside(wanted, look, model, found, beside)
        except Stopped as error:
            self._failed(look, str(error), wanted)
        except Exception as error:
            expected = isinstance(error, (ValueError, IndexError))
            log.log(logging.INFO if expected else logging.ERROR, "no heat map", exc_info=error)
            self._failed(look, sentence_of(error), wanted)
        finally:
            with self.session.lock:
                if not self._gone and stop is self._stop:
                    self.go.disabled, self.stop.disabled = False, True
                    self.progress.value = ""

    def _show_progress(self, done: int, total: int, wanted: Callable[[], bool]) -> None:
        with self.session.lock:
            if wanted():
                self.progress.value = (f'<div class="vx-run-line"><progress max="{total}" value="{done}" aria-label="passes">'
                                       f'</progress> <span class="vx-soft" role="status">{done:,} of {total:,} passes</span></div>')

    def _publish(self, found: Attribution, look: Look, wanted: Callable[[], bool]) -> None:
        with self.session.lock:
            if not wanted():
                return
            self.shown = found
            what = f"{found.title} for {found.label}" if found.target is not None else found.title
            self.view.heat(found.heatmap.numpy(), label=f"{self.session.image_name}, {what}")
            left, top, right, bottom = found.seen_box
            whole = left <= 1 and top <= 1 and right >= found.image.width - 1 and bottom >= found.image.height - 1
            self.view.frame(() if whole else found.seen_box)
            self.facts.value = facts_html(found, look)
            self._complain("")
            self.changed()

    def _failed(self, look: Look, text: str, wanted: Callable[[], bool]) -> None:
        with self.session.lock:
            if wanted():
                self._nothing(look)
                self._complain(text)

    def _complain(self, text: str) -> None:
        self.problem.value = f'<div class="vx-error" role="alert">{escape(text)}</div>' if text else ""

    def _fill_beside(self, wanted: Callable[[], bool], look: Look, model: Any, found: Attribution, beside: str) -> None:
        """The same method for other classes, or the other quick methods for the same class."""
        from explorer.inspection.attribution import METHODS, explain
        from explorer.display.draw import jpeg_bytes, thumbnail

        pictures, captions, left_out, note = [], [], [], ""
        if beside == "classes" and not METHODS[found.method].needs_class:
            note = f"{found.title} knows of no class: it would be the same picture for each."
        elif beside == "classes":
            method = METHODS[found.method]
            settings = self.settings()
            own = {name: value for name, value in settings.items() if name in method.options}
            if method.passes(model, **own) > QUICK:
                note = f"{found.title} is not quick enough to be drawn for every class: choose another method."
            else:
                for guess in look.predictions:
                    one = explain(model, look=look, **(settings | {"target": guess.index}))
                    pictures.append(jpeg_bytes(thumbnail(one.overlay(), 300)))
                    captions.append(Caption(f"{guess.label} {guess.text}"))
                    if not wanted():
                        return
        elif beside == "methods":
            for method in METHODS.values():
                if method.name == found.method or method.refuses(model) or method.passes(model) > QUICK:
                    continue
                target = {"target": found.target} if method.needs_class and found.target is not None else {}
                try:
                    one = explain(model, look=look, method=method.name, **target)
                except (ValueError, IndexError) as error:
                    left_out.append(f"{method.title}: {error}")
                    continue
                pictures.append(jpeg_bytes(thumbnail(one.overlay(), 300)))
                captions.append(Caption(method.title, title=method.idea))
                if not wanted():
                    return
            note = " ".join(left_out)
        with self.session.lock:
            if wanted():
                self.strip.show(pictures, captions)
                self.beside_note.value = f'<span class="vx-soft">{escape(note)}</span>' if note else ""

    # --- to keep ----------------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        settings, comment = self.settings(), ""
        if "target" in settings:
            comment = f"  # {literal(self.shown.label)}"
        lines = [*setup_lines(self.session), "found = " + call("explorer.explain", "model", "photo", options=settings) + comment]
        return "\n".join([*lines, f"found.overlay({round(self.view.alpha, 2)})"])

    def figure(self) -> Any:
        return self.shown.overlay(self.view.alpha) if self.shown is not None else None

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        found = self.shown
        what = [found.title]
        if found.target is not None:
            what.append(f"{found.noun} {found.label}")
        if found.stage:
            what.append(f"from {found.stage}")
        return f"{super().caption()} {', '.join(what)}; brightest is the map's own highest value."

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until what was asked for is drawn; False after `timeout` seconds."""
        self.build()
        return self.worker.wait(timeout)

    def close(self) -> None:
        self._gone = True
        self._stop.set()
        if self.worker is not None:
            self.worker.close()
        self.shown, self._look, self._seconds = None, None, (None, 0.0)
        super().close()


# --- plain functions ----------------------------------------------------------------------------------------------


def control_for(name: str, default: Any) -> W.Widget:
    """A field for one option of a method."""
    words = {"block": "Block", "head": "Head", "channels": "Channels", "window": "Square", "stride": "Step"}
    title = words.get(name, name.replace("_", " ").capitalize())
    hints = {"block": "-1: the last", "head": "all, their mean", "channels": "all", "window": "an eighth of the side",
             "stride": "half a square"}
    if isinstance(default, str):
        from explorer.inspection.gradients import FILLS

        return labelled(title, W.Dropdown, options=list(FILLS), value=default, layout=W.Layout(width="auto"))
    return labelled(title, W.Text, value="", continuous_update=False, layout=W.Layout(width="auto"),
                    placeholder=hints.get(name, f"{default}"), tooltip=f"Usual: {hints.get(name, default)}")


def value_of(name: str, control: W.Widget, default: Any) -> Any:
    """What is typed, as a number of the default's kind; the default where nothing is. Raises ValueError for no number."""
    if isinstance(default, str):
        return control.value
    text = control.value.strip()
    if not text:
        return default
    whole = not isinstance(default, float)
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{control.description} is {text!r}: expected {kind}, or nothing for the usual value.") from None


def method_html(method: Method) -> str:
    """What a method does and does not prove, and where it comes from."""
    return (f'<p>{escape(method.idea)}</p><p class="vx-soft">{escape(method.limits)}</p>'
            f'<p class="vx-soft"><a href="{escape(method.link)}" target="_blank" rel="noopener">{escape(method.source)}</a></p>')


def others(model: Any) -> str:
    """Which methods this model takes, for one that it does not; "" where there is none."""
    from explorer.inspection.attribution import METHODS

    fit = [method.title for method in METHODS.values() if not method.refuses(model)]
    return f"Choose another method: {', '.join(fit)}." if fit else ""


def facts_html(found: Attribution, look: Look) -> str:
    """One heat map in words; names of classes are untrusted."""
    from explorer.inspection.attribution import METHODS
    from explorer.inspection.look import top_predictions

    parts = []
    if found.target is not None:
        every = top_predictions(look.logits, look.outputs, len(look.outputs))
        answers = {one.index: one.text for one in every}
        parts.append(f"<b>{escape(found.label)}</b> {answers[found.target]}")
    if found.stage:
        parts.append(f"from {escape(found.stage)}")
    passes = "no further pass" if not found.passes else f"{found.passes} pass{'es' * (found.passes != 1)}"
    parts.append(f"{passes}, {1000 * found.seconds:.0f} ms" if found.seconds < 1 else f"{passes}, {found.seconds:.1f} s")
    known = dict.fromkeys([*look.notes, *found.notes])  # random weights, a photo that was squeezed: true of the map, too
    notes = "".join(f'<div class="vx-note">{escape(note)}</div>' for note in known)
    return f'<p>{" · ".join(parts)}</p>{notes}{method_html(METHODS[found.method])}'
