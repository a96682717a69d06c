"""A second model beside the first: it follows every photo, and what is asked of the one is asked of both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import ipywidgets as W

from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.draw.panel import DrawPanel
from explorer.widgets.panels.explain.asking import labels_of
from explorer.widgets.panels.explain.tab import ExplainTab
from explorer.widgets.panels.flowing import stride_of
from explorer.widgets.panels.picker.words import model_line
from explorer.widgets.panels.predictions import PredictionsPanel
from explorer.widgets.panels.stages import StagesPanel
from explorer.widgets.panels.work import busy_html, said_html
from explorer.widgets.session import ExplorerError, Session
from explorer.widgets.wishes import in_a_word

#: Tabs in which the second model stands too.
TWICE = {"Feature maps": StagesPanel, "Explain": ExplainTab, "Draw": DrawPanel}


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

    def put(self, second: Any) -> None:
        """Put the panel of another second model in the place of the one that is there."""
        self.panels = (self.panels[0], second)
        self.children = self.panels

    def let_go(self) -> None:
        """End the box alone; the panels go on, each in its place."""
        layout = self.layout
        self.close()
        layout.close()


class Beside(W.VBox):
    """The second model: a session of its own, and the row of its way from the photo to the answers.

    first: the session whose photos, questions and stages this one follows
    Call `close` to end it: what it showed is removed, and its model is let go of.
    """

    def __init__(self, first: Session, model: Any):
        self.first, self._mirroring, self._done = first, False, False
        self._asked_for, self._why = in_a_word(model), ""  # why there is no model, where there is none
        self._followed: Any = None                         # the photo that was asked for here
        size = first.input_size  # whether a model that was built takes that, `check_second` has seen
        size = size if isinstance(model, str) or model.config.input_size == size else None
        self.session = Session(labels=first.labels, input_size=size, photos=first.gallery, beside=first)
        self.session.observe(self._take_over, ["look"])  # before any panel draws it
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
        first.observe(self._follow, ["look", "busy"])  # without a model there is no look, but a photo
        first.observe(self._same_photos, ["gallery"])
        for one in (first, self.session):
            one.observe(self._same_tab, ["tab"])
            one.observe(self._same_stage, ["stage"])
            one.observe(self._same_class, ["asked_class"])
        self.session.open_model(model)
        self._write_line()
        self._follow()

    def _write_line(self, _change: Any = None) -> None:
        self.line.description = f"{model_line(self.session.model_name or self._asked_for)} ✕"

    def _show_message(self, _change: Any = None) -> None:
        """What went wrong; that there is no model is said as long as that is so, whatever photo comes."""
        session = self.session
        opened = session.model is not None
        self._why = "" if opened else session.error or self._why
        for panel in (self.predictions, *self.panels.values()):
            panel.layout.display = "none" if self._why else ""
        wrong = session.error or self._why
        self.message.value = said_html(wrong, wrong=True) if wrong else \
            busy_html(session.busy) if session.busy and session.look is None else ""

    def _follow(self, _change: Any = None) -> None:
        """The photo of the first model, once that has answered, or can't."""
        first = self.first
        if first.image is None or first.image is self._followed:
            return
        self._followed = first.image
        self.session.open_as(first.image, first.image_name, first.image_source)

    def _same_photos(self, _change: Any = None) -> None:
        self.session.gallery = self.first.gallery

    # --- what is asked of one is asked of the other ---

    def _other(self, session: Session) -> Session:
        return self.session if session is self.first else self.first

    def _take_over(self, change: Any) -> None:
        """The first look of a model here: what the first one was asked before holds for it too."""
        first, own = self.first, self.session
        if own.look is None or first.look is None:
            return
        if change["old"] is not None and own.stage in own.look.stages:
            return
        with self._mirrored():
            own.stage = alike(first.stage, first, own) or own.stage
        self._hand_on_class(first)

    @contextlib.contextmanager
    def _mirrored(self) -> Iterator[None]:
        """What changes here is the answer to a change of the other: it goes no further."""
        before, self._mirroring = self._mirroring, True
        try:
            yield
        finally:
            self._mirroring = before

    def _same_tab(self, change: Any) -> None:
        if change["new"] and not self._mirroring:
            with self._mirrored():
                self._other(change["owner"]).show_tab(change["new"])

    def _same_stage(self, change: Any) -> None:
        """The stage of the other model whose cells lie as many pixels apart."""
        asked, other = change["owner"], self._other(change["owner"])
        if self._mirroring or asked.look is None or other.look is None:
            return
        found = alike(change["new"], asked, other)
        if found and found != other.stage:
            with self._mirrored():
                other.stage = found

    def _same_class(self, change: Any) -> None:
        self._hand_on_class(change["owner"])

    def _hand_on_class(self, asked: Session) -> None:
        """The same class of the other model, where that knows it by its name; by its number where the classes
        are the same.
        """
        other, name = self._other(asked), asked.asked_class
        known = () if other.look is None else labels_of(other.look)
        numbered = name.isdecimal() and asked.look is not None and labels_of(asked.look) == known
        if name in known or numbered or not name and asked is self.first:
            other.asked_class = name

    def wait(self, timeout: float | None = 120) -> None:
        """Block until the second model has answered. Raises ExplorerError where it could not."""
        self.session.wait(timeout)
        if self._why:
            raise ExplorerError(self._why)

    def close(self) -> None:
        if self._done:
            return
        self._done, self._followed = True, None
        self.first.unobserve(self._follow, ["look", "busy"])
        self.first.unobserve(self._same_photos, ["gallery"])
        self.first.unobserve(self._same_tab, ["tab"])
        self.first.unobserve(self._same_stage, ["stage"])
        self.first.unobserve(self._same_class, ["asked_class"])
        self.session.close()
        close_whole(*self.panels.values(), self.line, *self.children, self.layout)
        super().close()


def pair_tabs(tabs: W.Tab, rows: W.Box, twice: Mapping[str, Any]) -> None:
    """Put the panels of both models in their tabs, or those of the first alone.

    rows: the box whose last child the tabs are;  twice: the panels of the second model, by their tabs' titles

    Boxes that are there stay, and tabs are exchanged while no page shows them: it would turn to another
    tab, and stumble over what is closed before it is drawn.
    """
    pairs, panels = [], list(tabs.children)
    for place, (panel, title) in enumerate(zip(tabs.children, tabs.titles, strict=True)):
        if isinstance(panel, Pair) and title in twice:
            panel.put(twice[title])
        elif isinstance(panel, Pair):
            panels[place] = panel.panels[0]
            pairs.append(panel)
        elif title in twice:
            panels[place] = Pair(panel, twice[title])
    if panels != list(tabs.children):
        front, shown = tabs.selected_index, rows.children
        rows.children = shown[:-1]
        tabs.children = panels
        tabs.selected_index = front
        rows.children = shown
    for pair in pairs:
        pair.let_go()


def alike(name: str, asked: Session, other: Session) -> str:
    """The stage of the other model that is like this one of the model that was asked.

    That of the same name and stride, else the last one of its stride, else the one as deep; "" for none.
    """
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
