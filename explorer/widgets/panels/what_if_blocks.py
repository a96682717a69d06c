"""The three experiments of the panel that changes the photo: what each shows, and what it asks the worker for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display import draw
from explorer.display.words import sentence_of
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.what_if_drawing import (
    SIDE,
    TOP,
    Spoilt,
    changes_html,
    chart_html,
    class_literal,
    covers,
    main,
    notes_html,
    sheet,
    shots_html,
    spoil,
    verdict,
)
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.look import Look
    from explorer.inspection.perturb import MaskedLook, Perturbed, PerturbedSweep
    from explorer.inspection.robustness import Flip, RobustnessCurve
    from explorer.widgets.panels.what_if import WhatIfPanel

log = logging.getLogger(__name__)

FILLS = {"blur": "blur", "grey": "grey", "mean colour": "mean"}
AIMS = {"away from its answer": "away", "towards a class": "towards"}
AIMS_OF_NUMBERS = {"to make it smaller": "away", "to make it larger": "towards"}
FIRST_STEP = 2  # in 1/255: where the slider goes when a class is chosen before a strength
GAP = 0.2       # seconds between two drawings of the progress, at least

INTRO = {
    "mask": "Draw a box on the photo, with the mouse or with the arrow keys: it is hidden, and the model looks again.",
    "fgsm": "Move the slider: one gradient says for every value which way hurts most; the photo goes that way.",
    "robust": "Choose what happens to the photo, and how much of it.",
}


@dataclass(eq=False)
class Job:
    """What the worker does for one block, about one model and one look."""

    block: Block
    model: Any
    look: Look
    work: Callable[[Job, Callable[[], bool]], Callable[[], None]]  # -> what shows the result, to be called under the lock
    stop: threading.Event
    dropped: bool = False  # whether nobody waits for its result any more


class Block:
    """One experiment: its controls, a line that says what is being done, and what came of it."""

    imports: tuple[str, ...] = ()  # lines that `code_lines` need, beside `import explorer`

    def __init__(self, panel: WhatIfPanel, title: str, intro: str):
        self.panel, self.intro = panel, intro
        self.busy, self.says = W.HTML(), W.HTML()
        self.stop = W.Button(description="Stop", layout=W.Layout(width="auto", display="none"),
                             tooltip="Behind the present pass; what is done is kept")
        self.stop.add_class("vx-open")
        self.stop.on_click(lambda _: panel.stop_job())
        self.head = W.HTML(f"<h3>{escape(title)}</h3>")
        self.box = W.VBox()
        self.box.add_class("vx-whatif-block")

    def lay_out(self, controls: Sequence[W.Widget], *rest: W.Widget) -> None:
        self.box.children = [self.head, row(*controls, self.busy, self.stop), *rest]

    # for subclasses
    def reset(self, look: Look, *, same_photo: bool) -> None:
        """Begin anew with another look."""

    def forget(self) -> None:
        """Let go of what was found."""

    def set_busy(self, busy: bool) -> None:
        """Switch off what can't be used while the block's job runs."""

    def code_lines(self) -> list[str]:
        raise NotImplementedError

    def figure(self) -> Any:
        raise NotImplementedError

    def caption(self) -> str:
        raise NotImplementedError

    # for the panel; all under the lock
    def begin(self, doing: str, *, stoppable: bool) -> None:
        self.busy.value = f'<span class="vx-busy" role="status">{escape(doing)} …</span>'
        self.stop.layout.display = "" if stoppable else "none"
        self.set_busy(stoppable)

    def idle(self) -> None:
        self.busy.value, self.stop.layout.display = "", "none"
        self.set_busy(False)

    def say(self, *sentences: str, notes: Sequence[str] = ()) -> None:
        known = self.panel.look.notes if self.panel.look is not None else ()  # these stand above all blocks
        text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)
        self.says.value = f'<div role="status">{text}</div>{notes_html([note for note in notes if note not in known])}'

    def hint(self, text: str) -> None:
        self.says.value = f'<p class="vx-soft">{escape(text)}</p>'

    def failed(self, error: Exception) -> None:
        """A sentence on the page; what nobody expects also with its traceback in the log."""
        expected = isinstance(error, (ValueError, TypeError))
        log.log(logging.INFO if expected else logging.ERROR, "%s: %s", type(self).__name__, error,
                exc_info=None if expected else error)
        self.says.value = f'<div class="vx-error" role="alert">{escape(sentence_of(error))}</div>'

    def meter(self, job: Job, what: str) -> Callable[[int, int], None]:
        """on_progress that draws a bar, a few times a second."""
        last = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal last
            if (now := time.monotonic()) - last < GAP:
                return
            last = now
            with self.panel.session.lock:
                if self.panel.live(job):
                    stopping = " Stopping." if job.stop.is_set() else ""
                    self.busy.value = (
                        f'<div class="vx-run-line"><progress max="{total}" value="{done}" aria-label="{what}"></progress>'
                        f'<span class="vx-soft" role="status">{done} of {total} {what}.{stopping}</span></div>')
        return progress


class MaskBlock(Block):
    """Hide a region and look again."""

    def __init__(self, panel: WhatIfPanel):
        super().__init__(panel, "Mask a region", INTRO["mask"])
        self.found: MaskedLook | None = None
        self.view = PhotoOverlay(draws=True, slider=False, side=SIDE, lock=panel.session.lock)
        self.how = labelled("Fill with", W.ToggleButtons, options=[*FILLS.items()])
        self.again = W.Button(description="Look again", layout=W.Layout(width="auto", display="none"))
        self.again.add_class("vx-open")
        self.after, self.bars = W.HTML(), W.HTML()
        self.where = W.HTML()
        self.lay_out([self.how, self.again], self.says,
                     parts(W.VBox([self.view, self.where]), self.after, wide=[self.bars]))
        self.view.on_box(self._drawn)
        self.how.observe(lambda _: self._look_again(), "value")
        self.again.on_click(lambda _: self._look_again())

    def reset(self, look: Look, *, same_photo: bool) -> None:
        from explorer.data.transforms import crop_box

        box = self.view.box if same_photo else ()
        if not same_photo:
            self.view.show(look.image, label="The photo to mask")
        seen = crop_box(look.image.size, look.config)
        whole = covers(seen, look.image.size)
        self.view.frame(() if whole else seen)
        cut = "" if whole else "; its dark margin is cut off before the network"
        self.where.value = f'<div class="vx-whatif-where">The photo: draw here{cut}</div>'
        self._clear()
        if box:  # another model, the same photo: the box may be asked about again
            self.again.layout.display = ""
            self.hint(f"The box is still there: Look again shows what {look.model_name} makes of it.")

    def forget(self) -> None:
        self.found = None

    def _clear(self) -> None:
        self.found, self.after.value, self.bars.value, self.again.layout.display = None, "", "", "none"
        self.hint(self.intro)

    def _drawn(self, box: tuple[int, ...]) -> None:
        with self.panel.session.lock:
            if box:
                self._look_again()
                return
            self.panel.cancel(self)
            self._clear()
            self.panel.emptied(self)

    def _look_again(self) -> None:
        box, fill = tuple(self.view.box), self.how.value
        if not box:
            return

        def work(job: Job, _stale: Callable[[], bool]) -> Callable[[], None]:
            from explorer.inspection.perturb import mask_region

            found = mask_region(job.model, job.look.image, box, fill=fill, look=job.look)
            small = draw.thumbnail(found.picture, SIDE)
            return lambda: self._show(found, small)

        self.panel.start(self, work, "looking again")

    def _show(self, found: MaskedLook, small: Image.Image) -> None:
        self.found = found
        self.again.layout.display = "none"
        self.after.value = shots_html([(small, "What the model looked at", "JPEG")])
        self.bars.value = changes_html(main(found.changes))
        self.say(verdict(found.changes[0], *found.answers), notes=found.notes)
        self.panel.showed(self)

    def code_lines(self) -> list[str]:
        options = {"fill": self.found.fill}
        return [f"masked = {call('explorer.mask_region', 'model', 'photo', literal(self.found.box), options=options)}", "masked"]

    def figure(self) -> Any:
        from explorer.inspection.perturb import outlined

        found = self.found
        return sheet([(outlined(found.before.image, found.box, side=SIDE), "before"),
                      (draw.thumbnail(found.picture, 2 * SIDE), f"masked: {found.fill}")], main(found.changes))

    def caption(self) -> str:
        found = self.found
        left, top, right, bottom = found.box
        return " ".join([f"Masked (fill: {found.fill}): {right - left} × {bottom - top} pixels from ({left}, {top}).",
                         verdict(found.changes[0], *found.answers), *found.notes])


class FgsmBlock(Block):
    """Push every value by epsilon the way that hurts most."""

    def __init__(self, panel: WhatIfPanel):
        from explorer.inspection.perturb import EPSILONS

        super().__init__(panel, "A change that nobody sees", INTRO["fgsm"])
        self.found: dict[float, Perturbed] = {}
        self.first_fooled: Perturbed | None = None
        self.stopped = False
        self._aim: int | None = None      # the class of `found` where it went towards one
        self._asked: tuple[str, str] | None = None  # what the job that runs is about
        self._quiet = False
        self.epsilon = labelled("epsilon, in 1/255", W.SelectionSlider, continuous_update=True,
                                options=[(f"{255 * one:g}", one) for one in EPSILONS],
                                layout=W.Layout(width="min(400px, 100%)"))
        self.aim = labelled("Push", W.Dropdown, options=[*AIMS.items()], layout=W.Layout(width="auto"))
        self.target = labelled("Class", W.Combobox, placeholder="a name, or a part of one", ensure_option=False,
                               continuous_update=False, layout=W.Layout(width="min(300px, 100%)", display="none"))
        self.shots, self.bars = W.HTML(), W.HTML()
        self.lay_out([self.epsilon, self.aim, self.target], self.says, parts(self.shots, wide=[self.bars]))
        self.epsilon.observe(lambda _: self._moved(), "value")
        self.aim.observe(lambda _: self._aimed(), "value")
        self.target.observe(lambda _: self._aimed(), "value")

    def reset(self, look: Look, *, same_photo: bool) -> None:
        self._quiet = True
        self.epsilon.index, self.target.options = 0, ()
        aims = AIMS_OF_NUMBERS if look.outputs.numbers else AIMS
        if self.aim.options != tuple(aims.items()):
            self.aim.options = tuple(aims.items())
        self.target.description = look.outputs.noun.capitalize()
        usual = "the first; or type a name" if look.outputs.numbers else "a name, or a part of one"
        self.target.placeholder = usual
        self._quiet = False
        self._offer(look)
        self._clear()

    def forget(self) -> None:
        self.found, self.first_fooled, self._aim, self._asked, self.stopped = {}, None, None, None, False

    def _clear(self) -> None:
        self.forget()
        self.shots.value = self.bars.value = ""
        self.hint(self.intro)

    def _offer(self, look: Look) -> None:
        """Thousands of names travel only to those who want to choose one."""
        towards = self.aim.value == "towards" and not (look.outputs.numbers and len(look.outputs) == 1)
        self.target.layout.display = "" if towards else "none"
        if towards and not self.target.options:
            self.target.options = tuple(dict.fromkeys(look.labels))

    def _moved(self) -> None:
        """Another epsilon: what the sweep has found for it, or the sweep itself where there is none yet."""
        with self.panel.session.lock:
            if self._quiet or self.panel.look is None:
                return
            if self.epsilon.value in self.found:
                self._show()
            elif not (self.panel.working_for(self) and self._asked == (self.aim.value, self.target.value)):
                self._sweep()

    def _aimed(self) -> None:
        with self.panel.session.lock:
            look = self.panel.look
            if self._quiet or look is None:
                return
            self._offer(look)
            used = bool(self.found) or self.epsilon.index > 0
            self.panel.cancel(self)
            self._clear()
            self.panel.emptied(self)
            if self.aim.value == "towards" and (self.target.value.strip() or look.outputs.numbers):
                if self.epsilon.index == 0:  # at zero, the reader would see nothing happen
                    self._quiet = True
                    self.epsilon.value = FIRST_STEP / 255
                    self._quiet = False
                used = True
            if used:
                self._sweep()

    def _sweep(self) -> None:
        """All stops of the slider in one go: they share the gradient."""
        from explorer.inspection.attribution import find_class
        from explorer.inspection.perturb import EPSILONS

        towards = None
        if self.aim.value == "towards":
            try:
                outputs, text = self.panel.look.outputs, self.target.value.strip()
                if not text and not outputs.numbers:
                    raise ValueError("Type the name of the class to push towards.")
                towards = find_class(text, outputs.labels, outputs.noun) if text else 0
            except ValueError as error:
                self.failed(error)
                return
        self._asked = (self.aim.value, self.target.value)

        def work(job: Job, should_stop: Callable[[], bool]) -> Callable[[], None]:
            from explorer.inspection.perturb import fgsm_sweep

            sweep = fgsm_sweep(job.model, job.look.image, epsilons=EPSILONS, towards=towards, look=job.look,
                               should_stop=should_stop, on_progress=self.meter(job, "strengths"))
            return lambda: self._take(sweep, towards)

        self.panel.start(self, work, "asking for the gradient", stoppable=True)

    def _take(self, sweep: PerturbedSweep, towards: int | None) -> None:
        self.found, self._aim = {one.epsilon: one for one in sweep}, towards
        self.first_fooled, self.stopped = sweep.first_fooled, sweep.stopped
        if self.epsilon.value in self.found:
            self._show()
        else:
            self.hint("It was stopped before this strength: move the slider to try again.")

    def _show(self) -> None:
        one = self.found[self.epsilon.value]
        times = f"the noise, {round(one.amplified)} times amplified" if one.amplified else "no noise"
        self.shots.value = shots_html([
            (one.original, "What the network saw", "PNG"),
            (one.noise, times[0].upper() + times[1:], "PNG"),
            (one.picture, f"What it sees now: epsilon {255 * one.epsilon:g}/255", "PNG")])
        self.bars.value = changes_html(main(one.changes))
        self.say(verdict(one.changes[0], *one.answers), self._first(), notes=one.notes)
        self.panel.showed(self)

    def _first(self) -> str:
        """The weakest push of the sweep that changed the answer."""
        first = self.first_fooled
        if self.panel.look.outputs.numbers:  # which change little by little
            return "It was stopped early." if self.stopped else ""
        if first is None:
            return "It was stopped early." if self.stopped else "None of these strengths changes the answer."
        now = first.answers[1].label
        return f"The weakest of these strengths that changes the answer: {255 * first.epsilon:g}/255 ({now})."

    def code_lines(self) -> list[str]:
        one = self.found[self.epsilon.value]
        given = ["model", "photo", f"epsilon={255 * one.epsilon:g} / 255"]
        if self._aim is not None:
            given.append(f"towards={class_literal(self._aim, self.panel.look.labels)}")
        return [f"pushed = {call('explorer.fgsm', *given)}", "pushed"]

    def figure(self) -> Any:
        one = self.found[self.epsilon.value]
        times = f"noise, {round(one.amplified)} times" if one.amplified else "no noise"
        return sheet([(one.original, "before"), (one.noise, times), (one.picture, f"epsilon {255 * one.epsilon:g}/255")],
                     main(one.changes))

    def caption(self) -> str:
        one = self.found[self.epsilon.value]
        ways = ("smaller", "larger") if one.aim.value is not None else ("away from", "towards")
        way = f"{ways[one.towards]} {one.aim.label}"
        times = f" The noise is shown {round(one.amplified)} times amplified." if one.amplified else ""
        return (f"Fast gradient sign method, epsilon {255 * one.epsilon:g}/255, {way}.{times} "
                f"{verdict(one.changes[0], *one.answers)}")


class RobustBlock(Block):
    """Spoil the photo more and more, and find where the answer changes."""

    imports = ("from explorer.inspection.robustness import perturb",)

    def __init__(self, panel: WhatIfPanel):
        from explorer.inspection.robustness import KINDS

        super().__init__(panel, "How much can it bear?", INTRO["robust"])
        self.seen: dict[tuple[str, float], Spoilt] = {}
        self.curves: dict[str, RobustnessCurve] = {}
        self.flips: dict[str, Flip] = {}
        self._charts: dict[tuple[str, float], str] = {}
        self._quiet = False
        self.kind = W.ToggleButtons(options=[(one.title, name) for name, one in KINDS.items()])
        self.strength = W.SelectionSlider(options=[("0", 0.0)], description="0", continuous_update=True,
                                          style={"description_width": "initial"},
                                          layout=W.Layout(width="min(560px, 100%)"))
        self.draw_curve = W.Button(description="Draw the curve", layout=W.Layout(width="auto"),
                                   tooltip="One pass for each stop of the slider")
        self.find = W.Button(description="Find the flip", button_style="primary", layout=W.Layout(width="auto"),
                             tooltip="The curve, and then halving between the two values where the answer changes")
        for button in (self.draw_curve, self.find):
            button.add_class("vx-open")
        self.shot, self.bars, self.chart = W.HTML(), W.HTML(), W.HTML()
        self.flip_says = W.HTML()
        self.lay_out([self.kind], row(self.strength, self.draw_curve, self.find), self.says, self.flip_says,
                     parts(self.shot, wide=[self.bars, self.chart]))
        self.kind.observe(lambda _: self._choose_kind(), "value")
        self.strength.observe(lambda _: self._moved(), "value")
        self.draw_curve.on_click(lambda _: self._measure(flip=False))
        self.find.on_click(lambda _: self._measure(flip=True))

    def reset(self, look: Look, *, same_photo: bool) -> None:
        self._offer(look)
        self.find.layout.display = "none" if look.outputs.numbers else ""  # no answer that could flip
        self.shot.value = self.bars.value = self.chart.value = self.flip_says.value = ""
        self.hint(self.intro)

    def forget(self) -> None:
        self.seen, self.curves, self.flips, self._charts = {}, {}, {}, {}

    def set_busy(self, busy: bool) -> None:
        for control in (self.kind, self.strength, self.draw_curve, self.find):
            control.disabled = busy

    def _known(self) -> Any:
        from explorer.inspection.robustness import KINDS

        return KINDS[self.kind.value]

    def _offer(self, look: Look, *, value: float | None = None) -> None:
        """The stops of the slider: the scan of the kind, and the flip where it was found."""
        known = self._known()
        stops = list(known.scan(look.image))
        flip = self.flips.get(known.name)
        if flip is not None and flip.found and flip.first_other.value not in stops:
            stops.append(flip.first_other.value)
            stops.sort(reverse=stops[0] > stops[1])
        self._quiet = True
        self.strength.index = 0
        self.strength.options = [(f"{one:.4g}", float(one)) for one in stops]
        self.strength.value = float(stops[0]) if value is None else value
        self.strength.description = known.unit
        self._quiet = False

    def _choose_kind(self) -> None:
        with self.panel.session.lock:
            if self.panel.look is not None:
                self._offer(self.panel.look)
                self._moved()

    def _moved(self) -> None:
        """Another strength: show it, after one pass where it was not seen before."""
        with self.panel.session.lock:
            if self._quiet or self.panel.look is None:
                return
            kind, value = self.kind.value, self.strength.value
            if (kind, value) in self.seen:
                self.panel.cancel(self)  # what it works at is a strength that is no longer wanted
                self._show()
                if self.curves.get(kind) is None or (kind, value) in self._charts:
                    return
            self.panel.start(self, partial(self._look_at, kind, value), "looking again")

    def _look_at(self, kind: str, value: float, job: Job, _stale: Callable[[], bool]) -> Callable[[], None]:
        """One photo at one strength, and the curve with the mark there."""
        spoilt = self.seen.get((kind, value)) or spoil(job.model, job.look, kind, value)
        chart = chart_html(self.curves.get(kind), self.flips.get(kind), value)

        def show() -> None:
            self.seen[kind, value] = spoilt
            if chart:
                self._charts[kind, value] = chart
            if (kind, value) == (self.kind.value, self.strength.value):
                self._show()
        return show

    def _measure(self, *, flip: bool) -> None:
        with self.panel.session.lock:
            kind, value = self.kind.value, self.strength.value
            curve = self.curves.get(kind)
            if curve is not None and curve.stopped:
                curve = None

        def work(job: Job, should_stop: Callable[[], bool]) -> Callable[[], None]:
            from explorer.inspection.robustness import find_flip, robustness

            found, told = None, self.meter(job, "strengths")
            options = {"look": job.look, "should_stop": should_stop, "on_progress": told}
            if flip:
                found = find_flip(job.model, job.look.image, kind, curve=curve, **options)
                scan = found.curve
            else:
                scan = robustness(job.model, job.look.image, kind, **options)
            at = found.first_other.value if found is not None and found.found else value
            complete = found or (self.flips.get(kind) if not flip else None)
            spoilt = self.seen.get((kind, at)) or spoil(job.model, job.look, kind, at)
            chart = chart_html(scan, complete, at)
            return lambda: self._take(kind, at, scan, found, spoilt, chart)

        self.panel.start(self, work, "trying one strength after the other", stoppable=True)

    def _take(self, kind: str, value: float, curve: RobustnessCurve, flip: Flip | None, spoilt: Spoilt, chart: str) -> None:
        self.curves[kind] = curve
        if flip is not None:
            self.flips[kind] = flip
        self._charts = {key: html for key, html in self._charts.items() if key[0] != kind}
        self.seen[kind, value] = spoilt
        self._charts[kind, value] = chart
        if self.kind.value == kind:  # the slider was locked meanwhile, unless another block came first
            self._offer(self.panel.look, value=value)
            self._show()

    def _show(self) -> None:
        kind, value = self.kind.value, self.strength.value
        spoilt, curve, flip = self.seen[kind, value], self.curves.get(kind), self.flips.get(kind)
        known = self._known()
        self.shot.value = shots_html([(spoilt.picture, f"{known.title}: {value:.4g}", "JPEG")])
        self.bars.value = changes_html(spoilt.changes)
        self.chart.value = self._charts.get((kind, value), "") if curve is not None else ""
        sentence = flip.sentence if flip is not None else ""
        if curve is not None and curve.stopped and flip is None:
            whole = known.scan(self.panel.look.image)
            sentence = f"The curve was stopped after {len(curve.points)} of {len(whole)} strengths."
        self.flip_says.value = f'<div class="vx-whatif-flip" role="status">{escape(sentence)}</div>' if sentence else ""
        self.say(verdict(spoilt.changes[0], spoilt.was, spoilt.now), notes=curve.notes if curve is not None else ())
        self.panel.showed(self)

    def code_lines(self) -> list[str]:
        kind, value = literal(self.kind.value), literal(self.strength.value)
        lines = [f"spoilt = perturb(explorer.load_image(photo), {kind}, {value})",
                 f"look = explorer.look(model, spoilt, topk={TOP})", "print(look.predictions)"]
        curve, flip = self.curves.get(self.kind.value), self.flips.get(self.kind.value)
        if curve is not None and curve.stopped:
            lines.append("# it was stopped early: these lines try all strengths")
        if flip is not None:
            lines += [f"flip = {call('explorer.find_flip', 'model', 'photo', kind)}", "print(flip.sentence)", "flip.curve"]
        elif curve is not None:
            lines += [f"curve = {call('explorer.robustness', 'model', 'photo', kind)}", "curve"]
        return lines

    def figure(self) -> Any:
        kind, value = self.kind.value, self.strength.value
        spoilt, known = self.seen[kind, value], self._known()
        return sheet([(spoilt.picture, f"{known.title}: {value:.4g}")], spoilt.changes,
                     curve=self.curves.get(kind), flip=self.flips.get(kind), value=value)

    def caption(self) -> str:
        kind, value, known = self.kind.value, self.strength.value, self._known()
        spoilt, curve, flip = self.seen[kind, value], self.curves.get(kind), self.flips.get(kind)
        parts = [f"{known.title} by {value:.4g} ({known.unit}).", verdict(spoilt.changes[0], spoilt.was, spoilt.now)]
        if flip is not None:
            parts.append(flip.sentence)
        elif curve is not None and curve.stopped:
            parts.append("The curve was stopped early.")
        notes = [note for note in curve.notes if note not in self.panel.look.notes] if curve is not None else []
        return " ".join([*parts, *notes])


def row(*controls: W.Widget) -> W.HBox:
    box = W.HBox(controls, layout=W.Layout(flex_flow="row wrap"))
    box.add_class("vx-controls")
    return box


def parts(*widgets: W.Widget, wide: Sequence[W.Widget]) -> W.Box:
    """What came of it, side by side where there is room; those of `wide` take what is left."""
    for widget in wide:
        widget.add_class("vx-whatif-wide")
    box = W.Box([*widgets, *wide])
    box.add_class("vx-whatif-parts")
    return box
