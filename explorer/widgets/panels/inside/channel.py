"""What does a channel answer to? The photos of the gallery
or a folder on which it is strongest, and where in them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text
from explorer.widgets.gallery import Gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.inside.block import Block, Host, button, row, side_by_side
from explorer.widgets.panels.photo_code import list_lines
from explorer.widgets.panels.ran import Ran
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.gallery import PhotoGallery
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.inspection.inside.channel_photos import TopPhotos
    from explorer.inspection.look.result import Look

COUNT = 9        # photos that are kept
BATCH = 8        # photos that go through the network together: Stop is heard after each such step
PICTURE = 200    # pixels
GALLERY, FLOWERS, FOLDER = "gallery", "flowers5", "folder"


@dataclass(frozen=True)
class Answered:
    """What was found, and in which photos.

    where: a name or a folder; "" for `gallery`, the photos of the gallery
    known: (title, source) of these by the names that the search has for them
    """

    top: TopPhotos
    where: str
    gallery: Gallery
    known: dict[str, tuple[str, Any]]

    def title(self, name: str) -> str:
        return self.known.get(name, (name, None))[0]


class Channel(Block):
    name, menu = "channel", "Photos of a channel"
    about = "The photos to which one channel answers most, and where in them."
    of_photo = False

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.stage = labelled("Stage", W.Dropdown, options=[], layout=W.Layout(width="auto"))
        self.channel = labelled("Channel", W.BoundedIntText, min=0, max=0, layout=W.Layout(width="150px"))
        self.strongest = button("Strongest here", tooltip="The channel with the highest value on this photo")
        self.source = labelled("Photos", W.Dropdown, layout=W.Layout(width="auto"), options=[
            ("of the gallery", GALLERY), ("flowers5, bundled", FLOWERS), ("of a folder", FOLDER)])
        if not self.session.gallery:
            self.source.value = FLOWERS
        self.folder = labelled("Folder", W.Text, placeholder="path of a folder with photos",
                               layout=W.Layout(width="min(320px, 100%)"))
        self.go, self.stop = button("Find", primary=True), button("Stop", disabled=True)
        self.cost, self.facts = W.HTML(), W.HTML()
        self.photos = PhotoGallery(lock=self.session.lock)
        self._filling = False
        self._model: Any = None
        choose = row(self.stage, self.channel, self.strongest, self.source, self.folder)
        begin = row(self.go, self.stop, self.cost)
        self.children = [choose, begin, self.progress, self.problem, self.facts, self.photos]
        self.stage.observe(self._other_stage, "value")
        self.source.observe(lambda _: self._say_cost(), "value")
        self.strongest.on_click(lambda _: self._choose_strongest())
        self.go.on_click(lambda _: self._ask())
        self.stop.on_click(lambda _: self.panel.stop())
        self.photos.on_pick(self._open)
        self.busy(False)
        self._say_cost()

    def follow(self, look: Look, model: Any) -> None:
        if model is self._model:
            return  # what a channel answers to does not hang on the photo on the screen
        self.clear()
        self._model = model
        names = list(look.stages)
        self._filling = True
        try:
            kept = self.stage.value if self.stage.value in names else names[-1] if names else None
            self.stage.options = names
            self.stage.value = kept
        finally:
            self._filling = False
        self.go.disabled = not names
        self._choose_strongest()
        self._say_cost()

    def _other_stage(self, _change: Any = None) -> None:
        if not self._filling:
            self._choose_strongest()

    def _choose_strongest(self) -> None:
        with self.session.lock:
            look = self.session.look
            if look is not None and self.stage.value in look.stages:
                maps = look.stages[self.stage.value]
                self.channel.max = len(maps) - 1
                self.channel.value = strongest_channel(maps)

    def _say_cost(self) -> None:
        with self.session.lock:
            look = self.session.look
            self.folder.layout.display = "" if self.source.value == FOLDER else "none"
            if look is None:
                return
            seconds, number = look.timing["forward"], len(self.session.gallery)
            cost = f"{seconds_text(seconds)} at most for each photo"
            if self.source.value == GALLERY:
                cost = f"{counted(number, 'photo')}, {seconds_text(number * seconds)} at most"
            text = f"Each photo goes through the network as far as this stage: {cost}."
            self.cost.value = f'<span class="vx-soft">{text}</span>'

    def _ask(self) -> None:
        with self.session.lock:
            look, model, gallery = self.session.look, self.session.model, self.session.gallery
            stage, channel = self.stage.value, self.channel.value
            if look is None or stage is None:
                return
            kind, folder = self.source.value, self.folder.value.strip()
            if kind == FOLDER and not folder:
                self.complain("Type the path of a folder with photos.")
                return
            where = {GALLERY: "", FLOWERS: FLOWERS}.get(kind, folder)

            def step(job: Job) -> Answered:
                from explorer.data.photos import collect
                from explorer.inspection.inside.channel_photos import top_photos

                photos = collect(where or [source for _, source in gallery])
                found = top_photos(model, photos, stage, channel, count=COUNT, batch_size=BATCH,
                                   should_stop=job.ended, on_progress=job.progress)
                return Answered(found, where, gallery, {} if where else dict(zip(photos.names, gallery)))

            self.panel.ask(self, (stage, channel, kind, folder, self.panel.turn), step, long=True)

    def busy(self, running: bool) -> None:
        self.go.disabled, self.stop.disabled = running or not self.stage.options, not running

    def empty(self) -> None:
        self.facts.value = ""
        self.photos.show([])
        self.photos.mark(-1)

    def begun(self, key: Hashable, ran: Ran) -> None:
        super().begun(key, ran)
        self.empty()

    def clear(self, why: str = "") -> None:
        self._model = None
        super().clear(why)

    def show(self, found: Answered) -> None:
        from explorer.display.draw import jpeg_bytes

        top = found.top
        self.photos.show([(f"{one.value:.3g} · {found.title(one.name)}", jpeg_bytes(one.marked(PICTURE)))
                          for one in top])
        self.photos.mark(-1)
        ends = " It was stopped before the last one." if top.stopped else ""
        problems = [f"{found.title(name)}: {why}" for name, why in top.problems[:5]]
        if len(top.problems) > 5:
            problems.append(f"{len(top.problems) - 5} more could not be looked at.")
        what = f"the {len(top)} strongest of {counted(top.seen, 'photo')}" if len(top) < top.seen else \
            f"all {counted(top.seen, 'photo')}, the strongest first"
        hint = (" The frame is the place's own share of the photo; the network saw more around it. "
                "A click opens a photo.") if top else ""
        of = f"<b>{escape(top.stage)}, channel {top.channel}</b>"
        self.facts.value = (f"<p>{of}: {what}, by its highest value.{ends}{hint}</p>"
                            + notes_html([*top.notes, *problems]))

    def _open(self, index: int) -> None:
        """Show a photo in all panels."""
        with self.session.lock:
            found = self.shown
            if found is None or not 0 <= index < len(found.top):
                return
            photo = found.top[index]
            _, source = found.known.get(photo.name, ("", photo.file))
            if source is None:
                self.complain(f"{photo.name} has no file that could be opened.")
            else:
                self.session.open_image(source, found.title(photo.name))

    def code(self) -> str:
        found = self.shown
        where = [f"photos = {literal(found.where)}"] if found.where else list_lines([], found.gallery)
        asked = literal(found.top.stage), literal(found.top.channel)
        text = call("explorer.top_photos", "model", "photos", *asked)
        stopped = ["# on the screen it was stopped before the last photo"] if found.top.stopped else []
        return "\n".join(["import explorer", "", *self.ran.opening, *where, *stopped, text])

    def figure(self) -> Any:
        images = [one.marked(PICTURE) for one in self.shown.top]
        return side_by_side(images, columns=3) if images else None

    def heading(self) -> str:
        return f"{self.shown.top.stage}, channel {self.shown.top.channel}" if self.shown else self.menu

    def caption(self) -> str:
        top = self.shown.top
        values = f", from {top[0].value:.3g} down to {top[-1].value:.3g}" if top else ""
        rows = f"The {len(top)} strongest of {counted(top.seen, 'photo')}, in rows{values}"
        return f"{rows}; the frame is where the channel is highest."


def strongest_channel(maps: Tensor) -> int:
    """The channel with the highest finite value anywhere, for maps [C, H, W]."""
    return int(maps.nan_to_num(nan=-3e38, posinf=-3e38).flatten(1).amax(1).argmax())
