"""How widgets end.
ipywidgets keeps every one in its registry, with its layout and its style, until somebody closes it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets as W


def close_whole(*roots: W.Widget) -> None:
    """Close widgets with all that belongs to them: what they hold, shown or not, layouts and styles;
    the inner ones first.
    """
    for widget in reversed(tuple(_belonging(roots))):
        widget.close()


def _belonging(roots: tuple[W.Widget, ...]) -> Iterator[W.Widget]:
    """The widgets and all that are reached from them by traits, attributes and plain containers;
    each once.
    """
    seen: set[int] = set()
    waiting: list[Any] = list(reversed(roots))
    while waiting:
        found = waiting.pop()
        if id(found) in seen or not isinstance(found, W.Widget | dict | list | tuple):
            continue
        seen.add(id(found))
        if isinstance(found, W.Widget):
            yield found
            waiting += vars(found).values()  # its traits' values too
        else:
            waiting += found.values() if isinstance(found, dict) else found


class Replaced:
    """Things that a notebook cell makes and shows,
    of which a cell that runs again means to have the new one alone.

    Those that one run of a cell makes all live on, and so do those of other cells, and whatever no cell made.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], weakref.WeakSet[Any]] = {}  # {(cell, its run): what was made}

    def close_former(self) -> None:
        """Close what the present cell made when it ran before."""
        if (now := this_cell()) is None:
            return
        for place in [place for place in self._made if place[0] == now[0] and place[1] != now[1]]:
            for thing in tuple(self._made.pop(place)):
                thing.close()

    def keep(self, thing: Any) -> None:
        """Remember that the present cell made it."""
        if (now := this_cell()) is not None:
            self._made.setdefault(now, weakref.WeakSet()).add(thing)


def this_cell() -> tuple[str, str] | None:
    """(the notebook cell that is running, this run of it);
    None outside a notebook, and where a page does not say.
    """
    try:
        from IPython import get_ipython

        parent = get_ipython().get_parent()
        return str(parent["metadata"]["cellId"]), str(parent["header"]["msg_id"])
    except (ImportError, AttributeError, KeyError, TypeError, LookupError):
        return None
