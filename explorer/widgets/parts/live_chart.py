"""Curves that grow while they are watched: loss, accuracy, learning rates.

Only new points travel, ten times a second at most, in one message for all curves; a page that comes late or
is reloaded asks for the whole and gets it. Scale, smoothing, legend and reading values are the browser's
work alone.
"""

from __future__ import annotations

import logging
import threading
import time
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import traitlets as t

from explorer.display.words import counted

from .base import ExplorerPart

log = logging.getLogger(__name__)
GAP = 0.1           # seconds between two messages, at least
MOST_POINTS = 8192  # of one curve; beyond it the curve is thinned to a half, keeping its peaks
MOST_CURVES = 32


class LiveChart(ExplorerPart, files="live_chart"):
    """Named curves of (x, y).
    ``push``, ``extend``, ``flush``, ``finish``, ``replace`` and ``clear``: from any thread.

        chart = LiveChart(title="Loss", x_label="epoch")
        chart.push(0.5, {"learning": 1.2, "judged": 1.3})
        chart.finish()

    ``unit``: "number" or "percent" (then y is a share, 0..1). ``x_end``: how far the x axis reaches at least.
    ``marks``: (x, text) of vertical lines. ``log``, ``smooth`` and ``hidden`` (names) are the reader's, and
               can be set too; ``switches`` says which of the first two the page offers.
    """

    _reader_traits = ("log", "smooth", "hidden")

    title = t.Unicode("", help="what is drawn; also what a screen reader calls it").tag(sync=True)
    x_label = t.Unicode("", help="what x counts").tag(sync=True)
    unit = t.Enum(["number", "percent"], "number", help="percent: y is a share, 0 to 1").tag(sync=True)
    height = t.Int(220, min=80, max=1200, help="of the plot, in pixels").tag(sync=True)
    x_end = t.Float(0.0, help="the x axis reaches so far at least").tag(sync=True)
    switches = t.List(t.Enum(["log", "smooth"]), default_value=["log", "smooth"]).tag(sync=True)
    log = t.Bool(False, help="logarithmic y axis").tag(sync=True)
    smooth = t.Bool(False, help="a moving mean over curves of many points").tag(sync=True)
    hidden = t.List(t.Unicode(), help="names of the curves that the reader has switched off").tag(sync=True)
    marks = t.List(help="(x, text) of vertical lines").tag(sync=True)
    empty = t.Unicode("No points yet.", help="what stands there before the first point").tag(sync=True)

    # All points: built only when somebody asks for the whole state.
    _points = t.Any(None, allow_none=True).tag(
        sync=True, to_json=lambda _value, self: self._whole(), from_json=lambda _value, _self: None)

    def __init__(self, **kwargs):
        self._numbers = threading.Lock()   # guards the points; held for microseconds
        self._sending = threading.RLock()  # keeps messages in the order of their points
        self._curves: dict[str, array] = {}  # x0, y0, x1, y1, ... as float32
        self._sent: dict[str, int] = {}      # points of each that are on the wire
        self._generation = 0                 # counts up whenever points change that were sent before
        self._last = 0.0
        super().__init__(**kwargs)

    @t.validate("marks")
    def _pairs(self, proposal):
        try:
            return [[float(x), str(text)] for x, text in proposal["value"]]
        except (TypeError, ValueError):
            raise t.TraitError(f"marks are pairs (x, text), not {proposal['value']!r}.") from None

    # --- points in ---

    def push(self, x: float, values: Mapping[str, float]) -> None:
        """Add one point to each curve named in ``values``; a new name begins a curve.
        Cheap unless a send is due.
        """
        self._add((name, (x, y)) for name, y in values.items())
        if time.monotonic() - self._last >= GAP:
            self.flush()

    def extend(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        """Add many points to one curve; ``flush`` sends them."""
        self._add([(name, [number for point in points for number in point])])

    def _add(self, pieces: Iterable[tuple[str, Iterable[float]]]) -> None:
        with self._numbers:
            for name, numbers in pieces:
                if name not in self._curves and len(self._curves) >= MOST_CURVES:
                    raise ValueError(f"A chart of more than {MOST_CURVES} curves can't be read: "
                                     f"{name!r} is one too many.")
                curve = self._curves.setdefault(str(name), array("f"))
                curve.extend(numbers)
                if len(curve) > 2 * MOST_POINTS:
                    self._curves[name] = thin(curve, MOST_POINTS // 2)
                    self._generation += 1

    def flush(self) -> None:
        """Send the points that the page has not got yet."""
        with self._sending:
            if self._closed:
                return
            with self._numbers:
                self._last = time.monotonic()
                if self._sent.get("", 0) != self._generation:  # what the page holds is out of date
                    whole, heads, chunk = True, [], b""
                else:
                    whole = False
                    new = {name: self._sent.get(f" {name}", 0) for name in self._curves}
                    lengths = {name: len(self._curves[name]) // 2 for name in new}
                    heads = [[name, start, lengths[name] - start] for name, start in new.items()
                             if lengths[name] > start]
                    chunk = b"".join(self._curves[name][2 * start:].tobytes() for name, start, _ in heads)
                    for name, start, count in heads:
                        self._sent[f" {name}"] = start + count
            if whole:
                self.send_state("_points")
            elif heads:
                message = {"kind": "points", "generation": self._generation, "curves": heads}
                self.send(message, buffers=[chunk])

    def finish(self) -> None:
        """Send what is left, and then the whole as state, for notebooks that are saved without a browser."""
        with self._sending:
            self.flush()
            if not self._closed:
                self.send_state("_points")

    def replace(self, curves: Mapping[str, Iterable[tuple[float, float]]]) -> None:
        """Show these curves and no others."""
        with self._numbers:
            self._curves = {}
            self._generation += 1
        for name, points in curves.items():
            self.extend(name, points)
        self.flush()

    def clear(self) -> None:
        """Take all curves and marks away."""
        self.replace({})
        if not self._closed:
            self.marks = []

    # --- points out ---

    @property
    def names(self) -> tuple[str, ...]:
        """The curves, in the order in which they began."""
        with self._numbers:
            return tuple(self._curves)

    def points(self, name: str) -> list[tuple[float, float]]:
        """What the chart holds of a curve, as float32; thinned where it was long.
        Raises KeyError for an unknown one.
        """
        with self._numbers:
            numbers = self._curves[name].tolist()
        return list(zip(numbers[::2], numbers[1::2]))

    def _whole(self) -> dict[str, Any]:
        with self._numbers:
            data = b"".join(curve.tobytes() for curve in self._curves.values())
            sizes = [len(curve) // 2 for curve in self._curves.values()]
            # What is in here need not be sent again;
            # a message that was on its way repeats it, which is harmless.
            sent = {f" {name}": size for name, size in zip(self._curves, sizes)}
            self._sent = {"": self._generation, **sent}
            return {"names": list(self._curves), "sizes": sizes, "generation": self._generation,
                    "data": data or None}

    def _on_message(self, kind, content, buffers) -> None:
        if kind == "resync":  # the page has missed a message
            self.send_state("_points")
        else:
            super()._on_message(kind, content, buffers)

    def _release(self) -> None:
        with self._numbers:
            self._curves, self._sent = {}, {}

    def __repr__(self) -> str:
        with self._numbers:
            count = len(self._curves)
        return f"LiveChart({self.title!r}, {counted(count, 'curve')})"


def thin(curve: array, points: int) -> array:
    """About ``points`` of a curve's points:
    of each piece the lowest and the highest one, in their order, and both ends.

    So a short spike of the loss does not vanish, as it would from a mean or from every n-th point.
    """
    count = len(curve) // 2
    pieces = max(1, (points - 2) // 2)
    if count <= points:
        return curve[:]
    kept = array("f", curve[:2])
    for piece in range(pieces):
        start, stop = 1 + piece * (count - 2) // pieces, 1 + (piece + 1) * (count - 2) // pieces
        heights = curve[2 * start + 1:2 * stop:2]
        places = range(len(heights))
        low, high = min(places, key=heights.__getitem__), max(places, key=heights.__getitem__)
        for i in sorted({low, high}):
            kept.extend(curve[2 * (start + i):2 * (start + i) + 2])
    kept.extend(curve[-2:])
    return kept
