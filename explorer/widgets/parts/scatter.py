"""Points on a plane, to look at and choose from: photos on a map, or networks by speed and accuracy."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Sequence

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
MOST_POINTS = 20_000
SHAPES = ("circle", "square", "triangle", "diamond", "down", "plus", "cross", "star")


class Scatter(ExplorerPart, files="scatter", shares="plane"):
    """Points with names, in the colours and shapes of their groups.

        scatter = Scatter(title="Models", x_label="photos a second", log_x=True, y_label="top-1",
                          y_unit="percent", names=True)
        scatter.show(x, y, labels=names, groups=[0, 1, 0], group_names=["ResNet", "ViT"], line=front)
        scatter.on_pick(lambda index: ...)   # a click, or Enter on the point that the arrow keys reached
        scatter.on_hover(lambda index: ...)  # with pictures=True: the page wants a picture of this point ...
        scatter.picture(index, jpeg_bytes)   # ... and gets it, now or later, from any thread

    Points are given once; pictures travel one at a time, when somebody looks at a point, and the page keeps
    them.

    ``selected``: the chosen point, -1 for none. ``marked``: points with a ring, e.g. the neighbours of the
    chosen one. ``hidden``: names of the groups that the reader has switched off in the legend. ``names``:
    write the points' names beside them, where there is room (for a few dozen points). ``ticks``: numbers
    along the axes, or none, where they mean nothing. ``x_unit``, ``y_unit``: "percent" where values are
    shares, 0 to 1. ``log_x``, ``log_y``: logarithmic axes; values of 0 or less are not drawn there.
    ``equal``: one step is as long on both axes, as on a map.

    The reader zooms with Ctrl and the wheel, the buttons or + and -, drags the plane, and goes from point to
    point with the arrow keys. ``show`` and ``picture`` may be called from any thread.
    """

    _reader_traits = ("selected", "hidden")

    title = t.Unicode("", help="what is drawn; also what a screen reader calls it").tag(sync=True)
    x_label = t.Unicode("", help="below the plot").tag(sync=True)
    y_label = t.Unicode("", help="beside the plot").tag(sync=True)
    x_unit = t.Enum(["number", "percent"], "number", help="percent: x is a share, 0 to 1").tag(sync=True)
    y_unit = t.Enum(["number", "percent"], "number", help="percent: y is a share, 0 to 1").tag(sync=True)
    log_x = t.Bool(False, help="logarithmic x axis").tag(sync=True)
    log_y = t.Bool(False, help="logarithmic y axis").tag(sync=True)
    equal = t.Bool(False, help="the same scale on both axes").tag(sync=True)
    ticks = t.Bool(True, help="numbers along the axes").tag(sync=True)
    names = t.Bool(False, help="names beside the points").tag(sync=True)
    pictures = t.Bool(False, help="ask for a picture of a point that is looked at").tag(sync=True)
    height = t.Int(420, min=120, max=1600, help="of the plot, in pixels").tag(sync=True)
    empty = t.Unicode("No points yet.", help="what stands there before the first point").tag(sync=True)
    selected = t.Int(-1, min=-1, help="number of the chosen point, -1 for none").tag(sync=True)
    marked = t.List(t.Int(), help="numbers of points with a ring").tag(sync=True)
    hidden = t.List(t.Unicode(), help="names of the groups that the reader has switched off").tag(sync=True)

    _points = t.Dict().tag(sync=True, echo_update=False)

    @t.validate("selected")
    def _a_point(self, proposal):
        if proposal["value"] >= len(self):
            raise t.TraitError(f"There is no point {proposal['value']}: the plane has {len(self)}.")
        return int(proposal["value"])

    def __init__(self, **kwargs):
        self._callbacks: dict[str, list] = {"pick": [], "hover": []}
        self._generation = 0
        super().__init__(**kwargs)

    def show(
        self, x: Sequence[float], y: Sequence[float], *, labels: Sequence[str], groups: Sequence[int] = (),
        group_names: Sequence[str] = (), sizes: Sequence[float] = (), shapes: Sequence[str] = (),
        line: Sequence[int] = (),
    ) -> None:
        """Show these points and no others; nothing is chosen then, and every group is shown.

        x, y:   where each lies; a point that is not finite is not drawn
        labels: its name;  groups: number of its group, all 0 without;  group_names: the legend, empty for
                none
        sizes:  its radius in pixels, 5 without;  shapes: one of `SHAPES` each; without, each group has its
                own
        line:   numbers of points that a line joins, in that order, e.g. a Pareto front

        Raises ValueError for lists of unlike lengths, an unknown shape, or a number that is no point's or
        group's.
        """
        count = len(x)
        for what, values in (("y", y), ("labels", labels), ("groups", groups), ("sizes", sizes),
                             ("shapes", shapes)):
            if len(values) != count and not (what in ("groups", "sizes", "shapes") and not len(values)):
                raise ValueError(f"{len(values)} {what} do not fit {count} points: give one for each.")
        if count > MOST_POINTS:
            raise ValueError(f"{count:,} points are more than a page can draw: show {MOST_POINTS:,} of them.")
        groups = [int(group) for group in groups]
        limit = len(group_names) or max(groups, default=0) + 1
        if any(not 0 <= group < limit for group in groups):
            wrong = next(group for group in groups if not 0 <= group < limit)
            raise ValueError(f"A group has the number {wrong}: there are 0 to {limit - 1}.")
        if unknown := [shape for shape in shapes if shape not in SHAPES]:
            raise ValueError(f"Unknown shape {unknown[0]!r}: expected one of {', '.join(SHAPES)}.")
        line = [int(index) for index in line]
        if any(not 0 <= index < count for index in line):
            raise ValueError(f"The line goes through a point that is not there: there are 0 to {count - 1}.")
        with self._lock:
            if self._closed:
                return
            self._generation += 1
            with self.hold_sync():
                self.selected, self.marked, self.hidden = -1, [], []
                self._points = {
                    "generation": self._generation, "labels": [str(label) for label in labels],
                    "names": [str(name) for name in group_names], "line": line,
                    "x": array("f", map(float, x)).tobytes(), "y": array("f", map(float, y)).tobytes(),
                    "groups": array("H", groups).tobytes(), "sizes": array("f", map(float, sizes)).tobytes(),
                    "shapes": bytes(SHAPES.index(shape) for shape in shapes),
                }

    def __len__(self) -> int:
        return len(self._points.get("labels", ()))

    def __bool__(self) -> bool:
        return True  # a view without points is one

    def mark(self, selected: int, marked: Sequence[int] = ()) -> None:
        """Choose a point (-1: none) and put rings around others; nothing is picked by this."""
        with self._lock:
            if not self._closed:
                self.selected, self.marked = selected, [int(index) for index in marked]

    def on_pick(self, callback) -> None:
        """Call ``callback(index)`` for each choice of the reader,
        in the thread that the kernel handles messages in.
        """
        self._callbacks["pick"].append(callback)

    def on_hover(self, callback) -> None:
        """Call ``callback(index)`` when the page wants a picture of a point; answer with ``picture``."""
        self._callbacks["hover"].append(callback)

    def picture(self, index: int, data: bytes) -> None:
        """Send the picture of a point: the bytes of a small JPEG or PNG, none where there is no picture."""
        with self._lock:
            if not self._closed:
                self.send({"kind": "picture", "index": index, "generation": self._generation}, buffers=[data])

    def _on_message(self, kind, content, buffers) -> None:
        if kind not in ("pick", "hover"):
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self):
            log.warning("%r: there is no point %r", self, index)
            return
        if content.get("generation") != self._generation:  # of the points before these
            return
        if kind == "pick":
            self._choose("selected", index)
        for callback in list(self._callbacks[kind]):
            callback(index)

    def _release(self) -> None:
        self._callbacks = {"pick": [], "hover": []}
        self._points = {}

    def __repr__(self) -> str:
        return f"Scatter({self.title!r}, {len(self)} points)"
