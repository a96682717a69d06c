"""Those drawn before: they stay beside each other below the one that is drawn now."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import ipywidgets as W

from explorer.widgets.panels.draw import words
from explorer.widgets.panels.draw.asking import Wanted
from explorer.widgets.parts.drawings import Drawing, Drawings
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.drawing.drawn import DrawnPicture

KEPT = 8     # pictures that stay, at most
SMALL = 150  # pixels of each
AS_PHOTO, SAVE, REMOVE = "Make it the photo", "Save", "Remove"  # what the buttons say


class DrawnBefore:
    """title, row: what the reader sees; the title is hidden while there is none

    pictures: (key in the row, what was asked for, what came of it) of each, the newest first
    """

    def __init__(self, session: Session):
        self.session = session
        self.pictures: deque[tuple[str, Wanted, DrawnPicture]] = deque(maxlen=KEPT)
        self._count = 0  # of all that were ever kept: each has a key of its own
        self.title = W.HTML("<h3>Drawn before</h3>", layout=W.Layout(display="none"))
        self.row = Drawings(label="Pictures that were drawn before", side=SMALL, lock=session.lock)

    def add(self, wanted: Wanted, drawn: DrawnPicture) -> None:
        """Put a picture in front of the others; of these none goes on."""
        self._count += 1
        drawn.sofar = None
        self.pictures.appendleft((str(self._count), wanted.alone(), drawn))
        self._draw()

    def find(self, key: str) -> tuple[Wanted, DrawnPicture] | None:
        """What was asked for and what came of it; None where that is gone."""
        return next(((wanted, drawn) for one, wanted, drawn in self.pictures if one == key), None)

    def remove(self, key: str) -> None:
        """Show it no longer."""
        self.pictures = deque((one for one in self.pictures if one[0] != key), maxlen=KEPT)
        self._draw()

    def titled(self) -> list[tuple[Image.Image, str]]:
        """Each picture with what it is called, for a figure."""
        return [(drawn.image, f"{wanted.called}, {wanted.ran.model_name}")
                for _, wanted, drawn in self.pictures]

    def _draw(self) -> None:
        from explorer.display.draw import jpeg_bytes

        self.title.layout.display = "" if self.pictures else "none"
        names = {wanted.ran.model_name for _, wanted, _ in self.pictures}
        several = bool(names - {self.session.model_name})
        drawings = []
        for key, wanted, drawn in self.pictures:
            said = [wanted.ran.model_name] if several else []
            said += [drawn.method.title, words.share_text(drawn)]
            text = ", ".join(filter(None, said))
            drawings.append(Drawing(key, wanted.called, text, f"Drawn before: {wanted.called}",
                                    (AS_PHOTO, SAVE, REMOVE)))
        self.row.show(drawings, [jpeg_bytes(drawn.image) for _, _, drawn in self.pictures])
