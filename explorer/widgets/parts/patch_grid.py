"""What a transformer reads: the photo cut into patches. A click picks one; a map of one value a patch lies over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t

from .base import ExplorerPart

_HERE = Path(__file__).parent

MAX_SIDE = 512  # pixels of the picture that travels


class PatchGrid(ExplorerPart):
    """A photo with the lines between its patches. ``place`` is the picked one, (row, column), or () for none.

    A click picks a patch, a click on the picked one lets it go; so do the keys: arrows move, Escape lets go. ``on_place``
    hears of it. ``show``, ``heat`` and ``clear`` may be called from any thread.
    """

    _esm = _HERE / "patch_grid.js"
    _css = _HERE / "patch_grid.css"
    _reader_traits = ("alpha", "lines")

    label = t.Unicode("Photo in patches", help="what a screen reader calls the picture").tag(sync=True)
    alpha = t.Float(0.6, min=0, max=1, help="strength of the map: 0 the photo alone, 1 the map alone").tag(sync=True)
    lines = t.Bool(True, help="whether the lines between the patches are drawn").tag(sync=True)
    picks = t.Bool(True, help="whether a patch can be picked").tag(sync=True)
    side = t.Int(336, min=64, max=1024, help="longest side of the picture on the screen, in pixels").tag(sync=True)
    place = t.Tuple(help="(row, column) of the picked patch, or () for none").tag(sync=True)

    _photo = t.Dict().tag(sync=True, echo_update=False)
    _map = t.Dict().tag(sync=True, echo_update=False)

    @t.validate("alpha")
    def _a_share(self, proposal):
        if not 0 <= proposal["value"] <= 1:  # NaN is neither below 0 nor above 1
            raise t.TraitError(f"alpha is from 0 to 1, not {proposal['value']}.")
        return proposal["value"]

    def __init__(self, **kwargs: Any):
        self._listeners: list[Callable[[tuple[int, ...]], None]] = []
        super().__init__(**kwargs)

    def show(self, image: Any, grid: tuple[int, int], *, label: str = "Photo in patches") -> None:
        """Show a PIL image in ``grid`` = (rows, columns) of patches; (0, 0) for no grid. Map and place go."""
        from explorer.display import draw

        data = draw.jpeg_bytes(draw.thumbnail(image.convert("RGB"), MAX_SIDE))
        with self._lock:
            if not self._closed:
                self._map, self.place, self.label = {}, (), label
                self._photo = {"data": data, "width": image.width, "height": image.height,
                               "rows": grid[0], "columns": grid[1]}

    def heat(self, values: Any, *, colormap: str = "viridis") -> None:
        """Lay a map [rows, columns] over the photo, from its lowest to its highest value. None takes it away."""
        from explorer.display import draw

        found: dict[str, Any] = {}
        if values is not None:
            values = np.nan_to_num(np.asarray(values, np.float32), posinf=0, neginf=0)
            low, high = float(values.min()), float(values.max())
            codes = np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
            found = {"data": codes.tobytes(), "width": values.shape[1], "height": values.shape[0],
                     "low": low, "high": high, "colours": draw.colormap(colormap).tobytes()}
        with self._lock:
            if not self._closed:
                self._map = found

    def clear(self) -> None:
        with self._lock:
            if not self._closed:
                self._photo, self._map, self.place = {}, {}, ()

    def on_place(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(place)`` when the reader has picked a patch, or let it go."""
        self._listeners.append(callback)

    def _on_message(self, kind: Any, content: dict[str, Any], buffers: Any) -> None:
        if kind != "place":
            return super()._on_message(kind, content, buffers)
        place = checked_place(content.get("place"), (self._photo.get("rows", 0), self._photo.get("columns", 0)))
        if place is None or not self.picks:
            return
        self._take("place", place)
        for callback in list(self._listeners):
            callback(place)

    def _release(self) -> None:
        self._listeners.clear()
        self._photo, self._map = {}, {}

    def __repr__(self) -> str:
        return f"PatchGrid({self._photo.get('rows', 0)} x {self._photo.get('columns', 0)} patches)"


def checked_place(place: Any, grid: tuple[int, int]) -> tuple[int, ...] | None:
    """What a browser sent as (row, column) of a patch: () for none, None for what is no place of the grid."""
    if place in ([], ()):
        return ()
    if not isinstance(place, list) or len(place) != 2:
        return None
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) or not 0 <= n < 1e6 for n in place):
        return None
    if any(n != int(n) for n in place):
        return None
    row, column = map(int, place)
    return (row, column) if 0 <= row < grid[0] and 0 <= column < grid[1] else None
