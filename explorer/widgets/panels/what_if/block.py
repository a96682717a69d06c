"""What the three experiments of the panel that changes the photo share:
a block of controls, words and pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import AnyLine
from explorer.widgets.panels.work import Work, notes_html
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing these loads torch
    from explorer.inspection.look.result import Look

FILLS = {"blur": "blur", "grey": "grey", "mean colour": "mean"}  # what a region is hidden behind


class Host(Protocol):
    """The panel, as its experiments see it. look: what they are about, or None."""

    session: Session
    look: Look | None

    def line(self, kind: type[AnyLine], **options: Any) -> AnyLine: ...

    def showed(self, block: Block) -> None: ...

    def emptied(self, block: Block) -> None: ...

    def put_on_top(self, block: Block) -> None: ...


class Block:
    """One experiment: its controls, a line that says what is being done, and what came of it."""

    imports: tuple[str, ...] = ()  # lines that `code_lines` need, beside `import explorer`

    def __init__(self, panel: Host, title: str, intro: str):
        self.panel, self.intro = panel, intro
        self.work = panel.line(Work, busy=self._switch,
                               tooltip="After the present pass; what is done is kept")
        self.busy, self.says, self.stop = self.work.progress, self.work.message, self.work.button
        self.stoppable = False
        self.stop.layout.display = "none"
        self.stop.add_class("vx-open")
        self.head = W.HTML(f"<h3>{escape(title)}</h3>")
        self.box = W.VBox()
        self.box.add_class("vx-whatif-block")

    def lay_out(self, controls: Sequence[W.Widget], *rest: W.Widget) -> None:
        self.box.children = [self.head, row(*controls, self.busy, self.stop), *rest]

    # for subclasses
    def reset(self, look: Look, *, same_photo: bool) -> None:
        """Begin anew with another look."""

    def forget(self) -> None:
        """Let go of what was found."""

    def set_busy(self, busy: bool) -> None:
        """Switch off what can't be used while something that takes long is worked out."""

    def code_lines(self) -> list[str]:
        raise NotImplementedError

    def figure(self) -> Any:
        raise NotImplementedError

    def caption(self) -> str:
        raise NotImplementedError

    # what they share; all under the lock
    def on_top(self) -> None:
        """Stand above the other experiments."""
        self.panel.put_on_top(self)

    def start(self, compute: Callable[[Job, Any, Look], Any], show: Callable[[Any], None], doing: str, *,
              stoppable: bool = False) -> None:
        """Work out `compute(job, model, look)` of what is on the screen, and `show` it."""
        look, model = self.panel.look, self.panel.session.model
        if look is not None:
            self.stoppable = stoppable
            self.work.start(lambda job: compute(job, model, look), show, doing=doing, long=stoppable)

    def _switch(self, running: bool) -> None:
        self.stop.layout.display = "" if running and self.stoppable else "none"
        self.set_busy(running and self.stoppable)

    def say(self, *sentences: str, notes: Sequence[str] = ()) -> None:
        known = self.panel.look.notes if self.panel.look is not None else ()  # these stand above all blocks
        text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)
        more = notes_html([note for note in notes if note not in known])
        self.says.value = f'<div role="status">{text}</div>{more}'

    def hint(self, text: str) -> None:
        self.says.value = f'<p class="vx-soft">{escape(text)}</p>'


def row(*controls: W.Widget) -> W.HBox:
    box = W.HBox(controls, layout=W.Layout(flex_flow="row wrap"))
    box.add_class("vx-controls")
    return box


def parts(*widgets: W.Widget, wide: Sequence[W.Widget]) -> W.Box:
    """What came of it, side by side where there is room; those of `wide` take what is left."""
    for widget in wide:
        widget.add_class("vx-whatif-wide")
    box = W.Box([*widgets, *wide])
    box.add_class("vx-whatif-parts")
    return box
