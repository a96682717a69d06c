"""What the panels share: how they follow the session, and the bar with code, figure and guide."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.files import given_path, write_whole
from explorer.widgets import export
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.taking_home import Home, TakingHome
from explorer.widgets.parts.panel_tools import FORMATS, PanelTools, offers_of
from explorer.widgets.session import Session

log = logging.getLogger(__name__)
AnyLine = TypeVar("AnyLine", bound=Line)


class NothingShownError(ValueError):
    """There is nothing to export; the message says what to do first."""


class Panel(W.VBox):
    """A part of the dashboard that draws one side of the session, and asks it for changes.

    A panel never runs the model and never calls another panel. `draw_on` names the session's traits behind
    it: whenever one changes, `draw` runs, in the thread that published and under the session's lock; `when`
    does the same for controls. What takes a while is a job (`explorer.widgets.jobs`) in a line of the panel's
    own, which `line` gives.

    Most panels make their controls in `make`, when they are first looked at: a dashboard has many, and opens
    fast.

    What a subclass says about itself stands behind the buttons beside its title:

        guide      HTML: what you see, what it does not prove, and a link to the paper
        code()     the few lines that reproduce what is shown now
        figure()   what is shown, as a picture or a matplotlib Figure to keep
        caption()  the settings behind it, in words
        to_take_home()  what a live page of it runs
    """

    title = ""  # shown above the panel; empty where a tab says it
    name = ""   # what to call a panel without a title, e.g. in the name of an exported file
    guide = ""
    nothing_yet = "Nothing is shown here yet: choose a model and a photo first."
    draw_on: tuple[str, ...] = ()
    kept = True    # whether a page of what the dashboard shows has its figure; not what stands there anyway
    rests = False  # whether nothing is drawn while something else is in front

    def __init__(self, session: Session, children: Sequence[W.Widget] = (), *,
                 beside: Sequence[W.Widget] = ()):
        """children: what is below the bar; none where `make` makes it. beside: controls at its right."""
        self.session = session
        self.own_lines: list[Line] = []
        self.built, self.in_front, self.gone = bool(children), True, False
        self.tools: PanelTools | None = None  # until there is something below the bar
        self._head: list[W.Widget] | None = None
        self._beside = beside
        self._exporter: Line | None = None
        self._exported: Any = None      # the figure that the page shows, until another one or its end
        self._taking: TakingHome | None = None
        self._code_sent: str | None = None  # what the page shows behind "Show code"; None where that is shut
        super().__init__([*self._bar(), *children] if children else [])
        self.add_class("vx-panel")
        if self.draw_on:
            session.observe(self._redraw, list(self.draw_on))
            self._redraw()

    def fill(self, children: Sequence[W.Widget]) -> None:
        """Set what is below the bar; in place of `self.children = ...`, which would take the bar away."""
        self.children = [*self._bar(), *children]

    def _bar(self) -> list[W.Widget]:
        """What stands on top, made once; nothing where a panel has no title and nothing to offer."""
        if self._head is None:
            cls, self._head = type(self), [*self._beside]
            offers = offers_of(code=cls.code is not Panel.code, figure=cls.figure is not Panel.figure,
                               page=cls.to_take_home is not Panel.to_take_home, guide=bool(cls.guide))
            if self.title or offers:
                self.tools = PanelTools(title=self.title, label=self.called, offers=offers,
                                        lock=self.session.lock)
                self.tools.on_ask(self._asked)
                self._head = [W.HBox([self.tools, *self._beside]) if self._beside else self.tools]
                self._head[0].add_class("vx-panel-head")
        return self._head

    # --- its life -------------------------------------------------------------------------------------------

    def line(self, kind: type[AnyLine] = Line, **options: Any) -> AnyLine:
        """A line for jobs of this panel: `wait` waits for it, and `close` ends it."""
        line = kind(self.session.jobs, **options)
        self.own_lines.append(line)
        return line

    def build(self) -> None:
        """Make the controls and draw; nothing where they are there already."""
        with self.session.lock:
            if not self.built and not self.gone:
                self.built = True
                self.make()
                self._redraw()

    def seen(self, in_front: bool) -> None:
        """Whether the reader sees this panel; what changed while it rested is drawn when they come back."""
        with self.session.lock:
            self.in_front = in_front
            if in_front:
                self.build()
                if self.rests:
                    self._redraw()

    def wait(self, timeout: float | None = 120) -> bool:
        """Block until what was asked for is shown; False after `timeout` seconds."""
        self.build()
        if not all(line.wait(timeout) for line in self.own_lines):
            return False
        # a job may have started one of another line
        return all(line.ended.is_set() for line in self.own_lines) or self.wait(timeout)

    def close(self) -> None:
        """End what is being done, and let go of what is large. May be called twice."""
        if self.gone:  # the garbage collector asks again, in any thread: it must not wait for a lock there
            return
        with self.session.lock:
            if self.gone:
                return
            self.gone = True
            for line in self.own_lines:
                line.close()
            self._exported = None
            self.forget()
        if self.draw_on:
            with contextlib.suppress(ValueError):  # the session let go of its observers first
                self.session.unobserve(self._redraw, list(self.draw_on))
        super().close()

    # --- for subclasses -------------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the controls and `fill` the panel with them; called once, under the lock."""

    def forget(self) -> None:
        """Let go of what is large, such as a model or its maps: called once, under the lock, at the end."""

    def draw(self) -> None:
        """Bring what is shown up to date with the session."""

    def code(self) -> str:
        """The few lines of explorer that reproduce what is shown now, "" while nothing is.

        They come from the settings that ran, not from controls that were moved since. Called under the lock.
        They run as they are in a notebook where `dash` is the Dashboard, which they name only for what has no
        name of its own: a model that was built in a cell, a photo from the clipboard.
        """
        return ""

    def figure(self) -> Any:
        """What is shown as a PIL image or a matplotlib Figure, None while nothing is; called under the lock.

        A Figure is made with `matplotlib.figure.Figure`, not with pyplot, which would keep it for good.
        """
        return None

    def heading(self) -> str:
        """The title of the exported figure."""
        return f"{self.called}: {self.session.model_name}" if self.session.model_name else self.called

    def caption(self) -> str:
        """The settings behind `figure`, in sentences, for below the picture and for the file's metadata."""
        return export.caption_of(self.session)

    def to_take_home(self) -> Home | str:
        """What "Live page" writes, or a sentence on why nothing can be written; called under the lock."""
        return self.nothing_yet

    # --- what the bar does ----------------------------------------------------------------------------------

    @property
    def called(self) -> str:
        """The panel's name in words."""
        return self.title or self.name or type(self).__name__.removesuffix("Panel")

    def changed(self) -> None:
        """Say that other lines reproduce what is shown now; `draw` and `on_choice` say so by themselves."""
        if self._code_sent is not None:
            self.tell(self._send_again)

    def _send_again(self) -> None:
        text = self._code_text()
        if self._code_sent not in (None, text):
            self._send_code(text)

    def exported(self, format: str = "png") -> bytes:
        """The bytes of the file behind "Export figure": "png", and of charts "svg" and "pdf" too.

        Raises ValueError while there is nothing to export, and for a format that the figure does not have.
        """
        figure, title, caption, _ = self._to_export()
        return export.file_bytes(figure, format, title=title, caption=caption)

    def save_figure(self, path: str | Path) -> Path:
        """Write what "Export figure" gives, in the format that the file's ending names; the file's path."""
        path = given_path(path)
        content = self.exported(path.suffix.lstrip(".").lower())
        write_whole(path, lambda beside: beside.write_bytes(content))
        return path

    def page_html(self) -> str:
        """What is shown now as a section of a page, "" while nothing is: for `Dashboard.snapshot`."""
        if not (self.built and self.kept):
            return ""
        try:
            with self.session.lock:  # the lines are of the same moment as the figure
                figure, title, caption, _ = self._to_export()
                code = self._code_text()
            return export.section_html(figure, title=title, caption=caption, code=code)
        except NothingShownError:
            return ""
        except Exception as error:
            log.exception("no figure of %s", self.called)
            why = sentence_of(error, unexpected="The figure could not be drawn ({problem}).")
            return f"<p>{escape(self.called)}: {escape(why)}</p>"

    def _to_export(self) -> tuple[Any, str, str, str]:
        """(figure, title, caption, name of the file), all of the same moment. Raises NothingShownError for
        none.
        """
        with self.session.lock:
            figure = self.figure()
            if figure is None:
                raise NothingShownError(self.nothing_yet)
            caption = f"{self.caption()} Made with {export.software()}.".strip()
            return figure, self.heading(), caption, self._file_name()

    def _code_text(self) -> str:
        try:
            return self.code()
        except Exception:
            log.exception("the code of %s could not be written", self.called)
            return "# These lines could not be written; the log of the kernel says why."

    def _send_code(self, text: str) -> None:
        self._code_sent = text
        self.tools.answer("code", {"text": text, "otherwise": self.nothing_yet})

    def _asked(self, what: str) -> None:
        """One wish from the page."""
        if what == "guide":
            self.tools.answer("guide", {"html": self.guide})
        elif what == "code":
            self.tell(lambda: self._send_code(self._code_text()))
        elif what == "page":
            self._taking = self._taking or TakingHome(self.line(), self.tools, self.to_take_home)
            self.tell(self._taking.start)
        elif what == "shut":
            self._code_sent, self._exported = None, None
        elif what == "figure" or what in FORMATS:
            self._exporter = self._exporter or self.line()
            self._exporter.start(partial(self._export, what))

    def _export(self, what: str, job: Job) -> None:
        """Draw the figure and show it, or save the one that is shown in another format; in the background."""
        try:
            if what == "figure":
                self._exported = self._to_export()
            if self._exported is None:  # shut in the meantime
                return
            figure, title, caption, name = self._exported
            format = "png" if what == "figure" else what
            data = export.file_bytes(figure, format, title=title, caption=caption)
            if job.stale:
                return
            content = {"name": f"{name}.{format}", "format": format}
            if what == "figure":
                content |= {"caption": caption, "formats": list(export.formats_of(figure))}
            self.tools.answer("figure" if what == "figure" else "file", content, data)
        except Exception as error:
            expected = isinstance(error, ValueError)
            level = logging.INFO if expected else logging.ERROR
            log.log(level, "no figure of %s", self.called, exc_info=not expected)
            why = sentence_of(error, unexpected="The figure could not be drawn ({problem}).")
            self.tools.answer("problem", {"text": why})

    def _file_name(self) -> str:
        return export.file_name(self.called, self.session.model_name, self.session.image_name)

    def wait_export(self, timeout: float | None = 60) -> bool:
        """Block until the page has the figure that was asked for; False after `timeout` seconds."""
        return self._exporter is None or self._exporter.wait(timeout)

    # --- following the session, and the reader -------------------------------------------------------------

    def tell(self, show: Callable[..., None], *given: Any) -> None:
        """Call `show(*given)` under the lock, unless the panel is closed; from whatever thread."""
        with self.session.lock:
            if not self.gone:
                show(*given)

    def when(self, control: W.Widget, call: Callable[[], None], name: str = "value") -> None:
        """Call `call()` under the lock when the reader presses a button, or moves a control."""
        if isinstance(control, W.Button):
            control.on_click(lambda _: self.tell(call))
        else:
            control.observe(lambda _: self.tell(call), name)

    def on_choice(self, control: W.Widget, name: str = "value") -> None:
        """Redraw when the reader moves a control; the model does not run for that."""
        self.when(control, self._draw_anew, name)

    def _redraw(self, _change=None) -> None:
        self.tell(self._draw_anew)

    def _draw_anew(self) -> None:
        if self.built:
            if self.in_front or not self.rests:
                self.draw()
            self.changed()


def labelled(description: str, control_class, **options) -> W.Widget:
    """A control whose label is never cut off."""
    return control_class(description=description, style={"description_width": "initial"}, **options)
