"""A graph as a chart to keep: a matplotlib Figure, whose text stays text in SVG and PDF."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from explorer.inspection.graph.placing import PICTURE, Layout, Placed, Wire, labels_of, lines_of

INCH = 90.0  # pixels of a layout in an inch of the figure
TEXT = 6.6   # points of a box's name: as wide as the layout has reckoned
INK, SOFT, SKIP = "#1f2328", "#6b7280", "#1976d2"
#: What a node does -> its colour: the same as on the page.
COLOURS = {
    "convolution": "#3b82f6", "normalisation": "#94a3b8", "activation": "#eab308", "pooling": "#f43f5e",
    "attention": "#a855f7", "linear": "#22c55e", "resampling": "#06b6d4", "operation": "#f97316",
    "data": INK,
}


def graph_figure(layout: Layout, pictures: Mapping[str, bytes] | None = None, *, title: str = ""
                 ) -> Any:
    """The drawing as a matplotlib Figure. Colours are those of what each node does; skip connections are
    blue.

    pictures: small PNGs for the boxes that have room for one, by the paths of their nodes
    """
    from matplotlib.figure import Figure

    wide, high = layout.width + 24, layout.height + 24
    figure = Figure(figsize=(max(wide / INCH, 1.0), max(high / INCH, 1.0)))
    place = figure.add_axes((0, 0, 1, 1))
    place.set(xlim=(-12, layout.width + 12), ylim=(layout.height + 12, -12))
    place.set_axis_off()
    for box in layout.boxes:
        _box(place, box, (pictures or {}).get(box.node.path) if box.pictured else None)
    # as before pictures
    place.set(xlim=(-12, layout.width + 12), ylim=(layout.height + 12, -12), aspect="auto")
    for wire in layout.wires:
        _wire(place, wire)
    for x, y, text in labels_of(layout.wires):
        place.text(x, y - 5, text, fontsize=0.8 * TEXT, color=SOFT, va="center", parse_math=False, zorder=4)
    figure.text(0.5, 1 + 6 / high, title, fontsize=10, ha="center", va="bottom", color=INK, parse_math=False)
    return figure


def _box(place: Any, box: Placed, picture: bytes | None) -> None:
    from matplotlib.patches import FancyBboxPatch

    node, colour = box.node, COLOURS.get(box.node.sort, "#8a8f98")
    style = {"boxstyle": "round,pad=0,rounding_size=5", "edgecolor": colour, "linewidth": 0.8}
    shifts = (5.0, 2.5, 0.0) if node.times > 1 and not box.opened else (0.0,)
    for shift in shifts:
        tint = _tint(colour, 0.05 if box.opened else 0.15)
        fill = "white" if shift else tint
        place.add_patch(FancyBboxPatch((box.x + shift, box.y + shift), box.width, box.height, facecolor=fill,
                                       zorder=1 if box.opened else 3, **style))
    lines = lines_of(node)
    if box.opened:
        place.text(box.x + 10, box.y + 13, "   ".join(lines), fontsize=TEXT, color=INK, va="center",
                   parse_math=False, zorder=4)
        return
    across = box.x + box.width / 2
    if picture is not None:
        top = box.y + (box.height - PICTURE) / 2
        place.imshow(_pixels(picture), extent=(box.x + 5, box.x + 5 + PICTURE, top + PICTURE, top), zorder=4,
                     interpolation="nearest")
        across += PICTURE / 2
    middle = box.y + box.height / 2 - 6.5 * (len(lines) - 1)
    for number, line in enumerate(lines):
        place.text(across, middle + 13 * number, line, ha="center", va="center", zorder=4,
                   fontsize=TEXT * (1.0 - 0.1 * number), color=SOFT if number else INK, parse_math=False,
                   weight="normal" if number else "bold")


def _wire(place: Any, wire: Wire) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x, y), *rest = wire.points
    corners, codes = [(x, y)], [Path.MOVETO]
    for a, b in rest:
        half = (y + b) / 2
        corners += [(x, half), (a, half), (a, b)]
        codes += [Path.CURVE4] * 3
        x, y = a, b
    place.add_patch(PathPatch(Path(corners, codes), fill=False, edgecolor=SKIP if wire.skips else SOFT,
                              linewidth=1.4 if wire.skips else 0.8, zorder=2))


def _pixels(picture: bytes) -> Any:
    from PIL import Image

    with Image.open(BytesIO(picture)) as opened:
        return opened.convert("RGB")


def _tint(colour: str, strength: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - one) for one in to_rgb(colour))
