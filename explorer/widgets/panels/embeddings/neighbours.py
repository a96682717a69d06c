"""The photo that the reader has chosen among the points, and its nearest ones."""

from __future__ import annotations

import logging
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display import draw
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.parts.scatter import Scatter

log = logging.getLogger(__name__)

NEIGHBOURS = 8
SIDE = 128  # of a thumbnail, in pixels
HINT = '<span class="vx-soft">Click a point: its nearest photos appear here.</span>'


class Neighbours:
    """Nearest photos by the cosine distance of their vectors, and the small pictures of the points.

    photos: the Embeddings behind the points;  rows: which photo each point is;  chosen: the photo, or None
    """

    def __init__(self, panel: Panel, scatter: Scatter):
        self.panel, self.session, self.scatter = panel, panel.session, scatter
        self.photos: Any = None
        self.rows: list[int] = []
        self.chosen: int | None = None
        self.seeking, self.painting = panel.line(failed=self._tell), panel.line()
        self.note = W.HTML(HINT)
        self.strip = PhotoStrip(label="The chosen photo and its nearest ones", side=92,
                                lock=self.session.lock)
        self.open = W.Button(description="Open in the dashboard",
                             layout=W.Layout(width="auto", display="none"),
                             tooltip="Makes the chosen photo the one that all panels show")
        self.open.on_click(lambda _: self._open())
        scatter.on_hover(lambda point: self.painting.start(partial(self._paint, point)))
        scatter.on_pick(lambda point: self.choose(self.rows[point]))

    def show_of(self, photos: Any) -> None:
        """Begin anew with other photos."""
        self.photos, self.chosen = photos, None
        self.strip.show([], [])
        self.open.layout.display = "none"
        self.note.value = HINT

    def place(self, rows: list[int]) -> None:
        """The points are of these photos now; what is chosen is marked among them."""
        self.rows = rows
        if self.chosen is not None:
            self.choose(self.chosen)

    def choose(self, index: int) -> None:
        """Show the nearest photos of photo `index`; worked out in the background."""
        photos = self.photos
        self.seeking.start(partial(self._seek, photos, index), partial(self._show, photos, index))

    def _seek(self, photos: Any, index: int, _job: Job) -> tuple[list[Any], list[bytes]] | None:
        """(the neighbours, pictures of the photo and of them)."""
        if photos is None or not 0 <= index < len(photos):
            return None
        found = photos.nearest(index, NEIGHBOURS)
        return found, [picture(photos.features, i) for i in (index, *(one.index for one in found))]

    def _show(self, photos: Any, index: int, outcome: tuple[list[Any], list[bytes]] | None) -> None:
        if outcome is None or photos is not self.photos:
            return
        (found, pictures), features = outcome, photos.features
        own = features.classes[features.labels[index]] if features.labels is not None else ""
        captions = [Caption(f"chosen: {own}" if own else "chosen", title=features.names[index])] + [
            Caption(f"{one.label} {one.distance:.3f}".strip(), title=one.name) for one in found]
        # a file may have gone meanwhile
        kept = [(data, caption) for data, caption in zip(pictures, captions) if data]
        self.chosen = index
        place = {row: point for point, row in enumerate(self.rows)}
        self.scatter.mark(place.get(index, -1), [place[one.index] for one in found if one.index in place])
        self.strip.show([data for data, _ in kept], [caption for _, caption in kept])
        same = sum(one.label == own for one in found)
        of_class = f" {same} of {len(found)} have its class, {escape(own)}." if own else ""
        self.note.value = (f"<div>The nearest photos to <b>{escape(features.names[index])}</b>, with "
                           f"their cosine distances.{of_class}</div>")
        self.open.layout.display = ""
        self.panel.changed()

    def _tell(self, error: BaseException) -> None:
        self.note.value = said_html(str(error), wrong=True)

    def _paint(self, point: int, _job: Job) -> None:
        photos, rows = self.photos, self.rows
        if photos is not None and point < len(rows):
            self.scatter.picture(point, picture(photos.features, rows[point]))

    def _open(self) -> None:
        """Make the chosen photo the one that all panels show."""
        with self.session.lock:
            photos, index = self.photos, self.chosen
        if photos is None or index is None:
            return
        features = photos.features
        try:
            file = features.files[index]
            source = file if file is not None and file.is_file() else features.open_photo(index)
        except Exception as error:
            log.warning("%s", error, exc_info=error)
            self._tell(error)
            return
        self.session.open_image(source, features.names[index].rpartition("/")[2])


def picture(features: Any, index: int) -> bytes:
    """A small JPEG of a photo; empty where it can't be opened any more."""
    try:
        return draw.jpeg_bytes(draw.thumbnail(features.open_photo(index), SIDE))
    except (OSError, ValueError) as error:
        log.info("no picture: %s", error)
        return b""
