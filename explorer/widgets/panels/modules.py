"""The module tree: what the model is made of."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.tree import ModuleTree
from explorer.widgets.session import Session
from explorer.widgets.snippets import literal, model_lines

MOST_ROWS = 48  # in the exported table: as many levels as fit


class ModulesPanel(Panel):
    name = "Modules"
    draw_on = ("tree",)
    guide = """
        <p><b>What you see.</b> The modules that the model is made of, as PyTorch nests them: how many
        numbers each holds (its parameters), the shape of what comes out for one photo, and how many
        multiply-adds that takes. A multiply-add is two floating-point operations (FLOPs); convolutions,
        matrix products and attention are counted, the small rest is not.</p>
        <p><b>What it does not prove.</b> Fewer parameters or operations do not make a model faster: memory
        traffic and the hardware decide as much (<a href="https://arxiv.org/abs/1807.11164">Ma and others,
        2018: ShuffleNet V2</a>). Each of these numbers alone can put two models into the opposite order (<a
        href="https://arxiv.org/abs/2110.12894">Dehghani and others, 2022: The Efficiency Misnomer</a>).
        Where much of the model lies is not where the answer is made.</p>"""

    def __init__(self, session: Session):
        self.tree = ModuleTree()
        self.note = W.HTML()
        self._shown = None
        super().__init__(session, [self.note, self.tree])
        self.tree.observe(self._picked, "selected")

    def _picked(self, _change=None) -> None:
        self.changed()

    def draw(self) -> None:
        tree = self.session.tree
        if tree is None or tree is self._shown:
            return
        self._shown = tree
        self.tree.show(tree.rows(), title=self.session.model_name)
        work = "not measured" if tree.flops is None else f"{tree.multiply_adds / 1e9:.2f} G"
        text = (f"{tree.params:,} parameters, {tree.trainable:,} trainable; {work} multiply-adds for one "
                "photo. Click a module to copy its name.")
        self.note.value = f'<span class="vx-soft">{text}</span>'

    # --- code and figure ---

    def code(self) -> str:
        if self.session.tree is None:
            return ""
        lines = ["import explorer", "", *model_lines(self.session)]
        if self.tree.selected:
            lines.append(f"model.get_submodule({literal(self.tree.selected)})  # the selected module")
        return "\n".join([*lines, "explorer.module_tree(model)"])

    def figure(self) -> Any:
        tree = self.session.tree
        if tree is None:
            return None
        rows = [[f"{'    ' * depth}{node.name}", node.kind, f"{node.params:,}", node.shape_text,
                 "" if node.flops is None else f"{node.multiply_adds / 1e6:,.1f}"]
                for depth, node in self._levels()]
        return export.table_figure(["module", "class", "parameters", "output", "million multiply-adds"], rows,
                                   title=self.heading(), right=(2, 4))

    def _levels(self) -> list[tuple[int, Any]]:
        """(depth, node) of the upper levels, as many as fit; one at least below the model itself."""
        tree, kept = self.session.tree, []
        everything = [(0 if not node.path else node.path.count(".") + 1, node) for node in tree.walk()]
        for deepest in range(1, max(depth for depth, _ in everything) + 2):
            shown = [(depth, node) for depth, node in everything if depth <= deepest]
            if kept and len(shown) > MOST_ROWS:
                break
            kept = shown
        return kept[:4 * MOST_ROWS]

    def caption(self) -> str:
        tree = self.session.tree
        if tree is None:
            return super().caption()
        kept, total = len(self._levels()), sum(1 for _ in tree.walk())
        part = f"The upper {kept} of {total} modules." if kept < total else f"All {total} modules."
        shape = " × ".join(map(str, tree.input_shape or ()))
        size = f" Output and multiply-adds for an input of {shape}." if shape else ""
        parts = export.caption_of(self.session, photo=False)
        return f"{parts} {part}{size} A multiply-add is two floating-point operations (FLOPs)."
