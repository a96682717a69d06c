"""Looking into a model: one photo's `look`, `predict` for many, the `module_tree`.

Every name is imported on first use. `look` and `predict` are functions and files at once; here the names mean
the functions, whichever was imported first (the file is `from explorer.inspection.look import ...`).
"""

from __future__ import annotations

import sys
from types import ModuleType

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "look": ("Look", "Prediction", "look"),
    "predict": ("PredictionTable", "predict"),
    "modules": ("ModuleNode", "module_tree"),
    "attribution": ("METHODS", "Attribution", "default_stage", "explain"),
})


class _Room(ModuleType):
    """A package on which Python's import can't replace a function by the file of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in ("look", "predict") and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
