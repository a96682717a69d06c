"""Basic mode: the dashboard on controls of ipywidgets alone, with pictures that Python has drawn.

It drives the same session by the same wishes, so going back to the whole dashboard loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.widgets import front_ends
from explorer.widgets.jobs import Job
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.basic.learning import BasicLearning
from explorer.widgets.panels.basic.view import BasicView
from explorer.widgets.panels.work import said_html
from explorer.widgets.session import Session
from explorer.widgets.wishes import in_a_word

NO_VIEWS = ("explorer's own views (photos, feature maps, modules, charts) could not be loaded into this "
            "page, so this is basic mode: core ipywidgets, with pictures made in Python. The package "
            "anywidget must be installed where JupyterLab itself runs: pip install anywidget there, restart "
            "JupyterLab and reload the page. explorer.doctor() says what is missing here.")
ASKED_FOR = "Basic mode: core ipywidgets only, with pictures made in Python."
LARGEST = 7     # MB of an own photo: Jupyter drops messages above 10 MB without a word
LARGE = (f"Own photo: up to {LARGEST} MB. A larger one is dropped on the way without a word; open it from a "
         "cell: dash.load(\"my photo.jpg\").")
NONE = "none"


class BasicPanel(Panel):
    """The whole of it. take: called with (name, bytes) of a photo of the reader's own; back: when they want
    the whole dashboard again
    """

    name = "Basic mode"
    draw_on = ("gallery", "image_name", "model_name", "busy", "beside")
    rests = True

    def __init__(self, session: Session, *, take: Callable[[str, bytes], None], back: Callable[[], None]):
        self._take, self._back = take, back
        self._filling = False                 # controls are being exchanged: no wish of the reader's
        self._here: tuple[str, ...] = ()      # models whose weights are on this computer
        self.second: BasicView | None = None  # of the second model, where one is beside the first
        super().__init__(session)
        self.build()

    def make(self) -> None:
        wide = W.Layout(width="auto", max_width="100%")
        self.said, self.problem = W.HTML(), W.HTML()
        self.back = W.Button(description="Try again", layout=W.Layout(width="auto", align_self="flex-start"))
        self.photo = labelled("Photo", W.Dropdown, options=[], layout=wide)
        self.own = W.FileUpload(accept="image/*", description="Own photo", layout=wide, tooltip=LARGE)
        self.model = labelled("Model", W.Dropdown, options=[], layout=wide)
        self.beside = labelled("Second model", W.Dropdown, options=[NONE], layout=wide)
        self.named = labelled("Another model", W.Text, continuous_update=False, layout=wide,
                              placeholder="its name, then Enter")
        rows = [W.HBox(row, layout=W.Layout(flex_flow="row wrap"))
                for row in ([self.photo, self.own], [self.model, self.beside, self.named])]
        for row in rows:
            row.add_class("vx-controls")
        self.view = BasicView(self.session)
        self.views = W.VBox([self.view])
        self.learning = BasicLearning(self.session)
        note = W.HTML(f'<span class="vx-soft">{escape(LARGE)}</span>')
        self.fill([self.said, self.back, *rows, note, self.problem, self.views, self.learning])
        self.when(self.back, self._back)
        self.when(self.photo, self._pick)
        self.when(self.own, self._uploaded)
        self.when(self.model, partial(self._open, self.model))
        self.when(self.named, partial(self._open, self.named))
        self.when(self.beside, self._put_beside)
        self.line().start(_names_here, self._offer_models)

    def say(self, *, missing: bool) -> None:
        """Why the reader sees this: the views are missing, which stands above; or it was asked for."""
        self.said.value = "".join(map(said_html, front_ends.advice())) if missing else said_html(ASKED_FOR)
        self.back.description = "Try again" if missing else "Whole dashboard"
        self.back.tooltip = "Show the whole dashboard" + (", if it can be loaded now" if missing else "")

    def show_second(self, session: Session | None) -> None:
        """What the second model says, beside the first; None takes it away."""
        before, self.second = self.second, None if session is None else BasicView(session)
        if self.second is not None:
            self.second.add_class("vx-second")
            self.second.seen(self.in_front)
        self.views.children = [self.view, *filter(None, [self.second])]
        (self.views.remove_class if self.second is None else self.views.add_class)("vx-pair")
        if before is not None:
            before.close()
            close_whole(before)
        self.draw()

    @property
    def parts(self) -> list[Panel]:
        """The panels that stand in it."""
        return [self.view, *filter(None, [self.second]), self.learning]

    # --- following the session ------------------------------------------------------------------------------

    def seen(self, in_front: bool) -> None:
        """Whether it is shown; behind the whole dashboard nothing is drawn and sent that nobody sees."""
        super().seen(in_front)
        for part in self.parts:
            part.seen(in_front)

    def draw(self) -> None:
        session = self.session
        if session.busy:
            return  # the menus say what the reader chose, until it is clear what became of it
        self._filling = True
        try:
            _offer(self.photo, [title for title, _ in session.gallery], session.image_name)
            source = session.model_source  # the name that it was opened by, where that gives it again
            _offer(self.model, self._here, source if source in self._here else session.model_name)
            second = NONE if session.beside is None else in_a_word(session.beside)
            _offer(self.beside, (NONE, *self._here), second)
        finally:
            self._filling = False

    def _offer_models(self, names: tuple[str, ...]) -> None:
        self._here = names
        self.draw()

    # --- wishes -----------------------------------------------------------------------------------------

    def _pick(self) -> None:
        """A photo of the menu. What is on the screen, but not among the photos, is no wish."""
        source = dict(self.session.gallery).get(self.photo.value)
        if not self._filling and source is not None:
            self._wish(partial(self.session.open_image, source, self.photo.value))

    def _uploaded(self) -> None:
        for file in self.own.value:
            self._wish(partial(self._take, file["name"], bytes(file["content"])))
        if self.own.value:
            self.own.value = ()  # the same file may be chosen again

    def _open(self, control: Any) -> None:
        name = control.value
        if not self._filling and name and (control is self.named or name in self._here):
            self._wish(partial(self.session.open_model, name))

    def _put_beside(self) -> None:
        if not self._filling:
            name = self.beside.value
            self._wish(lambda: setattr(self.session, "beside", None if name == NONE else name))

    def _wish(self, ask: Callable[[], None]) -> None:
        """Ask the session; what it refuses at once is a sentence here, what fails later one above."""
        try:
            self.problem.value = ""
            ask()
        except (ValueError, TypeError, RuntimeError, t.TraitError) as error:
            self.problem.value = said_html(str(error), wrong=True)

    def wait(self, timeout: float | None = 120) -> bool:
        """Also until its views show what was asked for."""
        return super().wait(timeout) and all([part.wait(timeout) for part in self.parts])

    def close(self) -> None:
        for part in self.parts:
            part.close()
        super().close()


def _names_here(_job: Job) -> tuple[str, ...]:
    from explorer.widgets.panels.picker.finding import Filters, find_cards

    return tuple(card.name for card in find_cards(Filters(here=True)))


def _offer(menu: W.Dropdown, names: Sequence[str], shown: str) -> None:
    """These names and the one that is on the screen, chosen."""
    options = (*names, *([shown] if shown and shown not in names else []))
    if options != tuple(menu.options):
        menu.options = options
    menu.value = shown or None
