"""All published models as points: how often they are right, against what they cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)
AXES = ("parameters", "macs")
MARKS = ("open", "second", "compared")  # each with a shape and an accent of its own


class ModelChart(ExplorerPart, files="model_chart", shares="plane"):
    """Top-1 against parameters or multiply-adds, a point a model.

        chart.load([("resnet50", 25_557_032, 4_089_184_256, 80.4, 224), ...])   # once
        chart.light(["resnet50"])                  # these are coloured, the others faint
        chart.mark({"resnet50": "open"})           # "open", "second" or "compared": a sign and the name
        chart.chosen = "resnet50"                  # a ring around it; "" for none
        chart.on_pick(lambda name: ...)            # a click, or Enter on the point that the keys reached

    ``axis`` is the reader's choice of what is counted from left to right. A model without that number is
    not drawn there. Names without a point are ignored, except by ``load``. All may be called from any thread.
    """

    _reader_traits = ("axis",)

    axis = t.Enum(AXES, AXES[0], help="what is counted from left to right").tag(sync=True)
    chosen = t.Unicode("", help="name of the model with a ring").tag(sync=True, echo_update=False)
    note = t.Unicode("", help="a sentence below the chart").tag(sync=True, echo_update=False)

    _models = t.Unicode("").tag(sync=True, echo_update=False)  # 30 kB: one string, sent once
    _lit = t.List(t.Int()).tag(sync=True, echo_update=False)
    _marks = t.List().tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._names: dict[str, int] = {}
        self._callbacks: list[Callable[[str], None]] = []
        super().__init__(**kwargs)

    def load(self, models: Iterable[tuple[str, int | None, int | None, float, int]]) -> None:
        """All points: (name, parameters, multiply-adds, top-1 in per cent, side of the photo in pixels)."""
        rows = [list(model) for model in models]
        with self._lock, self.hold_sync():
            if not self._closed:
                self._names = {row[0]: index for index, row in enumerate(rows)}
                self._lit, self._marks = list(range(len(rows))), []
                self._models = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def light(self, names: Iterable[str]) -> None:
        """Colour these models; the others become faint."""
        with self._lock:
            if not self._closed:
                self._lit = sorted({self._names[name] for name in names if name in self._names})

    def mark(self, kinds: Mapping[str, str]) -> None:
        """{name: one of MARKS}: these have a sign of their own, and their names beside them."""
        with self._lock:
            if not self._closed:
                self._marks = [[self._names[name], kind] for name, kind in kinds.items()
                               if name in self._names and kind in MARKS]

    def on_pick(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` for each choice of the reader, in the thread of the message."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        name = content.get("name")
        if not isinstance(name, str) or name not in self._names:
            log.warning("%r: there is no model %r", self, name)
            return
        for callback in list(self._callbacks):
            callback(name)

    def _release(self) -> None:
        self._names = {}
        self._callbacks.clear()
        self._models = ""

    def __repr__(self) -> str:
        return f"ModelChart({len(self._lit)} of {len(self._names)} models)"
