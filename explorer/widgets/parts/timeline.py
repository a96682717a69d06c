"""The families of models by year: one small square a family; the stacks are the history of the field."""

from __future__ import annotations

import json
from collections.abc import Iterable

import traitlets as t

from .base import ExplorerPart


class FamilyTimeline(ExplorerPart, files="timeline"):
    """Families by year; a click (or Enter) on a square selects its family, a second one lets go of it.

    ``selected`` is the name of the selected family, "" for none; a name that is not shown raises
    ``TraitError``. Hovering or moving with the arrow keys tells a family's title and idea below. ``show``
    and ``light`` may be called from any thread.
    """

    _reader_traits = ("selected",)

    selected = t.Unicode("", help="name of the selected family, empty for none").tag(sync=True)

    _families = t.Unicode("").tag(sync=True, echo_update=False)  # one string, sent once
    _lit = t.List(t.Int()).tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._names: dict[str, int] = {}
        super().__init__(**kwargs)

    def show(self, families: Iterable[tuple[str, str, int, str, int]]) -> None:
        """Show ``families``: (name, title, year, the idea in a sentence, number of models) of each."""
        rows = sorted(([str(name), str(title), int(year), str(idea), int(count)]
                       for name, title, year, idea, count in families), key=lambda row: row[2])
        with self._lock:
            if self._closed:
                return
            self._names = {row[0]: index for index, row in enumerate(rows)}
            if self.selected not in self._names:
                self.selected = ""
            self._lit = list(range(len(rows)))
            self._families = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    def light(self, names: Iterable[str]) -> None:
        """Fill the squares of these families; the others become hollow.
        Names that are not shown are ignored.
        """
        with self._lock:
            if not self._closed:
                self._lit = sorted({self._names[name] for name in names if name in self._names})

    @t.validate("selected")
    def _known(self, proposal):
        if proposal["value"] and proposal["value"] not in self._names:
            name, count = proposal["value"], len(self._names)
            raise t.TraitError(f"No family {name!r} on this timeline of {count} families.")
        return proposal["value"]

    def _release(self) -> None:
        self._names = {}
        self._families = ""

    def __repr__(self) -> str:
        return f"FamilyTimeline({len(self._names)} families)"
