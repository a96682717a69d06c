"""What the camera shows, class by class while it looks: by the nearest photos, or by what was learnt, with
Grad-CAM; and where it errs, the frame becomes a photo of the right class.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer import _teams
from explorer.display.words import percent, sentence_of
from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.camera import frames
from explorer.widgets.panels.predictions import answers_of
from explorer.widgets.panels.teach.bank import Known
from explorer.widgets.panels.teach.ground import Ground
from explorer.widgets.parts.answers import Answer, Answers
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip

if TYPE_CHECKING:
    from explorer.inspection.features.embeddings import Neighbour, Vote
    from explorer.widgets.panels.camera.frames import Seen

log = logging.getLogger(__name__)

NEIGHBOURS = 5      # photos that vote
GAP = 0.3           # seconds between two rows of nearest photos, at least
NEAREST, LEARNT = "nearest", "learnt"
BY_PHOTOS = "the nearest photos (nothing is trained)"

WAITING = "As soon as two classes have a photo each, the camera's picture is answered by the nearest photos."
START = "Start the camera: what it shows is answered here."


@dataclass(frozen=True)
class Voted:
    """What the nearest photos say of a frame. pictures: of those that can be opened, small
    seconds: from its bytes to this
    """

    vote: Vote
    pictures: Sequence[tuple[Neighbour, bytes]]
    seconds: float


class Live:
    """Answers frames; of those that wait the newest. Its methods hold the lock, but for `take`.

    model: the network that has learnt;  known: the vectors of the photos;  last: the frame on the screen
    """

    def __init__(self, panel: Ground, added: Callable[[str], None]):
        """added: called with a class that the frame on the screen was added to"""
        self.panel, self.session, self.added = panel, panel.session, added
        self.model: Any = None
        self.known: Known | None = None
        self.shown: Seen | Voted | None = None
        self.last: tuple[int, bytes] | None = None
        self.pinned: int | None = None
        self.resting = False  # while a network learns, which needs the processor
        self._strip_at, self._strip = 0.0, ()
        self._small: dict[int, bytes] = {}
        self._fixing = False
        self.newest: frames.Newest[tuple[int, bytes]] = frames.Newest()
        self.crew = frames.Crew()
        self.frames = panel.line()
        lock = self.session.lock
        self.by = labelled("Answers come from", W.Dropdown, options=[(BY_PHOTOS, NEAREST)],
                           layout=W.Layout(width="auto", max_width="100%"))
        self.answers = Answers(lock=lock, label="What the camera shows, likeliest first",
                               hint="Where in the picture is this? The heat map stays on it")
        self.note = W.HTML()
        self.strip = PhotoStrip(lock=lock, label="The nearest photos", side=64)
        self.fix_text = W.HTML("<span class='vx-soft'>Wrong? Add this picture to its class:</span>")
        self.fix = W.ToggleButtons(options=[], value=None)
        self.fix.style.button_width = "auto"
        self.children = [W.HTML("<h3>What it says now</h3>"), self.by, self.note, self.answers, self.strip,
                         self.fix_text, self.fix]
        panel.when(self.by, self._another)
        panel.when(self.fix, self._fix)
        self.answers.on_pick(lambda index: panel.tell(self._pin, index))
        panel.on_frame(self.take)
        panel.when(panel.camera, self.offer, "state")
        self.offer()

    # --- what it answers from -------------------------------------------------------------------------------

    def know(self, known: Known | None) -> None:
        """Other photos, or another model's vectors of them."""
        self.known = known
        if known is None or not known.answers:
            self._forget_answers(of=NEAREST)
        self.offer()

    def teach(self, model: Any, name: str) -> None:
        """A network has learnt: it answers from now on."""
        self.model, self.pinned, self.crew = model, None, frames.Crew()
        self._choose([(name, LEARNT), (BY_PHOTOS, NEAREST)], LEARNT)
        self._another()

    def rest(self, resting: bool) -> None:
        """Whether the camera's frames wait while a network learns."""
        self.resting = resting
        self.offer()

    def classes(self, names: Sequence[str]) -> None:
        """The classes that a frame can be added to."""
        if tuple(names) != tuple(self.fix.options):
            self._fixing = True
            self.fix.options = tuple(names)
            self.fix.value = None
            self._fixing = False
        self.offer()

    def _choose(self, options: list[tuple[str, str]], value: str) -> None:
        self._fixing = True
        self.by.options, self.by.value = options, value
        self._fixing = False

    def _another(self) -> None:
        if not self._fixing:
            self._forget_answers()
            self.offer()

    def _forget_answers(self, of: str = "") -> None:
        if of in ("", self.by.value):
            self.shown = self.last = None
            self.pinned, self._strip = None, ()
            self.answers.show([])
            self.strip.show([], [])
            self.panel.camera.clear()

    def _can(self) -> bool:
        if self.by.value == LEARNT:
            return self.model is not None
        return self.known is not None and self.known.answers and not frames.unfit(self.session.model)

    def offer(self) -> None:
        """Ask for frames where there is an answer, and say what is missing where there is none."""
        can = self._can()
        self.panel.want_frames(can and not self.resting)
        lit = self.panel.camera.state == "live"
        why = frames.unfit(self.session.model) if self.by.value == NEAREST else ""
        said = why or (WAITING if not can else "" if lit and self.shown is not None else START)
        self.note.value = f'<span class="vx-soft" role="status">{escape(said)}</span>' if said else ""
        shown = can and self.shown is not None
        for widget, wanted in ((self.by, self.model is not None), (self.answers, can),
                               (self.strip, can and self.by.value == NEAREST),
                               (self.fix_text, shown), (self.fix, shown)):
            widget.layout.display = "" if wanted else "none"

    # --- frames ---------------------------------------------------------------------------------------------

    def take(self, number: int, data: bytes) -> None:
        """In the thread of the message: of the frames that wait, the newest is answered."""
        if self.newest.put((number, data)):
            self.frames.start(self._work)

    def _work(self, _job: Job) -> None:
        try:
            while (frame := self.newest.take()) is not None and not self.panel.gone:
                self._see(*frame)
        except BaseException:
            self.newest.rest()
            raise

    def _see(self, number: int, data: bytes) -> None:
        with self.session.lock:
            can, by = self._can() and not self.resting, self.by.value
            model, known, pinned = self.model if by == LEARNT else self.session.model, self.known, self.pinned
        camera = self.panel.camera
        if not can:
            self.panel.tell(camera.answer, number)
            return
        try:
            with _teams.leaving_one() if self.crew.leaves_one else nullcontext():
                seen = frames.see(model, data, pinned) if by == LEARNT else self._vote(model, data, known)
            self.crew.took(seen.seconds)
        except Exception as error:
            log.info("a frame of the camera could not be answered", exc_info=error)
            why = sentence_of(error, unexpected="The network could not look at this frame ({problem}).")
            self.panel.tell(partial(camera.answer, number, problem=why))
            return
        self.panel.tell(self._show, number, data, model, seen)
        if by == LEARNT:
            from explorer.inspection.look.looking import get_ready

            get_ready(model, seen.look)

    def _vote(self, model: Any, data: bytes, known: Known) -> Voted:
        from explorer.data.images import load_image
        from explorer.inspection.features.embeddings import vote_of
        from explorer.inspection.look.looking import look_once

        started = time.perf_counter()
        photo = load_image(data, max_pixels=frames.MOST_PIXELS, channels=model.in_chans)
        vector = look_once(model, photo).embedding.float().cpu().numpy()
        vote = vote_of(known.features, vector, photo, k=NEIGHBOURS)
        found = ((one, self._picture(known.photos[one.index])) for one in vote.nearest)
        pictures = [(one, picture) for one, picture in found if picture]
        return Voted(vote, pictures, time.perf_counter() - started)

    def _picture(self, photo: Any) -> bytes:
        """The photo, small; nothing where its file is gone by now: what is known of it votes still."""
        if photo.key not in self._small:
            try:
                self._small[photo.key] = thumbnail_jpeg(photo.path, 64)
            except Exception as error:
                log.info("a collected photo can't be shown", exc_info=error)
        return self._small.get(photo.key, b"")

    def _show(self, number: int, data: bytes, model: Any, seen: Seen | Voted) -> None:
        learnt = not isinstance(seen, Voted)
        now = self.model if self.by.value == LEARNT else self.session.model
        if model is not now or learnt != (self.by.value == LEARNT):  # another one answers meanwhile
            self.panel.camera.answer(number)
            return
        first = self.shown is None
        self.shown, self.last = seen, (number, data)
        facts = f"{1000 * seen.seconds:.0f} in Python"
        if learnt:
            self._show_learnt(number, seen, facts)
        else:
            self._show_vote(number, seen, facts)
        if first:
            self.offer()
            self.panel.changed()

    def _show_learnt(self, number: int, seen: Seen, facts: str) -> None:
        self.answers.show(answers_of(seen.look.predictions))
        heat = seen.heat
        if heat is None:
            self.panel.camera.answer(number, facts=facts, title=seen.why)
            return
        share = percent(float(seen.look.probabilities[heat.target]))
        self.panel.camera.answer(number, heat=frames.coarse(heat), box=frames.read_box(heat), facts=facts,
                                 title=f"What it looks at: {heat.label} ({share})")

    def _show_vote(self, number: int, seen: Voted, facts: str) -> None:
        vote = seen.vote
        order = vote.shares.argsort()[::-1]
        self.answers.show([Answer(vote.classes[i], percent(float(vote.shares[i])), float(vote.shares[i]))
                           for i in order[:NEIGHBOURS].tolist()])
        now, nearest = time.monotonic(), tuple((one.name, picture) for one, picture in seen.pictures)
        if nearest != self._strip and now - self._strip_at >= GAP:  # or they would flicker
            self._strip, self._strip_at = nearest, now
            captions = [Caption(f"{one.label} {1 - one.distance:.2f}", title=one.name)
                        for one, _ in seen.pictures]
            self.strip.show([picture for _, picture in seen.pictures], captions)
        self.panel.camera.answer(number, facts=facts)

    def _pin(self, index: int) -> None:
        """The heat map stays on an answer; a second click lets it follow the likeliest again."""
        if isinstance(self.shown, Voted) or self.shown is None:
            return
        predictions = self.shown.look.predictions
        if index < len(predictions):
            chosen = predictions[index].index
            self.pinned = None if chosen == self.pinned else chosen

    # --- where it errs --------------------------------------------------------------------------------------

    def _fix(self) -> None:
        """The frame on the screen becomes a photo of the class that was pressed, a burst of its own."""
        name = self.fix.value
        if self._fixing or name is None:
            return
        self._fixing = True
        self.fix.value = None
        self._fixing = False
        if self.last is not None:
            self.panel.keep(name, self.last[1])
            self.added(name)

    def forget(self) -> None:
        self.model = self.known = self.shown = self.last = None
        self._small = {}
        self.newest.rest()

