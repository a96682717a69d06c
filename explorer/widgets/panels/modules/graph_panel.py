"""The network as a drawing that opens: its blocks, branches and skip connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from explorer.display.words import counted, sentence_of
from explorer.widgets import export
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.modules.guide import GRAPH
from explorer.widgets.panels.modules.small_maps import gives_maps, small_maps
from explorer.widgets.panels.work import Work
from explorer.widgets.parts.graph_view import GraphView
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, model_lines

if TYPE_CHECKING:
    from explorer.inspection.graph.nodes import Node
    from explorer.inspection.graph.placing import Layout
    from explorer.inspection.graph.result import Graph

MOST = 600        # nodes of one level that are drawn, the first ones
MOST_DRAWN = 2000  # boxes at once: a block that would make it more stays closed


@dataclass(frozen=True)
class Drawn:
    """What is on the screen: a graph, the blocks that are open in it, and where all stands."""

    graph: Graph
    opened: tuple[str, ...]
    layout: Layout
    said: str = ""


class GraphPanel(Panel):
    title = "Graph"
    rests = True
    draw_on = ("tree", "look")
    guide = GRAPH

    def __init__(self, session: Session, picked: Callable[[], None]):
        """picked: called under the lock when another node is selected, `view.selected`."""
        self.picked = picked
        self.drawn: Drawn | None = None
        self._known: WeakKeyDictionary[Any, Drawn] = WeakKeyDictionary()  # of each model, as it was left
        self.pictures: Mapping[str, bytes] = {}  # those in the boxes, by the paths of the nodes
        self._of: ref | None = None          # the model whose drawing is shown, or is being made
        self._pictured: tuple | None = None  # the look, and the paths, whose pictures are shown
        super().__init__(session)
        self.add_class("vx-graph-panel")

    def make(self) -> None:
        self.view = GraphView(lock=self.session.lock)
        self.work = self.line(Work, long=False, sentence=partial(sentence_of, unexpected=UNEXPECTED))
        self.small = self.line()
        self.view.on_open(self.open_block)
        self.when(self.view, self.picked, "selected")
        self.fill([self.work.progress, self.work.message, self.view])

    # --- what is drawn --------------------------------------------------------------------------------

    def draw(self) -> None:
        session, model = self.session, self.session.model
        if session.tree is None or model is None:
            return
        if not self._follows:
            self._of, self.drawn, self._pictured, self.pictures = ref(model), None, None, {}
            for line in (self.work, self.small):  # what was asked of the former one
                line.drop()
            self.work.say("")
            self.view.selected = ""
            self.view.clear(" ")
            if (known := self._known.get(model)) is not None:
                self._show(model, known)
            else:
                self.work.start(partial(_begin, model), partial(self._show, model),
                                doing=f"Following one pass through {session.model_name}")
        elif self.drawn is not None:
            self._picture()

    @property
    def _follows(self) -> bool:
        """Whether it is about the model that is open; while it rests, another one may be."""
        return self._of is not None and self._of() is self.session.model

    def open_block(self, path: str, opened: bool = True) -> None:
        """Open a block, or close it with all that is open in it."""
        with self.session.lock:
            if self.drawn is None or not self._follows:
                return
            graph, before = self.drawn.graph, self.drawn.opened
            inside = {one for one in before if one == path or path in _around(graph, one)}
            paths = (*before, path) if opened else tuple(one for one in before if one not in inside)
            if not opened:  # the blocks around it stay as they are
                paths += tuple(one for one in _around(graph, path) if one and one not in paths)
            self._lay_out(paths, anchor=path)

    def node(self, path: str) -> Node | None:
        """What is known of a node: as it is drawn, folded perhaps, where it is."""
        if self.drawn is None or not self._follows:
            return None
        drawn = next((box.node for box in self.drawn.layout.boxes if box.node.path == path), None)
        return drawn or next((node for node in self.drawn.graph.nodes if node.path == path), None)

    def reveal(self, path: str) -> None:
        """Bring a node into sight, in the blocks around it; nothing where it is not drawn at all."""
        with self.session.lock:
            node = self.node(path)
            boxes = () if self.drawn is None else self.drawn.layout.boxes
            if node is None or node.idle or any(path in (box.node.path, *box.node.members) for box in boxes):
                return
            self._lay_out((*self.drawn.opened, *_around(self.drawn.graph, path)), anchor=path, reveal=True)

    def _lay_out(self, opened: tuple[str, ...], *, anchor: str, reveal: bool = False) -> None:
        """Lay it out anew, in the background: many boxes take a second."""
        model, drawn = self.session.model, self.drawn
        self.drawn = Drawn(drawn.graph, opened, drawn.layout, drawn.said)  # the next click counts from here
        self.work.start(partial(_laid_out, drawn.graph, opened, drawn),
                        partial(self._show, model, anchor=anchor, reveal=reveal))

    def _show(self, model: Any, drawn: Drawn, *, anchor: str = "", reveal: bool = False) -> None:
        self._known[model] = self.drawn = drawn
        self.work.say("")
        tied = {box.node.path for box in drawn.layout.boxes if box.opened} - set(drawn.opened)
        held = {path for one in drawn.opened for path in _around(drawn.graph, one)}
        self.view.show(drawn.layout, title=drawn.graph.model_name, said=drawn.said, fixed=tied - held,
                       anchor=anchor, reveal=reveal)
        self._pictured = None
        self._picture()
        self.changed()

    # --- small pictures in the boxes ------------------------------------------------------------------

    def _picture(self) -> None:
        """The strongest channel of what each drawn module gives for the photo, in the background."""
        session = self.session
        if session.look is None or self.drawn is None or not self._follows:
            return
        nodes = [box.node for box in self.drawn.layout.boxes if box.pictured]
        asked = session.look, frozenset(node.path for node in nodes)
        if asked == self._pictured:
            return
        self._pictured = asked
        self.small.start(partial(small_maps, session.model, session.image, nodes), self._show_pictures)

    def _show_pictures(self, found: Mapping[str, bytes]) -> None:
        self.pictures = found
        self.view.picture(found)

    def forget(self) -> None:
        self._known.clear()
        self.drawn = self._of = self._pictured = None
        self.pictures = {}

    # --- code and figure ------------------------------------------------------------------------------

    def code(self) -> str:
        if self.drawn is None or not self._follows:
            return ""
        lines = ["import explorer", "", *model_lines(self.session), "wiring = explorer.graph(model)"]
        options = {"open": list(self.drawn.opened)} if self.drawn.opened else {}
        opened = call("wiring.as_text", options=options)
        return "\n".join([*lines, f"print({opened})", "wiring  # its upper level as a drawing"])

    def figure(self) -> Any:
        from explorer.inspection.graph.chart import graph_figure

        if self.drawn is None or not self._follows:
            return None
        return graph_figure(self.drawn.layout, self.pictures, title=self.heading())

    def caption(self) -> str:
        if self.drawn is None or not self._follows:
            return super().caption()
        return f"{export.caption_of(self.session, photo=False)} {self.drawn.said}"


UNEXPECTED = "The graph could not be drawn ({problem})."


def _begin(model: Any, _job: Job) -> Drawn:
    from explorer.inspection.graph.asking import graph
    from explorer.inspection.graph.opening import first_sight

    wiring = graph(model)
    return _laid_out(wiring, first_sight(wiring), None, _job)


def _laid_out(wiring: Graph, opened: tuple[str, ...], before: Drawn | None, _job: Job) -> Drawn:
    """What is drawn with these blocks open; as before, and why, where that would be too much."""
    opened = tuple(dict.fromkeys(opened))
    layout = wiring.layout(opened, most=MOST, pictured=partial(gives_maps, wiring.input_shape[-2:]))
    if before is not None and len(layout.boxes) > max(MOST_DRAWN, len(before.layout.boxes)):
        why = (f"With that block open there would be {counted(len(layout.boxes), 'box', 'boxes')}: more than "
               f"{MOST_DRAWN:,} are not drawn. Close others first.")
        shown = tuple(one for one in before.opened)
        return Drawn(wiring, shown, before.layout, why)
    return Drawn(wiring, opened, layout, _said(wiring, layout))


def _said(wiring: Graph, layout: Layout) -> str:
    """How it came about, and what is left out."""
    how = "Followed through one pass"
    if wiring.measured_on != "meta":
        how += f" on {wiring.measured_on}, of a black photo: it can't be run without numbers"
    parts = [f"{how}; repeats are folded (× 6)." if any(box.node.times > 1 for box in layout.boxes)
             else f"{how}."]
    parents = [box.node.parent for box in layout.boxes]
    cut = [parent for parent in dict.fromkeys(parents) if parents.count(parent) == MOST]
    if cut:
        parts.append(f"Of {cut[0] or wiring.model_name} the first {MOST} nodes are drawn.")
    return " ".join(parts)


def _around(wiring: Graph, path: str) -> list[str]:
    """The blocks that a node lies in, the innermost first."""
    return [one for one in wiring.around(path) if one]
