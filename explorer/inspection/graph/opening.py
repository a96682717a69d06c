"""What a drawing shows at first: enough blocks opened to tell the story, few enough to be read."""

from __future__ import annotations

from collections.abc import Callable

from explorer.inspection.graph.result import Graph

MOST = 0.8   # of all parameters: a block that holds so many is opened, to see anything at all
SEVERAL = 14  # nodes of the upper levels, at most, that are opened to be seen
INSIDE = 40  # nodes of the block that is opened as an example, at most


def first_sight(graph: Graph) -> tuple[str, ...]:
    """Paths of the blocks that are open at first: upper levels as long as they are few nodes, and the first
    block with a skip connection or a branch in it, as an example of the others.
    """
    opened = _upper(graph)
    if any(_branches(graph, path) for path in ("", *opened)):
        return tuple(opened)
    example = _example(graph, "", _skips) or _example(graph, "", _branches)
    return (*opened, example) if example else tuple(opened)


def _upper(graph: Graph) -> list[str]:
    """Blocks of the upper levels, the one that holds most parameters first."""
    opened: list[str] = []
    shown = list(graph.folded().nodes)
    while True:
        blocks = [node for node in shown if node.opens and node.times == 1]
        largest = max(blocks, key=lambda node: node.params, default=None)
        if largest is None or largest.params < MOST * sum(node.params for node in shown):
            return opened
        below = graph.folded(largest.path).nodes
        if len(shown) + len(below) - 1 > SEVERAL:
            return opened
        opened.append(largest.path)
        shown = [node for node in shown if node is not largest] + list(below)


def _skips(graph: Graph, path: str) -> bool:
    return bool(graph.folded(path).skips)


def _branches(graph: Graph, path: str) -> bool:
    level = graph.folded(path)
    return bool(level.skips) or len({edge.target for edge in level.edges}) < len(level.edges)


def _example(graph: Graph, path: str, fits: Callable[[Graph, str], bool]) -> str:
    """The first block in this one, however deep, that fits and is no larger than is read; "" for none."""
    for node in graph.folded(path).nodes:
        if node.opens and len(graph.folded(node.path).nodes) <= INSIDE:
            if fits(graph, node.path):
                return node.path
            if found := _example(graph, node.path, fits):
                return found
    return ""
