"""Public names that are imported on first use (PEP 562), so that `import explorer` stays instant."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]] = {}
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` for a package.

    package: its `__name__`;  modules: submodule -> the names it gives;  found: more of them, worked out
    The package's own files answer to their names too: `explorer.models.layers` needs no import of its own.
    Asking for any other name raises AttributeError, with the nearest name where one is near.
    """
    origin = {name: module for module, names in [*modules.items(), *found.items()] for name in names}

    def __getattr__(name: str) -> object:
        if name in origin:
            value = getattr(importlib.import_module(f"{package}.{origin[name]}"), name)
            setattr(sys.modules[package], name, value)  # next time without this function
            return value
        if not name.startswith("_"):
            if importlib.util.find_spec(f"{package}.{name}") is not None:
                return importlib.import_module(f"{package}.{name}")
            from explorer.display.words import did_you_mean

            hint = did_you_mean(name, origin)
            raise AttributeError(f"module {package!r} has no attribute {name!r}.{hint}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *origin})

    return __getattr__, __dir__, sorted(origin)
