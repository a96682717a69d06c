"""A network as a drawing that opens: boxes, wires between them, small pictures in the boxes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

import traitlets as t

from explorer.inspection.graph.drawing import curve, facts, told
from explorer.inspection.graph.placing import Layout, Placed, Wire, labels_of, lines_of

from .base import ExplorerPart

log = logging.getLogger(__name__)


class GraphView(ExplorerPart, files="graph_view"):
    """Boxes in their places. A click (or Enter) selects one, its + or a double click (Enter, Escape) opens
    and closes a block; wheel with Ctrl, buttons and keys zoom; a pointer that drags the ground moves it.

    ``selected``: the path of the selected node, "" for none; it may be one that is not drawn at the moment.
    ``show``, ``picture`` and ``say`` may be called from any thread.
    """

    _reader_traits = ("selected",)

    selected = t.Unicode("", help="path of the selected node; empty for none").tag(sync=True)

    _drawing = t.Dict().tag(sync=True, echo_update=False)
    _pictures = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[str, bool], None]] = []
        self._boxes: dict[str, bool] = {}  # of each node that is drawn, whether it can be opened or closed
        super().__init__(**kwargs)

    def show(self, layout: Layout, *, title: str = "", said: str = "", fixed: Collection[str] = (),
             anchor: str = "", reveal: bool = False) -> None:
        """Draw a layout.

        title: of the whole;  said: a line below it;  fixed: paths of opened blocks that can't be closed
        anchor: the node that keeps its place on the screen;  reveal: it is brought into sight instead
        """
        drawing = {
            "title": title, "said": said, "width": layout.width, "height": layout.height, "anchor": anchor,
            "reveal": reveal, "boxes": [_box_facts(box, fixed) for box in layout.boxes],
            "wires": _wire_facts(layout), "labels": [list(label) for label in labels_of(layout.wires)],
        }
        with self._lock:
            if not self._closed:
                self._boxes = {one["path"]: one["opens"] for one in drawing["boxes"]}
                self._drawing = drawing

    def clear(self, message: str = "") -> None:
        """Draw nothing, and say why."""
        with self._lock:
            if not self._closed:
                self._boxes, self._pictures = {}, {}
                self._drawing = {"boxes": [], "message": str(message)}

    def picture(self, pictures: Mapping[str, bytes]) -> None:
        """Put small PNGs into the boxes, {path of the node: picture}, in place of those before."""
        sizes = [len(data) for data in pictures.values()]
        with self._lock:
            if not self._closed:
                data = b"".join(pictures.values())
                self._pictures = {"paths": list(pictures), "sizes": sizes, "data": data}

    def on_open(self, callback: Callable[[str, bool], None]) -> None:
        """Call ``callback(path, opened)`` when the reader opens a block, or closes one."""
        self._callbacks.append(callback)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The paths of the nodes that are drawn."""
        return tuple(self._boxes)

    @t.validate("selected")
    def _of_a_node(self, proposal):
        if proposal["value"] and self._chosen is not None and proposal["value"] not in self._boxes:
            raise t.TraitError(f"No node {proposal['value'][:80]!r} is drawn.")
        return proposal["value"]

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "open":
            return super()._on_message(kind, content, buffers)
        path, opened = content.get("path"), content.get("opened")
        if not isinstance(path, str) or not isinstance(opened, bool) or not self._boxes.get(path):
            log.warning("%r: there is no block %r to open", self, path)
            return
        for callback in list(self._callbacks):
            callback(path, opened)

    def _release(self) -> None:
        self._callbacks.clear()
        self._boxes, self._drawing, self._pictures = {}, {}, {}

    def __repr__(self) -> str:
        return f"GraphView({len(self._boxes)} nodes)"


def _box_facts(box: Placed, fixed: Collection[str]) -> dict[str, Any]:
    node, (name, *about) = box.node, lines_of(box.node)
    return {
        "path": node.path, "parent": node.parent, "sort": node.sort, "x": round(box.x, 1),
        "y": round(box.y, 1), "width": round(box.width, 1), "height": round(box.height, 1),
        "depth": box.depth, "name": name, "about": "".join(about[:1]), "facts": facts(node),
        "times": node.times, "members": node.members, "opened": box.opened,
        "opens": node.opens and node.path not in fixed,
        "pictured": box.pictured,
    }


def _wire_facts(layout: Layout) -> list[dict[str, Any]]:
    tops = {box.node.path: box.y for box in layout.boxes if not box.opened}

    def ends(wire: Wire) -> bool:
        """Whether it ends at what reads it, and not at the edge of a block around that."""
        return abs(tops.get(wire.edge.target, -1.0) - wire.points[-1][1]) < 0.1

    return [{"source": wire.edge.source, "target": wire.edge.target, "d": curve(wire), "told": told(wire),
             "from": round(wire.points[0][1], 1), "to": round(wire.points[-1][1], 1),
             "skips": wire.skips, "end": [round(x, 1) for x in wire.points[-1]] if ends(wire) else None}
            for wire in layout.wires]
