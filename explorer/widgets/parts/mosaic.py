"""A stage's feature maps as a grid of small pictures, one a channel.

The browser gets one byte a value and, for each channel, its lowest and highest value: enough to draw with
any colour map and on any scale, and to read every value back to 1/508 of the channel's range, without asking
Python again. 256 channels of 56 x 56 are 800 kB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import traitlets as t

from explorer.display.draw import as_maps
from explorer.display.words import counted

from .base import ExplorerPart

log = logging.getLogger(__name__)

MAX_BYTES = 1_000_000   # what one view sends at most: beyond it the weaker channels stay behind
MAX_CHANNELS = 4096     # more small pictures than this help nobody
MAX_SIDE = 112          # larger maps are averaged in blocks
LEVELS = 254            # codes 0..254 hold values
NOT_FINITE = 255        # the last code says "NaN or infinite here"


class FeatureMosaic(ExplorerPart, files="mosaic"):
    """Feature maps on one canvas; the reader sorts, recolours, reads values and enlarges a channel.

    ``show`` and ``clear`` may be called from any thread. ``selected`` (the enlarged channel, -1 for none),
    ``sort``, ``scale`` and ``colormap`` can be set, observed and linked like any trait. ``selected`` outlives
    ``show``: the same channel of the next photo is enlarged again, or none if it is not among those shown.
    """

    _reader_traits = ("sort", "scale", "colormap", "selected")

    sort = t.Enum(["channel", "strength"], "channel", help="order of the pictures").tag(sync=True)
    scale = t.Enum(["own", "shared"], "own", help="colours from each channel's own range, or from one "
                   "range for all").tag(sync=True)
    colormap = t.Enum(["viridis", "magma", "grey", "coolwarm"], "viridis",
                      help="coolwarm is centred on zero").tag(sync=True)
    selected = t.Int(-1, min=-1, help="number of the enlarged channel, -1 for none").tag(sync=True)

    room = t.Int(430, min=50, help="pixels that all pictures may be high together, where there are few enough"
                 ).tag(sync=True)

    # Everything `show` sends, as one trait: one message, and the page never sees half of it.
    _maps = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[int, int, int], None]] = []
        super().__init__(**kwargs)

    def on_cell(self, callback: Callable[[int, int, int], None]) -> None:
        """Call ``callback(channel, row, column)`` for a cell of the enlarged channel that the reader clicks,
        in the thread of the message; of averaged cells the first.
        """
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "cell":
            return super()._on_message(kind, content, buffers)
        place = [content.get(name) for name in ("channel", "row", "column")]
        high, wide = self._maps.get("full", (0, 0))
        known = all(isinstance(at, int) and not isinstance(at, bool) and at >= 0 for at in place)
        if not known or place[1] >= high or place[2] >= wide or place[0] >= 1 << 31:
            log.warning("%r: there is no such cell", self)
            return
        for callback in list(self._callbacks):
            callback(*place)

    def show(self, maps, *, title: str = "", total: int | None = None, channels=None) -> None:
        """Draw ``maps``, a numpy array [C, H, W] of real numbers.

        ``channels``: the true number of each map where ``maps`` is a selection (default 0..C-1), ``total``:
        how many channels the stage has. Of more than about 1 MB the strongest channels are sent, in channel
        order (strength = mean absolute activation); maps above 112 a side are averaged in blocks. ``note``
        says so. Raises ``ValueError`` for another shape or kind of array.
        """
        message = pack(maps, title=title, total=total, channels=channels)
        self._put(message)

    def clear(self, message: str = "") -> None:
        """Show no maps, and ``message`` in their place."""
        self._put({"count": 0, "message": str(message)})

    def _put(self, message: dict) -> None:
        with self._lock:
            if not self._closed:            # a worker may finish after the view is gone
                self._maps = message

    def _release(self) -> None:
        self._callbacks.clear()
        self._maps = {}

    @property
    def shown_channels(self) -> int:
        """How many channels are shown; fewer than there are where the weaker ones were left out."""
        return self._maps.get("count", 0)

    @property
    def step(self) -> int:
        """Each pixel is the mean of step x step values; 1 where nothing is averaged."""
        return self._maps.get("step", 1)

    @property
    def note(self) -> str:
        """What is shown, in words: how many channels, their size, what was left out."""
        return self._maps.get("note", "")

    def __repr__(self) -> str:
        shown = self._maps
        if not shown.get("count"):
            return "FeatureMosaic(empty)"
        return f"FeatureMosaic({shown['title']!r}, {shown['count']} channels of {shown['size']})"


def pack(maps, *, title: str = "", total: int | None = None, channels=None) -> dict:
    """The message that draws ``maps`` [C, H, W]: small facts, and little-endian binary buffers.

    ``data`` uint8 [C, H, W], ``lo``, ``hi``, ``strength`` float32 [C], ``channels`` int32 [C]. A value is
    ``lo + code / 254 * (hi - lo)``, and code 255 stands for a value that is not finite.
    """
    maps = as_maps(maps)
    given, height, width = maps.shape
    channels = _channel_numbers(channels, given)
    total = given if total is None else int(total)
    if total <= channels.max():
        raise ValueError(f"total={total} channels, but channel {channels.max()} is among those to show.")

    finite = None if np.isfinite(maps.min()) and np.isfinite(maps.max()) else np.isfinite(maps)
    not_finite = 0 if finite is None else int(maps.size - np.count_nonzero(finite))
    strength = _strength(maps, finite)

    step = -(-max(height, width) // MAX_SIDE)                        # 1 when nothing is averaged
    rows, columns = -(-height // step), -(-width // step)
    count = min(given, max(1, min(MAX_CHANNELS, MAX_BYTES // (rows * columns))))
    if count < given:
        keep = np.sort(np.argsort(-strength, kind="stable")[:count])
        maps, strength, channels = maps[keep], strength[keep], channels[keep]
    if step > 1:
        maps = block_means(maps, step)                              # [C, H, W] -> [C, H/step, W/step]
    data, lo, hi = quantise(maps)

    size = f"{height} × {width}"
    return {
        "count": count, "height": rows, "width": columns, "step": step, "full": [height, width],
        "title": str(title), "size": size, "notFinite": not_finite,
        "note": _note(count, given, total, size, step, not_finite),
        "data": data.tobytes(),
        "lo": lo.astype("<f4").tobytes(),
        "hi": hi.astype("<f4").tobytes(),
        "strength": strength.astype("<f4").tobytes(),
        "channels": channels.astype("<i4").tobytes(),
    }


def quantise(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float maps [C, H, W] -> (codes uint8 [C, H, W], lo float32 [C], hi float32 [C]).

    ``lo`` and ``hi`` are the channel's finite extremes; both are NaN in a channel with no finite value.
    """
    lo, hi = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    finite = None
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        finite = np.isfinite(maps)
        empty = ~finite.any(axis=(1, 2))
        lo = np.where(finite, maps, np.inf).min(axis=(1, 2))
        hi = np.where(finite, maps, -np.inf).max(axis=(1, 2))
        lo[empty] = hi[empty] = 0
        maps = np.where(finite, maps, lo[:, None, None])
    # Halves, so that the span of -3e38 .. 3e38 is still a float32.
    half = hi / 2 - lo / 2
    flat = half < 1e-30                                              # LEVELS / half would overflow
    factor = np.where(flat, 0, LEVELS / np.where(flat, 1, half)).astype(np.float32)
    codes = np.rint((maps / 2 - lo[:, None, None] / 2) * factor[:, None, None]).astype(np.uint8)
    if finite is not None:
        codes[~finite] = NOT_FINITE
        lo[empty] = hi[empty] = np.nan
    return codes, lo.astype(np.float32), hi.astype(np.float32)


