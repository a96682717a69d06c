"""The nodes and edges of one opened block, and repeats folded.

A block's level holds what runs in it directly. An edge between two nodes that lie deeper, each in another
block, stands on the level on which their blocks meet, as an edge between these blocks; on the levels below it
is an entry or an exit. Blocks are nested as they call each other, so each runs from its beginning to its end
before its neighbour begins: no level has a circle, and the nodes of each are in the order in which they ran.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from explorer.inspection.graph.nodes import Edge, Node


@dataclass(frozen=True)
class Level:
    """One opened block. path: its own, "" for the network

    nodes:   what runs in it, in that order;  edges: between them
    entries: edges that come from outside, ending at its nodes; exits: those that leave from its nodes
    """

    path: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    entries: tuple[Edge, ...] = ()
    exits: tuple[Edge, ...] = ()

    @cached_property
    def skips(self) -> frozenset[tuple[str, str]]:
        """(source, target) of the skip connections: edges and entries beside a longer way between the two."""
        after: dict[str, list[str]] = {}
        for edge in (*self.edges, *self.entries):
            after.setdefault(edge.source, []).append(edge.target)
        place = {node.path: number for number, node in enumerate(self.nodes)}
        found = set()
        for source, targets in after.items():
            if len(targets) > 1:
                last = max(map(place.__getitem__, targets))
                waiting, seen = list(targets), set()
                while waiting:  # all that is reached by two steps or more
                    fresh = {one for one in after.get(waiting.pop(), ()) if place[one] <= last} - seen
                    seen |= fresh
                    waiting += fresh
                found |= {(source, one) for one in targets if one in seen}
        return frozenset(found)

    def first(self, count: int) -> Level:
        """Its first nodes alone, and the edges between them."""
        there = {node.path for node in self.nodes[:count]}
        return Level(self.path, self.nodes[:count],
                     tuple(edge for edge in self.edges if {edge.source, edge.target} <= there),
                     tuple(edge for edge in self.entries if edge.target in there),
                     tuple(edge for edge in self.exits if edge.source in there))


class Levels:
    """All levels of a network; the nodes that do nothing are left out, and the edges go on through them."""

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]):
        self.nodes = {node.path: node for node in nodes}
        self.children: dict[str, list[Node]] = {}
        for node in nodes:
            self.children.setdefault(node.parent, []).append(node)
        self._edges = edges

    def level(self, path: str) -> Level:
        """That of a block."""
        inside, entries, exits = (table.get(path, {}) for table in self._lifted)
        nodes = (node for node in self.children.get(path, ()) if not self.idle(node.path))
        return Level(path, tuple(nodes), *(tuple(Edge(source, target, shape) for (source, target), shape
                                                 in found.items()) for found in (inside, entries, exits)))

    def above(self, path: str) -> list[str]:
        """The blocks that a node lies in, from its own up to the network, ""."""
        found = []
        while path:
            path = self.nodes[path].parent
            found.append(path)
        return found

    def idle(self, path: str) -> bool:
        """Whether a node, and all in it, does nothing."""
        return self._idle[path]

    @cached_property
    def _idle(self) -> dict[str, bool]:
        """Of each node whether it, and all in it, does nothing."""
        found: dict[str, bool] = {}
        for path, node in reversed(self.nodes.items()):  # what is in a block began after it
            below = self.children.get(path, ())
            found[path] = all(found[one.path] for one in below) if below else node.idle
        return found

    @cached_property
    def _lifted(self) -> tuple[dict[str, dict[tuple[str, str], tuple[int, ...]]], ...]:
        """(edges, entries, exits) of all levels: block -> (source, target) -> shape."""
        inside, entries, exits = {}, {}, {}
        for edge in self._through_idle():
            sources, targets = self._line(edge.source), self._line(edge.target)
            meet = 0
            while sources[meet] == targets[meet]:
                meet += 1
            block = sources[meet - 1]
            inside.setdefault(block, {}).setdefault((sources[meet], targets[meet]), edge.shape)
            for block, node in zip(targets[meet:], targets[meet + 1:]):
                entries.setdefault(block, {}).setdefault((edge.source, node), edge.shape)
            for block, node in zip(sources[meet:], sources[meet + 1:]):
                exits.setdefault(block, {}).setdefault((node, edge.target), edge.shape)
        return inside, entries, exits

    def _line(self, path: str) -> list[str]:
        """From the network, "", down to a node."""
        return [*reversed(self.above(path)), path]

    def _through_idle(self) -> Iterable[Edge]:
        before: dict[str, set[str]] = {}
        for edge in self._edges:
            before.setdefault(edge.target, set()).add(edge.source)
        known: dict[str, frozenset[str]] = {}
        for path, node in self.nodes.items():  # sources began before
            if node.idle:
                known[path] = frozenset().union(*(known.get(one, {one}) for one in before.get(path, ())))
        for edge in self._edges:
            if edge.target not in known:
                for source in sorted(known.get(edge.source, {edge.source})):
                    yield replace(edge, source=source)


def fold(level: Level, signatures: Mapping[str, object], apart: Collection[str] = ()) -> Level:
    """The level with each chain of equal nodes as one, of which `times` and `members` tell.

    signatures: what equal nodes have in common; apart: nodes that must be seen themselves
    A chain: each gives all that it gives to the next, which gets nothing else.
    """
    follows = _only_followers(level)
    at = {node.path: node for node in level.nodes}
    runs: list[list[Node]] = []
    inside: set[str] = set()
    for node in level.nodes:
        if node.path in inside:
            continue
        run = [node]
        while (after := follows.get(run[-1].path)) and after not in apart \
                and signatures[after] == signatures[node.path]:
            run.append(at[after])
        inside |= {one.path for one in run}
        runs.append(run)
    name = {one.path: run[0].path for run in runs for one in run}
    nodes = tuple(replace(run[0], times=len(run), members=tuple(one.path for one in run))
                  if len(run) > 1 else run[0] for run in runs)
    edges = tuple(Edge(name[edge.source], name[edge.target], edge.shape) for edge in level.edges
                  if name[edge.source] != name[edge.target])
    exits = tuple(replace(edge, source=name[edge.source]) for edge in level.exits)
    return replace(level, nodes=nodes, edges=edges, exits=exits)


def _only_followers(level: Level) -> dict[str, str]:
    """Node -> the only one that reads it, where that reads nothing else."""
    after: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    for edge in level.edges:
        after.setdefault(edge.source, set()).add(edge.target)
        before.setdefault(edge.target, set()).add(edge.source)
    outside = {edge.source for edge in level.exits}
    fed = {edge.target for edge in level.entries}
    return {source: target for source, (target, *others) in after.items()
            if not others and source not in outside and target not in fed and len(before[target]) == 1}


def signatures_of(levels: Levels) -> dict[str, object]:
    """What makes two nodes equal: kind, settings, output, parameters, and all that is in them, in order."""
    found: dict[str, object] = {}
    numbers: dict[object, int] = {}  # equal signatures get one number, so that those above stay short
    for path, node in reversed(levels.nodes.items()):
        children = levels.children.get(path, ())
        below = tuple(found[one.path] for one in children if not levels.idle(one.path))
        settings = node.kernel, node.stride, node.groups
        own = node.kind, node.operation, settings, str(node.shape), node.params
        found[path] = numbers.setdefault((own, below), len(numbers))
    return found
