"""A second model beside the first: it follows every photo, and what is asked of the one is asked of both."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.explain.tab import ExplainTab
from explorer.widgets.panels.picker.words import model_line
from explorer.widgets.panels.predictions import PredictionsPanel
from explorer.widgets.panels.stages import StagesPanel
from explorer.widgets.panels.work import busy_html, said_html
from explorer.widgets.session import Session

TWICE = {"Feature maps": StagesPanel, "Explain": ExplainTab}  # tabs in which the second model stands too


class Pair(W.Box):
    """The panels of two models side by side in one tab; below each other where there is no room."""

    def __init__(self, first: Any, second: Any):
        self.panels: tuple[Any, ...] = (first, second)
        super().__init__(self.panels)
        self.add_class("vx-pair")

    def seen(self, in_front: bool) -> None:
        for panel in self.panels:
            panel.seen(in_front)

    def wait(self, timeout: float | None = 120) -> bool:
        """Block until both show what was asked for; False after `timeout` seconds."""
        return all([panel.wait(timeout) for panel in self.panels])

    def let_go(self) -> None:
        """End the box alone; the panels go on, each in its place."""
        layout, self.panels, self.children = self.layout, (), ()
        self.close()
        layout.close()


class Beside(W.VBox):
    """The second model: a session of its own, and the row of its way from the photo to the answers.

    first: the session whose photos, questions and stages this one follows
    Call `close` to end it: what it showed is removed, and its model is let go of.
    """

    def __init__(self, first: Session, model: Any):
        self.first, self._mirroring, self._done = first, False, False
        self.session = Session(labels=first.labels, beside=first)
        self.line = W.Button(layout=W.Layout(width="auto"), tooltip="Take the second model away")
        self.line.add_class("vx-model-line")
        self.line.add_class("vx-second")
        self.line.on_click(lambda _: setattr(first, "beside", None))
        self.predictions = PredictionsPanel(self.session)
        self.panels = {title: panel(self.session) for title, panel in TWICE.items()}
        for panel in self.panels.values():
            panel.add_class("vx-second")
        self.message = W.HTML()
        super().__init__([self.message, self.predictions])
        self.add_class("vx-second")
        self.session.observe(self._show_message, ["error", "busy"])
        self.session.observe(self._write_line, ["model_name"])
        self.session.observe(lambda change: first.show_tab(change["new"]) if change["new"] else None, ["tab"])
        first.observe(self._follow, ["look"])
        for one in (first, self.session):
            one.observe(self._same_stage, ["stage"])
            one.observe(self._same_class, ["asked_class"])
        self.session.open_model(model)
        self._write_line()
        self._follow()

    def _write_line(self, _change: Any = None) -> None:
        self.line.description = f"{model_line(self.session.model_name)} ✕"

    def _show_message(self, _change: Any = None) -> None:
        session = self.session
        self.message.value = said_html(session.error, wrong=True) if session.error else \
            busy_html(session.busy) if session.busy and session.look is None else ""

    def _follow(self, _change: Any = None) -> None:
        """The photo of the first model, once that has answered."""
        first = self.first
        if first.image is not None:
            self.session.open_as(first.image, first.image_name, first.image_source)

    # --- what is asked of one is asked of the other ---

    def _other(self, session: Session) -> Session:
        return self.session if session is self.first else self.first

    def _same_stage(self, change: Any) -> None:
        """The stage of the other model whose cells lie as many pixels apart."""
        asked, other = change["owner"], self._other(change["owner"])
        if self._mirroring or asked.look is None or other.look is None:
            return
        found = alike(change["new"], asked, other)
        if found and found != other.stage:
            self._mirroring = True
            try:
                other.stage = found
            finally:
                self._mirroring = False

    def _same_class(self, change: Any) -> None:
        """The same class, where the other model knows it by that name."""
        other, name = self._other(change["owner"]), change["new"]
        if other.look is not None and name in other.look.labels:
            other.asked_class = name
        elif not name and change["owner"] is self.first:
            other.asked_class = ""

    def wait(self, timeout: float | None = 120) -> None:
        """Block until the second model has answered. Raises ExplorerError where it could not."""
        self.session.wait(timeout)

    def close(self) -> None:
        if self._done:
            return
        self._done = True
        self.first.unobserve(self._follow, ["look"])
        self.first.unobserve(self._same_stage, ["stage"])
        self.first.unobserve(self._same_class, ["asked_class"])
        self.session.close()
        close_whole(*self.panels.values(), self.line, *self.children, self.layout)
        super().close()


def alike(name: str, asked: Session, other: Session) -> str:
    """The stage of the other model that is like this one of the model that was asked.

    That of the same name and stride, else the last one of its stride, else the one as deep; "" for none.
    """
    from explorer.widgets.panels.flowing import stride_of

    if name not in asked.look.stages or not other.look.stages:
        return ""
    wanted = stride_of(name, asked.look, asked.model)
    strides = {one: stride_of(one, other.look, other.model) for one in other.look.stages}
    if strides.get(name) == wanted:
        return name
    fitting = [one for one, stride in strides.items() if stride == wanted]
    if fitting:
        return fitting[-1]
    depth = list(asked.look.stages).index(name) / max(1, len(asked.look.stages) - 1)
    return list(strides)[round(depth * (len(strides) - 1))]
