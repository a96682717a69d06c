"""Photos of an evaluation of boxes or masks, with what was found and what is there; one picked, large."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W
from PIL import Image

from explorer.data.errors import ImageError
from explorer.display import draw
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import block, controls, wide_button
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.parts.judged_photos import Answer, JudgedPhotos

SIDE, LARGE = 320, 900  # pixels of a small photo, and of the picked one
FEW = 12                # photos of a row


class PlacePhotos:
    """Rows of photos, each of them a block with a heading.

    titles:  by name of each row
    opens:   the tab that shows what the network finds in one photo
    said:    what stands below a small photo;  open_photo: makes a photo the dashboard's
    picture: (evaluation, row, whether it is large) -> the photo with what was found and what is there
    """

    def __init__(self, panel: Panel, painting: Line, titles: dict[str, str], *, opens: str,
                 said: Callable[[Any], tuple[str, ...]], picture: Callable[[Any, Any, bool], Image.Image],
                 open_photo: Callable[..., None]):
        self.painting, self.opens, self.said, self.picture = painting, opens, said, picture
        self.picked: Any = None
        self._judged: Judgement | None = None
        self._result: Any = None
        self._rows: dict[str, Sequence[Any]] = {}
        self.rows = {name: JudgedPhotos(label=title, lock=panel.session.lock)
                     for name, title in titles.items()}
        self.blocks = {name: block(titles[name], photos) for name, photos in self.rows.items()}
        self.one, self.large = W.HTML(), W.HTML()
        self.open = wide_button(f"Open in {opens}", "Makes it the photo that all panels show")
        self.chosen = W.VBox([self.one, self.large, controls(self.open)])
        self.chosen.add_class("vx-eval-chosen")
        for name, photos in self.rows.items():
            photos.on_pick(partial(panel.tell, self.pick, name))
        panel.when(self.open, lambda: open_photo(
            self.picked, both=self._differs, tab=opens))
        self._differs = False

    # --- the lock is held ---

    def begin(self, judged: Judgement) -> None:
        """Another judgement: nothing is picked."""
        self._judged, self.picked, self._rows = judged, None, {}
        self._place("")
        for photos in self.rows.values():
            photos.show([])

    def fill(self, name: str, result: Any, rows: Sequence[Any], note: str) -> None:
        """Draw the photos of a row soon, and show them. result: the evaluation that they are of"""
        shown = list(rows[:FEW])
        few = f" The first {FEW}." if len(rows) > FEW else ""
        self.painting.start(partial(self._draw, result, shown),
                            partial(self._show, name, result, shown, note + few), key=name)

    def _show(self, name: str, result: Any, rows: list[Any], note: str, photos: list[Any]) -> None:
        self._rows[name], self._result = rows, result
        self.rows[name].show(photos, note=note)

    def pick(self, name: str, index: int) -> None:
        """The reader has pressed a photo."""
        rows = self._rows.get(name, ())
        if self._judged is None or index >= len(rows):
            return
        self.picked = row = rows[index]
        said = ", ".join(self.said(row))
        self.one.value = f'<div class="vx-eval-one"><b>{escape(row.name)}</b>: {escape(said)}.</div>'
        self.large.value = ""
        self._place(name)
        self.painting.start(partial(self._large, self._result, row),
                            lambda html: setattr(self.large, "value", html), key="large")

    def offer_model(self, differs: bool) -> None:
        self._differs = differs
        self.open.description = f"Open in {self.opens}" + (", with the judged model" if differs else "")

    def _place(self, name: str) -> None:
        """Show what is known of the picked photo below the row that it was picked from; "" nowhere."""
        for one, box in self.blocks.items():
            children = (*box.children[:2], *([self.chosen] if one == name else []))
            if children != box.children:
                box.children = children
            if one != name:
                self.rows[one].selected = -1

    def forget(self) -> None:
        self._judged = self.picked = self._result = None
        self._rows = {}

    # --- in the background ---

    def _draw(self, result: Any, rows: list[Any], job: Job) -> list[tuple[bytes, Answer]]:
        photos = []
        for row in rows:
            if job.stale:
                break
            right = True if getattr(row, "f1", getattr(row, "iou", 0)) == 1 else None
            answer = Answer("", "", "", right, row.name, self.said(row))
            photos.append((self._jpeg(result, row, SIDE), answer))
        return photos

    def _large(self, result: Any, row: Any, _job: Job) -> str:
        source = f"data:image/jpeg;base64,{b64encode(self._jpeg(result, row, LARGE)).decode('ascii')}"
        return f'<img class="vx-eval-large" alt="{escape(row.name)}" src="{source}">'

    def _jpeg(self, result: Any, row: Any, side: int) -> bytes:
        """The photo with what lies over it, up to `side` pixels; grey where it can't be opened any more."""
        try:
            picture = self.picture(result, row, side == LARGE)
        except (ImageError, ValueError):  # moved since, or there were only figures: its name stays
            picture = Image.new("RGB", (8, 8), "grey")
        return draw.jpeg_bytes(draw.thumbnail(picture, side))
