"""A handful of feature maps that change many times a second: one small message each time, nothing kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets as t

from explorer.display import draw

from .base import ExplorerPart

FINEST = 40  # rows and columns of a map that is sent, at most: finer ones are averaged


class LiveMaps(ExplorerPart, files="live_maps"):
    """Maps side by side, each from its own lowest to its own highest value. ``show`` may be called from any
    thread; what it shows is a message, not state: a page that is loaded later waits for the next.

    ``label``: what a screen reader calls them;  ``mirrored``: whether they are shown as in a mirror, where
    the picture beside them is
    """

    label = t.Unicode("Feature maps", help="what the maps are").tag(sync=True)
    mirrored = t.Bool(False, help="whether they are shown as in a mirror").tag(sync=True)

    _colours = t.Bytes().tag(sync=True)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._colours = draw.palette("viridis")

    def show(self, maps: Any, names: Sequence[str], *, note: str = "") -> None:
        """Draw maps [n, h, w] under their names. note: a line below them"""
        codes = draw.normalise(draw.shrunk(maps, FINEST))
        content = {"kind": "maps", "shape": list(codes.shape), "names": list(names), "note": note}
        self._post(content, [np.ascontiguousarray(codes).tobytes()])

    def clear(self) -> None:
        """Show none."""
        self._post({"kind": "maps", "shape": [0, 0, 0], "names": [], "note": ""}, [])

    def _post(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        with self._lock:
            if not self._closed:
                self.send(content, buffers)

    def __repr__(self) -> str:
        return f"LiveMaps({self.label!r})"
