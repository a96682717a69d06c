"""What is done with the model whose card is shown: it is opened, put beside the first one, compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.panels.work import said_html
from explorer.widgets.session import Session


class Actions(W.VBox):
    """Four buttons about one model, and why one of them did not do what it says.

    problem: where that is said; its layout is that of the rest
    done:  called when the reader's wish is fulfilled, or on its way to where it shows
    shown: whether the reader sees this, so that a problem may be said here
    """

    def __init__(self, session: Session, problem: W.HTML, *, done: Callable[[], None],
                 shown: Callable[[], bool]):
        self.session, self._done, self._shown = session, done, shown
        self.name = self.listed = ""  # whose card is shown: the set of weights, and as a comparison calls it
        self._waits, self._before = False, None  # a model was asked for here, in place of that one
        self.problem, auto = problem, problem.layout
        self.open_trained = W.Button(button_style="primary", layout=auto)
        style = self.open_trained.style
        self.open_random, self.compare = (W.Button(style=style, layout=auto) for _ in range(2))
        self.put_beside = W.Button(description="Put beside the first", style=style, layout=auto,
                                   tooltip="A second model, with trained weights: both follow every photo")
        self.open_random.description = "Open with random weights"
        buttons = W.Box([self.open_trained, self.open_random, self.put_beside, self.compare], layout=auto)
        for button in buttons.children:
            button.add_class("vx-open")
        buttons.add_class("vx-line")
        super().__init__([buttons, self.problem], layout=auto)
        self.open_trained.on_click(lambda _: self.open_model(pretrained=True))
        self.open_random.on_click(lambda _: self.open_model(pretrained=False))
        self.put_beside.on_click(lambda _: self._put_beside())
        self.compare.on_click(lambda _: self.toggle(self.listed))

    def about(self, name: str, *, listed: str, published: bool, here: bool) -> None:
        """The card that is shown now; no one's for "".

        name:   with the tag of the weights, where there are some
        listed: as the models to compare call it, and as random weights are asked for
        """
        self.name, self.listed = name, listed
        for button in (self.open_random, self.compare):
            button.disabled = not name
        self.open_trained.disabled = self.put_beside.disabled = not published
        self.open_trained.description = (
            "Open" if not name else "No trained weights are published" if not published else
            "Open with trained weights" if here else "Download trained weights and open")
        self.show_toggle()

    # --- opening ---

    def open_best(self) -> None:
        """With trained weights, where some are published."""
        self.open_model(pretrained=not self.open_trained.disabled)

    def open_model(self, *, pretrained: bool) -> None:
        with self.session.lock:
            if wanted := self.name if pretrained else self.listed:
                self._waits, self._before = True, self.session.model
                self.session.open_model(wanted, pretrained=pretrained)

    def open_own(self, model: Any) -> None:
        """A network that was trained here."""
        with self.session.lock:
            self._waits, self._before = True, self.session.model
            self.session.open_model(model)

    def _put_beside(self) -> None:
        with self.session.lock:
            if self.name == self.session.beside:  # once more, after it could not be opened
                self.session.beside = None
            self.session.beside = self.name
            self._done()

    def see_what_became(self) -> None:
        """Where what was asked for here is there: done; or say by the buttons why it is not."""
        wrong = self.session.error
        if not wrong:
            self.problem.value = ""
        there = self.session.model is not self._before
        if self._waits and (wrong or there):
            self._waits, self._before = False, None
            if there:
                self._done()
            elif self._shown():
                self.problem.value = said_html(wrong, wrong=True)

    def forget(self) -> None:
        self._before = None

    # --- comparing ---

    def toggle(self, name: str) -> None:
        """Take a model into the comparison, or out of it."""
        if not name:
            return
        try:
            self.session.toggle_compare(name)
        except t.TraitError as error:  # full, by now
            self.problem.value = said_html(str(error))

    def show_toggle(self) -> None:
        ticked, full = self.listed in self.session.compare, len(self.session.compare) >= MAX_COMPARED
        self.compare.icon = "check" if ticked else ""
        add = f"{MAX_COMPARED} models are compared already" if full else "Add to compare"
        self.compare.description = "Remove from compare" if ticked else add
        self.compare.disabled = not self.listed or full and not ticked
