"""Camera: answers, Grad-CAM and the maps of a stage follow the camera; a frozen frame becomes the photo."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer import _teams
from explorer.display import draw
from explorer.display.words import counted, percent, sentence_of
from explorer.widgets.gallery import Gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.camera import frames
from explorer.widgets.panels.camera.guide import GUIDE
from explorer.widgets.panels.images import MAX_THUMBNAILS
from explorer.widgets.panels.predictions import answers_of, meaning_html
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.answers import Answers
from explorer.widgets.parts.camera import Camera
from explorer.widgets.parts.live_maps import LiveMaps
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

if TYPE_CHECKING:
    from PIL import Image

    from explorer.widgets.panels.camera.frames import Seen

log = logging.getLogger(__name__)

MAPS = 12           # of a stage
TITLE = "Camera"    # of a frozen frame among the photos

ONE_OF_TWO = "The first of the two models answers; a frame that you freeze both look at."
WAITING = '<span class="vx-soft">Start the camera: what the network makes of each frame appears here.</span>'


class CameraPanel(Panel):
    name = "Camera"
    draw_on = ("model", "stage", "beside")
    guide = GUIDE
    nothing_yet = "No frame of the camera was looked at yet: start it first."

    def __init__(self, session: Session):
        self.view: Camera | None = None
        self.shown: Seen | None = None     # what was made of the frame on the screen
        self.pinned: int | None = None     # the class that the heat map stays on; None: the likeliest
        self._model: Any = None            # whose answers are on the screen
        self._last: tuple[int, bytes] | None = None  # the frame on the screen, as it came
        self._choosing = False             # the stages are being exchanged: no wish of the reader's
        super().__init__(session)
        self.add_class("vx-camera-panel")

    def make(self) -> None:
        self.newest: frames.Newest[tuple[int, bytes]] = frames.Newest()
        self.strongest, self.crew = frames.Strongest(MAPS), frames.Crew()
        self.frames = self.line()
        self.keeping = self.line(failed=self._not_kept)
        lock = self.session.lock
        self.view = Camera(lock=lock)
        self.answers = Answers(lock=lock, label="What the network says of the frame, most likely first",
                               hint="Where in the frame is this? The heat map stays on it")
        self.maps = LiveMaps(lock=lock, mirrored=True)
        self.notes = W.HTML()
        auto = W.Layout(width="auto")
        self.unpin = W.Button(layout=auto, tooltip="Back to the class that is likeliest at present")
        self.unpin.add_class("vx-open")
        self.stage = labelled("Maps of", W.Dropdown, options=[],
                              layout=W.Layout(width="260px", max_width="100%"))
        right = W.VBox([self.notes, self.answers, self.unpin, self.stage, self.maps])
        right.add_class("vx-camera-side")
        row = W.Box([self.view, right])
        row.add_class("vx-camera-row")
        self.fill([row])
        self.when(self.view, self._turn_maps, "reflects")
        self.view.on_frame(self._take)
        self.view.on_freeze(self._freeze)
        self.answers.on_pick(lambda index: self.tell(self._pin, index))
        self.when(self.unpin, partial(self._pin_class, None))
        self.when(self.stage, self._chosen)

    # --- what is asked ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Another model or stage is in front."""
        model = self.session.model
        if model is not self._model or self.shown is None:
            self._model, self.shown, self._last, self.pinned = model, None, None, None
            self.crew = frames.Crew()
            why = frames.unfit(model)
            self.view.live = not why
            self.view.clear()
            self.answers.show([])
            self.maps.clear()
            self.notes.value = notes_html([why]) if why else WAITING
            if not why:
                self.view.side = frames.side_for(model)
            self._offer_stages([] if why else [row.name for row in model.stage_table])
        elif self.session.stage != self.stage.value:
            self._offer_stages(list(self.stage.options))
            self._show_maps()
        self._show_pin()

    def _offer_stages(self, names: list[str]) -> None:
        self._choosing = True
        try:
            self.stage.options = names
            if names:  # of a model that nobody has looked into yet, the one in the middle
                asked = self.session.stage
                self.stage.value = asked if asked in names else names[len(names) // 2]
            self.stage.layout.display = "" if names else "none"
        finally:
            self._choosing = False

    def _chosen(self) -> None:
        if not self._choosing and self.stage.value:
            self.session.stage = self.stage.value

    def _pin(self, index: int) -> None:
        """A click on an answer: the heat map stays on it; another click lets it go."""
        if self.shown is None or index >= len(self.shown.look.predictions):
            return
        chosen = self.shown.look.predictions[index].index
        self._pin_class(None if chosen == self.pinned else chosen)

    def _pin_class(self, chosen: int | None) -> None:
        self.pinned = chosen
        self._show_pin()
        if self._last is not None and self.view.state == "frozen":  # no frame follows that would show it
            self._take(*self._last)

    def _show_pin(self) -> None:
        self.unpin.layout.display = "none" if self.pinned is None else ""
        if self.pinned is not None and self.shown is not None:
            self.unpin.description = f"The heat map stays on {self.shown.look.labels[self.pinned]}  ×"

    def _turn_maps(self) -> None:
        """As the picture beside them is: what is left there is left here."""
        self.maps.mirrored = self.view.reflects

    # --- a frame ----------------------------------------------------------------------------------------

    def _take(self, number: int, data: bytes) -> None:
        """In the thread of the message: of the frames that wait, the newest is looked at."""
        if self.newest.put((number, data)):
            self.frames.start(self._work)

    def _work(self, _job: Job) -> None:
        try:
            while (frame := self.newest.take()) is not None and not self.gone:
                self._see(*frame)
        except BaseException:
            self.newest.rest()
            raise

    def _see(self, number: int, data: bytes) -> None:
        model, pinned = self.session.model, self.pinned
        why = frames.unfit(model)
        if why:
            self.tell(partial(self.view.answer, number, problem=why))
            return
        try:
            with _teams.leaving_one() if self.crew.leaves_one else nullcontext():
                seen = frames.see(model, data, pinned)
            self.crew.took(seen.seconds)
        except Exception as error:
            log.info("a frame of the camera could not be looked at", exc_info=error)
            unexpected = "The network could not look at this frame ({problem})."
            why = sentence_of(error, unexpected=unexpected)
            self.tell(partial(self.view.answer, number, problem=why))
            return
        self.tell(self._show, number, data, model, seen)
        from explorer.inspection.look.looking import get_ready

        get_ready(model, seen.look)

    def _show(self, number: int, data: bytes, model: Any, seen: Seen) -> None:
        if model is not self.session.model:  # another one was opened meanwhile
            self.view.answer(number)
            return
        other = self.shown is None or self.shown.asked != seen.asked
        self.shown, self._last = seen, (number, data)
        look, heat = seen.look, seen.heat
        self.answers.show(answers_of(look.predictions))
        notes = [*look.notes, *filter(None, [seen.why])]
        if self.session.beside is not None:
            notes.append(ONE_OF_TWO)
        self.notes.value = notes_html(notes) + meaning_html(look.outputs)
        self._show_maps()
        if other:
            self._show_pin()
            self.changed()
        all_of_it, network = (f"{1000 * taken:.0f}" for taken in (seen.seconds, look.timing["forward"]))
        facts = f"{all_of_it} in Python, {network} of it in the network"
        if heat is None:
            self.view.answer(number, facts=facts)
        else:
            self.view.answer(number, heat=frames.coarse(heat), box=frames.read_box(heat), facts=facts,
                             title=self._heat_title(seen))

    def _heat_title(self, seen: Seen) -> str:
        heat, outputs = seen.heat, seen.look.outputs
        share = "" if outputs.numbers else f" ({percent(float(seen.look.probabilities[heat.target]))})"
        nothing = "" if (heat.heatmap > 0).any() else ": nothing here speaks for it"
        return f"{heat.title}: {heat.label}{share}{nothing}"

    def _show_maps(self) -> None:
        """The strongest maps of the stage in front."""
        if self.shown is None:
            return
        maps = self.shown.look.stages.get(self.stage.value)
        if maps is None:
            self.maps.clear()
            return
        values = maps.numpy()
        channels = self.strongest.among(self.stage.value, draw.strength(values))
        rows, columns = values.shape[1:]
        note = (f"The {len(channels)} strongest of {counted(len(values), 'map')}, {rows} × {columns}, each "
                "from its own lowest to its own highest value")
        self.maps.show(values[channels], [f"{channel}" for channel in channels], note=note)

    # --- the photo --------------------------------------------------------------------------------------

    def _freeze(self, data: bytes) -> None:
        self.keeping.start(lambda job: self._checked(data), self._keep)

    def _checked(self, data: bytes) -> bytes:
        from explorer.data.images import load_image

        load_image(data, max_pixels=frames.MOST_PICTURE)  # or a sentence beside the camera
        return data

    def _keep(self, data: bytes) -> None:
        """It is the photo, and one of the photos."""
        photos = self.session.gallery
        taken = dict(photos)
        titles = chain([TITLE], (f"{TITLE} ({number})" for number in count(2)))
        title = next(title for title in titles if title not in taken)
        if len(photos) < MAX_THUMBNAILS:
            self.session.gallery = Gallery([*photos, (title, data)]).known_by(photos.places)
        self.session.open_image(data, title)
        self.view.say(f"“{title}” is the photo now: every tab looks at it.")

    def _not_kept(self, error: BaseException) -> None:
        self.view.say(sentence_of(error), error=True)

    @property
    def picture(self) -> Image.Image:
        """The frame that the answers on the screen are of. Raises ValueError while there is none."""
        if self.shown is None:
            raise ValueError(self.nothing_yet)
        return self.shown.look.image

    def forget(self) -> None:
        if self.view is not None:
            self.view.off()
        self.shown = self._last = self._model = None

    # --- code and figure --------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        lines = ["import explorer", "", *model_lines(self.session),
                 "photo = dash.camera.picture  # the frame on the screen",
                 "look = explorer.look(model, photo)"]
        if self.shown.look.predictions:
            lines.append("look.predictions")
        if self.shown.heat is not None:
            asked = self.shown.asked
            options = {} if asked is None else {"target": asked}
            comment = "" if asked is None else f"  # {self.shown.heat.label}"
            lines.append(call("explorer.explain", "model", "look=look", options=options) + comment)
        if self.stage.value:
            lines.append(call("look.mosaic", literal(self.stage.value), options={"limit": MAPS}))
        return "\n".join(lines)

    def figure(self) -> Any:
        if self.shown is None:
            return None
        heat = self.shown.heat
        return self.shown.look.image if heat is None else heat.overlay()

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        look, heat = self.shown.look, self.shown.heat
        said = ", ".join(f"{one.label} {one.text}" for one in look.predictions[:3])
        size = " × ".join(map(str, look.image.size))
        parts = [f"{look.model_name}: a frame of the camera, {size} pixels."]
        parts += [f"Predictions: {said}."] if said else []
        if heat is not None:
            parts.append(f"{heat.title}, class {heat.label}, from {heat.stage}; brightest is the map's own "
                         "highest value.")
        return " ".join(parts)
