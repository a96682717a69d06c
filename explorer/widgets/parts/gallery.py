"""A row of small photos to choose from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


class PhotoGallery(ExplorerPart, files="gallery"):
    """Thumbnails; a click (or Enter) picks one. ``selected`` is the marked one, -1 for none.

    A pick is marked at once, also while Python is busy; ``mark`` says what has become of it. The pictures
    travel once, as one binary buffer. ``show`` and ``mark`` may be called from any thread.
    """

    _reader_traits = ("selected",)

    selected = t.Int(-1, min=-1, help="number of the marked photo, -1 for none").tag(sync=True)

    _items = t.Dict().tag(sync=True, echo_update=False)

    # those that came later, for themselves: the others do not travel again
    _added = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list = []
        self._later: list[tuple[str, bytes]] = []
        super().__init__(**kwargs)

    def show(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Show ``items``: (title, the bytes of a small JPEG or PNG) of each photo."""
        with self._lock:
            if not self._closed:
                self._later, self._added = [], {}
                self._items = _packed(items)

    def add(self, title: str, picture: bytes) -> None:
        """Show one more photo behind the others."""
        with self._lock:
            if not self._closed:
                self._later.append((title, picture))
                self._added = _packed(self._later)

    def mark(self, index: int) -> None:
        """Mark the photo that is on the screen; -1 marks none. Nothing is picked by this."""
        with self._lock:
            if not self._closed:
                self.selected = index

    def on_pick(self, callback) -> None:
        """Call ``callback(index)`` for each pick, in whichever thread the kernel handles messages in."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if not isinstance(index, int) or not 0 <= index < self._count:
            log.warning("%r: there is no photo %r to pick", self, index)
            return
        self._choose("selected", index)  # the page shows it already
        for callback in list(self._callbacks):
            callback(index)

    def _release(self) -> None:
        self._callbacks.clear()
        self._later, self._items, self._added = [], {}, {}

    @property
    def _count(self) -> int:
        return sum(len(some.get("titles", ())) for some in (self._items, self._added))

    def __repr__(self) -> str:
        return f"PhotoGallery({self._count} photos)"


def _packed(items: Sequence[tuple[str, bytes]]) -> dict:
    return {"titles": [str(title) for title, _ in items], "sizes": [len(data) for _, data in items],
            "data": b"".join(data for _, data in items)}
