"""Which class is meant: by its index, its name, or a part of the name that only one class has."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from explorer.display.words import meant, nearest
from explorer.inspection.look.result import Look


def find_class(target: int | str, labels: Sequence[str], noun: str = "class") -> int:
    """The index of a class, given that, its name, or a part that only one name has; case does not count.

    noun: "number" where the names are those of numbers that a model gives
    Raises ValueError where there is no such class, with the nearest names, or more than one, with all of
    them.
    """
    several = "classes" if noun == "class" else f"{noun}s"
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        if not 0 <= target < len(labels):
            reach = f"{several} are 0 to {len(labels) - 1}" if len(labels) > 1 else f"only {noun} is 0"
            raise ValueError(f"target is {target}, but this model's {reach}.")
        return int(target)
    if not isinstance(target, str) or not target.strip():
        usual = "the likeliest class" if noun == "class" else f"the first {noun}"
        raise ValueError(f"target is {target!r}: expected a {noun}'s index or name, or None for {usual}.")
    wanted, names = target.strip().lower(), [label.lower() for label in labels]
    found = [i for i, name in enumerate(names) if name == wanted]
    found = found or [i for i, name in enumerate(names) if wanted in map(str.strip, name.split(","))]
    found = found or [i for i, name in enumerate(names) if re.search(rf"\b{re.escape(wanted)}\b", name)]
    found = found or [i for i, name in enumerate(names) if wanted in name]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{labels[i]!r} ({i})" for i in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise ValueError(f"{len(found)} {several} match {target!r}: {shown}{more}. Give more of the name, or "
                         "the index.")
    hint = meant(labels[names.index(name)] for name in nearest(wanted, names, 3))
    known = ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
    hint = hint or f" They are: {known}."
    raise ValueError(f"None of the {len(labels)} {several} is called {target!r}.{hint}")


def class_index(target: int | str | None, before: Look) -> int:
    """The index of the class or number that is meant, as in `explain`: None is the likeliest, the first."""
    outputs = before.outputs
    if target is None:
        return int(outputs.likeliest(before.logits))
    return find_class(target, outputs.labels, outputs.noun)
