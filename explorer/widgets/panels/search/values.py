"""What a reader has typed for a setting: one value, several, or a range."""

from __future__ import annotations

import re
from typing import Any

from explorer.widgets.panels.learn.fields import number

RANGE = re.compile(r"\s+(?:to|-)\s+|\s*(?:\.\.\.?|…|–)\s*")

#: [0.01]: the same in all trials; [0.1, 0.01]: each of these; (0.001, 0.1): a range; []: as usual
Values = list[Any] | tuple[Any, Any]


def values_of(label: str, typed: str, *, whole: bool = False) -> Values:
    """ "0, 0.1" -> [0, 0.1]; "0.001 to 0.1" -> (0.001, 0.1); "" -> []. With semicolons between them, numbers
    may have commas.

    Raises ValueError with what to write.
    """
    ends = RANGE.split(typed.strip())
    if len(ends) == 2 and all(ends):
        low, high = (number(label, end, whole=whole) for end in ends)
        if low >= high:
            what = f"for one value write {low:g} alone." if low == high else \
                f"a range begins with the smaller number, such as {high:g} to {low:g}."
            raise ValueError(f"{label} goes from {low:g} to {high:g}: {what}")
        return low, high
    parts = typed.split(";" if ";" in typed else ",")
    found = [number(label, part, whole=whole) for part in parts]
    return list(dict.fromkeys(one for one in found if one is not None))


def check_values(name: str, values: Values) -> None:
    """Raises ValueError where the setting can't have one of these by itself."""
    from explorer.training.loop.recipe import Recipe

    for value in values:
        Recipe(**{"train": "all", name: value})
