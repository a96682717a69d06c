"""The way from the photo to the answer: the photo, then a stop a stage, each with its strongest maps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from explorer.inspection.receptive.reads import Reads

from .base import ExplorerPart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """A stage on the way.

    name:     dotted, as in `look.stages`;  words: what stands above it
    shape:    channels, rows, columns of the whole stage;  stride: pixels of the input between two cells
    channels: the numbers of the maps that are shown, the strongest first
    pictures: one small PNG for each of them
    """

    name: str
    words: str
    shape: tuple[int, int, int]
    stride: int
    channels: tuple[int, ...]
    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class Seen:
    """The photo in front of the stops. picture: a JPEG of what the network reads; said: a line below"""

    picture: bytes = b""
    title: str = ""
    said: str = ""


class Flow(ExplorerPart, files="flow"):
    """The photo and the stops in a row. A click (or Enter) on a stop opens it; the part of the photo that the
    cell under the pointer is computed from has a frame, once ``frame`` has said which it is.

    ``label``: what a screen reader calls the row; ``chosen``: the dotted name of the stop that is marked,
    "" for none. ``show`` and ``mark`` may be called from any thread.
    """

    label = t.Unicode("From the photo to the answer", help="what the row is").tag(sync=True)
    chosen = t.Unicode("", help="the name of the marked stop, set by `mark`").tag(sync=True)

    _stops = t.Dict().tag(sync=True, echo_update=False)
    _reads = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str], None]] = []
        self._asked: list[Callable[[], None]] = []
        super().__init__(**kwargs)

    def show(self, stops: Sequence[Stop], *, seen: Seen | None = None, note: str = "") -> None:
        """Draw the photo, and the stops in this order; note: a line below them."""
        seen = seen or Seen()
        facts = [{key: value for key, value in asdict(stop).items() if key != "pictures"} for stop in stops]
        pictures = [data for stop in stops for data in stop.pictures]
        sizes = [len(data) for data in pictures]
        message = {"stops": facts, "note": note, "title": seen.title, "said": seen.said,
                   "photo": seen.picture, "sizes": sizes, "data": b"".join(pictures)}
        with self._lock:
            if not self._closed:
                self._stops = message

    def mark(self, name: str) -> None:
        """Mark the stop of that name; "" marks none. Nothing is opened by this."""
        with self._lock:
            if not self._closed:
                self.chosen = name

    def frame(self, reads: dict[str, Reads]) -> None:
        """Say which part of the photo each cell is computed from, {name of the stop: `Reads`}."""
        with self._lock:
            if not self._closed:
                self._reads = {name: asdict(one) for name, one in reads.items()}

    def on_hover(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` when the pointer is on a map and nobody has said yet what its cells read."""
        self._asked.append(callback)

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` for each stop that the reader opens, in the thread of the message."""
        self._callbacks.append(callback)

    @property
    def stops(self) -> tuple[str, ...]:
        """The dotted names of the stops that are shown."""
        return tuple(stop["name"] for stop in self._stops.get("stops", ()))

    def _on_message(self, kind, content, buffers) -> None:
        if kind == "reads":
            for asked in list(self._asked):
                asked()
            return
        if kind != "open":
            return super()._on_message(kind, content, buffers)
        name = content.get("name")
        if not isinstance(name, str) or name not in self.stops:
            log.warning("%r: there is no stop %r to open", self, name)
            return
        for callback in list(self._callbacks):
            callback(name)

    def _release(self) -> None:
        self._callbacks.clear()
        self._asked.clear()
        self._stops, self._reads = {}, {}

    def __repr__(self) -> str:
        return f"Flow({len(self.stops)} stops)"
