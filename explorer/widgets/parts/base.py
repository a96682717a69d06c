"""What the anywidget views share: how they load, what they accept, how the reader's choices come back.

Two threads may touch a view at once: the worker that shows new results, and whichever thread the kernel
runs callbacks in (it differs between ipykernel versions). ipywidgets' own way in for a reader's choice,
``set_state``, swaps ``notify_change`` while it runs and can lose what the worker sets in that moment.
So a choice travels as a small custom message, and everything that writes a trait holds one lock.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import ClassVar

import anywidget
import traitlets as t

from explorer.display import views
from explorer.display.views import SHARED_STYLE, script

log = logging.getLogger(__name__)

# Traits that every ipywidget carries and nobody passes by keyword.
_NOT_KEYWORDS = {"comm", "keys", "log", "ready"}

_HERE = Path(__file__).parent
_KIT = script("kit")


def _text(name: str) -> str:
    """A script or style sheet: of this folder, or of those that a live page draws with too."""
    file = _HERE / name
    return views.without_notes(file if file.is_file() else views.HERE / name)


class ExplorerPart(anywidget.AnyWidget):
    """Base of the views that ipywidgets lacks; a subclass says what its ``files`` are called.

    The text of ``kit.js`` comes in front of its module, that of ``tokens.css`` and ``kit.css`` before its
    sheet: no view writes again what all of them need, and each looks the same outside a dashboard.
    ``lock`` is the lock of whoever shares its state with this view: what the reader chooses here then changes
    the rest in one step, and no two threads wait for each other. Without it, the view has a lock of its own.
    Raises ``TypeError`` for a keyword that is no trait of the view (ipywidgets would ignore it).
    """

    # anywidget asks the server for exactly the version that the kernel has, and a hub whose two
    # environments differ shows nothing at all. Any version can draw these views.
    _model_module_version = t.Unicode("*").tag(sync=True)
    _view_module_version = t.Unicode("*").tag(sync=True)

    ready = t.Bool(False, help="True once a browser has loaded this view (Python only, read it)")

    # The traits that the reader changes in the browser; nothing else can be set from there.
    _reader_traits: ClassVar[tuple[str, ...]] = ()

    # The script that it shares with other views, without an ending.
    _in_common: ClassVar[str] = ""

    def __init_subclass__(cls, *, files: str = "", shares: str = "", **kwargs):
        """files: what its module and its style sheet beside this file are called, without an ending.
        shares: a script that it has in common with other views, which comes between the kit and its own
        """
        if files:
            cls._in_common = shares
            scripts = (_text(f"{name}.js") for name in (shares, files) if name)
            cls._esm, cls._css = "\n".join([_KIT, *scripts]), f"{SHARED_STYLE}\n{_text(f'{files}.css')}"
        super().__init_subclass__(**kwargs)

    def __init__(self, *, lock: threading.RLock | None = None, **kwargs):
        allowed = sorted(n for n in self.trait_names() if n[0] != "_" and n not in _NOT_KEYWORDS)
        unknown = [name for name in kwargs if name not in allowed]
        if unknown:
            raise TypeError(f"{type(self).__name__} does not take {', '.join(map(repr, unknown))}. "
                            f"It takes: {', '.join(allowed)}.")
        self._lock = lock or threading.RLock()  # whoever writes a trait of this view holds it
        self._chosen = None                 # (trait, value) while a choice of the reader is taken over
        self._closed = False
        self._owns_layout = "layout" not in kwargs
        super().__init__(**kwargs)
        self.on_msg(self._receive)

    def close(self) -> None:
        """Remove the view from the page and let go of its data; a second call does nothing."""
        if getattr(self, "_closed", True):  # True when the constructor itself has failed
            return
        with self._lock:
            self._closed = True
        if self._owns_layout:
            self.layout.close()             # ipywidgets would keep it in its registry for good
        super().close()
        self.unobserve_all()
        self._release()

    def _release(self) -> None:
        """For subclasses: drop the data and the callbacks; called once, when the view is closed."""

    def send_state(self, key=None) -> None:
        # What the reader has just chosen is on their screen already; sent back, it could arrive after
        # their next choice and undo it. A value that Python has changed meanwhile does go out.
        if self._chosen is not None and key == self._chosen[0] and getattr(self, key) == self._chosen[1]:
            return
        super().send_state(key)

    def _receive(self, _widget, content, buffers) -> None:
        """One custom message from the browser: ``{"kind": ...}`` and binary buffers."""
        if not isinstance(content, dict):
            return
        kind = content.get("kind")
        if kind == "ready":
            self.ready = True
        elif kind == "choose":
            self._choose(content.get("key"), content.get("value"))
        else:
            self._on_message(kind, content, buffers)

    def _on_message(self, kind, content, buffers) -> None:
        """For subclasses: a message that is neither "ready" nor "choose"."""
        log.debug("%r ignores a message of kind %r", self, kind)

    def _choose(self, key, value) -> None:
        if key not in self._reader_traits:
            log.warning("%r: the browser may not set %r", self, key)
            return
        with self._lock:
            try:
                self._take(key, value)
            except t.TraitError as error:
                log.warning("%r: %s", self, error)
                self.send_state(key)        # put the page back to what is true here

    def _take(self, key: str, value) -> None:
        """Set a trait to what is on the reader's screen already: it is not sent back.
        For checked values from the browser.
        """
        with self._lock:
            self._chosen = (key, value)
            try:
                setattr(self, key, value)
            finally:
                self._chosen = None
