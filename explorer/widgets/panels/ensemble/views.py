"""The sliders of the ensemble panel, and all that moves with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ipywidgets as W

from explorer.display.draw import thumbnail
from explorer.display.html import picture_html
from explorer.display.words import percent
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.compare.choosing import at_most, line
from explorer.widgets.panels.ensemble.shown import Now, Screen, Shown, Weights, first_answer
from explorer.widgets.panels.ensemble.words import (
    NO_SLOPE,
    agreement_html,
    bars_html,
    figures_html,
    fixed_note,
    members_html,
    shares_of,
)
from explorer.widgets.panels.evaluate.blocks import block, pair, show_if, wide_button
from explorer.widgets.parts.judged_photos import Answer, JudgedPhotos

COMBINE = (("mean of the probabilities (soft voting)", "mean"), ("mean of the logits", "logits"),
           ("votes (hard voting)", "vote"))
FIRST = 12  # photos that are shown of those that are fixed, and of those that are broken
KINDS = ("fixed", "broken")


class Views:
    """sliders: one a member, the rest hidden;  body: all that is shown once members were asked

    moved: called under the lock when the reader moves a slider, or combines in another way
    picked: called under the lock with the number of a photo
    """

    def __init__(self, panel: Panel, moved: Callable[[], None], picked: Callable[[int], None]):
        lock = panel.session.lock
        self.filling = False  # while the panel itself sets what a reader sets else
        self.combine = labelled("Combine by", W.Dropdown, options=COMBINE, layout=at_most(360))
        self.sliders = [W.FloatSlider(value=1.0, min=0.0, max=1.0, step=0.01, readout_format=".2f",
                                      style={"description_width": "150px"},
                                      layout=W.Layout(width="auto", display="none"))
                        for _ in range(MAX_COMPARED)]
        self.equal = wide_button("Equal weights", "All members count the same")
        self.fit = wide_button("Fit the weights")
        self.open = wide_button("Open this ensemble", "Makes it the model that all panels show")
        self.zero, self.fitted, self.notes = W.HTML(), W.HTML(), W.HTML()
        self.photo, self.bars = W.HTML(), W.HTML(layout=W.Layout(width="100%"))
        self.members, self.figures, self.verdict = W.HTML(), W.HTML(), W.HTML()
        self.agreement = W.HTML()
        self.photos = {"fixed": JudgedPhotos(label="Photos that the ensemble fixes", lock=lock),
                       "broken": JudgedPhotos(label="Photos that the ensemble breaks", lock=lock)}
        self.numbers: dict[str, tuple[int, ...]] = dict.fromkeys(KINDS, ())  # which photos are on the page
        for name, part in self.photos.items():
            part.on_pick(partial(panel.tell, self._pick, picked, name))
        for control in (self.combine, *self.sliders):
            panel.when(control, lambda: None if self.filling else moved())

    def laid_out(self, working: Sequence[W.Widget]) -> W.VBox:
        """All of it in a box. working: what says how far a fit is."""
        buttons = line([self.equal, self.fit, self.open])
        said = [line(working), self.zero, self.fitted]
        weights = block("Weights", self.combine, *self.sliders, buttons, *said)
        shown = W.HBox([self.photo, self.bars])
        shown.add_class("vx-ens-photo")
        self.screen_block = block("The photo on the screen", shown)
        self.judged = [block("How good it is", self.figures, self.verdict),
                       pair(block("Photos it fixes", self.photos["fixed"]),
                            block("Photos it breaks", self.photos["broken"])),
                       block("Who agrees with whom", self.agreement)]
        body = W.VBox([self.notes, pair(weights, self.screen_block), block("Members", self.members),
                       *self.judged])
        body.add_class("vx-eval-body")
        return body

    def _pick(self, picked: Callable[[int], None], name: str, index: int) -> None:
        if index < len(self.numbers[name]):
            picked(self.numbers[name][index])

    # --- the sliders ---

    def offer(self, names: Sequence[str]) -> None:
        """A slider for each of these members, all the same."""
        self.filling = True
        for slider, name in zip(self.sliders, [*names, *[""] * MAX_COMPARED]):
            slider.description, slider.value = name, 1.0
            slider.tooltip = name or None
            slider.layout.display = "" if name else "none"
        self.filling = False

    def set(self, weights: Sequence[float]) -> None:
        self.filling = True
        for slider, weight in zip(self.sliders, weights):
            slider.value = weight
        self.filling = False

    def weights(self, count: int) -> Weights:
        """As the first so many sliders stand."""
        return Weights(tuple(slider.value for slider in self.sliders[:count]), self.combine.value)

    # --- what follows from them; the lock is held ---

    def draw(self, shown: Shown, screen: Screen | None, now: Now) -> None:
        """All but the small photos."""
        asked, outputs = shown.asked, shown.asked.outputs
        weighing, tried = asked.weighing, now.tried
        answers = team = None
        if screen is not None and now.raw is not None:
            from explorer.inspection.look.answers import top_predictions

            answers = [first_answer(raw, outputs) for raw in screen.raws]
            team = first_answer(now.raw, outputs)
            self.bars.value = bars_html(top_predictions(now.raw, outputs, 5))
        show_if(team is not None, self.screen_block)
        self.members.value = members_html(shown.names, shares_of(now.weights.values), answers, team, weighing,
                                          tried)
        show_if(tried is not None, *self.judged)
        self.fit.disabled = tried is None or now.weights.combine == "vote"
        self.fit.tooltip = NO_SLOPE if now.weights.combine == "vote" else \
            "Makes the negative log-likelihood on these photos least"
        if weighing is not None and tried is not None:
            self.figures.value = figures_html(tried, weighing)
            self.agreement.value = agreement_html(weighing, tried)

    def draw_photo(self, screen: Screen) -> None:
        """The photo itself, which the weights don't change."""
        self.photo.value = picture_html(thumbnail(screen.image, 160), screen.name, format="JPEG")

    def changed_photos(self, shown: Shown, now: Now) -> dict[str, list[tuple[int, Answer]]]:
        """Of the photos that are fixed and broken the first ones, with what stands under each."""
        weighing, tried = shown.asked.weighing, now.tried
        if weighing is None or tried is None:
            return {}
        return {name: [(number, self._answer(shown, now, number)) for number in getattr(tried, name)[:FIRST]]
                for name in KINDS}

    def _answer(self, shown: Shown, now: Now, number: int) -> Answer:
        weighing, tried = shown.asked.weighing, now.tried
        assert weighing is not None and tried is not None
        answers = weighing.answers
        labels, best = answers.outputs.labels, weighing.best
        true, ours = labels[int(answers.truth[number])], labels[int(tried.said[number])]
        theirs = labels[int(weighing.said[best, number])]
        sure = percent(tried.probability(number, answers.outputs))
        right = bool(tried.right[number])
        lines = (f"✓ {true}, {sure}", f"{answers.names[best]} said {theirs}") if right else \
            (f"✗ is {true}", f"taken for {ours}, {sure}")
        return Answer(true, ours, sure, right, answers.photos[number], lines)

    def show_photos(self, shown: Shown, now: Now, found: dict[str, list[tuple[int, Answer]]],
                    small: dict[int, bytes]) -> None:
        """The small photos, which were opened meanwhile."""
        weighing, tried = shown.asked.weighing, now.tried
        if weighing is None or tried is None:
            return
        best = weighing.answers.names[weighing.best]
        for name, rows in found.items():
            self.numbers[name] = tuple(number for number, _ in rows)
            note = fixed_note(len(getattr(tried, name)), len(rows), best, fixed=name == "fixed")
            self.photos[name].show([(small[number], answer) for number, answer in rows], note=note)

    def forget(self) -> None:
        self.numbers = dict.fromkeys(KINDS, ())


def as_steps(weights: Any) -> list[float]:
    """Weights as the sliders can have them, in hundredths."""
    return [round(float(weight), 2) for weight in weights]
