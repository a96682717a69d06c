"""Where the nodes of a graph stand: each opened block is a box around its own drawing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from explorer.inspection.graph.layered import ACROSS, Box, Point, layered
from explorer.inspection.graph.levels import Level
from explorer.inspection.graph.nodes import Edge, Node

BOLD, LETTER = 8.2, 7.2  # pixels that a letter of a name takes, and one of what it is, about: 12 px high
PAD, HEAD = 12.0, 26.0  # around what an opened block holds; above it, for its name
LONGEST = 44   # letters of a line in a box
PICTURE = 36.0  # the side of a small picture in a box, in pixels
SMALL = 6.9    # pixels that a letter of a shape beside a wire takes, about
ENTRY, EXIT = "/entry", "/exit"  # where wires enter and leave an opened block: "/" begins no module's name


@dataclass(frozen=True)
class Placed:
    """A node in its place: x, y of the upper left corner, width and height, in pixels.

    depth: how many opened blocks are around it;  opened: whether its own inside is drawn
    pictured: whether there is room for a small picture at its left
    """

    node: Node
    x: float
    y: float
    width: float
    height: float
    depth: int = 0
    opened: bool = False
    pictured: bool = False


@dataclass(frozen=True)
class Wire:
    """An edge in its place: the points that it runs through, from top to bottom.

    enters: whether it is the part of an edge from the top of an opened block to a node in it
    skips:  whether there is a longer way from the one to the other beside it
    """

    edge: Edge
    points: tuple[Point, ...]
    enters: bool = False
    skips: bool = False


@dataclass(frozen=True)
class Layout:
    """What is seen of a graph, in pixels: boxes, outer ones before what is in them, and the wires between."""

    width: float = 0.0
    height: float = 0.0
    boxes: tuple[Placed, ...] = ()
    wires: tuple[Wire, ...] = ()

    def moved(self, x: float, y: float) -> Layout:
        """The same, further to the right and down, one box deeper."""
        boxes = (replace(box, x=box.x + x, y=box.y + y, depth=box.depth + 1) for box in self.boxes)
        wires = (replace(wire, points=tuple((a + x, b + y) for a, b in wire.points)) for wire in self.wires)
        return Layout(self.width, self.height, tuple(boxes), tuple(wires))


def lines_of(node: Node) -> list[str]:
    """What stands in a node's box: its name, and of a module the class and settings."""
    name = node.name + (f"  × {node.times}" if node.times > 1 else "")
    about = "" if node.operation or node.kind == node.name else ", ".join(filter(None, (node.kind,
                                                                                      node.settings)))
    return [line if len(line) <= LONGEST else f"{line[:LONGEST - 1]}…" for line in (name, about) if line]


def text_widths(node: Node) -> list[float]:
    """How wide each of a node's lines is, in pixels, about."""
    return [letter * len(line) for letter, line in zip((BOLD, LETTER), lines_of(node), strict=False)]


def closed_box(node: Node, pictured: bool = False) -> Box:
    """How large the box of a closed node is. pictured: with a small picture at the left

    Its neighbour stands so far away that the shape below it, which begins at its middle, ends before that
    one's begins.
    """
    widths, shape = text_widths(node), SMALL * len(node.shape_text)
    width, height = max(36.0, max(widths) + 16, shape + 4 - ACROSS), 6.0 + 15.0 * len(widths)
    return Box(width + PICTURE + 4, max(height, PICTURE + 8)) if pictured else Box(width, height)


def labels_of(wires: Iterable[Wire]) -> list[tuple[float, float, str]]:
    """(x, y, text) of each tensor's shape, once a box, beside where its wires begin."""
    found: dict[Point, str] = {}
    for wire in wires:
        if wire.edge.shape_text and not wire.enters:
            found.setdefault(wire.points[0], wire.edge.shape_text)
    return [(x + 4, y + 13, text) for (x, y), text in found.items()]


def placed(path: str, opened: Collection[str], level_of: Callable[[str], Level],
           pictured: Callable[[Node], bool] = lambda node: False) -> Layout:
    """The drawing of a block's inside.

    level_of: gives the level of each block that is opened, folded;  pictured: whose box has a picture in it
    """
    return _inside(level_of(path), opened, level_of, pictured, over=(0.0, 0.0))[0]


def _inside(level: Level, opened: Collection[str], level_of: Callable[[str], Level],
            pictured: Callable[[Node], bool], *, over: tuple[float, float]) -> tuple[Layout, float, float]:
    """(the drawing of a level, x at which its entries come in, and at which its exits leave).

    over: how far its entries and exits reach over the top and the bottom
    """
    drawings: dict[str, tuple[Layout, float]] = {}
    boxes = {ENTRY: Box(0.0, 0.0)} if level.entries else {}
    for node in level.nodes:
        box = closed_box(node, pictured(node))
        if node.opens and node.path in opened:
            drawing, enters, leaves = _inside(level_of(node.path), opened, level_of, pictured,
                                              over=(HEAD, PAD))
            named = sum(text_widths(node)) + 2 * LETTER + 2 * PAD
            left = max(PAD, named - enters)  # the wires come in behind the name
            middle = (left + drawing.width + PAD) / 2
            drawings[node.path] = drawing, left
            box = Box(2 * middle, HEAD + drawing.height + PAD, left + enters - middle, left + leaves - middle)
        boxes[node.path] = box
    if level.exits:
        boxes[EXIT] = Box(0.0, 0.0)
    edges = {(edge.source, edge.target): edge for edge in level.edges}
    edges |= {(ENTRY, edge.target): edge for edge in reversed(level.entries)}
    edges |= {(edge.source, EXIT): edge for edge in reversed(level.exits)}
    found = layered(boxes, list(edges))
    inside = {node.path for node in level.nodes}
    skips = {(source if source in inside else ENTRY, target) for source, target in level.skips}

    standing, wires = [], []
    for key, points in found.wires.items():
        above = [(points[0][0], -over[0])] if key[0] == ENTRY and over[0] else []
        below = [(points[-1][0], found.height + over[1])] if key[1] == EXIT and over[1] else []
        wires.append(Wire(edges[key], (*above, *points, *below), enters=key[0] == ENTRY, skips=key in skips))
    for node in level.nodes:
        x, y = found.corners[node.path]
        box, inner = boxes[node.path], drawings.get(node.path)
        standing.append(Placed(node, x, y, box.width, box.height, opened=inner is not None,
                               pictured=inner is None and pictured(node)))
        if inner is not None:
            drawing, left = inner
            drawing = drawing.moved(x + left, y + HEAD)
            standing += drawing.boxes
            wires += drawing.wires
    middle = found.width / 2
    width = max([found.width, *(x + SMALL * len(text) for x, _, text in labels_of(wires))])
    return (Layout(width, found.height, tuple(standing), tuple(wires)),
            found.corners.get(ENTRY, (middle, 0.0))[0], found.corners.get(EXIT, (middle, 0.0))[0])
