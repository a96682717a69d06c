"""A change that nobody sees: the fast gradient sign method."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.what_if.block import Block, Host, parts
from explorer.widgets.panels.what_if.drawing import (
    changes_html,
    class_literal,
    main,
    sheet,
    shots_html,
    verdict,
)
from explorer.widgets.snippets import call

if TYPE_CHECKING:  # importing these loads torch
    from explorer.inspection.experiments.adversarial import Perturbed, PerturbedSweep
    from explorer.inspection.look.result import Look

AIMS = {"away from its answer": "away", "towards a class": "towards"}
AIMS_OF_NUMBERS = {"to make it smaller": "away", "to make it larger": "towards"}
FIRST_STEP = 2  # in 1/255: where the slider goes when a class is chosen before a strength
INTRO = "Move the slider: one gradient says for every value which way hurts most; the photo goes that way."


class FgsmBlock(Block):
    """Push every value by epsilon the way that hurts most."""

    def __init__(self, panel: Host):
        from explorer.inspection.experiments.adversarial import EPSILONS

        super().__init__(panel, "A change that nobody sees (adversarial example, FGSM)", INTRO)
        self.found: dict[float, Perturbed] = {}
        self.shown: Perturbed | None = None  # the one of them that is on the page
        self.first_fooled: Perturbed | None = None
        self.stopped = False
        self._aim: int | None = None      # the class of `found` where it went towards one
        self._asked: tuple[str, str] | None = None  # what the job that runs is about
        self._quiet = False
        self.epsilon = labelled("epsilon, in 1/255", W.SelectionSlider, continuous_update=True,
                                options=[(f"{255 * one:g}", one) for one in EPSILONS],
                                layout=W.Layout(width="min(400px, 100%)"))
        self.aim = labelled("Push", W.Dropdown, options=[*AIMS.items()], layout=W.Layout(width="auto"))
        self.target = labelled("Class", W.Combobox, placeholder="a name, or a part of one",
                               ensure_option=False, continuous_update=False,
                               layout=W.Layout(width="min(300px, 100%)", display="none"))
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
        self.found, self.first_fooled, self.shown = {}, None, None
        self._aim, self._asked, self.stopped = None, None, False

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
            elif not (self.work.wanted and self._asked == (self.aim.value, self.target.value)):
                self._sweep()

    def _aimed(self) -> None:
        with self.panel.session.lock:
            look = self.panel.look
            if self._quiet or look is None:
                return
            self._offer(look)
            used = bool(self.found) or self.epsilon.index > 0
            self.work.drop()
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
        from explorer.inspection.experiments.adversarial import EPSILONS
        from explorer.inspection.look.targets import find_class

        towards = None
        if self.aim.value == "towards":
            try:
                outputs, text = self.panel.look.outputs, self.target.value.strip()
                if not text and not outputs.numbers:
                    raise ValueError("Type the name of the class to push towards.")
                towards = find_class(text, outputs.labels, outputs.noun) if text else 0
            except ValueError as error:
                self.work.say(sentence_of(error), wrong=True)
                return
        self._asked = (self.aim.value, self.target.value)

        def compute(job: Job, model: Any, look: Look) -> PerturbedSweep:
            from explorer.inspection.experiments.adversarial import fgsm_sweep

            return fgsm_sweep(model, look.image, epsilons=EPSILONS, towards=towards, look=look,
                              should_stop=job.ended, on_progress=partial(job.progress, what="strengths"))

        self.start(compute, partial(self._take, towards), "asking for the gradient", stoppable=True)

    def _take(self, towards: int | None, sweep: PerturbedSweep) -> None:
        self.found, self._aim = {one.epsilon: one for one in sweep}, towards
        self.first_fooled, self.stopped = sweep.first_fooled, sweep.stopped
        if self.epsilon.value in self.found:
            self._show()
        else:
            self.hint("It was stopped before this strength: move the slider to try again.")

    def _show(self) -> None:
        self.shown = one = self.found[self.epsilon.value]
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
        one = self.shown
        given = ["model", "photo", f"epsilon={255 * one.epsilon:g} / 255"]
        if self._aim is not None:
            given.append(f"towards={class_literal(self._aim, self.panel.look.labels)}")
        return [f"pushed = {call('explorer.fgsm', *given)}", "pushed"]

    def figure(self) -> Any:
        one = self.shown
        times = f"noise, {round(one.amplified)} times" if one.amplified else "no noise"
        after = f"epsilon {255 * one.epsilon:g}/255"
        return sheet([(one.original, "before"), (one.noise, times), (one.picture, after)], main(one.changes))

    def caption(self) -> str:
        one = self.shown
        ways = ("smaller", "larger") if one.aim.value is not None else ("away from", "towards")
        way = f"{ways[one.towards]} {one.aim.label}"
        times = f" The noise is shown {round(one.amplified)} times amplified." if one.amplified else ""
        return (f"Fast gradient sign method, epsilon {255 * one.epsilon:g}/255, {way}.{times} "
                f"{verdict(one.changes[0], *one.answers)}")
