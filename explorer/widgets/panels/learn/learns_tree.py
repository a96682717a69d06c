"""Which modules learn and which are frozen, as a tree that is made when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W

from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.run_words import problem_text
from explorer.widgets.panels.work import said_html
from explorer.widgets.parts.tree import ModuleTree


def empty_with_flags(model: Any) -> Any:
    """A copy without numbers, so that nobody's weights are touched, whose same parameters may learn."""
    from explorer.models.surgery.inside import empty_copy

    empty = empty_copy(model)
    for mine, theirs in zip(empty.parameters(), model.parameters()):
        mine.requires_grad_(theirs.requires_grad)
    return empty


class LearnsTree(W.Accordion):
    """A shut drawer with a module tree; frozen modules are grey.

    `refresh` when `model()` would give another one.

    model: gives the network whose parameters are frozen or not, or None; asked in the background. Its weights
           are left alone: it may be learning
    """

    def __init__(self, panel: Panel, title: str, model: Callable[[], Any]):
        self.tree, self.note = ModuleTree(), W.HTML()
        self._model, self._shown = model, None
        self.work = panel.line(failed=self._failed)
        super().__init__([W.VBox([self.note, self.tree])], titles=(title,), selected_index=None)
        panel.when(self, self._opened, "selected_index")

    def _opened(self) -> None:
        if self.selected_index is not None:
            self.work.start(self._measure, self._draw)

    def refresh(self) -> None:
        """Draw anew, if it is open; otherwise that is done when it is opened."""
        if self.selected_index is None:
            self._shown = None
        self._opened()

    def _measure(self, _job: Job) -> tuple[Any, tuple[bool, ...], Any]:
        """(the model, which of its parameters learn, its tree); None for no model, or a known one."""
        from explorer.inspection.look.modules import module_tree

        model = self._model()
        flags = tuple(p.requires_grad for p in model.parameters()) if model is not None else ()
        known = self._shown is not None and self._shown[0] is model and self._shown[1] == flags
        return model, flags, None if model is None or known else module_tree(empty_with_flags(model))

    def _draw(self, found: tuple[Any, tuple[bool, ...], Any]) -> None:
        model, flags, root = found
        if model is None:
            self.note.value = '<span class="vx-soft">There is no model yet.</span>'
        elif root is not None:
            self.tree.show(root.rows(), title=model.config.architecture)
            self._shown = model, flags
            learn = f"{root.trainable:,} of {root.params:,} parameters learn"
            frozen = "Grey modules are frozen: they stay as they are."
            self.note.value = f'<span class="vx-soft">{learn}. {frozen}</span>'

    def _failed(self, error: BaseException) -> None:
        self.note.value = said_html(problem_text(error))
