"""Public names that are imported on first use (PEP 562), so that `import explorer` stays instant."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]], more: Callable[[], Mapping[str, Sequence[str]]] = dict
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` for a package.

    package: its `__name__`;  modules: submodule -> the names it gives;  more: works out others, when one is
    asked for: such a package does not keep the `__all__` of here, which `__getattr__` then gives with them
    The package's own files answer to their names too: `explorer.models.layers` needs no import of its own.
    Asking for any other name raises AttributeError, with the nearest name where one is near.
    """
    first = _origins(modules)

    @functools.cache
    def every() -> dict[str, str]:
        return first | _origins(more())

    def __getattr__(name: str) -> object:
        if name == "__all__":
            return sorted(every())
        if name.startswith("_"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name not in first and importlib.util.find_spec(f"{package}.{name}") is not None:
            return importlib.import_module(f"{package}.{name}")
        module = first.get(name) or every().get(name)
        if module is None:
            from explorer.display.words import did_you_mean

            hint = did_you_mean(name, every())
            raise AttributeError(f"module {package!r} has no attribute {name!r}.{hint}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)  # next time without this function
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *every()})

    return __getattr__, __dir__, sorted(first)


def _origins(modules: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: module for module, names in modules.items() for name in names}
