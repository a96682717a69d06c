"""The way from the photo to the answer: a stop a stage, each with its strongest maps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

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


class Flow(ExplorerPart, files="flow"):
    """Stops in a row. A click (or Enter) on one opens it.

    ``label``: what a screen reader calls the row; ``chosen``: the dotted name of the stop that is marked,
    "" for none. ``show``, ``mark`` and ``clear`` may be called from any thread.
    """

    label = t.Unicode("From the photo to the answer", help="what the row is").tag(sync=True)
    chosen = t.Unicode("", help="the name of the marked stop, set by `mark`").tag(sync=True)

    _stops = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    def show(self, stops: Sequence[Stop], *, note: str = "") -> None:
        """Draw the stops in this order; note: a line below them."""
        facts = [{key: value for key, value in asdict(stop).items() if key != "pictures"} for stop in stops]
        pictures = [data for stop in stops for data in stop.pictures]
        message = {"stops": facts, "note": note, "sizes": [len(data) for data in pictures],
                   "data": b"".join(pictures)}
        with self._lock:
            if not self._closed:
                self._stops = message

    def clear(self) -> None:
        """Show no stops."""
        self.show([])

    def mark(self, name: str) -> None:
        """Mark the stop of that name; "" marks none. Nothing is opened by this."""
        with self._lock:
            if not self._closed:
                self.chosen = name

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` for each stop that the reader opens, in the thread of the message."""
        self._callbacks.append(callback)

    @property
    def stops(self) -> tuple[str, ...]:
        """The dotted names of the stops that are shown."""
        return tuple(stop["name"] for stop in self._stops.get("stops", ()))

    def _on_message(self, kind, content, buffers) -> None:
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
        self._stops = {}

    def __repr__(self) -> str:
        return f"Flow({len(self.stops)} stops)"
