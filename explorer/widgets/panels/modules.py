"""The module tree: what the model is made of."""

from __future__ import annotations

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.tree import ModuleTree
from explorer.widgets.session import Session


class ModulesPanel(Panel):
    draw_on = ("tree",)

    def __init__(self, session: Session):
        self.tree = ModuleTree()
        self.note = W.HTML()
        self._shown = None
        super().__init__(session, [self.note, self.tree])

    def draw(self) -> None:
        tree = self.session.tree
        if tree is None or tree is self._shown:
            return
        self._shown = tree
        self.tree.show(tree.rows(), title=self.session.model_name)
        flops = "not measured" if tree.flops is None else f"{tree.flops / 1e9:.2f} G"
        self.note.value = (
            f'<span class="vx-soft">{tree.params:,} parameters, {tree.trainable:,} trainable; {flops} floating-point '
            "operations for one photo. Click a module to copy its name.</span>"
        )