def _channel_numbers(channels, given: int) -> np.ndarray:
    if channels is None:
        return np.arange(given)
    channels = np.asarray(channels)
    if channels.shape != (given,) or channels.dtype.kind not in "iu" or channels.min() < 0 \
            or len(np.unique(channels)) != given:
        raise ValueError(f"channels must be {given} different numbers from 0 upwards, one for each map.")
    return channels


def _strength(maps: np.ndarray, finite: np.ndarray | None) -> np.ndarray:
    """Mean absolute activation of each channel over its finite values, float32 [C]."""
    if finite is None:
        # Sums of large numbers overflow float32, means of them do not have to.
        return np.abs(maps).mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    sums = np.where(finite, np.abs(maps), 0).sum(axis=(1, 2), dtype=np.float64)
    return (sums / np.maximum(finite.sum(axis=(1, 2)), 1)).astype(np.float32)


def block_means(maps: np.ndarray, step: int) -> np.ndarray:
    """Means of step x step blocks; a block at the edge is the mean of what there is of it.

    A block with a value that is not finite is not finite either: it is marked, not averaged away.
    """
    height, width = maps.shape[1:]
    top, left = np.arange(0, height, step), np.arange(0, width, step)
    with np.errstate(invalid="ignore", over="ignore"):               # inf - inf is a NaN, as it should be
        sums = np.add.reduceat(np.add.reduceat(maps, top, axis=1), left, axis=2)
    rows = np.diff(np.append(top, height))
    columns = np.diff(np.append(left, width))
    return sums / (rows[:, None] * columns).astype(np.float32)


def _note(count: int, given: int, total: int, size: str, step: int, not_finite: int) -> str:
    if count < given == total:
        text = f"showing the {count} strongest of {total} channels"
    elif count < total:
        text = f"showing {count} of {total} channels"
    else:
        text = counted(count, "channel")
    text += ", one value each" if size == "1 × 1" else f", {size} values each"
    if step > 1:
        text += f"; each pixel is the mean of {step} × {step} values"
    if not_finite:
        text += (f"; {counted(not_finite, 'value')} not finite (NaN or infinite), "
                 "drawn in magenta")
    return text
