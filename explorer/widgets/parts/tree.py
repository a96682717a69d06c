"""A model's modules as a tree with columns; thousands of rows, of which the page makes only the open ones."""

from __future__ import annotations

import json

import traitlets as t

from explorer.display.words import did_you_mean

from .base import ExplorerPart

_FIELDS = "name, parent, kind, params, trainable, shape, flops"


class ModuleTree(ExplorerPart, files="tree"):
    """The modules of a model; a click on one selects it and copies its dotted path.

    ``show`` may be called from any thread. ``selected`` is the dotted path of the selected module, as
    ``model.get_submodule`` takes it: ``"layer4.1.conv2"``, ``""`` for the model itself, ``None`` for none.
    Setting it opens the tree at that module; a path that is not in the tree raises ``TraitError``.
    """

    _reader_traits = ("selected",)

    selected = t.Unicode(None, allow_none=True, help="dotted path of the selected module").tag(sync=True)

    # One string: 3000 modules are 120 kB and one message; as widgets they would be 12 MB and 9000.
    _tree = t.Unicode("").tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._paths: dict[str, int] = {}
        self._title = ""
        super().__init__(**kwargs)

    def show(self, rows, *, title: str = "") -> None:
        """Show ``rows``, a list of ``[name, parent, kind, params, trainable, shape, flops]``.

        ``parent`` is the index of the parent's row, which comes earlier; -1 for the model itself (the first
        row). ``params`` and ``trainable`` count parameters, of the module and all below it; ``shape`` is the
        output's shape in words ("1 × 64 × 56 × 56") or ""; ``flops`` counts floating-point operations, or is
        None where they are not known. Raises ``ValueError`` for rows that are no tree. A selection that the
        new tree does not have is dropped.
        """
        rows = [_checked(row, index) for index, row in enumerate(rows)]
        paths: list[str] = []
        for name, parent, *_ in rows:
            above = paths[parent] if parent >= 0 else ""
            paths.append("" if parent < 0 else f"{above}.{name}" if above else name)
        message = json.dumps({"title": str(title), "rows": rows}, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if self._closed:
                return
            self._paths = {path: index for index, path in enumerate(paths)}
            self._title = str(title)
            if self.selected not in self._paths:
                self.selected = None
            self._tree = message

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted paths of all modules, in the order of their rows; "" of the model itself."""
        return tuple(self._paths)

    @t.validate("selected")
    def _known(self, proposal):
        path = proposal["value"]
        if path is not None and path not in self._paths:
            hint = did_you_mean(path, self._paths)
            raise t.TraitError(f"No module {path!r} in this tree of {len(self._paths)} modules.{hint}")
        return path

    def _release(self) -> None:
        self._paths = {}
        self._tree = ""

    def __repr__(self) -> str:
        count = len(self._paths)
        return f"ModuleTree({self._title!r}, {count} modules)" if count else "ModuleTree(empty)"


def _checked(row, index: int) -> list:
    if len(row) != 7:
        raise ValueError(f"Row {index} has {len(row)} fields; expected 7: {_FIELDS}.")
    name, parent, kind, params, trainable, shape, flops = row
    if not (-1 <= parent < index and (parent == -1) == (index == 0)):
        raise ValueError(f"Row {index} ({name!r}) has the parent {parent}. The first row is the model itself "
                         "and has the parent -1; every other row names the row of its parent, above it.")
    return [str(name), int(parent), str(kind), int(params), int(trainable), str(shape),
            None if flops is None else int(flops)]
