"""The reader's camera: small frames to Python, the newest only, and Python's answers over the picture.

The browser scales each frame to about what a network reads and codes it as JPEG. It sends the next one when
the answer to the last has been painted, or when none came for a while: so few wait, however slow Python is.
Frames and answers are messages, not state: nothing of them is kept, saved with the notebook, or sent to a
page that is loaded later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets as t

from explorer.display import draw

from .base import ExplorerPart

log = logging.getLogger(__name__)

LARGEST_FRAME = 2 * 10**6    # bytes of a live frame; one of 400 pixels takes 30,000
LARGEST_PICTURE = 8 * 10**6  # bytes of a frozen one
STATES = ("off", "asking", "live", "paused", "frozen")
MOST_NUMBER = 2**53          # the largest that a page counts to


class Camera(ExplorerPart, files="camera"):
    """Shows what the camera sees; hands frames to ``on_frame`` and frozen pictures to ``on_freeze``.

    ``side``:     pixels of a live frame's shorter side;  ``largest``: of a frozen picture's longer one
    ``live``:     whether frames are wanted; without it the camera only shows, and freezes
    ``pace``:     frames a second that are sent at most
    ``facing``:   the camera that is asked for first, "user" (towards the reader) or "environment"
    ``mirrored``: whether it is shown as in a mirror; frames never are, so that writing stays readable
    ``hint``:     a line beside the button while the camera is off
    ``freezes``:  whether a picture can be frozen
    ``state``:    one of `STATES`, and ``reflects``: whether the picture is shown mirrored now; read them

    A frame is bytes from outside: whoever opens it expects anything (`explorer.load_image` does).
    The camera goes off, its light too, when the reader stops it, freezes a picture or looks at something else
    for a while, when Python gives no answer, and with ``off`` and ``close``.
    """

    side = t.Int(256, min=16, max=1024, help="pixels of a live frame's shorter side").tag(sync=True)
    largest = t.Int(1024, min=16, help="pixels of a frozen picture's longer side").tag(sync=True)
    live = t.Bool(True, help="whether live frames are wanted").tag(sync=True)
    pace = t.Int(15, min=1, max=60, help="frames a second, at most").tag(sync=True)
    facing = t.Enum(("user", "environment"), "user", help="the camera asked for first").tag(sync=True)
    mirrored = t.Bool(True, help="whether it is shown as in a mirror").tag(sync=True)
    hint = t.Unicode("", help="a line beside the button").tag(sync=True)
    freezes = t.Bool(True, help="whether a picture can be frozen").tag(sync=True)

    state = t.Enum(STATES, "off", help="what the camera does (Python only, read it)")
    reflects = t.Bool(True, help="whether the picture is shown mirrored now (Python only, read it)")

    _reader_traits = ("mirrored",)
    _colours = t.Bytes().tag(sync=True)

    def __init__(self, **kwargs):
        self._frames: list[Callable[[int, bytes], None]] = []
        self._pictures: list[Callable[[bytes], None]] = []
        super().__init__(**kwargs)
        self._colours = draw.colormap("magma").tobytes()

    # --- what comes from the page -------------------------------------------------------------------------

    def on_frame(self, callback: Callable[[int, bytes], None]) -> None:
        """Call ``callback(number, jpeg)`` for each live frame, in the thread of the message: hand it on.
        Each number is to be answered with ``answer``, in whatever order.
        """
        self._frames.append(callback)

    def on_freeze(self, callback: Callable[[bytes], None]) -> None:
        """Call ``callback(jpeg)`` for each picture that the reader freezes, in the thread of the message."""
        self._pictures.append(callback)

    # --- what Python says ---------------------------------------------------------------------------------

    def answer(self, number: int, *, heat: Any = None, box: Sequence[float] = (0, 0, 1, 1), title: str = "",
               facts: str = "", problem: str = "") -> None:
        """Say what became of a frame, so that the page sends the next one.

        heat:    [h, w] in 0..1 over the whole frame, coarse is enough; None: no heat map
        box:     left, top, right, bottom as shares of the frame: the part that was read
        title:   what the heat map is of;  facts: where the milliseconds of the frame went, in words
        problem: why there is no answer
        """
        content = {"kind": "answer", "number": number, "title": title, "facts": facts, "problem": problem,
                   "box": [float(edge) for edge in box], "shape": None}
        buffers = []
        if heat is not None:
            codes = np.clip(np.nan_to_num(np.asarray(heat, np.float32)) * 255 + 0.5, 0, 255).astype(np.uint8)
            content["shape"] = list(codes.shape)
            buffers = [codes.tobytes()]
        self._post(content, buffers)

    def clear(self) -> None:
        """Take the heat map away: it is no longer of what is asked."""
        self._post({"kind": "clear"})

    def say(self, text: str, *, error: bool = False) -> None:
        """Tell the reader something under the picture; it stays until the camera has something to say."""
        self._post({"kind": "say", "text": text, "error": error})

    def freeze(self) -> None:
        """Freeze what the camera sees now, as the button does; nothing happens while it is off."""
        self._post({"kind": "freeze"})

    def off(self) -> None:
        """Switch the camera off, its light too."""
        self._post({"kind": "off"})

    def close(self) -> None:
        if not getattr(self, "_closed", True):
            self.off()
        super().close()

    def _post(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        with self._lock:
            if not self._closed:
                self.send(content, list(buffers))

    # --- messages -----------------------------------------------------------------------------------------

    def _on_message(self, kind, content, buffers) -> None:
        if kind == "state":
            self._set_state(content.get("state"), content.get("mirrored"))
        elif kind == "frame":
            number, data = content.get("number"), _data(buffers, LARGEST_FRAME)
            if type(number) is not int or not 0 <= number < MOST_NUMBER:
                log.warning("%r: a frame without a number", self)
            elif data is None:
                self.answer(number, problem="This frame arrived empty, or is too large to be one.")
            else:
                self._call(self._frames, number, data)
        elif kind == "picture":
            data = _data(buffers, LARGEST_PICTURE)
            if data is None:
                self.say("The picture arrived empty, or is too large: freeze another one.", error=True)
            else:
                self._call(self._pictures, data)
        else:
            super()._on_message(kind, content, buffers)

    def _set_state(self, state, mirrored) -> None:
        if state not in STATES:
            log.warning("%r: there is no state %r", self, state)
            return
        with self._lock:
            if not self._closed:
                self.state, self.reflects = state, mirrored is True

    def _call(self, callbacks: Sequence[Callable[..., None]], *given: Any) -> None:
        for callback in list(callbacks):
            try:
                callback(*given)
            except Exception:
                log.exception("a callback of %r failed", self)
                self.say("The picture could not be used; the log of the kernel says why.", error=True)

    def _release(self) -> None:
        self._frames.clear()
        self._pictures.clear()
        self.state = "off"

    def __repr__(self) -> str:
        return f"Camera({self.state!r})"


def _data(buffers: Sequence[Any] | None, most: int) -> bytes | None:
    """The bytes of a message's one buffer; None where there are none, or more than a frame can have."""
    if not buffers:
        return None
    view = memoryview(buffers[0])
    return bytes(view) if 0 < view.nbytes <= most else None
