"""What the views of "Inside the model" share: how they ask,
what they say meanwhile, and pieces of HTML and code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.inside.others import OtherLooks
from explorer.widgets.panels.ran import Ran
from explorer.widgets.panels.work import meter_html
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from PIL import Image

    from explorer.inspection.look.result import Look

SIDE = 264  # pixels of a photo, and of the picture beside it


class Host(Protocol):
    """The panel, as its views see it. turn, models: how many looks and models it has drawn."""

    session: Session
    turn: int
    models: int
    others: OtherLooks

    def ask(self, block: Block, key: Hashable, step: Callable[[Job], Any], *, long: bool = False) -> None: ...

    def drop(self, block: Block) -> None: ...

    def stop(self) -> None: ...

    def changed(self) -> None: ...


class Block(W.VBox):
    """One view. `follow` draws what is on the screen now, or offers to. Methods are called under the
    session's lock.

    wanted: what was asked for last, so that an older answer is known for one
    shown:  what is on the screen, or None
    ran:    the model and the photo that it was asked for; code and caption speak of these
    """

    name = ""
    menu = ""   # the name in the menu
    about = ""  # one line beside it; HTML written by us
    of_photo = True  # whether what is shown hangs on the photo on the screen

    def __init__(self, panel: Host):
        self.panel, self.session = panel, panel.session
        self.wanted: Hashable = None
        self.shown: Any = None
        self.ran = Ran()
        self.running = False
        self.problem, self.progress = W.HTML(), W.HTML()
        super().__init__()
        self.add_class("vx-inside-block")

    # --- for subclasses ---------------------------------------------------------------------------------

    def follow(self, look: Look, model: Any) -> None:
        """Another model or photo is on the screen, or this view has come to the front."""

    def show(self, found: Any) -> None:
        """Draw what the background gave."""

    def empty(self) -> None:
        """Take away what is drawn."""

    def busy(self, running: bool) -> None:
        """The background works for this view, or has ended: switch buttons on and off."""

    def code(self) -> str:
        return ""

    def figure(self) -> Any:
        return None

    def heading(self) -> str:
        return self.menu

    def caption(self) -> str:
        return ""

    def release(self) -> None:
        """Let go of what is large; the panel is closed."""
        self.shown = None

    # --- for the panel ----------------------------------------------------------------------------------

    def begun(self, key: Hashable, ran: Ran) -> None:
        self.wanted, self.ran = key, ran
        self.shown, self.running = None, True  # what is drawn stays until the answer comes
        self.busy(True)

    def advance(self, done: int, total: int) -> None:
        self.progress.value = meter_html(done, total, "photos")

    def done(self, found: Any, problem: str, *, expected: bool = True) -> None:
        """The background has ended.
        expected: whether a problem is one of what was asked for, such as no attention.
        """
        self._ended()
        self.complain(problem, soft=expected)
        if problem:
            self.shown = None
            self.empty()
        elif found is not None:
            self.shown = found
            self.show(found)

    def dropped(self) -> None:
        """Another view has asked for something: what was begun here ends without a result."""
        if self.running:
            self.wanted = None
            self._ended()
            self.complain("This was stopped when another view was opened: one thing is worked out at a time.")

    def _ended(self) -> None:
        self.running, self.progress.value = False, ""
        self.busy(False)

    def clear(self, why: str = "") -> None:
        self.panel.drop(self)
        self.wanted = self.shown = None
        self._ended()
        self.problem.value = f'<span class="vx-soft">{escape(why)}</span>' if why else ""
        self.empty()

    def complain(self, text: str, *, soft: bool = False) -> None:
        kind = "vx-note" if soft else "vx-error"
        self.problem.value = f'<div class="{kind}" role="alert">{escape(text)}</div>' if text else ""


# --- controls and HTML ----------------------------------------------------------------------------------


def row(*children: W.Widget, name: str = "vx-line") -> W.Box:
    box = W.Box(list(children))
    box.add_class(name)
    return box


def column(*children: W.Widget) -> W.VBox:
    box = W.VBox(list(children))
    box.add_class("vx-inside-column")
    return box


def button(text: str, *, primary: bool = False, **options: Any) -> W.Button:
    style = "primary" if primary else ""
    made = W.Button(description=text, button_style=style, layout=W.Layout(width="auto"), **options)
    made.add_class("vx-open")
    return made


def picture(
    image: Image.Image, text: str = "", *, alt: str = "", side: int = SIDE, crisp: bool = False,
    format: str = "PNG",
) -> str:
    """A picture `side` pixels wide with a line of text, which comes from outside and is escaped."""
    from explorer.display.draw import data_uri

    kind = ' class="vx-crisp"' if crisp else ""
    words = f'<figcaption class="vx-soft">{escape(text)}</figcaption>' if text else ""
    return (f'<figure style="width:{side}px"><img alt="{escape(alt or text)}"{kind} '
            f'src="{data_uri(image, format=format)}">{words}</figure>')


def pictures(parts: Iterable[str]) -> str:
    return f'<div class="vx-inside-pictures">{"".join(parts)}</div>'


# --- code and figures -----------------------------------------------------------------------------------


def with_imports(lines: Sequence[str], *imports: str) -> list[str]:
    """Lines that begin with `import explorer`, and others to import beside it."""
    order = sorted([lines[0], *imports], key=lambda line: (line != "import torch", line.startswith("from")))
    return [*order, *lines[1:]]


def side_by_side(images: Sequence[Image.Image], *, columns: int, gap: int = 8) -> Image.Image:
    """Pictures in rows on white, each in the middle of a cell that fits the largest."""
    from PIL import Image

    columns = min(columns, len(images))
    wide, high = (max(image.size[i] for image in images) for i in (0, 1))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (wide + gap) - gap, rows * (high + gap) - gap), "white")
    for number, image in enumerate(images):
        left, top = number % columns * (wide + gap), number // columns * (high + gap)
        sheet.paste(image, (left + (wide - image.width) // 2, top + (high - image.height) // 2))
    return sheet
