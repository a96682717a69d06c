"""What the panels share."""

from __future__ import annotations

import contextlib
from html import escape

import ipywidgets as W

from explorer.widgets.session import Session


class Panel(W.VBox):
    """A part of the dashboard that draws one side of the session, and asks it for changes.

    A panel never runs the model and never calls another panel. `draw_on` names the session's traits behind it:
    whenever one changes, `draw` runs, in the thread that published and under the session's lock.
    """

    title = ""  # shown above the panel; empty where a tab says it
    draw_on: tuple[str, ...] = ()

    def __init__(self, session: Session, children=()):
        self.session = session
        heading = [W.HTML(f"<h3>{escape(self.title)}</h3>")] if self.title else []
        super().__init__([*heading, *children])
        self.add_class("vx-panel")
        if self.draw_on:
            session.observe(self._redraw, list(self.draw_on))
            self._redraw()

    def draw(self) -> None:
        """Bring what is shown up to date with the session."""

    def _redraw(self, _change=None) -> None:
        with self.session.lock:
            self.draw()

    def on_choice(self, control: W.Widget, name: str = "value") -> None:
        """Redraw when the reader moves a control; the model does not run for that."""
        control.observe(self._redraw, name)

    def close(self) -> None:
        if self.draw_on:
            with contextlib.suppress(ValueError):  # the session let go of its observers first
                self.session.unobserve(self._redraw, list(self.draw_on))
        super().close()


def labelled(description: str, control_class, **options) -> W.Widget:
    """A control whose label is never cut off."""
    return control_class(description=description, style={"description_width": "initial"}, **options)
