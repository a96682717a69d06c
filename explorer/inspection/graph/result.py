"""The graph of a network, which shows itself in a notebook: `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape

from explorer.arguments import shown
from explorer.display.html import LINE, RichRepr, title_html
from explorer.display.words import counted, did_you_mean
from explorer.inspection.graph import drawing
from explorer.inspection.graph.levels import Level, Levels, fold, signatures_of
from explorer.inspection.graph.nodes import INPUT, OUTPUT, Edge, Node
from explorer.inspection.graph.placing import Layout, placed
from explorer.inspection.look.measuring import shape_text

MOST = 200  # nodes of a level that a notebook's drawing shows


@dataclass(eq=False, repr=False)
class Graph(RichRepr):
    """What flows where in a network, for one input: calls of modules, operations between them, and tensors.

    model_name:  what it is called
    nodes:       in the order in which they began: blocks, the modules in them, operations, photo, answers
    edges:       between those that hold no others, by views and copies, which are no nodes
    input_shape: with the batch, e.g. (1, 3, 224, 224)
    measured_on: "meta", where no number was computed, or the real device where the network can't run on it
    """

    model_name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    input_shape: tuple[int, ...]
    measured_on: str = "meta"

    def find(self, path: str) -> Node:
        """The node at a path. Raises ValueError, with the nearest, for another."""
        node = self._levels.nodes.get(path) if isinstance(path, str) else None
        if node is None:
            hint = did_you_mean(path, self._levels.nodes) if isinstance(path, str) else ""
            raise ValueError(f"path is {shown(path)}: expected that of a node among the {len(self.nodes)} of "
                             f"{self.model_name}.{hint}")
        return node

    def children(self, path: str = "") -> tuple[Node, ...]:
        """What runs directly in a block, in that order; "" is the network. None in what holds no others.

        Raises ValueError for a path that there is not.
        """
        if not isinstance(path, str) or path:
            self.find(path)
        return tuple(self._levels.children.get(path, ()))

    def around(self, path: str) -> tuple[str, ...]:
        """The blocks that a node lies in, the innermost first; () of one in the network itself.

        Raises ValueError for a path that there is not.
        """
        return tuple(self._levels.above(self.find(path).path)[:-1])

    def level(self, path: str = "") -> Level:
        """A block, opened: what runs directly in it, and the edges between, lifted to that level.

        Modules that do nothing, such as Identity, are left out: the edges go on through them. Raises
        ValueError for a path that there is not.
        """
        self.children(path)
        return self._levels.level(path)

    def folded(self, path: str = "", apart: Collection[str] = ()) -> Level:
        """`level` with each chain of equal blocks as one node, whose `times` says how many they are.

        Equal: of one class, with the same settings, output, parameters, and the same in them.
        apart: paths of those that begin a node of their own
        """
        return fold(self.level(path), self._signatures, frozenset(self._paths(apart, "apart")))

    def layout(self, open: Iterable[str] = (), *, most: int | None = None,
               pictured: Callable[[Node], bool] = lambda node: False) -> Layout:
        """Where each node is drawn, in pixels, and the wires between them, repeats folded.

        open: paths of blocks that are drawn with what is in them; the blocks that they lie in are opened too,
              and so is a block that is all there is on a level. A module that holds no others is brought into
              sight
        most: nodes of a level that are drawn, the first ones; None: all
        pictured: whether a node's box has room for a small picture; by default none has
        Only opened levels are laid out. Raises ValueError for a path that there is not.
        """
        opened = self._opened(open)

        def level_of(path: str) -> Level:
            level = self.folded(path, opened)
            return level if most is None or len(level.nodes) <= most else level.first(most)

        return placed("", opened, level_of, pictured)

    def as_text(self, open: Iterable[str] = ()) -> str:
        """What is drawn, as aligned lines: node, kind, output, parameters, and what it reads."""
        opened = self._opened(open)

        def rows(path: str, depth: int) -> Iterator[tuple[int, Node, list[str]]]:
            level = self.folded(path, opened)
            names = {node.path: node.name for node in level.nodes}
            reads: dict[str, list[str]] = {node.path: [] for node in level.nodes}
            for edge in level.edges:
                reads[edge.target].append(names[edge.source])
            for edge in level.entries:
                reads[edge.target].append(edge.source.removeprefix("/"))
            for node in level.nodes:
                yield depth, node, reads[node.path]
                if node.path in opened:
                    yield from rows(node.path, depth + 1)

        return f"{self.model_name}: {self._facts}\n{drawing.text(rows('', 0))}"

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return f"Graph({self.model_name}: {self._facts})"

    def _repr_html_(self) -> str:
        """The top level, repeats folded."""
        level, note = self.folded(max(self._opened(()), key=len, default="")), ""
        if len(level.nodes) > MOST:
            note = (f"<p style='{LINE}'>The first {MOST} of {len(level.nodes):,} nodes; .level() and "
                    ".layout() have all.</p>")
        picture = drawing.svg(self.layout(most=MOST), f"{self.model_name}: {self._facts}")
        return (f"<div>{title_html(self.model_name)}<p style='{LINE}'>{escape(self._facts)}</p>"
                f"{note}<div style='overflow:auto'>{picture}</div></div>")

    # --- parts ----------------------------------------------------------------------------------------

    @property
    def _facts(self) -> str:
        blocks = sum(node.opens for node in self.nodes)
        calls = sum(not node.operation and not node.opens for node in self.nodes) - 2
        where = "" if self.measured_on == "meta" else f", as it ran on {self.measured_on}"
        return (f"{counted(calls, 'call')} of modules in {counted(blocks, 'block')}, "
                f"{counted(len(self.edges), 'edge')}, for an input of {shape_text(self.input_shape)}{where}")

    @cached_property
    def _levels(self) -> Levels:
        return Levels(self.nodes, self.edges)

    @cached_property
    def _signatures(self) -> dict[str, object]:
        return signatures_of(self._levels)

    def _paths(self, given: Iterable[str], argument: str) -> list[str]:
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) or hasattr(given, "dtype"):
            raise TypeError(f"{argument} is {shown(given)}: expected a list of paths, such as "
                            f"[{self.nodes[1].path!r}].")
        return [self.find(path).path for path in given]

    def _opened(self, given: Iterable[str]) -> frozenset[str]:
        found = set()
        for path in self._paths(given, "open"):
            found |= {path, *self._levels.above(path)} - {""}
        path = ""
        while True:  # a block that is all there is
            nodes = [node for node in self._levels.level(path).nodes if node.path not in (INPUT, OUTPUT)]
            if len(nodes) != 1 or not nodes[0].opens:
                return frozenset(found)
            path = nodes[0].path
            found.add(path)
