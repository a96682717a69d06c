"""What the panels for boxes and for masks share: when they are drawn anew."""

from __future__ import annotations

from typing import Any

from explorer.widgets.panels.base import Panel


class PlacePanel(Panel):
    """A panel over what a network finds in the photo. It is drawn anew where what its picture follows from is
    another than when it was last drawn: whoever comes back to the tab finds what was chosen there.

    A subclass writes `_draw` and `_settings_now`, and in `forget` sets `_settings` to None.
    """

    rests = True
    draw_on = ("look", "gallery")
    _settings: Any = None    # those that are drawn
    _drawing = False

    def draw(self) -> None:
        if self._drawing:  # a choice that it makes itself
            return
        self._drawing = True
        try:
            if self._settings is None or self._settings != self._settings_now():
                self._draw()
                self._settings = self._settings_now()
        finally:
            self._drawing = False

    def _draw(self) -> None:
        """Lay over the photo what was found in it."""
        raise NotImplementedError(f"{type(self).__name__} must define _draw")

    def _settings_now(self) -> tuple[Any, ...]:
        """All that the picture follows from."""
        raise NotImplementedError(f"{type(self).__name__} must define _settings_now")
