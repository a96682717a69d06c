"""Pictures side by side, each with a title, lines of text and buttons of its own; one may grow while it is
watched.

A picture that is exchanged takes the place of the one before without a gap, once the page has decoded it;
whoever draws often sends a few a second (`explorer.widgets.jobs.Pace`), each some 10 kB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawing:
    """key: tells one from the others;  title, text: below the picture;  alt: what it shows, in words
    actions: what its buttons say
    """

    key: str
    title: str = ""
    text: str = ""
    alt: str = ""
    actions: tuple[str, ...] = ()


class Drawings(ExplorerPart, files="drawings"):
    """``show``, ``save`` and ``clear`` may be called from any thread; ``on_act`` hears of the buttons.

    ``label``: what a screen reader calls them;  ``side``: of a picture, in pixels at most
    """

    label = t.Unicode("Pictures", help="what the pictures are").tag(sync=True)
    side = t.Int(240, min=48, max=1024, help="width of a picture at most, in pixels").tag(sync=True)

    # texts and pictures as one trait: a page never sees half of it
    _shown = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str, str], None]] = []
        self._drawings: tuple[Drawing, ...] = ()
        super().__init__(**kwargs)

    def show(self, drawings: Sequence[Drawing], pictures: Sequence[bytes]) -> None:
        """Show these, each with the bytes of a small JPEG or PNG.

        Raises ValueError for another number of pictures, and for two with one key.
        """
        if len(drawings) != len(pictures) or len({one.key for one in drawings}) != len(drawings):
            raise ValueError(f"{len(drawings)} drawings with {len({one.key for one in drawings})} keys and "
                             f"{len(pictures)} pictures: give one of each.")
        with self._lock:
            if not self._closed:
                self._drawings = tuple(drawings)
                self._shown = {"drawings": [asdict(one) for one in drawings],
                               "sizes": [len(data) for data in pictures], "data": b"".join(pictures)}

    def clear(self) -> None:
        """Show nothing."""
        self.show((), ())

    def save(self, name: str, mime: str, data: bytes) -> None:
        """Let the browser save a file."""
        with self._lock:
            if not self._closed:
                self.send({"kind": "file", "name": name, "mime": mime}, buffers=[data])

    def on_act(self, callback: Callable[[str, str], None]) -> None:
        """Call ``callback(key, action)`` for each press of a button, in the thread of the message."""
        self._callbacks.append(callback)

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """What is shown."""
        return self._drawings

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "act":
            return super()._on_message(kind, content, buffers)
        key, action = content.get("key"), content.get("action")
        with self._lock:
            known = any(one.key == key and action in one.actions for one in self._drawings)
        if not known:
            log.warning("%r: there is no %r of %r", self, action, key)
            return
        for callback in list(self._callbacks):
            callback(key, action)

    def _release(self) -> None:
        self._callbacks.clear()
        self._drawings, self._shown = (), {}

    def __repr__(self) -> str:
        return f"Drawings({', '.join(one.title or one.key for one in self._drawings) or 'none'})"
