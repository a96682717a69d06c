"""How much can it bear? The photo is spoilt more and more, until the answer changes."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.what_if.block import Block, Host, parts, row
from explorer.widgets.panels.what_if.drawing import changes_html, chart_html, sheet, shots_html, verdict
from explorer.widgets.panels.what_if.spoiling import TOP, Spoilt, spoil
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:  # importing these loads torch
    from explorer.inspection.experiments.flips import Flip
    from explorer.inspection.experiments.robustness_curves import RobustnessCurve
    from explorer.inspection.look.result import Look

INTRO = "Choose what happens to the photo, and how much of it."


class RobustBlock(Block):
    """Spoil the photo more and more, and find where the answer changes."""

    imports = ("from explorer.inspection.experiments.spoiling import perturb",)

    def __init__(self, panel: Host):
        from explorer.inspection.experiments.spoiling import KINDS

        super().__init__(panel, "How much can it bear? (robustness to corruptions)", INTRO)
        self.seen: dict[tuple[str, float], Spoilt] = {}
        self.shown: tuple[str, float] | None = None  # the kind and strength on the page
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
        self.find = W.Button(
            description="Find the label flip", button_style="primary", layout=W.Layout(width="auto"),
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
        self.shown = None

    def set_busy(self, busy: bool) -> None:
        for control in (self.kind, self.strength, self.draw_curve, self.find):
            control.disabled = busy

    def _known(self, name: str = "") -> Any:
        """A kind of spoiling; the chosen one without a name."""
        from explorer.inspection.experiments.spoiling import KINDS

        return KINDS[name or self.kind.value]

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
                self.work.drop()  # what it works at is a strength that is no longer wanted
                self._show()
                if self.curves.get(kind) is None or (kind, value) in self._charts:
                    return
            self.start(partial(self._look_at, kind, value), partial(self._take_one, kind, value),
                       "looking again")

    def _look_at(self, kind: str, value: float, _job: Job, model: Any, look: Look) -> tuple[Spoilt, str]:
        """One photo at one strength, and the curve with the mark there."""
        spoilt = self.seen.get((kind, value)) or spoil(model, look, kind, value)
        return spoilt, chart_html(self.curves.get(kind), self.flips.get(kind), value)

    def _take_one(self, kind: str, value: float, found: tuple[Spoilt, str]) -> None:
        self.seen[kind, value], chart = found
        if chart:
            self._charts[kind, value] = chart
        if (kind, value) == (self.kind.value, self.strength.value):
            self._show()

    def _measure(self, *, flip: bool) -> None:
        with self.panel.session.lock:
            kind, value = self.kind.value, self.strength.value
            curve = self.curves.get(kind)
            if curve is not None and curve.stopped:
                curve = None
            self.start(partial(self._try_all, kind, value, curve, flip), partial(self._take, kind),
                       "trying one strength after the other", stoppable=True)

    def _try_all(self, kind: str, value: float, curve: RobustnessCurve | None, flip: bool, job: Job,
                 model: Any, look: Look) -> tuple[float, RobustnessCurve, Flip | None, Spoilt, str]:
        """(the strength to show, the curve,
        the flip where it is looked for, the photo and the chart there).
        """
        from explorer.inspection.experiments.flips import find_flip
        from explorer.inspection.experiments.robustness_curves import robustness

        found, told = None, partial(job.progress, what="strengths")
        options = {"look": look, "should_stop": job.ended, "on_progress": told}
        if flip:
            found = find_flip(model, look.image, kind, curve=curve, **options)
            scan = found.curve
        else:
            scan = robustness(model, look.image, kind, **options)
        at = found.first_other.value if found is not None and found.found else value
        complete = found or (self.flips.get(kind) if not flip else None)
        spoilt = self.seen.get((kind, at)) or spoil(model, look, kind, at)
        return at, scan, found, spoilt, chart_html(scan, complete, at)

    def _take(self, kind: str, found: tuple[float, RobustnessCurve, Flip | None, Spoilt, str]) -> None:
        value, curve, flip, spoilt, chart = found
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
        self.shown = kind, value = self.kind.value, self.strength.value
        spoilt, curve, flip = self.seen[kind, value], self.curves.get(kind), self.flips.get(kind)
        known = self._known()
        self.shot.value = shots_html([(spoilt.picture, f"{known.title}: {value:.4g}", "JPEG")])
        self.bars.value = changes_html(spoilt.changes)
        self.chart.value = self._charts.get((kind, value), "") if curve is not None else ""
        sentence = flip.sentence if flip is not None else ""
        if curve is not None and curve.stopped and flip is None:
            whole = known.scan(self.panel.look.image)
            sentence = f"The curve was stopped after {len(curve.points)} of {len(whole)} strengths."
        said = f'<div class="vx-whatif-flip" role="status">{escape(sentence)}</div>'
        self.flip_says.value = said if sentence else ""
        notes = curve.notes if curve is not None else ()
        self.say(verdict(spoilt.changes[0], spoilt.was, spoilt.now), notes=notes)
        self.panel.showed(self)

    def code_lines(self) -> list[str]:
        kind, value = map(literal, self.shown)
        lines = [f"spoilt = perturb(explorer.load_image(photo), {kind}, {value})",
                 f"look = explorer.look(model, spoilt, topk={TOP})", "print(look.predictions)"]
        curve, flip = self.curves.get(self.shown[0]), self.flips.get(self.shown[0])
        if curve is not None and curve.stopped:
            lines.append("# it was stopped early: these lines try all strengths")
        if flip is not None:
            found = call("explorer.find_flip", "model", "photo", kind)
            lines += [f"flip = {found}", "print(flip.sentence)", "flip.curve"]
        elif curve is not None:
            lines += [f"curve = {call('explorer.robustness', 'model', 'photo', kind)}", "curve"]
        return lines

    def figure(self) -> Any:
        kind, value = self.shown
        spoilt, known = self.seen[kind, value], self._known(kind)
        return sheet([(spoilt.picture, f"{known.title}: {value:.4g}")], spoilt.changes,
                     curve=self.curves.get(kind), flip=self.flips.get(kind), value=value)

    def caption(self) -> str:
        (kind, value), known = self.shown, self._known(self.shown[0])
        spoilt, curve, flip = self.seen[kind, value], self.curves.get(kind), self.flips.get(kind)
        answer = verdict(spoilt.changes[0], spoilt.was, spoilt.now)
        parts = [f"{known.title} by {value:.4g} ({known.unit}).", answer]
        if flip is not None:
            parts.append(flip.sentence)
        elif curve is not None and curve.stopped:
            parts.append("The curve was stopped early.")
        known_notes = self.panel.look.notes
        notes = [note for note in curve.notes if note not in known_notes] if curve is not None else []
        return " ".join([*parts, *notes])
