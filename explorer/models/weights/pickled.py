"""PyTorch's own files: pickles, of which nothing runs.

They are opened with `weights_only=True`, and the few harmless classes that training programs leave in them
are read as plain data, without the classes themselves.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from explorer.models.weights.report import unreadable


class Opaque:
    """Stands in for an object of a harmless class; nothing of it is kept."""

    def __new__(cls, *args: Any) -> Opaque:
        return object.__new__(cls)

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class Table:
    """Stands in for a dict of a harmless class: a plain one that the file then fills."""

    def __new__(cls, *args: Any) -> OrderedDict:
        return OrderedDict()


# What training programs put beside the tensors. None of these classes is imported or run: the names are read
# as data.
HARMLESS: dict[str, type] = {
    "argparse.Namespace": Opaque,
    "types.SimpleNamespace": Opaque,  # the settings of timm's and many other scripts
    **{
        f"numpy.{core}.multiarray.{name}": Opaque
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    },
    "numpy.dtype": Opaque,
    "numpy.ndarray": Opaque,  # best metrics, as numpy's numbers and arrays
    **{f"pathlib.{kind}Path": Opaque for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")},
    **{
        f"pathlib._local.{kind}Path": Opaque for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")
    },
    "collections.defaultdict": Table,
    **{
        f"builtins.{name}": Opaque
        for name in ("list", "dict", "tuple", "int", "float", "str", "bool", "slice", "range")
    },
    "datetime.datetime": Opaque,
    "datetime.timedelta": Opaque,
    "datetime.date": Opaque,
    "torch.torch_version.TorchVersion": Opaque,
    "typing.Any": Opaque,
}
# Whole packages of this kind: Lightning keys its callbacks by class, omegaconf holds the settings of a run.
HARMLESS_PACKAGES = (
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "omegaconf",
    "numpy.dtypes",
    "yacs",
    "ml_collections",
    "addict",
    "easydict",
    "mmengine.config",
    "timm.utils.metrics",
    "torch.optim.lr_scheduler",
)
_one_at_a_time = threading.Lock()  # torch keeps one list of allowed names for the whole process


def load_pickled(path: Path) -> Any:
    import torch
    from torch import serialization

    asked = _asked_for(path)
    allowed = dict(HARMLESS)
    for name in asked:
        if name.startswith(tuple(f"{package}." for package in HARMLESS_PACKAGES)):
            allowed[name] = Table if name.lower().endswith(("dict", "dictconfig", "confignode")) else Opaque
    refused = sorted(asked - allowed.keys())
    module = next((name for name in refused if name.startswith("torch.nn.modules.")), None)
    if module:
        raise unreadable(
            path,
            f"it holds a whole model, whose classes are programs: {', '.join(refused[:3])}",
            "Save its tensors instead: torch.save(model.state_dict(), 'weights.pth').",
        )
    try:
        names = serialization.safe_globals([(stand_in, name) for name, stand_in in allowed.items()])
        with _one_at_a_time, names, path.open("rb") as file:  # by its content: torch would believe the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        name = refused[0] if refused else _refused_class(error)
        if name is None:
            raise
        advice = "Save its tensors alone: torch.save(model.state_dict(), 'weights.pth')."
        if name.startswith(("numpy.", "builtins.")):
            advice = "Save tensors and plain numbers only, such as model.state_dict()."
        raise unreadable(path, f"opening it would run {name[:80]}, which is no tensor", advice) from None


def _asked_for(path: Path) -> set[str]:
    """The classes and functions that a PyTorch file names beyond tensors; empty where it can't be asked."""
    from torch import serialization

    try:
        return set(serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # an older format, or damaged: `torch.load` tells
        return set()


def _refused_class(error: Exception) -> str | None:
    """The class that torch's unpickler refused, from its own words; None where that was not the reason."""
    found = re.search(r"GLOBAL ([\w.]+) (?:was not an allowed|whose module)", str(error))
    return found[1] if found else None
