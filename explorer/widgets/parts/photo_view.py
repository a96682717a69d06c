"""One photo with a heat map over it; its strength is the reader's, and a box can be drawn on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t

from .base import ExplorerPart

_HERE = Path(__file__).parent

MAX_SIDE = 640  # pixels of the picture that travels; boxes are in the photo's own pixels all the same


class PhotoView(ExplorerPart):
    """A photo, a heat map, and what the reader points out.

    ``show`` sends the photo once, ``heat`` one byte a place: colours and strength are the browser's, so the slider under
    the photo asks nobody. Where ``draws`` is set, the reader can draw a box with the mouse or a finger, or with the keys
    (arrows move it, Shift and arrows change its size, Delete takes it away); ``on_box`` hears of it.
    ``show``, ``heat`` and ``frame`` may be called from any thread.
    """

    _esm = _HERE / "photo_view.js"
    _css = _HERE / "photo_view.css"
    _reader_traits = ("alpha",)

    label = t.Unicode("Photo", help="what a screen reader calls the picture").tag(sync=True)
    alpha = t.Float(0.5, min=0, max=1, help="strength of the heat map: 0 the photo alone, 1 the heat alone").tag(sync=True)
    draws = t.Bool(False, help="whether a box can be drawn").tag(sync=True)
    slider = t.Bool(True, help="whether the slider for the strength is there while there is a heat map").tag(sync=True)
    side = t.Int(384, min=64, max=1024, help="longest side of the picture on the screen, in pixels").tag(sync=True)
    box = t.Tuple(help="(left, top, right, bottom) in the photo's pixels, or () for none").tag(sync=True)

    _photo = t.Dict().tag(sync=True, echo_update=False)
    _heat = t.Dict().tag(sync=True, echo_update=False)
    _frame = t.List().tag(sync=True, echo_update=False)

    @t.validate("alpha")
    def _a_share(self, proposal):
        if not 0 <= proposal["value"] <= 1:  # NaN is neither below 0 nor above 1
            raise t.TraitError(f"alpha is from 0 to 1, not {proposal['value']}.")
        return proposal["value"]

    def __init__(self, **kwargs: Any):
        self._listeners: list[Callable[[tuple[int, ...]], None]] = []
        super().__init__(**kwargs)

    def show(self, image: Any, *, label: str = "Photo") -> None:
        """Show a PIL image; heat map, frame and box of the one before go."""
        from explorer.display import draw

        small = draw.thumbnail(image.convert("RGB"), MAX_SIDE)
        data = draw.jpeg_bytes(small)
        with self._lock:
            if not self._closed:
                self._heat, self._frame, self.box, self.label = {}, [], (), label
                self._photo = {"data": data, "width": image.width, "height": image.height}

    def heat(self, values: Any, *, colormap: str = "magma", label: str = "") -> None:
        """Lay a heat map [h, w] of values in 0..1 over the photo; it is stretched over all of it. None takes it away.

        colormap: one of `draw.COLORMAPS`;  label: replaces the one of `show`, where given
        """
        from explorer.display import draw

        if values is None:
            found: dict[str, Any] = {}
        else:
            codes = _small(np.asarray(values, np.float32))
            codes = np.clip(codes * 255 + 0.5, 0, 255).astype(np.uint8)
            found = {"data": codes.tobytes(), "width": codes.shape[1], "height": codes.shape[0],
                     "colours": draw.colormap(colormap).tobytes()}
        with self._lock:
            if not self._closed:
                self._heat = found
                if label:
                    self.label = label

    def frame(self, box: Sequence[float]) -> None:
        """Mark a part of the photo by a fine line, such as what the network saw; () for none."""
        with self._lock:
            if not self._closed:
                self._frame = [float(edge) for edge in box]

    def clear(self) -> None:
        with self._lock:
            if not self._closed:
                self._photo, self._heat, self._frame, self.box = {}, {}, [], ()

    def on_box(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(box)`` when the reader has drawn, moved or taken away the box."""
        self._listeners.append(callback)

    def _on_message(self, kind: Any, content: dict[str, Any], buffers: Any) -> None:
        if kind != "box":
            return super()._on_message(kind, content, buffers)
        size = (self._photo.get("width", 0), self._photo.get("height", 0))
        box = checked_box(content.get("box"), size)
        if box is None or not self.draws:
            return
        self._take("box", box)
        for callback in list(self._listeners):
            callback(box)

    def _release(self) -> None:
        self._listeners.clear()
        self._photo, self._heat = {}, {}

    def __repr__(self) -> str:
        return f"PhotoView({self.label!r})"


def checked_box(box: Any, size: tuple[int, int]) -> tuple[int, ...] | None:
    """What a browser sent as a box within a photo of `size` (width, height): () for none, None for what is no box."""
    if box in ([], ()):
        return ()
    if not isinstance(box, list) or len(box) != 4:
        return None
    if any(isinstance(edge, bool) or not isinstance(edge, (int, float)) or edge != edge for edge in box):
        return None
    width, height = size
    left, top, right, bottom = (max(-1e6, min(1e6, edge)) for edge in box)
    left, right = max(0, round(left)), min(width, round(right))
    top, bottom = max(0, round(top)), min(height, round(bottom))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _small(values: np.ndarray) -> np.ndarray:
    """A heat map no finer than it is shown: means of square blocks."""
    step = -(-max(values.shape) // MAX_SIDE)
    if step == 1:
        return values
    height, width = (side // step * step for side in values.shape)
    return values[:height, :width].reshape(height // step, step, width // step, step).mean((1, 3))
