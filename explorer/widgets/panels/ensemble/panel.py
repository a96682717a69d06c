"""Several models that answer together: tick members, ask them once, then move their weights.

Networks run when a button is pressed, and for another photo on the screen. All else follows from the answers
that are kept, each time a slider moves.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import percent, sentence_of
from explorer.widgets.export import file_name
from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.compare.choosing import line
from explorer.widgets.panels.ensemble.choosing import Choice, Member, Photos
from explorer.widgets.panels.ensemble.guide import GUIDE
from explorer.widgets.panels.ensemble.shown import (
    Now,
    Screen,
    Shown,
    against_best,
    figure_of,
    learnt_notes,
    worked_out,
)
from explorer.widgets.panels.ensemble.views import Views, as_steps
from explorer.widgets.panels.ensemble.words import NO_WEIGHT, fit_sentence, verdict_html
from explorer.widgets.panels.evaluate.words import problem_text
from explorer.widgets.panels.work import Work, notes_html, said_html
from explorer.widgets.session import Session
from explorer.widgets.snippets import literal, photo_lines

ASKS = "Shows the photos to each member once"


class EnsemblePanel(Panel):
    """members: {name: the network} of those that were asked; what has no name of its own is found there
    shown, now: what the members said, and what is on the page of it
    """

    name = "Ensemble"
    guide = GUIDE
    nothing_yet = "No member was asked yet: press Ask the members first."
    draw_on = ("compare", "model", "model_name", "image", "run", "runs")
    rests = True

    def __init__(self, session: Session):
        self.shown: Shown | None = None
        self.screen: Screen | None = None
        self.now: Now | None = None
        super().__init__(session)
        self.add_class("vx-ens")

    def make(self) -> None:
        self.work = self.line(Work, sentence=problem_text, busy=lambda _running: self._offer(),
                              tooltip="After the present batch")
        self.fitting = self.line(Work, sentence=sentence_of)
        self.looking = self.line(failed=lambda error: self.work.say(sentence_of(error), wrong=True))
        self.painting = self.line(failed=lambda error: self.work.say(sentence_of(error), wrong=True))
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.choice = Choice(self, self._chosen, self.work.say)
        self.views = Views(self, self._move, self._open_photo)
        self.ask = W.Button(description="Ask the members", button_style="primary",
                            layout=W.Layout(width="auto"))
        for button in (self.ask, self.stop):
            button.add_class("vx-open")
        self.fitting.button.layout.display = "none"  # a fit takes seconds at most
        self.body = self.views.laid_out([self.fitting.progress, self.fitting.message])
        self.held = [self.fitting.button]  # stands nowhere; it is closed all the same
        self.body.layout.display = "none"
        buttons = line([self.ask, self.stop, self.progress])
        self.fill([*self.choice.rows, buttons, self.message, self.body])
        self.when(self.ask, self._ask)
        self.when(self.views.equal, self._equal)
        self.when(self.views.fit, self._fit)
        self.when(self.views.open, self._open)

    @property
    def members(self) -> dict[str, Any]:
        return {} if self.shown is None else dict(zip(self.shown.names, self.shown.asked.team.members))

    def draw(self) -> None:
        """Follow the ticks, the runs and the photo on the screen."""
        self._offer()
        self._look()

    def _chosen(self) -> None:
        """Other members or photos: what was said of those before goes."""
        if not self.work.wanted:
            self.work.say("")
        self._offer()

    def _offer(self) -> None:
        self.choice.draw()
        why = self.choice.why_not()
        self.ask.disabled = self.work.wanted or bool(why)
        self.ask.tooltip = why or ASKS

    # --- asking ---------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask the members that are ticked, in the background."""
        if self.work.wanted or self.choice.why_not():
            return
        self.work.say("")
        step = partial(self._answers, tuple(self.choice.ticked), self.choice.photos())
        self.work.start(step, self._show, doing="opening the members")

    def _answers(self, members: tuple[Member, ...], photos: Photos, job: Job) -> Shown | str:
        """What the members said; a sentence where nothing was done."""
        from explorer.inspection.look.passes import Stopped
        from explorer.training.evaluation.asking_members import ask_members

        data, expression = photos.find() if photos.find is not None else (None, "")
        try:
            asked = ask_members({member.name: member.opens for member in members}, data, **photos.options,
                                on_progress=job.progress, should_stop=job.ended)
        except Stopped as stopped:
            return str(stopped)
        held = {name: f"dash.ensemble.members[{literal(name)}]" for name in asked.team.names}
        codes = {member.name: member.code or held[member.name] for member in members if member.name in held}
        runs = {member.name: member.run for member in members if member.run is not None}
        return Shown(asked, codes, expression, dict(photos.options), photos.first, photos.about,
                     tuple(learnt_notes(runs, asked)))

    def _show(self, found: Shown | str) -> None:
        """Other answers take the place of those before; the lock is held."""
        if isinstance(found, str):
            self.work.say(found)
            return
        for work in (self.looking, self.painting, self.fitting):
            work.drop()
        self.shown, self.screen, self.now = found, None, None
        self.views.forget()  # photos of other answers have other numbers
        self.views.offer(found.names)
        self.views.verdict.value = self.views.fitted.value = ""
        self.fitting.say("")
        self.views.notes.value = notes_of(found)
        self.body.layout.display = ""
        self._move()
        self._look()

    # --- the photo on the screen ----------------------------------------------------------------------------

    def _look(self) -> None:
        """Ask the members about the photo on the screen, where they were not."""
        image, shown = self.session.image, self.shown
        if shown is None or image is None or (self.screen is not None and self.screen.image is image):
            return
        photo = image, self.session.image_name, tuple(photo_lines(self.session))
        self.looking.start(partial(self._looked, shown, *photo), self._show_screen)

    def _looked(self, shown: Shown, image: Any, name: str, lines: tuple[str, ...],
                _job: Job) -> tuple[Shown, Screen]:
        from explorer.inspection.weighing.one_photo import photo_answers

        return shown, Screen(image, name, photo_answers(shown.asked.team, image), lines)

    def _show_screen(self, found: tuple[Shown, Screen]) -> None:
        shown, screen = found
        if shown is self.shown:
            self.screen = screen
            self.views.draw_photo(screen)
            self._move()

    # --- the weights ----------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Show what follows from the sliders as they stand; no network runs. The lock is held.

        Where all are 0, what is shown is of the weights before.
        """
        shown, before = self.shown, self.now
        if shown is None:
            return
        weights = self.views.weights(len(shown.names))
        some = any(weights.values)
        self.views.zero.value = "" if some else said_html(NO_WEIGHT, wrong=True)
        self.views.open.disabled = not some
        if not some:
            if before is None:
                return
            weights = replace(weights, values=before.weights.values)
        self.now = worked_out(shown, self.screen, weights)
        self.views.draw(shown, self.screen, self.now)
        if before is None or before.weights != weights:
            self.views.fitted.value = ""
            self._paint(shown, self.now)
        self.changed()

    def _paint(self, shown: Shown, now: Now) -> None:
        """What takes longer than a slider may: the photos that changed, and how far the figures reach."""
        if now.tried is not None:
            rows = self.views.changed_photos(shown, now)
            self.painting.start(partial(self._opened_small, shown, now, rows), self._show_small, key="photos")
            self.painting.start(partial(self._reached, shown, now), self._show_reach, key="verdict")

    def _opened_small(self, shown: Shown, now: Now, rows: dict[str, Any], job: Job) -> tuple[Any, ...]:
        small = dict(shown.small)
        for number in {number for found in rows.values() for number, _ in found} - {*small}:
            if job.ended():
                break
            shown.small[number] = small[number] = small_photo(shown, number)
        return shown, now, rows, small

    def _show_small(self, found: tuple[Any, ...]) -> None:
        shown, now, rows, small = found
        if shown is self.shown:
            self.views.show_photos(shown, now, rows, small)

    @staticmethod
    def _reached(shown: Shown, now: Now, _job: Job) -> str:
        assert shown.asked.weighing is not None and now.tried is not None
        return verdict_html(against_best(shown.asked.weighing, now.tried))

    def _show_reach(self, html: str) -> None:
        self.views.verdict.value = html

    def _equal(self) -> None:
        if self.shown is not None:
            self.views.set([1.0] * len(self.shown.names))
            self._move()

    def _fit(self) -> None:
        """Fit the weights in the background, and set the sliders."""
        shown, combine = self.shown, self.views.combine.value
        if shown is None or shown.asked.weighing is None or combine == "vote":
            return
        self.fitting.say("")
        self.fitting.start(partial(self._fitted, shown, combine), self._show_fit, doing="fitting the weights")

    @staticmethod
    def _fitted(shown: Shown, combine: str, _job: Job) -> tuple[Any, ...]:
        weighing = shown.asked.weighing
        assert weighing is not None
        equal = weighing.weigh(None, combine)
        sentence = fit_sentence(weighing.across(combine), (equal.accuracy, equal.loss))
        return shown, combine, as_steps(weighing.fit(combine)), sentence

    def _show_fit(self, found: tuple[Any, ...]) -> None:
        shown, combine, weights, sentence = found
        if shown is not self.shown or combine != self.views.combine.value:
            return
        self.views.set(weights)
        self._move()
        self.views.fitted.value = notes_html([sentence])

    # --- what the reader does -------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the ensemble, with the weights that are shown, the model of all panels."""
        from explorer.models.ensembles.opening import Ensemble

        if self.shown is None or self.now is None:
            return
        weights = self.now.weights
        team = Ensemble(self.members, combine=weights.combine, weights=list(weights.values))
        self.session.open_model(team.eval())
        self.work.say("All panels show the ensemble now. Open another model in the picker to go back.")

    def _open_photo(self, number: int) -> None:
        """Make a photo the one that all panels show."""
        shown = self.shown
        if shown is None or shown.asked.weighing is None:
            return
        name = shown.asked.weighing.answers.photos[number]
        self.painting.start(partial(self._opened_photo, shown, number, name), key="open")

    def _opened_photo(self, shown: Shown, number: int, name: str, _job: Job) -> None:
        source = shown.asked.files[number] or shown.asked.open_photo(number)
        self.session.open_image(source, name)

    # --- to keep --------------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None or self.now is None:
            return ""
        lines = self.shown.lines(self.now.weights)
        if self.screen is not None:
            lines += [*self.screen.lines, "explorer.predict(team, photo)"]
        return "\n".join([*lines, "print(result)"] if self.shown.data else lines)

    def figure(self) -> Any:
        if self.shown is None or self.now is None:
            return None
        return figure_of(self.shown, self.now, self.screen, self.heading())

    def caption(self) -> str:
        if self.shown is None or self.now is None:
            return super().caption()
        shares = ", ".join(f"{name} {share}" for name, share in
                           zip(self.shown.names, self.now.weights.words.split(", ")))
        parts = [f"Members and weights: {shares}, combined by {self.now.weights.combine}. "
                 f"Photos: {self.shown.about}."]
        if (tried := self.now.tried) is not None:
            right = percent(tried.accuracy)
            parts.append(f"The ensemble is right on {right} of them (NLL {tried.loss:.3f}).")
        return " ".join([*parts, *self.shown.notes])

    def heading(self) -> str:
        return f"Ensemble of {len(self.shown.names)} models" if self.shown is not None else self.called

    def _file_name(self) -> str:
        return file_name(self.heading())

    def forget(self) -> None:
        self.shown = self.screen = self.now = None
        if self.built:
            self.choice.opened.clear()
            self.choice.offered = ()
            self.views.forget()


def small_photo(shown: Shown, number: int) -> bytes:
    """A photo, small; grey where it is gone."""
    from PIL import Image

    from explorer.data.images import ImageError

    try:
        return thumbnail_jpeg(shown.asked.open_photo(number), 168)
    except (ImageError, ValueError, OSError):  # moved since: its name stays
        return thumbnail_jpeg(Image.new("RGB", (8, 8), "grey"), 168)


def notes_of(shown: Shown) -> str:
    """Who could not be asked and why; what a reader of the figures must know."""
    problems = "".join(f'<div class="vx-note"><b>{escape(who)}</b>: {escape(why)}</div>'
                       for who, why in shown.asked.problems)
    said = "".join(f'<div class="vx-soft">{escape(text)}</div>' for text in
                   (f"Asked about {shown.about}.", *shown.asked.notes))
    return problems + notes_html(shown.notes) + said
