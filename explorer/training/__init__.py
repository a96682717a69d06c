"""Learning: short fine-tuning runs as streams of events, and honest evaluation.

Every name is imported on first use. `finetune` and `evaluate` are functions and files at once; here the names mean the
functions, whichever was imported first (the file is `from explorer.training.evaluate import ...`).
"""

from __future__ import annotations

import sys
from types import ModuleType

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "finetune": ("finetune",),
    "loading": ("LoadedRun", "load_run"),
    "run": ("Run", "TrainingError"),
    "recipe": ("Recipe",),
    "evaluate": ("evaluate",),
    "evaluation": ("Evaluation",),
    "number_evaluation": ("NumberEvaluation",),
    "listeners": ("TensorBoardListener", "print_progress"),
})


class _Room(ModuleType):
    """A package on which Python's import can't replace a function by the file of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in ("finetune", "evaluate") and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
