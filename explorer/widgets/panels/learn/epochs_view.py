"""A run's epochs, to go through back and forth: what the network said to photos then, what its maps were.

Everything here is asked of a copy of the run's network (`Shadow`), which is put into the state of an epoch,
or of this moment, and looked through in the background. So a reader may look at epoch 2 while the run learns
its twentieth.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.models.surgery.inside import task_inside
from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.epoch_words import (
    NOW,
    answer_html,
    captions,
    maps_note,
    picture_html,
    place_html,
    places_of,
    resting_place,
    said_text,
    when_text,
)
from explorer.widgets.panels.learn.place_answers import own_html, places_text, samples_shown
from explorer.widgets.panels.learn.run_words import problem_text
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.mosaic import FeatureMosaic
from explorer.widgets.parts.photo_strip import PhotoStrip

log = logging.getLogger(__name__)

SHARE = 20       # looking may take one part in so many of the run's time
LIVE_GAP = 0.5   # seconds between two looks while it learns, at least
PACE = 800       # milliseconds an epoch, when it plays
SAMPLE_SIDE, PLACE_SIDE = 96, 300  # pixels of a photo; of one with what is there, and found


def finds_places(shadow: Any) -> bool:
    return task_inside(shadow.model) != "classification"


@dataclass(frozen=True)
class Asked:
    """place: an epoch or NOW;  when: that in words

    weights: of that place where they are at hand;  cost: seconds that it took to copy them
    samples: whether the sample photos are asked too
    """

    run: Any
    place: int
    weights: dict[str, Any] | None = None
    samples: bool = True
    cost: float = 0.0
    when: str = ""


class EpochsView(W.VBox):
    """A slider over a run's epochs, and below it what the network says and sees there.

    `follow` takes another run. While it learns and the slider stands at its end, the newest state is shown,
    as often as `SHARE` allows.
    """

    def __init__(self, panel: Panel, use: Callable[[int], None]):
        """use: called with the epoch whose model the reader wants in all panels."""
        self.panel, self.session = panel, panel.session
        self.work = panel.line()
        self._run: Any = None
        self._forget_looks()
        super().__init__(self._make())
        self.add_class("vx-epochs")
        panel.when(self.slider, self._moved)
        panel.when(self.play, self._played)
        panel.when(self.stage, self._chosen_stage)
        panel.when(self.use, lambda: use(self.place))

    def _make(self) -> list[W.Widget]:
        wide, narrow = W.Layout(width="auto"), W.Layout(width="auto", flex="0 0 auto")
        label = {"description_width": "initial"}
        self.play = W.Play(min=0, max=0, interval=PACE, show_repeat=False, layout=narrow)
        self.slider = W.IntSlider(description="After epoch", min=0, max=0, readout=False, style=label,
                                  layout=W.Layout(flex="1 1 180px", width="auto", max_width="420px"))
        self.use = W.Button(description="Use this checkpoint", layout=W.Layout(width="auto", flex="0 0 auto"),
                            tooltip="Makes the model, as it was there, the one that all panels show")
        self.where, self.about = W.HTML(), W.HTML()
        self.photos = PhotoStrip(label="Photos that the run is judged by, with its answers", side=SAMPLE_SIDE)
        self.picture, self.answer, self.maps_note = W.HTML(), W.HTML(), W.HTML()
        self.stage = W.Dropdown(description="Maps of stage", style=label, layout=wide)
        self.mosaic = FeatureMosaic()
        controls = W.HBox([self.play, self.slider, self.use], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        said, seen = W.VBox([self.picture, self.answer]), W.VBox([self.stage, self.maps_note, self.mosaic])
        self.own = W.Box([said, seen])
        self.own.add_class("vx-epochs-own")
        return [controls, self.where, self.about, self.photos, self.own]

    def _forget_looks(self) -> None:
        self._shadow: Any = None
        self._places: list[int] = []
        self._following, self._moving, self._busy = True, False, False
        self._looked_at = self._looked_for = 0.0
        self.spent = 0.0  # seconds of looking at this run
        self._pictured: Any = None

    @property
    def place(self) -> int:
        """The epoch that is shown, or NOW."""
        return self._places[min(self.slider.value, len(self._places) - 1)] if self._places else NOW

    # --- from the run's view, and from the reader: the lock is held ---

    def follow(self, run: Any) -> None:
        self._run = run
        self._forget_looks()
        self.photos.show([], [])
        self.about.value = self.answer.value = self.picture.value = self.maps_note.value = ""
        self.mosaic.clear()
        self._move(lambda: setattr(self.stage, "options", []))
        self.layout.display = "none"
        if run is not None:
            self.offer()
            if not getattr(run, "running", False):
                self._ask()

    def offer(self) -> None:
        """The run has another epoch, or another state."""
        run = self._run
        if run is None:
            return
        places = places_of(run)
        if places == [NOW] and getattr(run, "started", None) is None:
            return  # it prepares
        before, known, self._places = self.place, bool(self._places), places
        wanted = resting_place(run, places) if self._following else before
        if wanted in places:
            index = places.index(wanted)
        else:  # it was let go: the one before
            index = max((i for i, place in enumerate(places) if NOW != place <= wanted), default=0)
        self._move(lambda: self._place_at(index))
        self.layout.display = ""
        text = place_html(run, places[index], places)
        if self.where.value != text:
            self.where.value = text
        if known and not self._following and places[index] != before:  # that one is not kept any more
            self._ask()

    def photo_changed(self) -> None:
        """Another photo is on the screen."""
        if self._run is not None and self._shadow is not None:
            self._ask()

    def _place_at(self, index: int) -> None:
        last = len(self._places) - 1
        for control in (self.slider, self.play):
            if index > control.max:
                control.max = last
            control.value = index
            control.max = last

    def _move(self, work: Callable[[], None]) -> None:
        """Set controls without taking that for the reader's choice."""
        before, self._moving = self._moving, True
        try:
            work()
        finally:
            self._moving = before

    def _moved(self) -> None:
        if not self._moving:
            self._following = self.place == NOW
            self._move(lambda: setattr(self.play, "value", self.slider.value))
            self.where.value = place_html(self._run, self.place, self._places)
            self._ask()

    def _played(self) -> None:
        if not self._moving and self.play.value != self.slider.value:
            self.slider.value = self.play.value

    def _chosen_stage(self) -> None:
        if not self._moving:
            self._ask()

    def forget(self) -> None:
        self._run = None
        self._forget_looks()

    # --- from the run's thread ---

    def hear(self, run: Any, kind: str, *, last: bool) -> None:
        """After an event: look at the newest state, if there is time for it. last: no event follows."""
        if run is not self._run:
            return
        if last:
            self.panel.tell(self._settle)
            return
        now = time.monotonic()
        due = now - self._looked_at > (0 if kind != "batch" else LIVE_GAP) + SHARE * self._looked_for
        if kind not in ("started", "epoch", "batch") or not self._following or self._busy or not due:
            return
        if self._shadow is None and kind == "batch":
            return  # the first look comes with the next epoch, and brings the photos
        try:
            weights = run.weights_now() if getattr(run, "weights_now", None) is not None else None
        except Exception:  # what can't be copied can't be watched; it learns all the same
            log.exception("the weights of %s could not be copied", run.name)
            return
        self._ask(weights=weights, samples=kind != "batch", cost=time.monotonic() - now,
                  when=when_text(run, NOW if kind != "epoch" else len(run.history)))

    def _settle(self) -> None:
        self.offer()
        if self._following:
            self._ask()

    # --- looking, in the background ---

    def _ask(self, **more: Any) -> None:
        self._busy = True
        self.work.start(partial(self._look, Asked(self._run, self.place, **more)))

    def _look(self, asked: Asked, job: Job) -> None:
        run, began = asked.run, time.monotonic()
        try:
            shadow, samples = self._shadow, asked.samples
            if shadow is None or shadow.run is not run:
                shadow, samples = self._new_shadow(run), True
                began = time.monotonic()  # that was for once
            shadow.become(self._weights(asked))
            image, stage = self.session.image, self.stage.value
            if finds_places(shadow):
                self._look_for_places(shadow, asked, image, job, samples=samples)
                return
            seen = shadow.look(image, stage, samples=samples)
            if not job.stale or not getattr(run, "running", False):  # also while the slider is drawn along
                when = asked.when or when_text(run, asked.place)
                self.panel.tell(self._show, shadow, seen, image, stage, when)
        except Exception as error:
            log.warning("%s could not be looked at: %s", run.name, error, exc_info=error)
            self.panel.tell(self._failed, run, error)
        finally:
            self._looked_at = time.monotonic()
            self._looked_for = self._looked_at - began + asked.cost
            self.spent += self._looked_for
            self._busy = False

    def _look_for_places(self, shadow: Any, asked: Asked, image: Any, job: Job, *, samples: bool) -> None:
        """Boxes or masks are pictures: they are drawn here, in the background."""
        found = shadow.look(image, samples=samples)
        shown = samples_shown(shadow, found.samples) if found.samples is not None else None
        own = "" if found.photo is None else own_html(found.photo, self.session.image_name)
        if not job.stale or not getattr(asked.run, "running", False):
            when = asked.when or when_text(asked.run, asked.place)
            self.panel.tell(self._show_places, shadow, shown, own, when)

    def _new_shadow(self, run: Any) -> Any:
        from explorer.training.run.place_shadow import PlaceShadow
        from explorer.training.run.shadow import Shadow

        places = task_inside(run.model) != "classification"
        shadow = PlaceShadow(run) if places else Shadow(run, small=thumbnail_jpeg)
        self.panel.tell(self._take_shadow, shadow)
        return shadow

    @staticmethod
    def _weights(asked: Asked) -> dict[str, Any]:
        from explorer.training.run.beside import weights_of_now

        if asked.weights is not None:
            return asked.weights
        return weights_of_now(asked.run) if asked.place == NOW else asked.run.kept.weights(asked.place)

    # --- what came of it: the lock is held ---

    def _take_shadow(self, shadow: Any) -> None:
        """Offer the stages of another run; the one in the middle of those that learn is chosen."""
        if shadow.run is not self._run:
            return
        self._shadow = shadow
        places = finds_places(shadow)
        self.photos.whole = places
        self.photos.side = PLACE_SIDE if places else SAMPLE_SIDE
        for widget in (self.answer, self.stage, self.mosaic, self.maps_note):
            widget.layout.display = "none" if places else ""
        if places:
            return
        learning = [name for name, learns in shadow.stages.items() if learns]
        options = [(name if learns else f"{name} (frozen)", name) for name, learns in shadow.stages.items()]

        def exchange() -> None:
            self.stage.options = options if learning else []
            if learning:
                self.stage.value = learning[len(learning) // 2]

        self._move(exchange)

    def _failed(self, run: Any, error: BaseException) -> None:
        if run is self._run:
            self.about.value = said_html(problem_text(error))

    def _show_places(self, shadow: Any, shown: Any, own: str, when: str) -> None:
        if shadow.run is not self._run:
            return
        if shown is not None:
            self.photos.show(*shown)
            text = places_text(shadow.model.task, when)
            self.about.value = f'<span class="vx-soft">{escape(text)}</span>'
        self.picture.value = own
        self.own.layout.display = "" if own else "none"

    def _show(self, shadow: Any, seen: Any, image: Any, stage: str | None, when: str) -> None:
        if shadow.run is not self._run:
            return
        if seen.samples is not None:
            said = captions(seen.samples, shadow)
            if len(self.photos.captions) == len(said):
                self.photos.caption(said)
            else:
                self.photos.show(shadow.pictures, said)
            text = said_text(said, when, numbers=shadow.run.outputs.numbers)
            self.about.value = f'<span class="vx-soft">{escape(text)}</span>'
        if self._pictured is not image:
            self._pictured = image
            self.picture.value = "" if image is None else picture_html(image, self.session.image_name)
        self.answer.value = "" if seen.photo is None else answer_html(seen.photo, shadow.outputs)
        self.own.layout.display = "" if image is not None else "none"
        for control in (self.stage, self.mosaic):
            control.layout.display = "none" if seen.maps is None else ""
        if seen.maps is not None:
            chosen = shadow.channels(image, stage, seen.maps)
            self.mosaic.show(seen.maps[chosen].numpy(), title=f"{stage}, {when}", total=len(seen.maps),
                             channels=chosen.tolist())
        note = maps_note(shadow.run, shadow.stages, stage)
        self.maps_note.value = f'<span class="vx-soft">{escape(note)}</span>' if note else ""
