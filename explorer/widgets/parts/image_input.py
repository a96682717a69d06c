"""A picture from the reader: chosen, dropped, pasted or taken with the camera.

ipywidgets' FileUpload takes clicks only, and a file over about 10 MB ends the kernel's websocket without a
word. Here the browser scales large photos down first, so every message stays small.
"""

from __future__ import annotations

import logging

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)


class ImageInput(ExplorerPart, files="image_input"):
    """Hands the bytes of one picture at a time to the callbacks given to ``on_image``.

    A JPEG, PNG, WebP, GIF or BMP file of at most ``max_side`` pixels a side and 4 MB arrives untouched, so
    that what a model says of it is exact; a larger one arrives as an upright JPEG, or PNG where it is
    transparent, with ``max_side`` pixels on its longer side. Nothing is decoded here.
    """


    max_side = t.Int(1024, min=16, help="longer side, in pixels, of a picture scaled down").tag(sync=True)

    _said = t.Dict({"text": "", "error": False, "number": 0}).tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list = []
        super().__init__(**kwargs)

    def on_image(self, callback, remove: bool = False) -> None:
        """Call ``callback(name, data)`` for each picture: its file name (str) and the file's bytes.

        It runs in whichever thread the kernel handles messages in, so it should hand the work on and return.
        An exception in it is told to the reader in one sentence and written to the log.
        """
        if remove:
            self._callbacks.remove(callback)
        else:
            self._callbacks.append(callback)

    def say(self, text: str, *, error: bool = True) -> None:
        """Tell the reader, under the input, what went wrong, or with ``error=False`` what went well."""
        with self._lock:
            # the number makes the same sentence news again when it is said twice
            self._said = {"text": str(text), "error": bool(error), "number": self._said["number"] + 1}

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "image":
            return super()._on_message(kind, content, buffers)
        name = _plain_name(content.get("name"))
        data = bytes(buffers[0]) if buffers else b""
        if not data:
            self.say(f"{name!r} arrived empty; choose the picture again.")
            return
        for callback in list(self._callbacks):
            try:
                callback(name, data)
            except Exception as error:
                log.exception("a callback of %r failed on %r", self, name)
                self.say(f"{name!r} could not be used: {error}")

    def _release(self) -> None:
        self._callbacks.clear()

    def __repr__(self) -> str:
        return f"ImageInput(max_side={self.max_side})"


def _plain_name(name) -> str:
    """A file name from the reader's computer, safe to print: no folders, no control characters, not long."""
    name = str(name or "").replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if c.isprintable()).strip()
    if len(name) > 120:
        name = name[:80] + "…" + name[-39:]
    return name or "picture"
