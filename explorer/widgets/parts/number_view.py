"""How one number of a map is computed: what lies under the kernel, the kernel, their products, the steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)

#: What the page may ask for, and the whole numbers that belong to it.
WISHES = {"at": ("row", "column"), "channel": ("channel",), "layer": ("place",),
          "behind": ("term", "row", "column"), "branch": ("step",), "back": (), "shut": (), "field": ()}


class NumberView(ExplorerPart, files="number_view"):
    """A number with the sum that it comes from. The reader steps from cell to cell, plays through them, and
    goes on to the number behind any that went in; the page asks, Python answers.

    ``layer`` says which map it is in, ``show`` tells a number, ``heat`` draws the effective field over the
    photo: dicts of small facts and bytes, as `panels.number.telling` makes them. All may be called from any
    thread. ``on_ask(callback)``: ``callback(kind, numbers, keep)`` for each of WISHES.
    """

    colormap = t.Unicode("viridis", help="of the maps, as in the mosaic").tag(sync=True)
    busy = t.Unicode("", help="what is being done, empty when nothing is").tag(sync=True)

    _layer = t.Dict().tag(sync=True, echo_update=False)
    _number = t.Dict().tag(sync=True, echo_update=False)
    _heat = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str, dict[str, int], bool], None]] = []
        super().__init__(**kwargs)

    def layer(self, facts: Mapping[str, Any]) -> None:
        """Another map: its name, size and channel, what it is made of, the photo, what its cells read."""
        self._put("_layer", facts)

    def show(self, facts: Mapping[str, Any]) -> None:
        """Tell a number of that map; {} for none."""
        self._put("_number", facts)

    def heat(self, facts: Mapping[str, Any]) -> None:
        """The effective field of the cell on the screen; {} takes it away."""
        self._put("_heat", facts)

    def say_busy(self, doing: str) -> None:
        self._put("busy", doing)

    def _put(self, name: str, value: Any) -> None:
        with self._lock:
            if not self._closed:
                setattr(self, name, value if isinstance(value, str) else dict(value))

    @property
    def terms(self) -> tuple[int, ...]:
        """Which input channels, inputs or places are in sight."""
        return tuple(term["number"] for term in self._number.get("terms", ()))

    def on_ask(self, callback: Callable[[str, dict[str, int], bool], None]) -> None:
        """Call ``callback(kind, numbers, keep)`` for what the reader asks for, in the message's thread.

        keep: whether the same terms stay in sight, as while it plays
        """
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if not isinstance(kind, str) or kind not in WISHES:
            return super()._on_message(kind, content, buffers)
        numbers = {name: content.get(name) for name in WISHES[kind]}
        whole = {name: value for name, value in numbers.items()
                 if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31}
        if len(whole) != len(numbers):
            log.warning("%r: %s needs whole numbers", self, kind)
            return
        for callback in list(self._callbacks):
            callback(kind, whole, content.get("keep") is True)

    def _release(self) -> None:
        self._callbacks.clear()
        self._layer, self._number, self._heat = {}, {}, {}

    def __repr__(self) -> str:
        shown = self._number
        if not shown:
            return "NumberView(empty)"
        place = f"{shown['module']}[{shown['channel']}, {shown['row']}, {shown['column']}]"
        return f"NumberView({place} = {shown['value']})"
