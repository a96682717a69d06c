"""Parameters by pattern, as in "layer1.*" or "*.bn?"."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from explorer.display.words import did_you_mean


def match_parameters(model: nn.Module, patterns: Sequence[str]) -> set[str]:
    """Names of the parameters that match a pattern, or that lie in a module that does.

    ValueError where none does.
    """
    chosen: set[str] = set()
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        places = [path for path, _ in model.named_modules() if path and fnmatchcase(path, pattern)]
        found = {name for name in names if fnmatchcase(name, pattern)}
        found |= {name for name in names for path in places if name.startswith(f"{path}.")}
        if not found:
            hint = did_you_mean(pattern, [path for path, _ in model.named_modules()], 3, cutoff=0.5)
            raise ValueError(
                f"No module and no parameter matches {pattern!r}.{hint} See the paths in "
                "dict(model.named_modules())."
            )
        chosen |= found
    return chosen
