"""What the model is made of: the graph of its modules, their tree, and what each of them gives."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.modules.given_panel import GivenPanel
from explorer.widgets.panels.modules.graph_panel import GraphPanel
from explorer.widgets.panels.modules.guide import TREE
from explorer.widgets.parts.tree import ModuleTree
from explorer.widgets.session import Session
from explorer.widgets.snippets import literal, model_lines

MOST_ROWS = 48  # in the exported table: as many levels as fit


class ModulesPanel(Panel):
    title = "Modules"
    draw_on = ("tree",)
    guide = TREE

    def __init__(self, session: Session):
        self.note = W.HTML()
        plain = self.note.layout                   # of all that always shows: each is a widget of its own
        self.tree = ModuleTree(layout=plain)
        self.graph, self.given = GraphPanel(session, self._in_graph), GivenPanel(session)
        self._shown = None
        beside = W.VBox([self.given, self.note, self.tree], layout=plain)
        beside.add_class("vx-modules-beside")
        self.columns = W.Box([self.graph, beside], layout=plain)
        self.columns.add_class("vx-modules")
        super().__init__(session, [self.columns])
        self.children = [self.columns]
        beside.children = [self.given, *self._bar(), self.note, self.tree]  # each with its own bar
        self.when(self.tree, self._in_tree, "selected")

    def seen(self, in_front: bool) -> None:
        with self.session.lock:
            for panel in (self.graph, self.given):
                panel.seen(in_front)
            super().seen(in_front)

    def wait(self, timeout: float | None = 120) -> bool:
        return all(panel.wait(timeout) for panel in (self.graph, self.given)) and super().wait(timeout)

    # --- what is selected, in the tree and in the graph -----------------------------------------------------

    def _in_tree(self) -> None:
        """A module was selected in the tree: the graph opens at it."""
        path = self.tree.selected  # None: what the graph has selected is no module
        here = self.graph.view.selected if self.graph.built else None
        if path is not None and here is not None and (path != module_of(here) or here and not path):
            self.graph.view.selected = path
            if path:
                self.graph.reveal(path)
            self._give(path)
        self.changed()

    def _in_graph(self) -> None:
        """A node was selected in the graph: the tree opens at its module, where it is one."""
        path = self.graph.view.selected
        module = module_of(path)
        if module != (self.tree.selected or "") and (not module or module in self.tree.paths):
            self.tree.selected = module or None
        self._give(path)

    def _give(self, path: str) -> None:
        drawn = self.graph.drawn
        self.given.choose(path, None if drawn is None else drawn.graph, self.graph.node(path))

    def forget(self) -> None:
        self.graph.close()
        self.given.close()

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


def module_of(path: str) -> str:
    """The dotted path of the module that a node of the graph is a call of; "" of an operation and so on."""
    return "" if "/" in path else path.partition(":")[0]
