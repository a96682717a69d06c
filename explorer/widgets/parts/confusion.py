"""A confusion matrix to click into: rows are true classes, columns what they were taken for.

The page gets the cells that are not zero, and picks out of them what fits on a screen: of a thousand
classes the most confused ones first, in pages, with all the others summed up in one more row and column. So
no photo is hidden.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
ANY, OTHERS = -1, -2  # in a picked cell: every class; the classes that are not on this page

#: Called with (true classes, predicted classes) of a cell, as indices; None stands for all.
Pick = Callable[[tuple[int, ...] | None, tuple[int, ...] | None], None]


class ConfusionMatrix(ExplorerPart, files="confusion"):
    """Counts as text, shares as colour.
    ``on_pick`` calls back for a cell, a row's or a column's name, or a pair below.


    share:  colours are shares of the photos of a class ("true"), or of the answers with its name
            ("predicted")
    order:  "given", "photos" (most first) or "confused" (the most confused pairs first)
    picked: the marked cell: [] or [true, predicted] with -1 for all classes, -2 for those not on the page
    things: what is counted, in the plural; shares: cells say a share of their row, for counts of millions
    opens:  whether a click on a cell picks it

    ``show`` may be called from any thread.
    """

    _reader_traits = ("share", "order")

    share = t.Enum(["true", "predicted"], "true", help="what the colours are shares of").tag(sync=True)
    order = t.Enum(["confused", "photos", "given"], "given", help="which classes come first").tag(sync=True)
    picked = t.List(t.Int(min=OTHERS), help="the marked cell, [] for none").tag(sync=True)

    things = t.Unicode("photos", help="what is counted, in the plural").tag(sync=True)
    shares = t.Bool(False, help="whether cells say a share of their row, not a count").tag(sync=True)
    opens = t.Bool(True, help="whether a click on a cell picks it").tag(sync=True)

    _table = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._classes: tuple[str, ...] = ()
        self._callbacks: list[Pick] = []
        super().__init__(**kwargs)

    @t.validate("picked")
    def _a_cell(self, proposal):
        cell = proposal["value"]
        if len(cell) not in (0, 2) or any(index >= len(self._classes) for index in cell):
            raise t.TraitError("A cell is [] or [true, predicted] with indices below "
                               f"{len(self._classes)}, not {cell}.")
        return cell

    def show(self, classes: Sequence[str], matrix: Any) -> None:
        """Show counts: matrix [K, K] of whole numbers, rows true, columns predicted.

        Up to 24 classes come in their order, more with the most confused first. Raises ValueError for
        another shape.
        """
        counts = np.asarray(matrix)
        if counts.shape != (len(classes), len(classes)) or counts.dtype.kind not in "iu":
            shape = f"[{len(classes)}, {len(classes)}]"
            raise ValueError(f"Expected whole numbers of shape {shape}, one row a class, got {counts.dtype} "
                             f"of shape {list(counts.shape)}.")
        rows, columns = counts.nonzero()
        cells = np.stack([rows, columns, counts[rows, columns]], 1).tolist()
        used = len({*rows.tolist(), *columns.tolist()})
        message = json.dumps({"classes": list(map(str, classes)), "cells": cells}, ensure_ascii=False,
                             separators=(",", ":"))
        with self._lock:
            if not self._closed:
                self.picked = []
                self._classes = tuple(map(str, classes))
                self.order = "given" if used <= 24 else "confused"
                self._table = message

    def clear(self) -> None:
        """Show nothing."""
        with self._lock:
            if not self._closed:
                self.picked, self._classes, self._table = [], (), ""

    def mark(self, true: int, predicted: int) -> None:
        """Mark a cell; nothing is picked by this."""
        with self._lock:
            if not self._closed:
                self.picked = [true, predicted]

    def on_pick(self, callback: Pick) -> None:
        """Call ``callback(true, predicted)`` for each pick,
        in whichever thread the kernel handles messages in.
        """
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        true, predicted, cell = content.get("true"), content.get("predicted"), content.get("cell")
        with self._lock:  # or another table comes between the check and the mark
            a_pair = isinstance(cell, list) and len(cell) == 2
            if not (self._indices(true) and self._indices(predicted) and a_pair
                    and all(type(one) is int and OTHERS <= one < len(self._classes) for one in cell)):
                log.warning("%r: there is no such cell to pick", self)
                return
            self.picked = cell
        for callback in list(self._callbacks):
            callback(*(None if one is None else tuple(one) for one in (true, predicted)))

    def _indices(self, given: Any) -> bool:
        """Whether this is None, or a list of some of the classes, each once."""
        return given is None or (isinstance(given, list) and 0 < len(given) <= len(self._classes)
                                 and all(type(one) is int and 0 <= one < len(self._classes) for one in given)
                                 and len(set(given)) == len(given))

    def _release(self) -> None:
        self._callbacks, self._classes, self._table = [], (), ""

    def __repr__(self) -> str:
        return f"ConfusionMatrix({len(self._classes)} classes)"
