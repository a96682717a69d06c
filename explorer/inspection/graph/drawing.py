"""A graph as an inline SVG and as text.

Colours come from the page (`currentColor`), so that one drawing serves light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from explorer.display.words import counted
from explorer.inspection.graph.nodes import Node
from explorer.inspection.graph.placing import Layout, Placed, Wire, labels_of, lines_of

EDGE = 8.0  # pixels around the drawing


def svg(layout: Layout, spoken: str) -> str:
    """The drawing. spoken: what a screen reader says. All text is escaped."""
    width, height = layout.width + 2 * EDGE, layout.height + 2 * EDGE
    wires = "".join(f'<path d="{curve(wire)}"><title>{escape(told(wire))}</title></path>'
                    for wire in layout.wires)
    texts = "".join(f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
                    for x, y, text in labels_of(layout.wires))
    return (
        f'<svg viewBox="{-EDGE:.0f} {-EDGE:.0f} {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" style="max-width:100%;height:auto" role="img" aria-label="{escape(spoken)}" '
        'font-family="sans-serif">'
        f'{"".join(map(_box, layout.boxes))}'
        f'<g fill="none" stroke="currentColor" stroke-width="1.2" opacity=".6">{wires}</g>'
        f'<g fill="currentColor" fill-opacity=".75" font-size="9.5">{texts}</g></svg>'
    )


def _box(box: Placed) -> str:
    """A node: a module is a box, an operation a pill, a folded one has a second edge behind it."""
    node = box.node
    round_ = box.height / 2 if node.operation or node.path.startswith("/") else 4

    def outline(shift: float, strength: str) -> str:
        return (f'<rect x="{box.x + shift:.1f}" y="{box.y + shift:.1f}" width="{box.width:.1f}" '
                f'height="{box.height:.1f}" rx="{round_:.0f}" fill="currentColor" fill-opacity="{strength}" '
                'stroke="currentColor" stroke-opacity=".7"/>')

    behind = outline(3, "0") if node.times > 1 and not box.opened else ""
    x, first = (box.x + 8, box.y + 17) if box.opened else (box.x + box.width / 2, box.y + 15)
    anchor, texts = "start" if box.opened else "middle", []
    for number, line in enumerate(lines_of(node)[:1 if box.opened else 2]):
        style = ' font-weight="bold"' if number == 0 else ' fill-opacity=".8"'
        texts.append(f'<text x="{x:.1f}" y="{first + 14 * number:.1f}" font-size="{11.5 - number}" '
                     f'text-anchor="{anchor}" fill="currentColor"{style}>{escape(line)}</text>')
    return (f'<g data-path="{escape(node.path)}"><title>{escape(facts(node))}</title>{behind}'
            f'{outline(0, ".03" if box.opened else ".08")}{"".join(texts)}</g>')


def facts(node: Node) -> str:
    """All that is known of a node, in a line."""
    count = f"{node.times} of them in a chain, {counted(node.params, 'parameter')} each" if node.times > 1 \
        else counted(node.params, "parameter") if node.params else ""
    about = node.kind if node.kind != node.path else ""
    shape = f"gives {node.shape_text}" if node.shape_text else ""
    return " · ".join(filter(None, (node.path, about, node.settings, shape, count)))


def told(wire: Wire) -> str:
    """What goes through a wire, in words."""
    return f"{wire.edge.source} → {wire.edge.target}: {wire.edge.shape_text}"


def curve(wire: Wire) -> str:
    """A wire as the commands of an SVG path: straight down, or in a bow to the next layer."""
    (x, y), *rest = wire.points
    parts = [f"M{x:.1f} {y:.1f}"]
    for a, b in rest:
        half = (y + b) / 2
        bow = f"C{x:.1f} {half:.1f} {a:.1f} {half:.1f} {a:.1f} {b:.1f}"
        parts.append(f"V{b:.1f}" if abs(a - x) < 0.05 else bow)
        x, y = a, b
    return "".join(parts)


def text(rows: Iterable[tuple[int, Node, Sequence[str]]]) -> str:
    """Aligned lines. rows: of each node its depth, itself, and the names of those that it reads."""
    table = [("node", "kind", "output", "parameters", "reads")]
    for depth, node, reads in rows:
        times = f" × {node.times}" if node.times > 1 else ""
        kind = ", ".join(filter(None, (node.kind, node.settings)))
        same = node.operation or node.kind == node.name
        table.append(("  " * depth + node.name + times, "" if same else kind, node.shape_text,
                      f"{node.params * node.times:,}" if node.params else "", ", ".join(reads)))
    widths = [max(len(line[i]) for line in table) for i in range(5)]
    return "\n".join("  ".join(f"{cell:>{w}}" if i == 3 else f"{cell:<{w}}"
                               for i, (cell, w) in enumerate(zip(line, widths))).rstrip() for line in table)


