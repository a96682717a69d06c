"""What a tab says while its kind of answer is missing; where a trained network travels along, a click."""

from __future__ import annotations

import ipywidgets as W

from explorer.widgets.gallery import gallery
from explorer.widgets.session import Session
from explorer.widgets.shipped import shipped_for


class Offer:
    """The row that stands in a tab's place; its button opens the network that came with explorer, and photos
    for it.

    words: HTML, what to do else
    """

    def __init__(self, session: Session, task: str, words: str):
        self.session, self.task = session, task
        self.button = W.Button(button_style="primary", layout=W.Layout(width="auto", display="none"))
        self.button.add_class("vx-open")
        self.button.on_click(lambda _: self.take())
        said = W.HTML(f'<span class="vx-soft">{words}</span>')
        self.row = W.VBox([said, self.button], layout=W.Layout(align_items="flex-start"))

    def show(self, wanted: bool) -> None:
        self.row.layout.display = "" if wanted else "none"
        if wanted and (shipped := shipped_for(self.task)) is not None:
            self.button.description = f"Show with {shipped.called}"
            self.button.layout.display = ""

    def take(self) -> None:
        """Open the network that came along, and its photos in the gallery."""
        shipped = shipped_for(self.task)
        if shipped is None:
            return
        with self.session.lock:
            self.session.gallery = gallery(shipped.photos)
            title, source = self.session.gallery[0]
            self.session.open_model(shipped.model)
            self.session.open_image(source, title)
